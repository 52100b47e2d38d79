"""``python -m tests.kills [--kills N] [--seed S] [--sqlite] [--bot]``: the promises under real kills.

Exits 1 where a ticket was told twice beyond the listed residual, or lost, or a worker ended by itself.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.acceptance.conftest import Bench
from tests.acceptance.test_discord_bot import by_bot
from tests.kills.report import Report
from tests.kills.run import Plan, run
from tests.kills.world import bench_on, own_postgres

#: One in so many kills is measured, with nothing else going on.
ALONE_SHARE = 30
TOLD_EVERY = 25

ToldBy = Callable[[Bench], Bench]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--sqlite", action="store_true", help="one worker on SQLite")
    parser.add_argument("--bot", action="store_true", help="cards by a bot, which looks for those in doubt")
    options = parser.parse_args(arguments)
    print("python -m tests.kills", *arguments, f"(seed {options.seed})", flush=True)
    plan = Plan(
        options.kills,
        options.seed,
        workers=1 if options.sqlite else 2,
        alone=options.kills // ALONE_SHARE,
        on_strike=tell,
    )
    run_on = run_on_sqlite if options.sqlite else run_on_postgres
    report = run_on(plan, told_by=by_bot if options.bot else by_webhook)
    print(report)
    return 0 if report.holds else 1


def tell(struck: int) -> None:
    if struck % TOLD_EVERY == 0:
        print(f"{struck} kills", flush=True)


def run_on_postgres(plan: Plan, told_by: ToldBy) -> Report:
    with own_postgres() as (url, interrupt), new_folder() as folder, bench_on(url, folder) as bench:
        return run(told_by(bench), plan, interrupt)


def run_on_sqlite(plan: Plan, told_by: ToldBy) -> Report:
    with new_folder() as folder, bench_on(f"sqlite:////{folder}/triage.db", folder) as bench:
        return run(told_by(bench), plan)


def by_webhook(bench: Bench) -> Bench:
    return bench


@contextmanager
def new_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        yield Path(folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
