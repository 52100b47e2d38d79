"""World after world from consecutive seeds, on one or several cores."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from functools import cache
from itertools import count
from multiprocessing import get_context
from pathlib import Path

from tests.simulation.ledger import Ledgers, ledgers, memory_folder
from tests.simulation.report import WorldReport, run_world


def run_many(first: int, until: float, tickets: int, processes: int) -> Iterator[WorldReport]:
    """Until the monotonic time ``until``, or until there were so many tickets."""
    if processes > 1:
        yield from run_at_once(first, until, tickets, processes)
        return
    with ledgers() as made:
        for seed in count(first):
            report = run_world(made, seed)
            yield report
            tickets -= report.tickets
            if tickets <= 0 or time.monotonic() > until:
                return


def run_at_once(first: int, until: float, tickets: int, processes: int) -> Iterator[WorldReport]:
    """As many worlds at a time as there are processes."""
    seeds = count(first)
    # A process of the pool ends without cleaning up: the folder is this one's.
    with memory_folder() as folder, ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        running: set[Future[WorldReport]] = {
            pool.submit(run_apart, folder, next(seeds)) for _ in range(processes)
        }
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for one in done:
                report = one.result()
                tickets -= report.tickets
                if tickets > 0 and time.monotonic() < until:
                    running.add(pool.submit(run_apart, folder, next(seeds)))
                yield report


def run_apart(folder: Path, seed: int) -> WorldReport:
    return run_world(ledgers_of(folder / str(os.getpid())), seed)


@cache
def ledgers_of(folder: Path) -> Ledgers:
    folder.mkdir()
    return Ledgers(folder)
