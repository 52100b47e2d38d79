"""What health, metrics and alarms read of the ledger: queries only, each of a statement or two on an index.

Ages are in seconds by the database's clock. Nothing here names a ticket or a customer.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

from peewee import SQL, Case, ModelSelect, fn

from models.counts import HourlyCount, start_of_hour
from models.cursors import Cursor
from models.database import clock, read_clock, rerun_on_conflict
from models.drain import is_set_aside
from models.horizon import HeldBack, find_bounds
from models.inbox import WebhookEvent
from models.job_runs import GOOD_RESULT, RECONCILED, JobRun
from models.tickets import IS_HELD, OPEN_STATES, ProcessedTicket, Source, TicketState
from models.utc import NEVER, to_utc

P95 = 95
LARGEST_SAMPLE = 5_000
# Literals, since SQLite cannot see behind a parameter that a partial index will do.
OPEN = ", ".join(f"'{state}'" for state in OPEN_STATES)
IS_OPEN = SQL(f"state IN ({OPEN})")


@dataclass(frozen=True, slots=True)
class Standing:
    """Open tickets by state, held ones, and how long the oldest waits.

    ``oldest_open_seconds`` leaves out ``missing``: open tickets that HubSpot answers with 404, for which a
    day of waiting is the rule.
    """

    by_open_state: dict[str, int] = field(default_factory=dict)
    held: int = 0
    missing: int = 0
    oldest_open_seconds: float = 0.0

    @property
    def open(self) -> int:
        return sum(self.by_open_state.values())


@dataclass(frozen=True, slots=True)
class InboxDepth:
    """Rows to drain and rows that failed five times."""

    waiting: int = 0
    set_aside: int = 0
    oldest_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class JobReading:
    """A job's last run as its worker wrote it; ``finished_seconds`` is None where none has ended yet."""

    name: str
    last_result: str | None = None
    finished_seconds: float | None = None

    @property
    def failed(self) -> bool:
        return self.last_result not in (None, GOOD_RESULT)


@dataclass(frozen=True, slots=True)
class Told:
    """Tickets told in a window; ``succeeded`` by a model, ``local`` by the local one."""

    tickets: int = 0
    succeeded: int = 0
    local: int = 0


@dataclass(frozen=True, slots=True)
class MonthlyUse:
    """Since the first of the month, UTC."""

    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Settled tickets by whole hour and source, and how long ago a row of the ledger was found or settled."""

    now: datetime
    last_seconds: float | None = None
    by_hour: dict[datetime, dict[str, int]] = field(default_factory=dict)

    def count(self, start: datetime, end: datetime, *sources: str) -> int:
        """Tickets settled in the whole hours of [start, end), of the given sources or of all."""
        hours = (counts for hour, counts in self.by_hour.items() if start <= hour < end)
        return sum(n for counts in hours for name, n in counts.items() if not sources or name in sources)


@rerun_on_conflict
def read_standing() -> Standing:
    """By the partial indexes of open and held rows; a storm's open rows are read whole."""
    shown = Case(None, [(ProcessedTicket.missing_since_at.is_null(), ProcessedTicket.created_at)])
    opened = ProcessedTicket.select(
        ProcessedTicket.state,
        count_rows(),
        fn.COUNT(ProcessedTicket.missing_since_at),
        fn.MIN(shown),
        clock(),
    )
    held = ProcessedTicket.select(
        SQL(f"'{TicketState.UNCONFIRMED}'"), count_rows(), SQL("0"), SQL("NULL"), clock()
    )
    grouped = opened.where(IS_OPEN).group_by(ProcessedTicket.state)
    rows = [*rows_of(grouped), *rows_of(held.where(IS_HELD))]
    by_state = {state: tickets for state, tickets, *_ in rows}
    return Standing(
        held=by_state.pop(TicketState.UNCONFIRMED),
        by_open_state=by_state,
        missing=sum(row[2] for row in rows),
        oldest_open_seconds=max(seconds_since(oldest, now) or 0.0 for *_, oldest, now in rows),
    )


@rerun_on_conflict
def count_by_state() -> dict[str, int]:
    """Every row of the ledger by state; reads the whole table, so ask rarely."""
    return dict(rows_of(ProcessedTicket.select(ProcessedTicket.state, count_rows()).group_by(SQL("1"))))


@rerun_on_conflict
def read_inbox() -> InboxDepth:
    """By one pass over the inbox, which holds little."""
    received = Case(None, [(WebhookEvent.set_aside_at.is_null(), WebhookEvent.received_at)])
    set_aside = fn.COUNT(Case(None, [(is_set_aside(), 1)]))
    query = WebhookEvent.select(fn.COUNT(received), set_aside, fn.MIN(received), clock())
    ((waiting, aside, oldest, now),) = rows_of(query)
    return InboxDepth(waiting, aside, seconds_since(oldest, now) or 0.0)


@rerun_on_conflict
def read_jobs() -> list[JobReading]:
    """Every job that a worker ran, by name."""
    query = JobRun.select(JobRun.name, JobRun.last_result, JobRun.last_finished_at, clock())
    jobs = query.where(JobRun.name != RECONCILED).order_by(JobRun.name)
    return [
        JobReading(name, result, seconds_since(finished, now))
        for name, result, finished, now in rows_of(jobs)
    ]


@rerun_on_conflict
def read_told(seconds: float) -> Told:
    """Tickets told in the last ``seconds``; one that a person confirmed untriaged says nothing of models."""
    succeeded = Case(None, [(ProcessedTicket.success, 1)])
    local = Case(None, [(ProcessedTicket.provider == "local", 1)])
    query = ProcessedTicket.select(count_rows(), fn.COUNT(succeeded), fn.COUNT(local))
    triaged = query.where(ProcessedTicket.provider != "none")
    ((tickets, by_model, by_local),) = rows_of(told_within(triaged, seconds))
    return Told(tickets, by_model, by_local)


@rerun_on_conflict
def read_card_p95(seconds: float) -> float | None:
    """Creation to card beyond the model's time, of the tickets told in the last ``seconds``; None for none.

    Over the newest 5,000 at most. Counted from activation where the ticket is older. A ticket that a person
    confirmed counts with the time that this took.
    """
    activated = Cursor.select(Cursor.activated_at).where(Cursor.name == "ledger")
    query = ProcessedTicket.select(
        ProcessedTicket.ticket_created_at, ProcessedTicket.processed_at, ProcessedTicket.triage_ms, activated
    )
    newest = told_within(query, seconds).order_by(ProcessedTicket.processed_at.desc()).limit(LARGEST_SAMPLE)
    waits = sorted(
        (told - max(created, to_utc(active) or created)).total_seconds() - (triage_ms or 0) / 1000
        for created, told, triage_ms, active in rows_of(newest)
        if created is not None
    )
    return max(0.0, waits[-(-len(waits) * P95 // 100) - 1]) if waits else None


@rerun_on_conflict
def read_month() -> MonthlyUse:
    month = read_clock().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    sums = [
        fn.SUM(column) for column in (HourlyCount.tokens_in, HourlyCount.tokens_out, HourlyCount.cost_usd)
    ]
    ((tokens_in, tokens_out, cost),) = rows_of(HourlyCount.select(*sums).where(HourlyCount.hour >= month))
    return MonthlyUse(int(tokens_in or 0), int(tokens_out or 0), float(cost or 0.0))


@rerun_on_conflict
def read_horizon_ages(overlap_seconds: float) -> dict[str, float]:
    """How far back lies what keeps the memory horizon back (design §5), by ``HeldBack``'s names.

    Of the sweep it is the age of the last completed one, which the next raises its lower bound to: that of
    the first may lie years back, with the activation. ``horizon`` is the stored horizon's own age. A source
    that has not looked yet is left out.
    """
    now, looked = read_clock(), {row.name: row for row in Cursor.select()}
    bounds = find_bounds(0, timedelta(seconds=overlap_seconds), now)
    found: dict[str, datetime | None] = {
        name.value: at
        for name, at in bounds.items()
        if at != NEVER and name not in (HeldBack.RETENTION, HeldBack.FOUR_DAYS)
    }
    found |= {
        "horizon": time_of(looked.get("ledger"), "horizon_at"),
        HeldBack.SWEEP.value: time_of(looked.get("sweep"), "looked_until_at"),
    }
    return {name: (now - at).total_seconds() for name, at in found.items() if at is not None}


def time_of(cursor: Cursor | None, column: str) -> datetime | None:
    return cast("datetime | None", getattr(cursor, column, None))


@rerun_on_conflict
def read_poll_age() -> float | None:
    """Seconds since the end of the last good poll's window, None before the first."""
    poll = Cursor.get_or_none(Cursor.name == "poll")
    return seconds_since(poll.looked_until_at, read_clock()) if poll else None


@rerun_on_conflict
def read_arrivals(days: int) -> Arrivals:
    """The last ``days`` of hours; a ledger shorter than that has fewer."""
    now = read_clock()
    since = start_of_hour(now) - timedelta(days=days)
    newest = to_utc(ProcessedTicket.select(fn.MAX(ProcessedTicket.processed_at)).scalar())
    settled = HourlyCount.state.in_(list(TicketState))
    query = (
        HourlyCount.select(HourlyCount.hour, HourlyCount.source, fn.SUM(HourlyCount.tickets))
        .where((HourlyCount.hour >= since) & settled)
        .group_by(HourlyCount.hour, HourlyCount.source)
    )
    by_hour: dict[datetime, dict[str, int]] = {}
    for hour, source, tickets in rows_of(query):
        by_hour.setdefault(hour, {})[source] = int(tickets)
    return Arrivals(now, None if newest is None else (now - newest).total_seconds(), by_hour)


@rerun_on_conflict
def count_webhook_finds(older_than_seconds: float, seconds: float) -> int:
    """Tickets that a webhook brought first, found or settled between the two ages, not skipped ones.

    A search had the time to show them too.
    """
    now, moved = read_clock(), ProcessedTicket.processed_at
    brought = (ProcessedTicket.source == Source.WEBHOOK) & (ProcessedTicket.state != TicketState.SKIPPED)
    since, until = now - timedelta(seconds=seconds), now - timedelta(seconds=older_than_seconds)
    within = (moved >= since) & (moved < until)
    return ProcessedTicket.select().where(within & brought).count()


def told_within(query: "ModelSelect[Any]", seconds: float) -> "ModelSelect[Any]":
    # A time, not an expression of the clock: PostgreSQL's moves while it runs, and rules the index out.
    recent = ProcessedTicket.processed_at >= read_clock() - timedelta(seconds=seconds)
    return query.where(recent & (ProcessedTicket.state == TicketState.NOTIFIED))


def count_rows() -> Any:
    return fn.COUNT(SQL("*"))


def rows_of(query: "ModelSelect[Any]") -> Iterable[Any]:
    return cast(Iterable[Any], query.tuples())


def seconds_since(moment: str | datetime | None, now: str | datetime) -> float | None:
    """Of what either driver returns for a time that no field converts."""
    earlier, later = to_utc(moment), to_utc(now)
    return None if earlier is None or later is None else max(0.0, (later - earlier).total_seconds())
