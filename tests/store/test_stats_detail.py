"""What ``stats`` knows of some days: counts that outlive the tickets, and times."""

import itertools
import random
from datetime import timedelta

import pytest

from jobs.verbs.stats import bar, ordered
from models.counts import HourlyCount, ModelUse, count_model_use, count_settled, start_of_hour
from models.database import connection, read_clock
from models.stats_detail import Percentiles, estimate, read_detail
from models.tickets import ProcessedTicket
from tests.store.conftest import Ledger

SETTLED = {"state": "notified", "provider": "local", "success": True, "source": "poll", "priority": "high"}


def settle(
    ticket_id: str, *, days: float = 0.0, triage_ms: int = 1000, age: float = 4.0, **changes: object
) -> None:
    """A ticket settled so many days ago, and counted."""
    with connection():
        at = read_clock() - timedelta(days=days)
        row = ProcessedTicket(
            **SETTLED | changes,
            ticket_id=ticket_id,
            processed_at=at,
            ticket_created_at=at - timedelta(seconds=age),
            triage_ms=triage_ms,
        )
        row.save(force_insert=True)
        count_settled(row)


def test_tickets_are_counted_by_everything_and_times_are_exact(ledger: Ledger) -> None:
    for number in range(1, 101):
        settle(
            str(number), triage_ms=number * 10, age=number / 10, priority="low" if number % 4 else "critical"
        )
    settle("101", state="skipped", provider="none", priority=None, source="webhook")
    settle("old", days=9)
    detail = read_detail(7)
    assert detail.tickets == 101
    assert detail.by_priority == {"low": 75, "critical": 25, "none": 1}
    assert detail.by_source == {"poll": 100, "webhook": 1}
    assert detail.by_state == {"notified": 100, "skipped": 1}
    assert sum(detail.by_hour.values()) == sum(detail.by_day.values()) == 101
    assert detail.triage_ms == Percentiles(100, 500.0, 950.0)
    assert (detail.card_seconds.of, detail.card_seconds.exact) == (100, True)
    assert detail.card_seconds.median == pytest.approx(5.0, abs=0.01)
    assert detail.card_seconds.p95 == pytest.approx(9.5, abs=0.01)
    assert read_detail(10).tickets == 102


def test_what_retention_forgot_is_counted_still_and_its_times_are_estimated(ledger: Ledger) -> None:
    for number in range(40):
        settle(str(number), days=20, triage_ms=1500, age=30)
    settle("new", triage_ms=1500, age=30)
    with connection():
        ProcessedTicket.delete().where(ProcessedTicket.ticket_id != "new").execute()
    detail = read_detail(30)
    assert (detail.tickets, detail.triage_ms.of, detail.triage_ms.exact) == (41, 41, False)
    assert detail.triage_ms.median is not None
    assert 1000 <= detail.triage_ms.median < 2000
    assert detail.card_seconds.p95 is not None
    assert 15 <= detail.card_seconds.p95 < 60
    assert read_detail(7).triage_ms == Percentiles(1, 1500.0, 1500.0)


def test_models_are_summed_and_no_ticket(ledger: Ledger) -> None:
    count_model_use("groq", ModelUse(3, 1000, 200, 0.25))
    count_model_use("groq", ModelUse(1, 500, 100, 0.5))
    count_model_use("local", ModelUse(2, 10, 5))
    detail = read_detail(7)
    assert (detail.tickets, detail.by_state) == (0, {})
    assert detail.models["groq"].tokens_in == 1500
    assert detail.models["groq"].cost_usd == pytest.approx(0.75)
    assert detail.models["local"].answers == 2
    assert detail.triage_ms == Percentiles()
    assert detail.as_json()["by_hour"] == [0] * 24


def test_an_estimate_is_within_its_bucket_of_the_truth() -> None:
    luck = random.Random(7)
    bounds = [500, 1000, 2000, 5000, 10_000, 20_000]
    values = sorted(luck.lognormvariate(7.5, 1) for _ in range(5_000))
    edges = [0, *bounds, float("inf")]
    counts = [sum(low <= one < high for one in values) for low, high in itertools.pairwise(edges)]
    found = estimate(counts, bounds)
    for share, value in ((0.5, found.median), (0.95, found.p95)):
        true = values[int(share * len(values))]
        assert value is not None
        low, high = next((low, high) for low, high in itertools.pairwise(edges) if low <= true < high)
        assert low <= value <= high
    assert estimate([0] * 7, bounds) == Percentiles(exact=False)
    assert estimate([0] * 6 + [3], bounds).median == 20_000


def test_bars_are_long_as_their_counts_and_priorities_in_their_order() -> None:
    assert [len(bar(count, 100)) for count in (100, 50, 1, 0)] == [24, 12, 1, 0]
    assert bar(0, 0) == ""
    assert list(ordered({"low": 1, "none": 2, "critical": 3})) == ["critical", "low", "none"]


def test_the_hour_before_the_window_counts_whole(ledger: Ledger) -> None:
    """Hours are the grain of what is kept: a window of a day begins with the whole of its first hour."""
    with connection():
        hour = start_of_hour(read_clock() - timedelta(days=1))
        HourlyCount.insert(hour=hour, state="notified", tickets=5, provider="local").execute()
    assert read_detail(1).tickets == 5
