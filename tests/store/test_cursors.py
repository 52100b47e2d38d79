from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from models import cursors
from models.database import read_clock
from models.errors import WrongPortal
from models.proposals import Proposal, propose_last
from models.tickets import Source, TicketState, look_up_ticket
from tests.store.conftest import CREATED, Ledger

OVERLAP = timedelta(minutes=15)


def test_a_lease_has_one_owner_until_it_is_dropped(ledger: Ledger) -> None:
    assert cursors.take_lease("poll", "one", 60)
    assert cursors.take_lease("poll", "one", 60)
    assert not cursors.take_lease("poll", "two", 60)
    cursors.drop_lease("poll", "two")
    assert cursors.lease_is_held("poll")
    cursors.drop_lease("poll", "one")
    assert cursors.take_lease("poll", "two", 60)


def test_an_expired_lease_is_free(ledger: Ledger) -> None:
    assert cursors.take_lease("poll", "one", -1)
    assert not cursors.lease_is_held("poll")
    assert cursors.take_lease("poll", "two", 60)


def test_many_takers_of_one_lease_have_one_winner(ledger: Ledger) -> None:
    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(lambda one: cursors.take_lease("poll", f"owner {one}", 60), range(8)))
    assert won.count(True) == 1


def test_a_ledger_stays_with_its_portal(ledger: Ledger) -> None:
    cursors.bind_portal("1")
    cursors.bind_portal("1")
    with pytest.raises(WrongPortal, match="belongs to HubSpot portal 1, the token to portal 2"):
        cursors.bind_portal("2")


def test_activation_is_five_minutes_before_the_earliest_clock_and_fixed(ledger: Ledger) -> None:
    slow_clock = read_clock() - timedelta(hours=1)
    opened = cursors.activate(slow_clock, None, OVERLAP)
    assert abs(opened - (slow_clock - timedelta(minutes=5))) < timedelta(milliseconds=2)
    assert cursors.activate(datetime.now(UTC), CREATED, OVERLAP) == opened
    assert cursors.read_cursor("poll").looked_until_at == opened


def test_a_fast_worker_does_not_open_the_ledger_in_the_future(ledger: Ledger) -> None:
    assert cursors.activate(datetime.now(UTC) + timedelta(days=1), None, OVERLAP) < read_clock()


def test_notify_since_opens_the_ledger_there(ledger: Ledger) -> None:
    assert cursors.activate(datetime.now(UTC), CREATED, OVERLAP) == CREATED


def test_an_adopted_ledger_opens_at_its_newest_row_less_the_overlap(ledger: Ledger) -> None:
    ledger.find("1", "2")
    ledger.edit("1", processed_at=CREATED, state=TicketState.NOTIFIED)
    ledger.edit("2", processed_at=CREATED - timedelta(days=1), state=TicketState.NOTIFIED)
    assert cursors.activate(datetime.now(UTC), None, OVERLAP) == CREATED - OVERLAP


def test_processes_that_activate_at_once_agree(ledger: Ledger) -> None:
    with ThreadPoolExecutor(6) as threads:
        opened = set(
            threads.map(
                lambda minute: cursors.activate(CREATED - timedelta(minutes=minute), None, OVERLAP), range(6)
            )
        )
    assert len(opened) == 1


def test_the_cursor_only_rises(ledger: Ledger) -> None:
    cursors.activate(datetime.now(UTC), CREATED, OVERLAP)
    cursors.take_lease("poll", "one", 60)
    assert cursors.move_cursor("poll", "one", CREATED + timedelta(hours=2))
    assert cursors.move_cursor("poll", "one", CREATED + timedelta(hours=1))
    assert cursors.read_cursor("poll").looked_until_at == CREATED + timedelta(hours=2)


def test_without_the_lease_the_last_page_is_stored_and_the_cursor_stays(ledger: Ledger) -> None:
    cursors.activate(datetime.now(UTC), CREATED, OVERLAP)
    cursors.take_lease("poll", "two", 60)
    assert propose_last([Proposal("1")], Source.POLL, "one", CREATED + OVERLAP).found == 1
    assert look_up_ticket("1") is not None
    assert cursors.read_cursor("poll").looked_until_at == CREATED
