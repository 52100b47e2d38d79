"""World after world from consecutive seeds, on one or several cores."""

import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import count
from multiprocessing import get_context

from tests.simulation.ledger import Place, ledgers_at, place_for
from tests.simulation.report import WorldReport, run_world


def run_many(
    first: int, until: float, tickets: int, processes: int, url: str | None
) -> Iterator[WorldReport]:
    """Until the monotonic time ``until``, or until there were so many tickets; ``url`` is ``place_for``'s."""
    # A process of the pool ends without cleaning up: the place is this one's.
    with place_for(url) as place:
        if processes > 1:
            yield from run_at_once(place, first, until, tickets, processes)
            return
        for seed in count(first):
            report = run_world(ledgers_at(place), seed)
            yield report
            tickets -= report.tickets
            if tickets <= 0 or time.monotonic() > until:
                return


def run_at_once(
    place: Place, first: int, until: float, tickets: int, processes: int
) -> Iterator[WorldReport]:
    """As many worlds at a time as there are processes."""
    seeds = count(first)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        running: set[Future[WorldReport]] = {
            pool.submit(run_apart, place, next(seeds)) for _ in range(processes)
        }
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for one in done:
                report = one.result()
                tickets -= report.tickets
                if tickets > 0 and time.monotonic() < until:
                    running.add(pool.submit(run_apart, place, next(seeds)))
                yield report


def run_apart(place: Place, seed: int) -> WorldReport:
    return run_world(ledgers_at(place), seed)
