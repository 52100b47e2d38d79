"""``python -m tests.simulation``: worlds of tickets with faults, one after the other, until time is up."""

import argparse
import sys
import time

from tests.simulation.ledger import ledgers
from tests.simulation.many import run_many
from tests.simulation.report import Totals, failure_lines, run_world, story

SEEDS_APART = 1_000_000
TOLD_EVERY_SECONDS = 60.0


def main() -> int:
    args = parse_arguments()
    if args.replay is not None:
        return replay(args.replay, args.postgres, args.ticket, args.trace)
    totals, started = Totals(), time.monotonic()
    until = started + args.hours * 3600
    told_at = started
    for report in run_many(args.seed * SEEDS_APART, until, args.tickets, args.processes, args.postgres):
        totals.add(report)
        if report.faults:
            print("\n".join(failure_lines(report)), flush=True)
            if not args.keep_going:
                break
        if time.monotonic() - told_at > TOLD_EVERY_SECONDS:
            told_at = time.monotonic()
            print(next(totals.lines(told_at - started)), flush=True)
    print("\n".join(totals.lines(time.monotonic() - started)))
    return 1 if totals.failed else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0, help="of real time")
    parser.add_argument("--tickets", type=int, default=sys.maxsize, help="end after so many")
    parser.add_argument("--seed", type=int, default=1, help="worlds are derived from it")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument(
        "--postgres",
        nargs="?",
        const="",
        metavar="URL",
        help="ledgers on a PostgreSQL instead of SQLite: on this server, else on one of its own",
    )
    parser.add_argument("--keep-going", action="store_true", help="also after a world that failed")
    parser.add_argument("--replay", type=int, metavar="SEED", help="one world, and the story of its faults")
    parser.add_argument("--ticket", help="with --replay: the story of this one")
    parser.add_argument("--trace", help="with --replay: write every effect into this file")
    return parser.parse_args()


def replay(seed: int, url: str | None, ticket_id: str | None, file: str | None) -> int:
    with ledgers(url) as made:
        report = run_world(made, seed, keep_trace=True)
    if file is not None:
        with open(file, "w", encoding="utf-8") as written:
            written.write("\n".join(report.lines) + "\n")
    faulty = dict.fromkeys(one for one, _ in report.faults if one)
    for told in [ticket_id] if ticket_id else list(faulty)[:3]:
        print("\n".join(story(report, told)))
    totals = Totals()
    totals.add(report)
    print("\n".join(failure_lines(report)) if report.faults else "\n".join(totals.lines(1.0)))
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
