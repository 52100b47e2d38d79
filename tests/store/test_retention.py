"""How far back the ledger remembers, and what it forgets."""

from datetime import UTC, datetime, timedelta

import pytest

from models.counts import HourlyCount
from models.database import connection
from models.deliveries import Delivery
from models.horizon import HeldBack, judge_horizon, raise_horizon, read_horizon
from models.inbox import WebhookEvent
from models.retention import ANALYZED, forget_batch, prune_counts, prune_inbox, refresh_statistics
from models.tickets import TicketState
from tests.fakes.memory import (
    DAY,
    NOW,
    OVERLAP,
    ago,
    delivered,
    forget,
    lay_ticket,
    left,
    look,
    raise_now,
    write_cursor,
)
from tests.store.conftest import Ledger

NEAR = timedelta(hours=1)  # a whole test run may lie between NOW and the test


def is_near(at: datetime | None, days: float) -> bool:
    return at is not None and abs(at - ago(days)) < NEAR


def lay_event(**columns: object) -> None:
    event = {"portal_id": "1", "event_type": "creation", "object_id": "1", "received_at": ago(1)}
    with connection():
        WebhookEvent.insert(event | columns).execute()


def test_a_ledger_that_was_never_opened_forgets_nothing(ledger: Ledger) -> None:
    lay_ticket("1", created=30, settled=30)
    horizon = raise_now()
    assert (horizon.at, horizon.held_by, read_horizon()) == (None, HeldBack.POLL, None)
    assert forget_batch(7, 10).tickets == 0


def test_nothing_is_forgotten_before_a_sweep_was_completed(ledger: Ledger) -> None:
    lay_ticket("1", created=30, settled=30)
    write_cursor("ledger", activated_at=ago(365))
    write_cursor("poll", looked_until_at=NOW)
    write_cursor("sweep", looked_until_at=ago(1))
    assert (raise_now().at, raise_now().held_by) == (None, HeldBack.SWEEP)
    assert forget() == ["1"]


def test_the_horizon_rises_to_what_the_retention_allows(ledger: Ledger) -> None:
    look()
    horizon = raise_now(7)
    assert is_near(horizon.at, 7)
    assert horizon.held_by is HeldBack.RETENTION
    assert read_horizon() == horizon.at


def test_less_than_four_days_work_like_four(ledger: Ledger) -> None:
    look()
    lay_ticket("1", created=4.5, settled=3.9)
    lay_ticket("2", created=4.5, settled=4.1)
    assert is_near(raise_now(1).at, 4)
    assert raise_now(1).held_by is HeldBack.FOUR_DAYS
    assert forget(1) == ["1"]


def test_a_poll_that_is_behind_holds_the_horizon_less_its_overlap(ledger: Ledger) -> None:
    look(polled=20)
    horizon = raise_now()
    assert horizon.held_by is HeldBack.POLL
    assert horizon.at is not None
    assert abs(ago(20) - OVERLAP - horizon.at) < timedelta(seconds=1)


def test_a_sweep_that_is_behind_holds_the_horizon(ledger: Ledger) -> None:
    look(swept_from=30)
    horizon = raise_now()
    assert (horizon.held_by, is_near(horizon.at, 30)) == (HeldBack.SWEEP, True)


def test_an_undrained_event_holds_the_horizon_by_when_it_happened(ledger: Ledger) -> None:
    look()
    lay_event(occurred_at=ago(9))
    horizon = raise_now()
    assert (horizon.held_by, is_near(horizon.at, 9)) == (HeldBack.INBOX, True)


def test_an_event_without_a_time_holds_the_horizon_by_its_arrival(ledger: Ledger) -> None:
    look()
    lay_event(occurred_at=datetime(1970, 1, 1, tzinfo=UTC), received_at=ago(11))
    horizon = raise_now()
    assert (horizon.held_by, is_near(horizon.at, 11)) == (HeldBack.INBOX, True)


def test_an_event_that_was_set_aside_holds_nothing(ledger: Ledger) -> None:
    look()
    lay_event(occurred_at=ago(9), set_aside_at=ago(8), last_error="DataError")
    assert raise_now().held_by is HeldBack.RETENTION


@pytest.mark.parametrize("state", [TicketState.FOUND, TicketState.CLAIMED, TicketState.RETRY])
def test_an_open_ticket_holds_the_horizon(ledger: Ledger, state: TicketState) -> None:
    look()
    lay_ticket("1", created=12, state=state)
    horizon = raise_now()
    assert (horizon.held_by, is_near(horizon.at, 12)) == (HeldBack.OPEN_TICKET, True)


def test_an_open_ticket_of_unknown_age_counts_as_four_days_older_than_its_row(ledger: Ledger) -> None:
    look()
    lay_ticket("1", created=None, created_at=ago(5))
    horizon = raise_now()
    assert (horizon.held_by, is_near(horizon.at, 9)) == (HeldBack.OPEN_TICKET, True)


def test_a_held_ticket_holds_the_horizon(ledger: Ledger) -> None:
    look()
    lay_ticket("1", created=40, state=TicketState.UNCONFIRMED)
    lay_ticket("2", created=20, settled=20)
    lay_ticket("3", created=41, settled=41)
    horizon = raise_now()
    assert (horizon.held_by, is_near(horizon.at, 40)) == (HeldBack.HELD_TICKET, True)
    assert forget() == ["1", "2"], "what was created after the held one stays"


def test_the_horizon_never_falls(ledger: Ledger) -> None:
    look()
    raised = raise_now().at
    lay_ticket("1", created=40)
    again = raise_now(30)
    assert (again.at, again.held_by) == (raised, HeldBack.OPEN_TICKET)
    assert read_horizon() == raised


def test_a_worker_whose_clock_runs_ahead_does_not_raise_it_further(ledger: Ledger) -> None:
    look()
    assert is_near(raise_horizon(7, OVERLAP, NOW + 30 * DAY).at, 7)


def test_a_worker_whose_clock_is_behind_raises_it_less(ledger: Ledger) -> None:
    look()
    assert is_near(raise_horizon(7, OVERLAP, NOW - 2 * DAY).at, 9)


def test_a_look_at_the_horizon_changes_nothing(ledger: Ledger) -> None:
    look()
    assert is_near(judge_horizon(7, OVERLAP, NOW).at, 7)
    assert read_horizon() is None


def test_settled_tickets_go_with_their_deliveries_and_others_stay(ledger: Ledger) -> None:
    look()
    lay_ticket("told", created=10, settled=9.9)
    lay_ticket("merged", created=10, settled=9, state=TicketState.MERGED)
    lay_ticket("skipped", created=10, settled=9, state=TicketState.SKIPPED, reason="gone")
    lay_ticket("settled lately", created=10, settled=6)
    lay_ticket("created lately", created=6, settled=8)
    assert forget() == ["created lately", "settled lately"]
    assert delivered() == ["created lately", "settled lately"]


def test_open_and_held_tickets_are_never_forgotten(ledger: Ledger) -> None:
    look()
    write_cursor("ledger", horizon_at=ago(1))
    for state in (TicketState.FOUND, TicketState.CLAIMED, TicketState.RETRY, TicketState.UNCONFIRMED):
        lay_ticket(state, created=50, settled=None, state=state, processed_at=ago(50))
    assert forget() == ["claimed", "found", "retry", "unconfirmed"]


def test_an_adopted_row_is_forgotten_by_when_it_was_written(ledger: Ledger) -> None:
    look()
    lay_ticket("1", created=None, settled=9)
    lay_ticket("2", created=None, settled=8, created_at=ago(6))
    assert forget() == ["2"]


def test_a_page_tells_where_the_next_begins(ledger: Ledger) -> None:
    look()
    for number in range(5):
        lay_ticket(str(number), created=10, settled=9, processed_at=ago(9))
    raise_now()
    first = forget_batch(7, 3)
    assert (first.tickets, first.deliveries, first.last_id) == (3, 3, "2")
    assert forget_batch(7, 3, "2").last_id is None
    assert left() == []


def test_counts_go_after_400_days(ledger: Ledger) -> None:
    with connection():
        for days in (399, 401, 500, 600):
            HourlyCount.insert(hour=ago(days), state="notified", tickets=1).execute()
    assert prune_counts(2, dry_run=True) == 3
    assert [prune_counts(2), prune_counts(2), prune_counts(2)] == [2, 1, 0]
    with connection():
        assert HourlyCount.select().count() == 1


def test_events_that_were_set_aside_go_after_the_retention(ledger: Ledger) -> None:
    lay_event(object_id="1", occurred_at=ago(9), received_at=ago(9), set_aside_at=ago(8))
    lay_event(object_id="2", occurred_at=ago(9), received_at=ago(9), set_aside_at=ago(6))
    lay_event(object_id="3", occurred_at=ago(9), received_at=ago(9))
    assert [prune_inbox(7, 10, dry_run=True), prune_inbox(7, 10), prune_inbox(7, 10)] == [1, 1, 0]
    with connection():
        assert sorted(row.object_id for row in WebhookEvent.select()) == ["2", "3"]


def test_statistics_are_refreshed_beside_open_sessions(ledger: Ledger) -> None:
    lay_ticket("1", created=1, settled=1)
    for table in ANALYZED:
        refresh_statistics(table)
    with connection():
        assert Delivery.select().count() == 1
