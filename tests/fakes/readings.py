"""Readings in which all is well, to change one thing of."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from jobs.take_readings import AlarmReadings, Limits, Readings
from models.health import Arrivals, Standing, Told

NOW = datetime(2026, 11, 25, 10, 20, tzinfo=UTC)  # a Wednesday
HOUR = NOW.replace(minute=0)
LIMITS = Limits(webhooks=True, budget_usd=20.0)


def weeks_of(per_hour: int, source: str = "poll", weeks: int = 5) -> dict[datetime, dict[str, int]]:
    """So many tickets in every hour of ``weeks``, the last hour included."""
    return {HOUR - timedelta(hours=back): {source: per_hour} for back in range(weeks * 168)}


def well(**changed: Any) -> Readings:
    healthy = Readings(
        arrivals=Arrivals(NOW, last_seconds=60.0, by_hour=weeks_of(6)),
        poll_seconds=20.0,
        searches_showed=9,
        searches_ever_showed=99,
    )
    return replace(healthy, **changed)


def calm(**changed: Any) -> AlarmReadings:
    told = Told(tickets=100, succeeded=100, local=100)
    return replace(AlarmReadings(health=well(), told=told, card_p95_seconds=1.0), **changed)


def open_for(seconds: float) -> Readings:
    return well(standing=Standing({"retry": 1}, oldest_open_seconds=seconds))
