"""``python -m tests.benchmarks.retention [ROWS]``: forgetting half of a full ledger while claims go on.

ROWS (default 600,000) tickets with a delivery each, half of them old. Beside it: the same half by one single
DELETE, the claims' times without retention, and the clean-up of 1,000 rows. Exits 1 where that takes 200 ms.
"""

import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from jobs.prune_records import PruneReport, prune_records
from models.claims import claim
from models.cursors import Cursor
from models.database import clock, close_database, connection, database, on_postgres, open_database
from models.schema import deploy_migrations
from tests.benchmarks.machine import machine, new_postgres, new_sqlite, postgres_settings

R = TypeVar("R")
ROWS = 600_000
SMALL = 1_000
OPEN = 100_000
CLAIM_EVERY_SECONDS = 0.01
SMALL_MS = 200.0
FIRST_ID, FIRST_OPEN = 30_000_000, 50_000_000
#: Every second ticket is 20 days old, the others 2. Placeholders: first number, and last (SQLite: how many).
POSTGRES = {
    "at": "clock_timestamp() - interval '1 day' * (CASE WHEN n %% 2 = 0 THEN 20 ELSE 2 END)",
    "id": "gen_random_uuid()",
    "text": "n::text",
    "true": "true",
    "series": "FROM generate_series(%s::int, %s::int) AS s(n)",
}
SQLITE = {
    "at": "strftime('%Y-%m-%d %H:%M:%f+00:00', 'now', CASE n % 2 WHEN 0 THEN '-20 days' ELSE '-2 days' END)",
    "id": "hex(randomblob(16))",
    "text": "CAST(n AS text)",
    "true": "1",
    "series": "FROM (WITH RECURSIVE s(n) AS (SELECT ? UNION ALL SELECT n+1 FROM s LIMIT ?) SELECT n FROM s)",
}
TICKETS = """INSERT INTO processed_tickets (id, ticket_id, state, source, provider, success, priority, model,
    processed_at, created_at, updated_at, ticket_created_at)
    SELECT {id}, {text}, 'notified', 'poll', 'local', {true}, 'high', 'llama3.2',
    {at}, {at}, {at}, {at} {series}"""
DELIVERIES = """INSERT INTO deliveries (ticket_id, channel, state, attempts, sending_at, sent_at, message_id)
    SELECT {text}, 'discord', 'sent', 1, {at}, {at}, '123456789012345678' {series}"""


def lay_settled(start: int, rows: int) -> None:
    for first in range(start, start + rows, 50_000):
        count = min(50_000, start + rows - first)
        words, bound = (POSTGRES, first + count - 1) if on_postgres() else (SQLITE, count)
        for statement in (TICKETS, DELIVERIES):
            database.execute_sql(statement.format(**words), (first, bound))
    database.execute_sql("ANALYZE")


def lay_open() -> list[str]:
    """Tickets for the claims: found now, so they do not hold the horizon."""
    database.execute_sql(
        "INSERT INTO processed_tickets (ticket_id, state, source, provider, ticket_created_at)"
        f" SELECT n::text, 'found', 'poll', NULL, clock_timestamp() {POSTGRES['series']}",
        (FIRST_OPEN, FIRST_OPEN + OPEN - 1),
    )
    return [str(FIRST_OPEN + number) for number in range(OPEN)]


def look() -> None:
    now = clock()
    for name in ("ledger", "poll", "sweep"):
        Cursor.insert(name=name, activated_at=now, looked_from_at=now, looked_until_at=now).execute()


@contextmanager
def ledger(url: str, rows: int) -> Iterator[None]:
    open_database(url)
    try:
        deploy_migrations()
        with connection():
            look()
            lay_settled(FIRST_ID, rows)
        yield
    finally:
        close_database()


def night() -> PruneReport:
    return prune_records(7, dry_run=False, overlap=timedelta(minutes=15))


def one_delete() -> float:
    """Seconds of the same work as one transaction."""
    old = (
        "state IN ('notified', 'skipped', 'merged') AND processed_at < clock_timestamp() - interval '7 days'"
    )
    started = time.perf_counter()
    with connection(), database.atomic():
        database.execute_sql(
            f"DELETE FROM deliveries WHERE ticket_id IN (SELECT ticket_id FROM processed_tickets WHERE {old})"
        )
        database.execute_sql(f"DELETE FROM processed_tickets WHERE {old}")
    return time.perf_counter() - started


def claim_until(over: threading.Event, ids: Iterator[str]) -> list[float]:
    """Milliseconds of each claim of one ticket, a hundred a second."""
    taken = []
    while not over.wait(CLAIM_EVERY_SECONDS):
        started = time.perf_counter()
        assert claim([next(ids)], "bench", 120)
        taken.append((time.perf_counter() - started) * 1000)
    return taken


def beside_claims(threads: ThreadPoolExecutor, ids: Iterator[str], work: Callable[[], R]) -> tuple[R, float]:
    """What ``work`` answers, and the 99th percentile of the claims meanwhile in milliseconds."""
    over = threading.Event()
    claims = threads.submit(claim_until, over, ids)
    try:
        answer = work()
    finally:
        over.set()
    return answer, statistics.quantiles(claims.result(), n=100)[98]


@contextmanager
def timed_statements() -> Iterator[list[tuple[float, str]]]:
    """Milliseconds and text of every statement of this thread meanwhile."""
    wired, mine = database.obj, threading.get_ident()
    taken: list[tuple[float, str]] = []

    def execute(sql: str, params: object = None) -> object:
        started = time.perf_counter()
        answer = type(wired).execute_sql(wired, sql, params)
        if threading.get_ident() == mine:
            taken.append(((time.perf_counter() - started) * 1000, sql.strip()))
        return answer

    wired.execute_sql = execute
    try:
        yield taken
    finally:
        del wired.execute_sql


def large_night(rows: int) -> dict[str, str]:
    with new_postgres() as url, ledger(url, rows), ThreadPoolExecutor(1) as threads:
        with connection():
            ids = iter(lay_open())
            about = f"{machine()}, {postgres_settings(database.connection())}"
        _, alone = beside_claims(threads, ids, lambda: time.sleep(10))
        with timed_statements() as statements:
            report, meanwhile = beside_claims(threads, ids, night)
        assert (report.tickets, report.deliveries) == (rows // 2, rows // 2)
    return {
        "on": about,
        f"forget {rows // 2:,} of {rows:,}": f"{report.seconds:.1f} s",
        "statements": f"{len(statements):,}",
        "longest statements": "\n".join(f"{ms:.0f} ms {sql[:60]}" for ms, sql in sorted(statements)[:-4:-1]),
        "longest transaction": f"{report.longest_ms:.0f} ms",
        "claim p99 alone": f"{alone:.1f} ms",
        "claim p99 meanwhile": f"{meanwhile:.1f} ms",
    }


def small_night(url: str) -> float:
    """Milliseconds of forgetting 1,000 of 2,000 rows, best of three nights."""
    times = []
    with ledger(url, 2 * SMALL):
        for turn in range(3):
            if turn:
                with connection():
                    lay_settled(FIRST_ID + turn * 2 * SMALL, 2 * SMALL)
            report = night()
            assert report.tickets == SMALL
            times.append(report.seconds * 1000)
    return min(times)


def main() -> int:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    figures = large_night(rows)
    with new_postgres() as url, ledger(url, rows):
        figures["the same as one DELETE"] = f"{one_delete():.1f} s"
    with new_postgres() as url:
        small = small_night(url)
    with new_sqlite() as url:
        small_on_sqlite = small_night(url)
    figures[f"forget {SMALL:,} of {2 * SMALL:,}"] = f"{small:.0f} ms, SQLite {small_on_sqlite:.0f} ms"
    table = Table("what", "", show_header=False)
    for name, figure in figures.items():
        table.add_row(name, figure)
    Console().print(table)
    return 0 if max(small, small_on_sqlite) < SMALL_MS else 1


if __name__ == "__main__":
    sys.exit(main())
