"""The hourly upkeep on a real ledger, on both databases."""

from jobs.tidy_records import tidy_records
from models.counts import HourlyCount
from models.database import connection
from models.horizon import read_horizon
from models.inbox import WebhookEvent
from tests.fakes.memory import ago, lay_ticket, left, look
from tests.store.conftest import Ledger


def lay_old_rows() -> None:
    look()
    lay_ticket("1", created=30, settled=30)
    event = {"portal_id": "1", "event_type": "creation", "received_at": ago(30), "occurred_at": ago(30)}
    with connection():
        HourlyCount.insert(hour=ago(500), state="notified", tickets=1).execute()
        WebhookEvent.insert(**event, object_id="1", set_aside_at=ago(30)).execute()
        WebhookEvent.insert(**event, object_id="2").execute()


def rows_left() -> tuple[int, int]:
    with connection():
        return HourlyCount.select().count(), WebhookEvent.select().count()


def test_upkeep_deletes_old_counts_and_set_aside_events_and_forgets_no_ticket(ledger: Ledger) -> None:
    lay_old_rows()
    report = tidy_records(7)
    assert (report.inbox, report.hourly_counts, report.tickets) == (1, 1, 0)
    assert rows_left() == (0, 1)
    assert (left(), read_horizon()) == (["1"], None)


def test_twice_is_harmless(ledger: Ledger) -> None:
    lay_old_rows()
    tidy_records(7)
    again = tidy_records(7)
    assert (again.inbox, again.hourly_counts) == (0, 0)
    assert rows_left() == (0, 1)
