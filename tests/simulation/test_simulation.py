"""A short run of the simulated world, and that a seed always brings the same one."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.simulation.ledger import Ledgers, ledgers
from tests.simulation.report import failure_lines, run_world

ROOT = Path(__file__).parents[2]
DIGEST = (
    "from tests.simulation.ledger import ledgers\n"
    "from tests.simulation.report import run_world\n"
    "with ledgers() as made:\n"
    "    report = run_world(made, 12)\n"
    "print(report.digest, report.effects, sorted(report.states.items()))\n"
)


@pytest.fixture(scope="module")
def made() -> Iterator[Ledgers]:
    with ledgers() as one:
        yield one


@pytest.mark.parametrize("seed", [29, 49, 50])
def test_a_world_with_faults_comes_to_rest_with_every_ticket_told_once(made: Ledgers, seed: int) -> None:
    report = run_world(made, seed)
    assert not report.faults, "\n".join(failure_lines(report))
    assert report.tickets > 100
    assert report.cards > 100


def test_the_same_on_postgresql(server_url: str) -> None:
    with ledgers(server_url) as made_there:
        report = run_world(made_there, 120)
    assert not report.faults, "\n".join(failure_lines(report))
    assert report.on_postgres
    assert report.cards > 100


def test_a_seed_brings_the_same_world_in_every_process() -> None:
    with ThreadPoolExecutor(2) as pool:
        told = set(pool.map(digest_with, ("1", "2")))
    assert len(told) == 1
    digest, effects, states = told.pop().split(maxsplit=2)
    assert int(digest)
    assert int(effects) > 1_000
    assert "notified" in states


def digest_with(hash_seed: str) -> str:
    """Sets and dictionaries of texts have another order in each process, unless somebody sees to it."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", DIGEST], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout
