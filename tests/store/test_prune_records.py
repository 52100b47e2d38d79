"""The nightly job on a real ledger, on both databases."""

import time
from datetime import timedelta

from jobs.prune_records import LARGEST_PAGE, LONG_MS, SHORT_MS, SMALLEST_PAGE, next_limit, prune_records
from models.counts import HourlyCount
from models.database import connection
from models.horizon import HeldBack, read_horizon
from tests.fakes.memory import NOW, OVERLAP, ago, delivered, lay_ticket, left, look
from tests.store.conftest import Ledger


def lay_many(count: int) -> None:
    look()
    for number in range(count):
        lay_ticket(str(number), created=10, settled=9)
    lay_ticket("new", created=1, settled=1)
    with connection():
        HourlyCount.insert(hour=ago(500), state="notified", tickets=1).execute()


def test_a_night_forgets_what_is_old_and_reports_it(ledger: Ledger) -> None:
    lay_many(30)
    rests: list[float] = []
    report = prune_records(7, dry_run=False, overlap=OVERLAP, sleep=rests.append)
    assert (report.tickets, report.deliveries, report.inbox, report.hourly_counts) == (30, 30, 0, 1)
    assert (left(), delivered()) == (["new"], ["new"])
    assert (report.horizon.at, report.held_by) == (read_horizon(), HeldBack.RETENTION)
    assert 0 < report.longest_ms <= report.seconds * 1000
    again = prune_records(7, dry_run=False, overlap=OVERLAP)
    assert (again.tickets, again.hourly_counts) == (0, 0)


def test_a_dry_run_counts_the_same_and_changes_nothing(ledger: Ledger) -> None:
    lay_many(30)
    dry = prune_records(7, dry_run=True, overlap=OVERLAP)
    assert (len(left()), len(delivered()), read_horizon()) == (31, 31, None)
    real = prune_records(7, dry_run=False, overlap=OVERLAP)
    names = ("tickets", "deliveries", "inbox", "hourly_counts")
    assert [getattr(dry, name) for name in names] == [getattr(real, name) for name in names]


def test_more_than_a_page_goes_in_pages_with_pauses_and_a_stop_ends_it_between_them(ledger: Ledger) -> None:
    lay_many(700)
    rests: list[float] = []
    stopped = prune_records(7, dry_run=False, overlap=OVERLAP, sleep=rests.append, stop=lambda: bool(rests))
    assert stopped.stopped
    assert 0 < stopped.tickets < 700
    rest = prune_records(7, dry_run=False, overlap=OVERLAP, sleep=time.sleep)
    assert (stopped.tickets + rest.tickets, rest.stopped) == (700, False)


def test_a_worker_whose_clock_is_behind_forgets_less(ledger: Ledger) -> None:
    lay_many(3)
    report = prune_records(7, dry_run=False, overlap=OVERLAP, clock=lambda: NOW - timedelta(days=30))
    assert report.tickets == 0


def test_a_page_follows_the_time_it_takes_within_bounds() -> None:
    assert next_limit(400, LONG_MS + 1) == 200
    assert next_limit(400, SHORT_MS - 1) == 800
    assert next_limit(400, (SHORT_MS + LONG_MS) / 2) == 400
    assert next_limit(SMALLEST_PAGE, 10_000) == SMALLEST_PAGE
    assert next_limit(LARGEST_PAGE, 0) == LARGEST_PAGE
