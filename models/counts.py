"""Counts by hour that outlive the tickets they count: no ids, written in the transaction that settles.

Beside the tickets stand the events that all workers together count: rows whose ``state`` is an Event.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from peewee import CharField, FloatField, IntegerField

from models.database import BaseModel, read_clock, rerun_on_conflict
from models.names import Names
from models.tickets import ProcessedTicket
from models.utc import UtcDateTimeField

HOUR = timedelta(hours=1)
KEY = ("hour", "source", "provider", "priority", "state")
#: Upper bounds of the histograms; the last bucket holds what is above. Creation to card in seconds.
CARD_BUCKETS = {
    "card_5s": 5,
    "card_15s": 15,
    "card_1m": 60,
    "card_5m": 300,
    "card_15m": 900,
    "card_1h": 3600,
}
#: Triage in milliseconds.
TRIAGE_BUCKETS = {
    "triage_500ms": 500,
    "triage_1s": 1000,
    "triage_2s": 2000,
    "triage_5s": 5000,
    "triage_10s": 10_000,
    "triage_20s": 20_000,
}
CARD_COLUMNS = (*CARD_BUCKETS, "card_over")
TRIAGE_COLUMNS = (*TRIAGE_BUCKETS, "triage_over")


class Event(StrEnum):
    """What happened beside tickets; never the name of a ticket's state, at most 20 characters."""

    WEBHOOK_REFUSED = "webhook refused"  #: a signature or token that does not hold
    WEBHOOK_DROPPED = "webhook dropped"  #: an event of a kind that is not ours
    CHANNEL_FAILED = "channel failed"  #: a send that failed or whose outcome is unknown
    CREDENTIAL_REFUSED = "credential refused"  #: a service refused our key, token or URL
    MODEL_USED = "model used"  #: an answer of a model, with its tokens and cost
    SEARCH_SHOWED = "search showed"  #: tickets in a search's answer, known ones included


class HourlyCount(BaseModel):
    hour = UtcDateTimeField()
    source = CharField(max_length=20, default="")
    provider = CharField(max_length=50, default="none")
    priority = CharField(max_length=20, default="")
    state = CharField(max_length=20)
    tickets = IntegerField(default=0)
    tokens_in = IntegerField(default=0)
    tokens_out = IntegerField(default=0)
    cost_usd = FloatField(default=0)
    model_seconds = FloatField(default=0)
    card_5s = IntegerField(default=0)
    card_15s = IntegerField(default=0)
    card_1m = IntegerField(default=0)
    card_5m = IntegerField(default=0)
    card_15m = IntegerField(default=0)
    card_1h = IntegerField(default=0)
    card_over = IntegerField(default=0)
    triage_500ms = IntegerField(default=0)
    triage_1s = IntegerField(default=0)
    triage_2s = IntegerField(default=0)
    triage_5s = IntegerField(default=0)
    triage_10s = IntegerField(default=0)
    triage_20s = IntegerField(default=0)
    triage_over = IntegerField(default=0)

    class Meta:
        table_name = "hourly_counts"
        indexes = ((KEY, True),)


@rerun_on_conflict
def count_event(event: Event, number: int = 1, of: str = "") -> None:
    """Add ``number`` to the event's current hour; ``of`` names a service or channel in 20 characters."""
    hour = start_of_hour(read_clock())
    row = {"hour": hour, "source": of[:20], "state": event.value, "tickets": number}
    HourlyCount.insert(row).on_conflict(
        conflict_target=[getattr(HourlyCount, name) for name in KEY],
        update={HourlyCount.tickets: HourlyCount.tickets + number},
    ).execute()


@dataclass(frozen=True, slots=True)
class ModelUse:
    """Answers of one provider, and what they took."""

    answers: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: "ModelUse") -> "ModelUse":
        return ModelUse(
            self.answers + other.answers,
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            self.cost_usd + other.cost_usd,
            self.seconds + other.seconds,
        )


@rerun_on_conflict
def count_model_use(provider: str, use: ModelUse) -> None:
    """Add to the provider's current hour; calling twice counts twice."""
    given = {
        "tickets": use.answers,
        "tokens_in": use.tokens_in,
        "tokens_out": use.tokens_out,
        "cost_usd": use.cost_usd,
        "model_seconds": use.seconds,
    }
    key = {"hour": start_of_hour(read_clock()), "provider": provider, "state": Event.MODEL_USED.value}
    added = {name: getattr(HourlyCount, name) + value for name, value in given.items()}
    HourlyCount.insert(key | given).on_conflict(
        conflict_target=[getattr(HourlyCount, name) for name in KEY], update=added
    ).execute()


def recent_events(event: Event, seconds: float) -> int:
    """About how often it happened in the last ``seconds``, by the database's clock; see recent_by_name."""
    return round(sum(estimate_recent(event, seconds).values()))


def recent_by_name(event: Event, seconds: float) -> dict[str, int]:
    """The same for each ``of``.

    Rows are whole hours, so the window slides by assuming that the events of an hour came evenly: an hour
    counts by the part of it that lies in the window (of the current hour, the part so far), and the sum is
    rounded. Off by at most what the oldest hour of the window held; exact in the hour of the events.
    """
    rounded = {name: round(number) for name, number in estimate_recent(event, seconds).items()}
    return {name: number for name, number in rounded.items() if number}


@rerun_on_conflict
def estimate_recent(event: Event, seconds: float) -> dict[str, float]:
    now = read_clock()
    start = now - timedelta(seconds=seconds)
    since = (HourlyCount.hour >= start_of_hour(start)) & (HourlyCount.state == event.value)
    estimates: dict[str, float] = {}
    for row in HourlyCount.select().where(since):
        part = part_within(row.hour, start, now)
        estimates[row.source] = estimates.get(row.source, 0.0) + row.tickets * part
    return estimates


def part_within(hour: datetime, start: datetime, now: datetime) -> float:
    """The part, 0 to 1, of the hour's time up to ``now`` that lies after ``start``."""
    end = min(hour + HOUR, now)
    if end <= hour:
        return 1.0
    return max(0.0, min(1.0, (end - max(hour, start)) / (end - hour)))


def start_of_hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def count_settled(ticket: ProcessedTicket) -> None:
    """Add a ticket that was just settled to its hour, within the caller's transaction."""
    row = {
        "hour": start_of_hour(ticket.processed_at),
        "source": ticket.source or "",
        "provider": ticket.provider or "none",
        "priority": ticket.priority or "",
        "state": ticket.state,
        "tickets": 1,
        **buckets_of(ticket),
    }
    added = {name: getattr(HourlyCount, name) + value for name, value in row.items() if name not in KEY}
    HourlyCount.insert(row).on_conflict(
        conflict_target=[getattr(HourlyCount, name) for name in KEY], update=added
    ).execute()


def buckets_of(ticket: ProcessedTicket) -> dict[str, int]:
    card_seconds = seconds_between(ticket.ticket_created_at, ticket.processed_at)
    return {
        **bucket(card_seconds, CARD_BUCKETS, "card_over"),
        **bucket(ticket.triage_ms, TRIAGE_BUCKETS, "triage_over"),
    }


def bucket(value: float | None, bounds: dict[str, int], over: str) -> dict[str, int]:
    if value is None:
        return {}
    return {next((name for name, bound in bounds.items() if value < bound), over): 1}


def seconds_between(start: datetime | None, end: datetime) -> float | None:
    return None if start is None else (end - start).total_seconds()


def count_settled_sql(settled: str, *, many: bool = False) -> str:
    """PostgreSQL: the same as ``count_settled`` for the row of the CTE ``settled``; ``many`` for its rows."""
    h, t = Names(HourlyCount), Names(ProcessedTicket)
    columns = ("tickets", *CARD_COLUMNS, *TRIAGE_COLUMNS)
    quoted = [getattr(h, name) for name in (*KEY, *columns)]
    sums = ", ".join(f"{name} = {h}.{name} + excluded.{name}" for name in quoted[len(KEY) :])
    age = f"extract(epoch FROM {t.processed_at} - {t.ticket_created_at})"
    card = f"width_bucket({age}::float8, {bounds_sql(CARD_BUCKETS)})"
    triage = f"width_bucket({t.triage_ms}::float8, {bounds_sql(TRIAGE_BUCKETS)})"
    values = ["1", *(flag_sql("card_bucket", at) for at in range(len(CARD_COLUMNS)))]
    values += [flag_sql("triage_bucket", at) for at in range(len(TRIAGE_COLUMNS))]
    if many:
        values = [f"sum({value})" for value in values]
    return f"""
    INSERT INTO {h} ({", ".join(quoted)})
    SELECT date_trunc('hour', {t.processed_at}, 'UTC'), coalesce({t.source}, ''),
           coalesce({t.provider}, 'none'), coalesce({t.priority}, ''), {t.state}, {", ".join(values)}
    FROM {settled}, LATERAL (SELECT {card} AS card_bucket, {triage} AS triage_bucket) AS b
    {"GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5" if many else ""}
    ON CONFLICT ({", ".join(quoted[: len(KEY)])}) DO UPDATE SET {sums}"""


def bounds_sql(bounds: dict[str, int]) -> str:
    return f"ARRAY[{', '.join(str(bound) for bound in bounds.values())}]::float8[]"


def flag_sql(column: str, at: int) -> str:
    return f"coalesce(({column} = {at})::int, 0)"
