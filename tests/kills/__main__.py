"""``python -m tests.kills [--kills N] [--seed S] [--sqlite]``: the promises under real kills, counted.

Exits 1 where a ticket was told twice beyond the listed residual, or lost, or a worker ended by itself.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.kills.report import Report
from tests.kills.run import Plan, run
from tests.kills.world import bench_on, own_postgres

#: One in so many kills is measured, with nothing else going on.
ALONE_SHARE = 30


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--sqlite", action="store_true", help="one worker on SQLite")
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}", flush=True)
    run_on = run_on_sqlite if options.sqlite else run_on_postgres
    report = run_on(options.kills, options.seed)
    print(report)
    return 0 if report.holds else 1


def run_on_postgres(kills: int, seed: int) -> Report:
    with own_postgres() as (url, interrupt), new_folder() as folder, bench_on(url, Path(folder)) as bench:
        return run(
            bench,
            Plan(kills, seed, alone=kills // ALONE_SHARE),
            f"two workers on PostgreSQL, seed {seed}",
            interrupt,
        )


def run_on_sqlite(kills: int, seed: int) -> Report:
    with new_folder() as folder, bench_on(f"sqlite:////{folder}/triage.db", Path(folder)) as bench:
        return run(bench, Plan(kills, seed, workers=1), f"one worker on SQLite, seed {seed}")


def new_folder() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="kills-")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
