"""Events that all workers count together, by hour."""

from datetime import timedelta

import pytest

from models.counts import Event, HourlyCount, count_event, part_within, recent_by_name, recent_events
from models.database import connection, read_clock
from models.stats import read_stats
from models.tickets import TicketState
from tests.store.conftest import CREATED, Ledger

HOUR = 3600.0


def lay(hours_ago: int, number: int, event: Event = Event.CHANNEL_FAILED) -> None:
    hour = read_clock().replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours_ago)
    with connection():
        HourlyCount.insert(hour=hour, state=event, tickets=number).execute()


def test_no_event_has_the_name_of_a_state_or_outgrows_its_column() -> None:
    assert not set(Event) & {str(state) for state in TicketState}
    assert all(len(event) <= 20 for event in Event)


def test_events_add_up_by_kind_and_name(ledger: Ledger) -> None:
    count_event(Event.CREDENTIAL_REFUSED, of="hubspot")
    count_event(Event.CREDENTIAL_REFUSED, 2, of="groq")
    count_event(Event.CREDENTIAL_REFUSED, 2, of="groq")
    count_event(Event.WEBHOOK_REFUSED, 7)
    assert recent_by_name(Event.CREDENTIAL_REFUSED, HOUR) == {"hubspot": 1, "groq": 4}
    assert recent_events(Event.WEBHOOK_REFUSED, HOUR) == 7
    assert recent_events(Event.WEBHOOK_DROPPED, HOUR) == 0


def test_events_are_no_tickets(ledger: Ledger) -> None:
    before = read_stats()
    count_event(Event.WEBHOOK_DROPPED, 100)
    assert read_stats() == before


def test_what_lies_before_the_window_does_not_count(ledger: Ledger) -> None:
    lay(hours_ago=2, number=100)
    assert recent_events(Event.CHANNEL_FAILED, HOUR) == 0
    lay(hours_ago=0, number=3)
    assert recent_events(Event.CHANNEL_FAILED, HOUR) == 3
    assert recent_events(Event.CHANNEL_FAILED, 4 * HOUR) == 103


def test_of_the_last_hour_the_part_in_the_window_counts(ledger: Ledger) -> None:
    now = read_clock()
    left_of_it = HOUR - now.minute * 60 - now.second
    lay(hours_ago=1, number=3600)
    assert recent_events(Event.CHANNEL_FAILED, HOUR) == pytest.approx(left_of_it, abs=60)


@pytest.mark.parametrize(
    ("minutes_into_hour", "window_minutes", "part_of_last", "part_of_this"),
    [
        (15, 60, 0.75, 1.0),
        (45, 60, 0.25, 1.0),
        (60, 60, 0.0, 1.0),
        (30, 15, 0.0, 0.5),
        (10, 15, 5 / 60, 1.0),
        (0, 60, 1.0, 1.0),
    ],
)
def test_an_hour_counts_by_its_part_in_the_window(
    minutes_into_hour: int, window_minutes: int, part_of_last: float, part_of_this: float
) -> None:
    this = CREATED.replace(minute=0)
    now = this + timedelta(minutes=minutes_into_hour)
    start = now - timedelta(minutes=window_minutes)
    assert part_within(this - timedelta(hours=1), start, now) == pytest.approx(part_of_last)
    assert part_within(this, start, now) == pytest.approx(part_of_this)
