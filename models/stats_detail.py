"""Where the tickets of some days came from, what was said of them, how long it took and what it cost.

Counts are of ``hourly_counts``, which outlives the tickets. Times are exact while the ledger still has the
tickets, else estimated from the histograms' buckets.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from peewee import fn

from models.counts import CARD_BUCKETS, TRIAGE_BUCKETS, Event, HourlyCount, ModelUse, start_of_hour
from models.database import database, on_postgres, read_clock, rerun_on_conflict
from models.names import Names
from models.tickets import ProcessedTicket, TicketState
from models.utc import to_text

SHARES = (0.5, 0.95)
EVENTS = [event.value for event in Event]
t = Names(ProcessedTicket)
TRIAGE_MS = t.triage_ms
CARD_SECONDS = f"extract(epoch FROM {t.processed_at} - {t.ticket_created_at})"
CARD_SECONDS_ON_SQLITE = f"(julianday({t.processed_at}) - julianday({t.ticket_created_at})) * 86400.0"


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of how many tickets; None without any. ``exact`` is False where they are read off a histogram."""

    of: int = 0
    median: float | None = None
    p95: float | None = None
    exact: bool = True


@dataclass(slots=True)
class Detail:
    """``days`` up to now. Counts are of settled tickets, the ``by_hour`` of the day in UTC."""

    days: int
    tickets: int = 0
    by_state: dict[str, int] = field(default_factory=dict)
    by_priority: dict[str, int] = field(default_factory=dict)
    by_source: dict[str, int] = field(default_factory=dict)
    by_hour: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(24), 0))
    by_day: dict[str, int] = field(default_factory=dict)
    models: dict[str, ModelUse] = field(default_factory=dict)
    triage_ms: Percentiles = Percentiles()
    card_seconds: Percentiles = Percentiles()

    def as_json(self) -> dict[str, object]:
        models = [{"provider": name, **asdict(use)} for name, use in sorted(self.models.items())]
        by_hour = [self.by_hour[hour] for hour in range(24)]
        return {**asdict(self), "models": models, "by_hour": by_hour}


@rerun_on_conflict
def read_detail(days: int) -> Detail:
    """Two reads of few rows, and on a ledger that has all the tickets one of those for the percentiles."""
    since = read_clock() - timedelta(days=days)
    detail = Detail(days)
    buckets: dict[str, int] = {}
    rows: Any = HourlyCount.select().where(HourlyCount.hour >= start_of_hour(since)).dicts()
    for row in rows:
        if row["state"] not in EVENTS:
            add_tickets(detail, row)
            if row["state"] == TicketState.NOTIFIED:
                add_up(buckets, {name: row[name] for name in (*CARD, *TRIAGE)})
        elif row["state"] == Event.MODEL_USED:
            took = (row[name] for name in ("tickets", "tokens_in", "tokens_out", "cost_usd", "model_seconds"))
            use = ModelUse(*took)
            detail.models[row["provider"]] = detail.models.get(row["provider"], ModelUse()) + use
    if forgets_within(since):
        detail.triage_ms = estimate([buckets.get(name, 0) for name in TRIAGE], [*TRIAGE_BUCKETS.values()])
        detail.card_seconds = estimate([buckets.get(name, 0) for name in CARD], [*CARD_BUCKETS.values()])
    else:
        detail.triage_ms = measure(TRIAGE_MS, since)
        detail.card_seconds = measure(CARD_SECONDS if on_postgres() else CARD_SECONDS_ON_SQLITE, since)
    return detail


TRIAGE = (*TRIAGE_BUCKETS, "triage_over")
CARD = (*CARD_BUCKETS, "card_over")


def add_tickets(detail: Detail, row: Mapping[str, Any]) -> None:
    hour: datetime = row["hour"]
    detail.tickets += row["tickets"]
    for counts, name in (
        (detail.by_state, row["state"]),
        (detail.by_priority, row["priority"] or "none"),
        (detail.by_source, row["source"] or "none"),
        (detail.by_day, f"{hour:%Y-%m-%d}"),
    ):
        add_up(counts, {name: row["tickets"]})
    detail.by_hour[hour.hour] += row["tickets"]


def add_up(sums: dict[str, int], more: Mapping[str, int]) -> None:
    for name, number in more.items():
        sums[name] = sums.get(name, 0) + number


def forgets_within(since: datetime) -> bool:
    """Whether tickets settled since then are gone: of the first hour that was counted none is there."""
    oldest = ProcessedTicket.select(fn.MIN(ProcessedTicket.processed_at)).scalar()
    first = (
        HourlyCount.select(fn.MIN(HourlyCount.hour))
        .where((HourlyCount.hour >= start_of_hour(since)) & HourlyCount.state.not_in(EVENTS))
        .scalar()
    )
    return first is not None and (oldest is None or start_of_hour(oldest) > first)


def measure(value: str, since: datetime) -> Percentiles:
    """Exact percentiles of an SQL expression over the tickets told since then."""
    condition = f"{t.state} = 'notified' AND {t.processed_at} >= %s AND {value} IS NOT NULL"
    if on_postgres():
        middle, high = (f"percentile_disc({share}) WITHIN GROUP (ORDER BY {value})" for share in SHARES)
        query = f"SELECT count(*), {middle}, {high} FROM {t} WHERE {condition}"
        count, median, p95 = database.execute_sql(query, (since,)).fetchone()
        return Percentiles(count, plain(median), plain(p95))
    condition = condition.replace("%s", "?")
    values = database.execute_sql(
        f"SELECT {value} AS v FROM {t} WHERE {condition} ORDER BY v", (to_text(since),)
    ).fetchall()
    if not values:
        return Percentiles()
    middle, high = (values[max(0, math.ceil(len(values) * share) - 1)][0] for share in SHARES)
    return Percentiles(len(values), plain(middle), plain(high))


def plain(value: Any) -> float | None:
    return None if value is None else round(float(value), 3)


def estimate(counts: Iterable[int], bounds: list[int]) -> Percentiles:
    """Within a bucket as if its tickets lay evenly in it; above the last bound there is only that bound."""
    counts = list(counts)
    total = sum(counts)
    if not total:
        return Percentiles(exact=False)
    edges = [0, *bounds, bounds[-1]]

    def at(share: float) -> float:
        wanted, before = share * total, 0
        for place, count in enumerate(counts):
            if before + count >= wanted and count:
                low, high = edges[place], edges[place + 1]
                return round(low + (high - low) * (wanted - before) / count, 3)
            before += count
        return float(bounds[-1])

    return Percentiles(total, at(SHARES[0]), at(SHARES[1]), exact=False)
