"""``python -m tests.simulation``: worlds of tickets with faults, one after the other, until time is up."""

import argparse
import atexit
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack
from itertools import count
from multiprocessing import get_context

from tests.simulation.ledger import Ledgers, ledgers
from tests.simulation.report import Totals, WorldReport, failure_lines, run_world, story

SEEDS_APART = 1_000_000
TOLD_EVERY_SECONDS = 60.0


def main() -> int:
    args = parse_arguments()
    if args.replay is not None:
        return replay(args.replay, args.ticket, args.trace)
    totals, started = Totals(), time.monotonic()
    until = started + args.hours * 3600
    told_at = started
    for report in run_many(args.seed * SEEDS_APART, until, args.tickets, args.processes):
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
    parser.add_argument("--keep-going", action="store_true", help="also after a world that failed")
    parser.add_argument("--replay", type=int, metavar="SEED", help="one world, and the story of its faults")
    parser.add_argument("--ticket", help="with --replay: the story of this one")
    parser.add_argument("--trace", help="with --replay: write every effect into this file")
    return parser.parse_args()


def replay(seed: int, ticket_id: str | None, file: str | None) -> int:
    with ledgers() as made:
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


def run_many(first: int, until: float, tickets: int, processes: int) -> Iterator[WorldReport]:
    if processes == 1:
        with ledgers() as made:
            for number in count(first):
                report = run_world(made, number)
                yield report
                tickets -= report.tickets
                if tickets <= 0 or time.monotonic() > until:
                    return
    yield from run_at_once(first, until, tickets, processes)


def run_at_once(first: int, until: float, tickets: int, processes: int) -> Iterator[WorldReport]:
    """As many worlds at a time as there are processes."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        numbers = count(first)
        running: set[Future[WorldReport]] = {pool.submit(run_apart, next(numbers)) for _ in range(processes)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for one in done:
                report = one.result()
                tickets -= report.tickets
                if tickets > 0 and time.monotonic() < until:
                    running.add(pool.submit(run_apart, next(numbers)))
                yield report


apart = ExitStack()
made_apart: list[Ledgers] = []


def run_apart(seed: int) -> WorldReport:
    """In a process of the pool, which keeps its ledgers' folder until it ends."""
    if not made_apart:
        made_apart.append(apart.enter_context(ledgers()))
        atexit.register(apart.close)
    return run_world(made_apart[0], seed)


if __name__ == "__main__":
    sys.exit(main())
