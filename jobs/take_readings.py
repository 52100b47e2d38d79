"""The figures that health and alarms judge, read from the ledger in one go."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from jobs.notify.channel import Channel
from jobs.settings import Settings
from models import health, schema, switches
from models.counts import Event, recent_by_name, recent_events
from models.database import read_clock, require_writable
from models.health import Arrivals, InboxDepth, JobReading, MonthlyUse, Standing, Told
from models.reconciliation import LastReconciled, read_reconciled
from models.vitals import Vitals, read_vitals

HOUR, DAY = 3600.0, 86_400.0
ARRIVAL_DAYS = 35
SEARCH_LAG_SECONDS = 1200.0  #: by then a search shows what a webhook brought
SEARCH_WINDOW_SECONDS = 2 * HOUR
SEARCH_PAST_SECONDS = 28 * DAY
CARD_WINDOW_SECONDS = 900.0
QUERY_TRIES = 5


@dataclass(frozen=True, slots=True)
class Limits:
    """What the settings say of the right measure; ``budget_usd`` and ``webhooks`` where they are set up."""

    retention_days: int = 7
    poll_interval_seconds: float = 30.0
    webhooks: bool = False
    local_model: bool = True
    budget_usd: float | None = None


@dataclass(frozen=True, slots=True)
class PausedChannel:
    """``fault`` is True where a setting must be mended, False after sends in doubt."""

    name: str
    reason: str
    fault: bool
    seconds_left: float


@dataclass(frozen=True, slots=True)
class Readings:
    """What health judges. ``poll_seconds`` is the age of the poll's cursor, None before the first poll.

    ``horizon`` has the age in seconds of what holds the memory horizon back, by name. The search's silence
    is judged by ``webhook_finds`` (that a search had time to show), ``searches_showed`` in the same hours
    and ``searches_ever_showed``, in four weeks.
    """

    arrivals: Arrivals
    latency_ms: float = 0.0
    standing: Standing = field(default_factory=Standing)
    inbox: InboxDepth = field(default_factory=InboxDepth)
    jobs: Sequence[JobReading] = ()
    paused: Sequence[PausedChannel] = ()
    horizon: dict[str, float] = field(default_factory=dict)
    poll_seconds: float | None = None
    webhook_finds: int = 0
    searches_showed: int = 0
    searches_ever_showed: int = 0
    reconciled: LastReconciled | None = None
    vitals: Vitals | None = None


@dataclass(frozen=True, slots=True)
class AlarmReadings:
    """What alarms judge beside health: the last hour, the last 15 minutes, the month."""

    health: Readings
    told: Told = field(default_factory=Told)
    card_p95_seconds: float | None = None
    month: MonthlyUse = field(default_factory=MonthlyUse)
    channel_failures: int = 0
    refused_signatures: int = 0
    refused_credentials: dict[str, int] = field(default_factory=dict)


def limits_of(settings: Settings) -> Limits:
    return Limits(
        retention_days=settings.retention_days,
        poll_interval_seconds=float(settings.poll_interval_seconds),
        webhooks=bool(settings.hubspot_client_secret or settings.hubspot_webhook_token),
        local_model=settings.local_llm_url is not None,
        budget_usd=None if settings.groq_monthly_budget is None else float(settings.groq_monthly_budget),
    )


def take_readings(channels: Sequence[Channel], overlap_seconds: float) -> Readings:
    """Two dozen short queries, 0.1 s at a million tickets.

    Raises StoreError, also where nothing can be or may be written, SchemaBehind for old tables.
    """
    latency_ms = min(measure_query() for _ in range(QUERY_TRIES))
    require_writable()
    schema.require_current()
    return Readings(
        arrivals=health.read_arrivals(ARRIVAL_DAYS),
        latency_ms=latency_ms,
        standing=health.read_standing(),
        inbox=health.read_inbox(),
        jobs=health.read_jobs(),
        paused=read_paused(channels),
        horizon=health.read_horizon_ages(overlap_seconds),
        poll_seconds=health.read_poll_age(),
        webhook_finds=health.count_webhook_finds(SEARCH_LAG_SECONDS, SEARCH_WINDOW_SECONDS),
        searches_showed=recent_events(Event.SEARCH_SHOWED, SEARCH_WINDOW_SECONDS),
        searches_ever_showed=recent_events(Event.SEARCH_SHOWED, SEARCH_PAST_SECONDS),
        reconciled=read_reconciled(),
        vitals=read_vitals(),
    )


def measure_query() -> float:
    """Milliseconds of the shortest there is; the least of some is the database's, not the machine's load."""
    started = time.monotonic()
    read_clock()
    return (time.monotonic() - started) * 1000


def take_alarm_readings(channels: Sequence[Channel], overlap_seconds: float) -> AlarmReadings:
    """Raises StoreError: the alarm for that is the caller's to raise, without readings."""
    return AlarmReadings(
        health=take_readings(channels, overlap_seconds),
        told=health.read_told(HOUR),
        card_p95_seconds=health.read_card_p95(CARD_WINDOW_SECONDS),
        month=health.read_month(),
        channel_failures=recent_events(Event.CHANNEL_FAILED, HOUR),
        refused_signatures=recent_events(Event.WEBHOOK_REFUSED, HOUR),
        refused_credentials=recent_by_name(Event.CREDENTIAL_REFUSED, HOUR),
    )


def read_paused(channels: Sequence[Channel]) -> list[PausedChannel]:
    """Only the configured channels: a pause belongs to one URL or token."""
    pauses = ((channel.name, switches.read_pause(channel.name, channel.key_hash)) for channel in channels)
    return [
        PausedChannel(name, pause.reason, pause.streak == 0, pause.seconds_left)
        for name, pause in pauses
        if pause is not None
    ]
