"""Retention beside proposals on PostgreSQL: nothing that was forgotten comes in again as new."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg2
import pytest

from jobs.prune_records import PruneReport, prune_records
from models.database import close_database, open_database
from models.proposals import Proposal, Proposed, propose
from models.retention import forget_batch
from models.tickets import Source, TicketState, list_tickets
from tests.fakes.memory import OVERLAP, ago, lay_ticket, left, look, raise_now
from tests.store.conftest import Ledger

PATIENCE_SECONDS = 60.0
OLD = Proposal("5", ago(30))


@pytest.fixture
def url(new_postgres: Callable[..., str], template: str) -> Iterator[str]:
    """A PostgreSQL ledger on which ticket 5 was told a month ago, and nothing is forgotten yet."""
    url = new_postgres(template)
    open_database(url)
    look()
    lay_ticket("5", created=30, settled=30)
    yield url
    close_database()


@pytest.fixture
def other(url: str, threads: ThreadPoolExecutor) -> Iterator[Any]:
    """A second session, within a transaction of its own; it ends before the threads that wait for it."""
    session = psycopg2.connect(url)
    yield session
    session.close()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def wait_for_lock(url: str, text: str) -> None:
    """Until a statement that begins with ``text``, or nearly, waits for another session."""
    watcher = psycopg2.connect(url)
    watcher.autocommit = True
    deadline = time.monotonic() + PATIENCE_SECONDS
    cursor = watcher.cursor()
    while time.monotonic() < deadline:
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
        cursor.execute(waiting, (f"%{text}%",))
        if cursor.fetchone() != (0,):
            watcher.close()
            return
        time.sleep(0.01)
    raise AssertionError(f"nothing with {text} ever waited")


def test_a_proposal_that_began_before_retention_does_not_let_a_told_ticket_in(
    url: str, other: Any, threads: ThreadPoolExecutor
) -> None:
    """Its snapshot shows the old horizon and the told row; both are gone before it could insert."""
    cursor = other.cursor()
    cursor.execute("UPDATE poll_cursors SET horizon_at = %s WHERE name = 'ledger'", (ago(7),))
    cursor.execute("DELETE FROM processed_tickets WHERE ticket_id = '5'")
    proposed = threads.submit(propose, [OLD], Source.SWEEP)
    wait_for_lock(url, "WITH ledger")
    other.commit()
    assert (proposed.result(PATIENCE_SECONDS), left()) == (Proposed(0, 0, 0), [])
    assert propose([OLD], Source.SWEEP) == Proposed(0, 0, 1)


def test_a_proposal_that_opens_a_row_while_it_is_forgotten_sees_the_new_horizon(
    url: str, other: Any, threads: ThreadPoolExecutor, ledger_of: Ledger
) -> None:
    ledger_of.edit("5", state=TicketState.SKIPPED, reason="gone")
    cursor = other.cursor()
    cursor.execute("UPDATE poll_cursors SET horizon_at = %s WHERE name = 'ledger'", (ago(7),))
    cursor.execute("DELETE FROM processed_tickets WHERE ticket_id = '5'")
    proposed = threads.submit(propose, [OLD], Source.SWEEP)
    wait_for_lock(url, "WITH ledger")
    other.commit()
    assert proposed.result(PATIENCE_SECONDS) == Proposed(0, 0, 1)
    assert ledger_of.ticket("5").reason == "beyond memory"


def test_the_horizon_waits_for_a_proposal_that_read_it(
    url: str, other: Any, threads: ThreadPoolExecutor, ledger_of: Ledger
) -> None:
    """Between its read and its insert nothing can be forgotten; ticket 4, before 5, stops it there."""
    other.cursor().execute("INSERT INTO processed_tickets (ticket_id, provider) VALUES ('4', 'local')")
    proposed = threads.submit(propose, [Proposal("4", ago(30)), OLD], Source.SWEEP)
    wait_for_lock(url, "WITH ledger")
    raised = threads.submit(raise_now)
    wait_for_lock(url, "FOR UPDATE")
    assert not raised.done()
    other.rollback()
    assert proposed.result(PATIENCE_SECONDS) == Proposed(1, 0, 0), "4 is new, 5 is known"
    raised.result(PATIENCE_SECONDS)
    ledger_of.edit("4", state=TicketState.NOTIFIED, processed_at=ago(30))
    raise_now()
    assert forget_batch(7, 10).tickets == 2
    assert propose([Proposal("4", ago(30)), OLD], Source.SWEEP) == Proposed(0, 0, 2)


def test_a_horizon_that_waited_sees_the_open_ticket_that_was_proposed_meanwhile(
    url: str, other: Any, threads: ThreadPoolExecutor
) -> None:
    other.cursor().execute("INSERT INTO processed_tickets (ticket_id, provider) VALUES ('6', 'local')")
    proposed = threads.submit(propose, [Proposal("4", ago(30)), Proposal("6", ago(30))], Source.SWEEP)
    wait_for_lock(url, "WITH ledger")
    raised = threads.submit(raise_now)
    wait_for_lock(url, "FOR UPDATE")
    other.rollback()
    proposed.result(PATIENCE_SECONDS)
    horizon = raised.result(PATIENCE_SECONDS)
    assert horizon.held_by == "open ticket"
    assert horizon.at is not None
    assert abs(horizon.at - ago(30)) < timedelta(seconds=1)


def test_a_creation_event_beside_a_sweep_that_settles_the_ticket_is_not_lost(
    url: str, other: Any, threads: ThreadPoolExecutor, ledger_of: Ledger
) -> None:
    """The event's snapshot has no row yet, and its insert meets the sweep's."""
    raise_now()
    values = ("9", ago(30), "skipped", "beyond memory", "none")
    other.cursor().execute(
        "INSERT INTO processed_tickets (ticket_id, ticket_created_at, state, reason, provider)"
        " VALUES (%s, %s, %s, %s, %s)",
        values,
    )
    proposed = threads.submit(propose, [Proposal("9", None, ago(1))], Source.WEBHOOK)
    wait_for_lock(url, "WITH ledger")
    other.commit()
    assert proposed.result(PATIENCE_SECONDS) == Proposed(0, 1, 0)
    assert ledger_of.ticket("9").state == TicketState.FOUND


def test_sweeps_beside_retention_never_let_a_forgotten_ticket_in(
    url: str, threads: ThreadPoolExecutor
) -> None:
    old = [str(number) for number in range(300)]
    for one in old:
        if one != "5":
            lay_ticket(one, created=30, settled=30)
    over = threading.Event()

    def sweep() -> int:
        found = 0
        while not over.is_set():
            found += propose([Proposal(one, ago(30)) for one in old], Source.SWEEP).found
        return found

    sweeps = [threads.submit(sweep) for _ in range(2)]
    report = prune(30)
    over.set()
    assert [one.result(PATIENCE_SECONDS) for one in sweeps] == [0, 0]
    assert report.tickets == 300
    assert {row.state for row in list_tickets(None, 1000)} <= {"skipped"}


def test_two_retentions_at_once_forget_each_ticket_once(url: str, threads: ThreadPoolExecutor) -> None:
    for number in range(10, 610):
        lay_ticket(str(number), created=30, settled=30)
    reports = [one.result(PATIENCE_SECONDS) for one in [threads.submit(prune, 7) for _ in range(3)]]
    forgotten = sum(report.tickets for report in reports)
    assert (forgotten, left()) == (601, [])
    assert sum(report.deliveries for report in reports) == 601


def test_a_ticket_that_is_locked_stays_for_the_next_night(url: str, other: Any) -> None:
    lay_ticket("6", created=30, settled=30)
    other.cursor().execute("SELECT 1 FROM processed_tickets WHERE ticket_id = '5' FOR UPDATE")
    assert (prune(7).tickets, left()) == (1, ["5"])
    other.rollback()
    assert (prune(7).tickets, left()) == (1, [])


def prune(days: int) -> PruneReport:
    return prune_records(days, dry_run=False, overlap=OVERLAP, sleep=lambda _: None)


@pytest.fixture
def ledger_of(url: str) -> Ledger:
    return Ledger()
