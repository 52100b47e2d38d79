"""The drain: received events become tickets of the ledger, whatever single rows do."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest

from jobs.drain_inbox import drain_inbox
from models import cursors
from models.cursors import Cursor
from models.database import connection, database, on_postgres, transaction
from models.drain import Drained, Row, drain_events, list_set_aside, sort_rows
from models.errors import StoreUnreachable
from models.inbox import EventType, WebhookEvent, store_events
from models.merges import Merge, join_parts
from models.proposals import Proposal, propose
from models.tickets import ProcessedTicket, SkipReason, Source, TicketState, known_ids, look_up_ticket
from tests.fakes.inbox import ReceivedEvent, waiting
from tests.store.conftest import Ledger

PORTAL = "4711"
NOW = datetime.now(UTC).replace(microsecond=0)
POISON = "666"


@pytest.fixture
def opened(ledger: Ledger) -> Ledger:
    """A ledger that knows its portal and was activated an hour ago."""
    cursors.bind_portal(PORTAL)
    cursors.activate(NOW, NOW - timedelta(hours=1), timedelta(minutes=15))
    return ledger


def event(object_id: str, event_type: str = EventType.CREATION, **fields: Any) -> ReceivedEvent:
    given: dict[str, Any] = {"portal_id": PORTAL, "occurred_at": NOW}
    return ReceivedEvent(**given | fields, event_type=event_type, object_id=object_id)


def receive(*object_ids: str, event_type: str = EventType.CREATION) -> None:
    store_events([event(one, event_type) for one in object_ids])


def rows_left() -> list[WebhookEvent]:
    with connection():
        return list(WebhookEvent.select().order_by(WebhookEvent.received_at, WebhookEvent.object_id))


def run_sql(postgres: str, sqlite: str) -> None:
    with connection():
        database.execute_sql(postgres if on_postgres() else sqlite)


@pytest.fixture
def poison(opened: Ledger) -> str:
    """The id of a ticket that the ledger's table refuses."""
    run_sql(
        f"ALTER TABLE processed_tickets ADD CONSTRAINT no_poison CHECK (ticket_id <> '{POISON}')",
        f"CREATE TRIGGER no_poison BEFORE INSERT ON processed_tickets WHEN NEW.ticket_id = '{POISON}' "
        "BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    return POISON


def cure() -> None:
    run_sql("ALTER TABLE processed_tickets DROP CONSTRAINT no_poison", "DROP TRIGGER no_poison")


def test_an_empty_inbox_drains_to_nothing(opened: Ledger) -> None:
    assert drain_events(10) == Drained()
    assert drain_inbox() == Drained()


def test_a_received_creation_becomes_a_found_ticket_and_leaves_the_inbox(opened: Ledger) -> None:
    receive("1")
    assert waiting() == 1
    assert drain_events(10) == Drained(moved=1, found=1)
    ticket = opened.ticket("1")
    assert (ticket.state, ticket.source) == (TicketState.FOUND, "webhook")
    assert (waiting(), rows_left()) == (0, [])


def test_a_creation_event_brings_its_time_along(opened: Ledger) -> None:
    store_events([event("1"), event("2", occurred_at=None), event("3", EventType.WORKFLOW)])
    assert drain_events(10).found == 3
    assert [opened.ticket(one).creation_event_at for one in ("1", "2", "3")] == [NOW, None, None]


@pytest.mark.parametrize("first", [0, 1])
def test_a_repeat_without_a_time_does_not_take_it_away(opened: Ledger, first: int) -> None:
    both = [event("1"), event("1", EventType.WORKFLOW, occurred_at=None)]
    for one in (both[first], both[1 - first]):
        store_events([one])
    assert drain_events(10) == Drained(moved=2, found=1)
    assert opened.ticket("1").creation_event_at == NOW


def test_ten_calls_about_one_ticket_are_one_ticket(opened: Ledger) -> None:
    store_events([event("1", event_id=str(number)) for number in range(10)])
    assert drain_events(100) == Drained(moved=10, found=1)


def test_a_known_ticket_stays_as_it_is(opened: Ledger) -> None:
    propose([Proposal("1")], Source.POLL)
    opened.edit("1", state=TicketState.NOTIFIED)
    receive("1")
    assert drain_events(10) == Drained(moved=1)
    assert opened.ticket("1").state == TicketState.NOTIFIED


def test_a_ticket_of_another_pipeline_opens_again(opened: Ledger) -> None:
    opened.find("1")
    opened.edit("1", state=TicketState.SKIPPED, reason=SkipReason.OTHER_PIPELINE)
    receive("1", event_type=EventType.WORKFLOW)
    assert drain_events(10) == Drained(moved=1, reopened=1)


def test_the_oldest_go_first(opened: Ledger) -> None:
    for number in range(6):
        receive(str(number))
    assert drain_events(2) == Drained(moved=2, found=2)
    assert known_ids(list("012345")) == {"0", "1"}
    assert drain_inbox().moved == 4


def test_what_another_version_stored_is_dropped_and_counted(opened: Ledger) -> None:
    store_events([event("1"), event("2", "deletion"), event("3", "")])
    assert drain_events(10) == Drained(moved=1, found=1, dropped=2)
    assert rows_left() == []
    assert known_ids(["1", "2", "3"]) == {"1"}


def test_events_of_another_portal_are_dropped_and_those_that_name_none_are_not(opened: Ledger) -> None:
    store_events([event("1", portal_id="7"), event("2", EventType.WORKFLOW, portal_id=""), event("3")])
    assert drain_events(10) == Drained(moved=2, found=2, dropped=1)
    assert known_ids(["1", "2", "3"]) == {"2", "3"}


def test_a_ledger_that_knows_no_portal_yet_takes_events_of_any(ledger: Ledger) -> None:
    cursors.activate(NOW, None, timedelta(minutes=15))
    store_events([event("1", portal_id="7"), event("2")])
    assert drain_events(10) == Drained(moved=2, found=2)


def test_nothing_is_moved_before_the_activation_is_fixed(ledger: Ledger) -> None:
    receive("1")
    assert drain_inbox() == Drained()
    cursors.bind_portal(PORTAL)
    assert drain_inbox() == Drained()
    assert (look_up_ticket("1"), waiting()) == (None, 1)
    since = NOW - timedelta(days=3)
    assert cursors.activate(NOW, since, timedelta(minutes=15)) == since
    assert drain_inbox() == Drained(moved=1, found=1)


def test_a_merge_brings_its_new_ticket_settles_its_parts_and_leaves_the_inbox(opened: Ledger) -> None:
    receive("10")
    drain_events(10)
    store_events([event("30", EventType.MERGE, merged_ids=("10", "20")), event("1")])
    assert drain_events(10) == Drained(moved=2, found=2, merged=1)
    assert [opened.ticket(one).state for one in ("1", "30")] == ["found", "found"]
    assert [opened.ticket(one).merged_into for one in ("10", "20")] == ["30", "30"]
    assert opened.ticket("30").creation_event_at == NOW, "a part was new, or may have been"
    assert (rows_left(), drain_events(10)) == ([], Drained())


def test_merges_that_follow_one_another_in_one_batch_leave_one_ticket(opened: Ledger) -> None:
    receive("10", "20")
    store_events([event("30", EventType.MERGE, merged_ids=("10", "20"))])
    receive("40")
    store_events([event("50", EventType.MERGE, merged_ids=("30", "40"))])
    drain_inbox()
    states = {one: opened.ticket(one).state for one in ("10", "20", "30", "40", "50")}
    assert states == {"10": "merged", "20": "merged", "30": "merged", "40": "merged", "50": "found"}


def test_a_merge_whose_ticket_is_poison_holds_nothing_and_is_set_aside(poison: str) -> None:
    store_events([event(poison, EventType.MERGE, merged_ids=("10",))])
    receive("1")
    total = [drain_inbox() for _ in range(6)]
    assert (sum(one.found for one in total), sum(one.set_aside for one in total)) == (1, 1)


def test_the_creation_event_of_a_part_that_comes_after_the_merge_reopens_what_was_too_old(
    opened: Ledger,
) -> None:
    """A search showed the merge first, with the older part's age, and nothing was known of the parts."""
    propose([Proposal("30", NOW - timedelta(days=9))], Source.SWEEP)
    join_parts(Merge("30", ("10", "20"), NOW - timedelta(days=9)), Source.SWEEP)
    opened.edit("30", state=TicketState.SKIPPED, reason=SkipReason.BEFORE_ACTIVATION, provider="none")
    receive("20")
    assert drain_events(10) == Drained(moved=1, reopened=1)
    assert [opened.ticket(one).state for one in ("20", "30")] == ["merged", "found"]
    assert opened.ticket("30").creation_event_at == NOW
    receive("20", event_type=EventType.WORKFLOW)
    store_events([event("20", event_id="again")])
    assert drain_events(10) == Drained(moved=2)


def test_a_poison_row_does_not_hold_the_others(poison: str) -> None:
    receive("1", "2", poison, "3")
    assert drain_events(10) == Drained(moved=3, found=3, failed=1)
    assert known_ids(["1", "2", "3"]) == {"1", "2", "3"}
    (left,) = rows_left()
    assert (left.object_id, left.attempts, left.last_error) == (poison, 1, "IntegrityError")
    assert left.set_aside_at is None


def test_fresh_rows_are_moved_at_once_while_a_failed_one_waits(
    poison: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive(poison)
    drain_events(10)
    receive(*map(str, range(50)))
    singly: list[object] = []
    monkeypatch.setattr("models.drain.move_one_by_one", singly.append)
    assert drain_events(100) == Drained(moved=50, found=50)
    assert singly == []


def test_merge_events_that_waited_for_the_rule_are_drained_after_the_migration(opened: Ledger) -> None:
    store_events([event("30", EventType.MERGE, merged_ids=("10", "20"))])
    with connection():
        WebhookEvent.update(set_aside_at=NOW, last_error="kept for the merge rule").execute()
    assert drain_events() == Drained()
    with connection():
        migration = import_module("migrations.20261125000000_decided_deliveries")
        database.execute_sql(migration.WAITED_FOR_THE_RULE)
    assert drain_events().moved == 1


def test_a_row_that_fails_five_times_is_set_aside_and_shown(poison: str) -> None:
    receive(poison)
    assert [drain_inbox() for _ in range(6)] == [
        *[Drained(failed=1)] * 4,
        Drained(failed=1, set_aside=1),
        Drained(),
    ]
    (shown,) = list_set_aside(10)
    assert (shown.object_id, shown.attempts, shown.last_error) == (poison, 5, "IntegrityError")
    assert waiting() == 0
    receive("1")
    assert drain_inbox() == Drained(moved=1, found=1)


def test_a_row_that_is_set_aside_is_logged_with_its_reason(
    poison: str, caplog: pytest.LogCaptureFixture
) -> None:
    receive(poison)
    with caplog.at_level(logging.WARNING, "triage"):
        for _ in range(6):
            drain_inbox()
    (line,) = caplog.records
    assert line.msg == "webhook event set aside"
    told = vars(line)
    assert (told["event_type"], told["object_id"], told["reason"]) == ("creation", poison, "IntegrityError")


def test_a_row_that_heals_is_moved(poison: str) -> None:
    receive(poison)
    drain_inbox()
    cure()
    assert drain_inbox() == Drained(moved=1, found=1)
    assert rows_left() == []


def test_an_old_failed_row_is_tried_again_after_the_fresh_ones(poison: str) -> None:
    receive(poison)
    drain_inbox()
    receive("1")
    assert drain_inbox() == Drained(moved=1, found=1, failed=1)
    assert rows_left()[0].attempts == 2


def test_many_poison_rows_do_not_hold_the_others(poison: str) -> None:
    store_events([event(poison, event_id=str(number)) for number in range(20)])
    receive(*map(str, range(100)))
    total = Drained()
    for _ in range(6):
        drained = drain_inbox()
        total = Drained(total.moved + drained.moved, set_aside=total.set_aside + drained.set_aside)
    assert total == Drained(moved=100, set_aside=20)


def test_a_failed_batch_leaves_no_half_of_itself(poison: str, monkeypatch: pytest.MonkeyPatch) -> None:
    receive("1", "2", poison)
    monkeypatch.setattr("models.drain.move_one_by_one", lambda *_: Drained())
    drain_events(10)
    assert known_ids(["1", "2"]) == set()
    assert waiting() == 3


def test_a_lost_store_is_no_rows_fault(opened: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    receive("1")

    def lose(*_: object) -> None:
        raise StoreUnreachable("lost")

    monkeypatch.setattr("models.drain.propose", lose)
    with pytest.raises(StoreUnreachable):
        drain_inbox()
    monkeypatch.undo()
    assert [row.attempts for row in rows_left()] == [0]
    assert drain_inbox().found == 1


def test_a_table_that_is_missing_is_no_rows_fault(opened: Ledger) -> None:
    receive("1")
    rename = "ALTER TABLE processed_tickets RENAME TO {}"
    run_sql(rename.format("away"), rename.format("away"))
    with pytest.raises(Exception, match=r"processed_tickets|of the ledger is missing"):
        drain_inbox()
    run_sql("ALTER TABLE away RENAME TO processed_tickets", "ALTER TABLE away RENAME TO processed_tickets")
    assert [row.attempts for row in rows_left()] == [0]
    assert drain_inbox().found == 1


def test_drains_at_once_move_every_row_once(opened: Ledger) -> None:
    receive(*map(str, range(3_000)))
    store_events([event(str(number), EventType.WORKFLOW) for number in range(0, 3_000, 2)])
    reports = at_once(4, drain_inbox)
    reports.append(drain_inbox())
    assert sum(one.moved for one in reports) == 4_500
    assert sum(one.found for one in reports) == 3_000
    assert sum(one.failed for one in reports) == 0
    assert waiting() == 0
    with connection():
        assert ProcessedTicket.select().count() == 3_000


def test_drains_at_once_count_a_poison_rows_failures_and_hold_nothing(poison: str) -> None:
    receive(*map(str, range(200)), poison)
    reports = at_once(4, drain_inbox)
    for _ in range(5):
        reports.append(drain_inbox())
    assert sum(one.moved for one in reports) == 200
    assert (sum(one.failed for one in reports), sum(one.set_aside for one in reports)) == (5, 1)


def at_once(threads: int, work: Callable[[], Drained]) -> list[Drained]:
    start = threading.Barrier(threads)

    def run(_: int) -> Drained:
        start.wait()
        return work()

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(threads)))


def test_rows_that_another_drain_holds_are_left_to_it(opened: Ledger) -> None:
    receive("1")
    if not on_postgres():
        pytest.skip("SQLite has one writer at a time: the second drain waits for the first")
    with ThreadPoolExecutor(1) as other, connection(), transaction():
        assert len(WebhookEvent.select().for_update()) == 1
        assert other.submit(drain_inbox).result(timeout=60) == Drained()
    assert drain_inbox() == Drained(moved=1, found=1)


def test_rows_that_arrive_during_a_drain_are_moved_too(opened: Ledger) -> None:
    receive(*map(str, range(500)))
    done = threading.Event()

    def go_on_receiving() -> None:
        for number in range(500, 600):
            receive(str(number))
        done.set()

    receiver = threading.Thread(target=go_on_receiving)
    receiver.start()
    while not done.is_set():
        drain_inbox()
    receiver.join()
    drain_inbox()
    assert len(known_ids([str(number) for number in range(600)])) == 600


def test_a_stop_ends_between_two_batches(opened: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    receive(*map(str, range(30)))
    monkeypatch.setattr("jobs.drain_inbox.DRAIN_BATCH", 10)
    assert drain_inbox(stop=lambda: waiting() <= 10) == Drained(moved=20, found=20)
    assert drain_inbox(stop=lambda: True) == Drained()
    assert drain_inbox() == Drained(moved=10, found=10)


def test_the_latest_known_time_of_a_ticket_counts() -> None:
    times = (NOW, NOW + timedelta(seconds=1), datetime(1970, 1, 1, tzinfo=UTC))
    rows = [Row(number, PORTAL, EventType.CREATION, "1", one) for number, one in enumerate(times)]
    done = sort_rows(rows, Cursor(portal_id=PORTAL, activated_at=NOW - timedelta(days=1)))
    assert done.proposals == {"1": Proposal("1", creation_event_at=NOW + timedelta(seconds=1))}
    assert done.moved == [0, 1, 2]


def test_an_event_from_before_the_activation_tells_the_age_that_a_merge_hides(opened: Ledger) -> None:
    before = NOW - timedelta(hours=2)
    store_events([event("1", occurred_at=before), event("2")])
    drain_events()
    ages = opened.ticket("1").ticket_created_at, opened.ticket("2").ticket_created_at
    assert ages == (before, None)
    join_parts(Merge("3", ("1",), before), Source.SWEEP)
    assert opened.ticket("3").creation_event_at is None  # nothing of it is young, so it is not told
    join_parts(Merge("4", ("2",), before), Source.SWEEP)
    assert opened.ticket("4").creation_event_at == NOW


def test_an_event_from_beyond_the_horizon_settles_nothing_unread(opened: Ledger) -> None:
    with connection():
        Cursor.update(horizon_at=NOW - timedelta(hours=3)).where(Cursor.name == "ledger").execute()
    store_events([event("1", occurred_at=NOW - timedelta(hours=4))])
    drain_events()
    row = opened.ticket("1")
    assert (row.state, row.ticket_created_at) == (TicketState.FOUND, None)
