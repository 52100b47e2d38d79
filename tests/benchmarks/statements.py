"""``python -m tests.benchmarks.statements``: the database statements that the guarantees cost.

500 tickets through ``run-once`` on each database, the vendors over HTTP in this process. The peer knows no
guarantee: it asks whether it knows a ticket, and writes a row once it was told, which are 2 statements.
"""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import peewee

from jobs.sandbox.discord import SimulatedDiscord
from jobs.sandbox.hubspot import SimulatedHubSpot
from jobs.sandbox.ollama import SimulatedOllama
from jobs.settings import load_settings
from jobs.verbs.run import run_with
from jobs.wiring import build_channels
from models import schema
from models.database import close_database, open_database
from tests.benchmarks.machine import machine, new_postgres, new_sqlite

ROOT = Path(__file__).resolve().parents[2]
TICKETS, PEER = 500, 2.0
COUNTED = ("execute_sql", "begin", "commit")


def measure(url: str) -> Counter[str]:
    """Statements, BEGIN and COMMIT among them, by the function of ``models`` that sent them."""
    open_database(url)
    schema.deploy_migrations()
    close_database()
    counts: Counter[str] = Counter()
    with SimulatedHubSpot() as hubspot, SimulatedOllama() as ollama, SimulatedDiscord() as discord:
        hubspot.add_many(TICKETS, created_at=datetime.now(UTC) - timedelta(minutes=2))
        given = {
            "DATABASE_URL": url,
            "HUBSPOT_BASE_URL": hubspot.url,
            "HUBSPOT_ACCESS_TOKEN": hubspot.access_token,
            "LOCAL_LLM_URL": ollama.url,
            "DISCORD_WEBHOOK_URL": discord.webhook_url,
            "TRIAGE_CONCURRENCY": "8",
            "NOTIFY_SINCE": "2000-01-01",
            "LOG_LEVEL": "ERROR",
        }
        settings = load_settings(given, isolated=True)
        with counted(counts), open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            run_with(settings, build_channels(settings), as_json=True)
        assert len(discord.messages) == TICKETS
    return counts


@contextmanager
def counted(counts: Counter[str]) -> Iterator[None]:
    """Peewee's own methods count who calls them; a BEGIN that Peewee sends as a statement counts once."""
    originals = {name: getattr(peewee.Database, name) for name in COUNTED}

    def counting(work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            counts[asker()] += 1
            return work(*args, **named)

        return call

    for name, work in originals.items():
        setattr(peewee.Database, name, counting(work))
    try:
        yield
    finally:
        for name, work in originals.items():
            setattr(peewee.Database, name, work)


def asker() -> str:
    """The nearest function of ``models`` that is not the connection's own."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.parent == ROOT / "models" and path.name != "database.py":
            return f"{path.stem}.{frame.f_code.co_name}"
        frame = frame.f_back
    return "the connection"


def main() -> int:
    print(machine())
    with new_postgres() as postgres, new_sqlite() as sqlite:
        for name, url in (("PostgreSQL", postgres), ("SQLite", sqlite)):
            counts = measure(url)
            each = counts.total() / TICKETS
            print(f"{name}: {each:.2f} statements a ticket, {each - PEER:.2f} more than without guarantees")
            for asked_by, number in counts.most_common(14):
                print(f"  {number / TICKETS:.3f} {asked_by}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
