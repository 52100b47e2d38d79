"""Sources that are silent against their own past: nothing fails, and yet no ticket comes (design §5)."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from jobs.take_readings import Limits, Readings
from models.counts import start_of_hour
from models.health import Arrivals

SPANS_HOURS = (2, 4, 8, 24, 72, 168)
WEEKS = 4
EACH_WEEK, ALL_WEEKS = 5, 40
STALE_SECONDS = 3600.0
LEAST_WEBHOOK_FINDS = 3
LEAST_OTHER_FINDS, LEAST_PAST_WEBHOOKS = 10, 20


def find_silences(readings: Readings, limits: Limits) -> dict[str, str]:
    """Each silent source with a line: ``search``, ``webhooks``, ``account``. Empty while the poll is late.

    A poll that does not look finds nothing: that is the poll's own line, and no silence.
    """
    if readings.poll_seconds is None or readings.poll_seconds > STALE_SECONDS:
        return {}
    return dict(each_silence(readings, limits))


def each_silence(readings: Readings, limits: Limits) -> Iterator[tuple[str, str]]:
    finds = readings.webhook_finds
    if finds >= LEAST_WEBHOOK_FINDS and readings.searches_ever_showed and not readings.searches_showed:
        yield (
            "search",
            f"HubSpot's search shows nothing while webhooks brought {finds} tickets in two hours; look at "
            "HubSpot's status page, and at HUBSPOT_PIPELINES and the token's scopes",
        )
    if limits.webhooks and (others := webhooks_missing(readings.arrivals)):
        yield (
            "webhooks",
            f"no webhook brought a ticket for a day while searches found {others}; look at the webhook's "
            "deliveries in HubSpot, at PUBLIC_URL and at the secrets (python main.py doctor)",
        )
    if quiet := find_quiet(readings.arrivals):
        hours, past = quiet
        yield (
            "account",
            f"no ticket has come for {hours} hours, and in the same hours of the past four weeks "
            f"{', '.join(str(count) for count in past)} did; look into HubSpot whether there are any: on a "
            "holiday this is right, else check HUBSPOT_PIPELINES and the token's portal",
        )


def webhooks_missing(arrivals: Arrivals) -> int:
    """Tickets that searches found in the last day, if webhooks brought none and used to; else 0."""
    now = start_of_hour(arrivals.now)
    day, month = now - timedelta(days=1), now - timedelta(days=28)
    ahead = now + timedelta(hours=2)
    others = arrivals.count(day, ahead, "poll", "sweep")
    is_silent = not arrivals.count(day, ahead, "webhook") and others >= LEAST_OTHER_FINDS
    return others if is_silent and arrivals.count(month, day, "webhook") >= LEAST_PAST_WEBHOOKS else 0


def find_quiet(arrivals: Arrivals) -> tuple[int, list[int]] | None:
    """The shortest span of hours without a ticket whose like was never empty before, and the past's counts.

    The last N hours are compared with the same hours of the same weekday one to four weeks ago, so a night or
    a weekend is compared with its like. Each of the four must have had 5 tickets and all together 40: by
    chance alone an account of 10 tickets in such a span is empty once in 20,000 times. N is one of 2, 4, 8,
    24, 72 and 168; an account with fewer than 40 tickets in four weeks is never called quiet.
    """
    hour = start_of_hour(arrivals.now)
    for hours in SPANS_HOURS:
        start = hour - timedelta(hours=hours)
        if not came_since(arrivals, start):
            past = [count_before(arrivals, start, hour, weeks) for weeks in range(1, WEEKS + 1)]
            if min(past) >= EACH_WEEK and sum(past) >= ALL_WEEKS:
                return hours, past
    return None


def came_since(arrivals: Arrivals, start: datetime) -> bool:
    return (
        arrivals.last_seconds is not None and arrivals.last_seconds <= (arrivals.now - start).total_seconds()
    )


def count_before(arrivals: Arrivals, start: datetime, end: datetime, weeks: int) -> int:
    back = timedelta(weeks=weeks)
    return arrivals.count(start - back, end - back)
