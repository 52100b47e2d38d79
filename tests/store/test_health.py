"""What health reads of the ledger, on both databases."""

from datetime import datetime, timedelta

import pytest

from models import health
from models.counts import Event, HourlyCount, count_event, start_of_hour
from models.cursors import Cursor
from models.database import connection, read_clock
from models.inbox import WebhookEvent
from models.job_runs import JobRun
from models.tickets import ProcessedTicket, Source
from models.utc import to_utc
from tests.store.conftest import CREATED, Ledger

DAY = 86_400.0


def ago(seconds: float) -> datetime:
    return read_clock() - timedelta(seconds=seconds)


def told(ticket_id: str, seconds_ago: float, **columns: object) -> None:
    given = {"state": "notified", "processed_at": ago(seconds_ago), "source": "poll", **columns}
    with connection():
        ProcessedTicket.insert(ticket_id=ticket_id, **given).execute()


def test_an_empty_ledger_reads_as_empty(ledger: Ledger) -> None:
    assert health.read_standing() == health.Standing()
    assert health.read_inbox() == health.InboxDepth()
    assert health.read_jobs() == []
    assert health.read_told(3600) == health.Told()
    assert health.read_card_p95(900) is None
    assert health.read_month() == health.MonthlyUse()
    assert health.read_horizon_ages(900) == {}
    assert health.read_poll_age() is None
    assert health.count_by_state() == {}
    arrivals = health.read_arrivals(28)
    assert (arrivals.last_seconds, arrivals.by_hour) == (None, {})
    assert health.count_webhook_finds(900, 7200) == 0


def test_open_and_held_tickets_and_the_oldest(ledger: Ledger) -> None:
    ledger.find("1", "2", "3", "4", "5")
    ledger.claim("2")
    ledger.edit("1", created_at=ago(100))
    ledger.edit("3", state="unconfirmed", created_at=ago(9000))
    ledger.edit("4", state="notified", created_at=ago(9000))
    ledger.edit("5", state="retry", created_at=ago(9000), missing_since_at=ago(9000))
    standing = health.read_standing()
    assert standing.by_open_state == {"found": 1, "claimed": 1, "retry": 1}
    assert (standing.open, standing.held, standing.missing) == (3, 1, 1)
    assert standing.oldest_open_seconds == pytest.approx(100, abs=60)
    assert health.count_by_state() == {
        "found": 1, "claimed": 1, "retry": 1, "unconfirmed": 1, "notified": 1,
    }  # fmt: skip


def test_inbox_rows_that_were_set_aside_do_not_wait(ledger: Ledger) -> None:
    with connection():
        rows = [(50, False), (10, False), (9000, True)]
        for at, (received, set_aside) in enumerate(rows):
            WebhookEvent.insert(
                portal_id="1",
                event_type="creation",
                object_id=str(at),
                occurred_at=CREATED,
                received_at=ago(received),
                attempts=5 if set_aside else 0,
                set_aside_at=ago(1) if set_aside else None,
            ).execute()
    depth = health.read_inbox()
    assert (depth.waiting, depth.set_aside) == (2, 1)
    assert depth.oldest_seconds == pytest.approx(50, abs=40)


def test_jobs_tell_their_last_run(ledger: Ledger) -> None:
    with connection():
        JobRun.insert(name="sweep", last_started_at=ago(5)).execute()
        JobRun.insert(name="poll", last_finished_at=ago(300), last_result="ok").execute()
    poll, sweep = health.read_jobs()
    assert (poll.name, poll.last_result) == ("poll", "ok")
    assert poll.finished_seconds == pytest.approx(300, abs=60)
    assert sweep == health.JobReading("sweep")


def test_the_last_hour_by_who_triaged(ledger: Ledger) -> None:
    told("1", 10, provider="local", success=True)
    told("2", 3000, provider="groq", success=True)
    told("3", 3000, provider="rules", success=False)
    told("4", 9000, provider="rules", success=False)
    told("5", 10, state="skipped")
    told("6", 10, state="found")
    told("7", 10, provider="none")
    assert health.read_told(3600) == health.Told(tickets=3, succeeded=2, local=1)


def test_the_time_to_the_card_leaves_out_the_model(ledger: Ledger) -> None:
    for at in range(20):
        told(str(at), 60, ticket_created_at=ago(60 + at), triage_ms=0)
    assert health.read_card_p95(900) == pytest.approx(18, abs=1.5)
    told("slow", 60, ticket_created_at=ago(60 + 500), triage_ms=499_000)
    told("old", 5000, ticket_created_at=ago(90_000), triage_ms=0)
    told("untimed", 60)
    assert health.read_card_p95(900) == pytest.approx(18, abs=1.5)


def test_a_ticket_from_before_activation_counts_from_there(ledger: Ledger) -> None:
    with connection():
        Cursor.insert(name="ledger", activated_at=ago(70)).execute()
    told("1", 60, ticket_created_at=ago(100_000), triage_ms=2_000)
    assert health.read_card_p95(900) == pytest.approx(8, abs=1.5)


def test_the_month_adds_up_and_leaves_out_the_last(ledger: Ledger) -> None:
    now = read_clock()
    last_month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0) - timedelta(hours=1)
    with connection():
        for hour, provider in ((now, "groq"), (now, "local"), (last_month, "groq")):
            HourlyCount.insert(
                hour=start_of_hour(hour),
                provider=provider,
                state="notified",
                tokens_in=10,
                tokens_out=3,
                cost_usd=0.25,
            ).execute()
    assert health.read_month() == health.MonthlyUse(20, 6, 0.5)


def test_what_holds_the_horizon_back(ledger: Ledger) -> None:
    ledger.find("open", "held", "told")
    ledger.edit("open", ticket_created_at=None, created_at=ago(DAY))
    ledger.edit("held", state="unconfirmed", ticket_created_at=ago(9 * DAY))
    ledger.edit("told", state="notified", ticket_created_at=ago(99 * DAY))
    with connection():
        Cursor.insert(name="ledger", horizon_at=ago(8 * DAY)).execute()
        Cursor.insert(name="poll", looked_until_at=ago(100)).execute()
        Cursor.insert(name="sweep", looked_from_at=ago(6 * DAY), looked_until_at=ago(3 * DAY)).execute()
        for at, occurred in enumerate([to_utc("1970-01-01 00:00:00+00:00"), ago(2 * DAY)]):
            WebhookEvent.insert(
                portal_id="1",
                event_type="creation",
                object_id=str(at),
                occurred_at=occurred,
                received_at=ago(9),
            ).execute()
    ages = health.read_horizon_ages(900)
    days = {name: round(seconds / DAY, 2) for name, seconds in ages.items()}
    assert days == {
        "horizon": 8.0, "poll": 0.01, "sweep": 3.0, "inbox": 2.0, "open ticket": 5.0, "held ticket": 9.0,
    }  # fmt: skip
    assert health.read_poll_age() == pytest.approx(100, abs=60)


def test_a_source_that_never_looked_is_left_out(ledger: Ledger) -> None:
    with connection():
        Cursor.insert(name="ledger", activated_at=ago(9999 * DAY)).execute()
    assert health.read_horizon_ages(900) == {}


def test_arrivals_by_hour_and_source(ledger: Ledger) -> None:
    now = start_of_hour(read_clock())
    rows = [(1, "poll", "notified", 2), (1, "poll", "skipped", 3), (1, "webhook", "notified", 4)]
    rows += [(30, "sweep", "merged", 1), (24 * 40, "poll", "notified", 9)]
    with connection():
        for hours, source, state, tickets in rows:
            HourlyCount.insert(
                hour=now - timedelta(hours=hours), source=source, state=state, tickets=tickets
            ).execute()
    count_event(Event.WEBHOOK_DROPPED, 50)
    told("1", 600)
    arrivals = health.read_arrivals(28)
    hour_ago, day_ago = now - timedelta(hours=1), now - timedelta(hours=30)
    assert arrivals.by_hour == {hour_ago: {"poll": 5, "webhook": 4}, day_ago: {"sweep": 1}}
    assert arrivals.last_seconds == pytest.approx(600, abs=60)
    assert arrivals.count(day_ago, now) == 10
    assert arrivals.count(day_ago, now, "webhook", "sweep") == 5
    assert arrivals.count(day_ago, hour_ago) == 1


def test_tickets_that_a_webhook_brought(ledger: Ledger) -> None:
    ledger.find("1", "2", "3", source=Source.WEBHOOK)
    ledger.find("4")
    ledger.edit("1", processed_at=ago(2000))
    ledger.edit("2", processed_at=ago(2000), state="skipped")
    ledger.edit("4", processed_at=ago(2000))
    assert health.count_webhook_finds(900, 7200) == 1
