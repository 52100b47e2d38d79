"""``python -m tests.benchmarks.drain``: 10,000 received events from the inbox to an empty ledger.

Rows a second on PostgreSQL with its settings as shipped, in batches as the worker drains them, the median of
some rounds; each round lays its rows out anew, and that is not timed. Exits 1 below the limit.
"""

import statistics
import sys
import time
from datetime import UTC, datetime, timedelta

from jobs.drain_inbox import drain_inbox
from models import cursors
from models.database import close_database, connection, open_database
from models.drain import DRAIN_BATCH
from models.inbox import EventType, store_events
from models.schema import deploy_migrations
from models.tickets import ProcessedTicket
from tests.benchmarks.machine import machine, new_postgres, new_sqlite
from tests.fakes.inbox import ReceivedEvent, waiting

ROWS, ROUNDS, LEAST_PER_SECOND = 10_000, 5, 5_000
RECEIVE = 100  #: as many as one call of HubSpot's brings
PORTAL = "4711"


def measure(url: str) -> float:
    """Rows a second, the median of the rounds."""
    open_database(url)
    try:
        deploy_migrations()
        cursors.bind_portal(PORTAL)
        now = datetime.now(UTC)
        cursors.activate(now, now - timedelta(hours=1), timedelta(minutes=15))
        return statistics.median(drain_one_round(round_) for round_ in range(ROUNDS))
    finally:
        close_database()


def drain_one_round(round_: int) -> float:
    fill(40_000_000_000 + round_ * ROWS)
    before = count_tickets()
    started = time.perf_counter()
    drained = drain_inbox()
    taken = time.perf_counter() - started
    assert (drained.moved, drained.found, waiting()) == (ROWS, ROWS, 0), drained
    assert count_tickets() == before + ROWS
    return ROWS / taken


def fill(first_id: int) -> None:
    now = datetime.now(UTC)
    for start in range(first_id, first_id + ROWS, RECEIVE):
        ids = map(str, range(start, start + RECEIVE))
        store_events([ReceivedEvent(PORTAL, EventType.CREATION, one, "1", now) for one in ids])


def count_tickets() -> int:
    with connection():
        return int(ProcessedTicket.select().count())


def main() -> int:
    print(machine())
    with new_postgres() as url:
        on_postgres = measure(url)
    with new_sqlite() as url:
        on_sqlite = measure(url)
    print(f"{ROWS} rows in batches of {DRAIN_BATCH}, median of {ROUNDS}")
    print(f"PostgreSQL: {on_postgres:.0f} rows/s (least {LEAST_PER_SECOND})")
    print(f"SQLite, for the record: {on_sqlite:.0f} rows/s")
    return 0 if on_postgres >= LEAST_PER_SECOND else 1


if __name__ == "__main__":
    sys.exit(main())
