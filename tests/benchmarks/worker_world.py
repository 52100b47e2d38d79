"""A worker for ``tests.benchmarks.worker``, on PostgreSQL, among vendors that note when they saw a ticket."""

import os
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from jobs.sandbox.discord import SimulatedDiscord
from jobs.sandbox.groq import SimulatedGroq
from jobs.sandbox.hubspot import SimulatedHubSpot
from jobs.sandbox.ollama import SimulatedOllama
from jobs.sandbox.serving import Outcome, Request
from tests.acceptance.conftest import Bench, Vendors
from tests.acceptance.worker import Running, wait_until, worker
from tests.benchmarks.machine import new_postgres
from tests.benchmarks.webhook_load import PUBLIC_URL, SECRET

PORTAL_ID = 62515  #: what webhook_load's events say
SETTLE_SECONDS = 10.0  #: the first poll, sweep, retention and alarms are over
NUMBER = re.compile(rb"Question (\d+)")


class Seen:
    """When each ticket's number came first in a request (seconds of ``perf_counter``)."""

    def __init__(self) -> None:
        self.at: dict[int, float] = {}

    def note(self, request: Request) -> None:
        now, found = time.perf_counter(), NUMBER.search(request.body)
        if found:
            self.at.setdefault(int(found[1]), now)


class NotingOllama(SimulatedOllama):
    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self.seen = seen

    def answer(self, request: Request) -> Outcome:
        self.seen.note(request)
        return super().answer(request)


class NotingDiscord(SimulatedDiscord):
    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self.seen = seen

    def answer(self, request: Request) -> Outcome:
        self.seen.note(request)
        return super().answer(request)


@dataclass
class World:
    """A worker, its vendors, and when they saw each ticket: the model first, which is after its claim."""

    hubspot: SimulatedHubSpot
    url: str
    running: Running
    asked: Seen
    told: Seen
    _ids: Iterator[int] = field(default_factory=lambda: count(30_000_000_000))

    def new_tickets(self, number: int) -> list[int]:
        """With ids that follow each other, and too new for a search to show them."""
        ids = [next(self._ids) for _ in range(number)]
        for one in ids:
            person = self.hubspot.add_contact(firstname="Ada")
            company = self.hubspot.add_company(name="Engines")
            subject, body = f"Question {one}", "How do I export a report? It was there last week."
            self.hubspot.add_ticket(subject, body, ticket_id=str(one), contact=person, company=company)
        return ids

    def wait_for_cards(self, ids: Sequence[int]) -> None:
        wait_until(lambda: ids[-1] in self.told.at and all(one in self.told.at for one in ids))

    @property
    def megabytes(self) -> float:
        pages = int(Path(f"/proc/{self.running.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1_048_576

    @property
    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.running.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def world() -> Iterator[World]:
    """A worker on a new database, at rest."""
    asked, told = Seen(), Seen()
    with (
        new_postgres() as url,
        SimulatedHubSpot(portal_id=PORTAL_ID) as hubspot,
        NotingOllama(asked) as ollama,
        NotingDiscord(told) as discord,
        SimulatedGroq() as groq,
        tempfile.TemporaryDirectory() as folder,
    ):
        hubspot.faults.index_lag_seconds = 3600.0
        vendors = Vendors(hubspot, ollama, discord, groq)
        bench = Bench(Path(folder), vendors, {"DATABASE_URL": url, **vendors.settings})
        settings = {"PUBLIC_URL": PUBLIC_URL, "HUBSPOT_CLIENT_SECRET": SECRET, "POLL_INTERVAL_SECONDS": "30"}
        with worker(bench, env=settings) as running:
            time.sleep(SETTLE_SECONDS)
            yield World(hubspot, url, running, asked, told)
            assert running.stop() == 0
