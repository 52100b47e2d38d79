"""Whether all is well, decided from what was read: pure, one line for each thing that is not."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from jobs.check_database import find_ailments
from jobs.find_silences import find_silences
from jobs.name_held_tickets import HELD_HINT
from jobs.take_readings import DAY, Limits, PausedChannel, Readings
from models.health import JobReading
from models.horizon import HeldBack

OLDEST_OPEN_SECONDS = 900.0
LATE_INTERVALS = 10
HORIZON_DAYS = 4
OLDEST_RECONCILE_SECONDS = 2 * DAY
HOLDERS: dict[str, str] = {
    HeldBack.POLL: "the poll has not looked further; see its line, or HubSpot's",
    HeldBack.SWEEP: "no sweep that began later was completed; look into the log for what stops it",
    HeldBack.INBOX: "a row of the webhook inbox is not drained; see its line",
    HeldBack.OPEN_TICKET: "an open ticket is that old; python main.py tickets --state retry shows why",
    HeldBack.HELD_TICKET: "a held ticket is that old; look for its card, then confirm or resend it",
    "horizon": "the nightly retention has not run; run: python main.py retention",
}


class Status(StrEnum):
    """What ``/health`` and the command say."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    SHUTTING_DOWN = "shutting_down"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at; ``line`` says how it is, and where it is not well what to do."""

    name: str
    ok: bool
    line: str


@dataclass(frozen=True, slots=True)
class HealthReport:
    """``latency_ms`` is the database's, None where it did not answer."""

    status: Status
    checks: tuple[Check, ...]
    latency_ms: float | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(check.line for check in self.checks if not check.ok)

    def as_json(self) -> dict[str, object]:
        checks = [{"name": one.name, "ok": one.ok, "line": one.line} for one in self.checks]
        latency_ms = None if self.latency_ms is None else round(self.latency_ms, 1)
        return {
            "status": self.status.value,
            "database_latency_ms": latency_ms,
            "checks": checks,
            "warnings": list(self.warnings),
        }


def check_health(readings: Readings, limits: Limits) -> HealthReport:
    """Judge what was read; degraded as soon as one check is not well."""
    checks = (
        Check("database", ok=True, line=f"the database answers in {readings.latency_ms:.0f} ms, up to date"),
        *(Check(name, False, line) for name, line in find_ailments(readings.latency_ms, readings.vitals)),
        *check_tickets(readings),
        *(check_paused(one) for one in readings.paused),
        check_inbox(readings),
        check_horizon(readings, limits),
        *check_silences(readings, limits),
        *(check_job(one) for one in readings.jobs),
        *check_poll(readings, limits),
        *check_reconcile(readings),
    )
    status = Status.HEALTHY if all(check.ok for check in checks) else Status.DEGRADED
    return HealthReport(status, checks, readings.latency_ms)


def report_unread(line: str) -> HealthReport:
    """The report where the database cannot be read, for the reason that ``line`` says."""
    return HealthReport(Status.DEGRADED, (Check("database", ok=False, line=line),))


def check_tickets(readings: Readings) -> Iterator[Check]:
    standing = readings.standing
    open_line = f"{standing.open} open, the oldest for {span(standing.oldest_open_seconds)}"
    if standing.missing:
        open_line += f"; {standing.missing} that HubSpot does not show are given up after a day"
    late = standing.oldest_open_seconds > OLDEST_OPEN_SECONDS
    hint = "; python main.py tickets --state retry shows why, and is a worker running?"
    yield Check("oldest_open", ok=not late, line=open_line + (hint if late else ""))
    held = standing.held
    yield Check("held", ok=not held, line=f"{held} held: {HELD_HINT}" if held else "none held")


def check_paused(paused: PausedChannel) -> Check:
    name = f"channel_{paused.name}"
    if paused.fault:
        line = f"the channel {paused.name} refuses us ({paused.reason}); mend its setting, tickets stay open"
        return Check(name, ok=False, line=line)
    line = (
        f"the channel {paused.name} is paused for {paused.seconds_left:.0f} s ({paused.reason}): nobody can "
        "tell whether cards arrive; it is probed by itself, tickets stay open"
    )
    return Check(name, ok=False, line=line)


def check_inbox(readings: Readings) -> Check:
    inbox = readings.inbox
    if inbox.set_aside:
        line = (
            f"{inbox.set_aside} webhook events were set aside after 5 failed drains; the log has the reason, "
            "and polls and sweeps find their tickets"
        )
        return Check("inbox", ok=False, line=line)
    if inbox.oldest_seconds > OLDEST_OPEN_SECONDS:
        line = f"{inbox.waiting} webhook events wait, the oldest for {span(inbox.oldest_seconds)}"
        return Check("inbox", ok=False, line=line + "; is a worker running that drains them?")
    return Check("inbox", ok=True, line=f"{inbox.waiting} webhook events wait")


def check_horizon(readings: Readings, limits: Limits) -> Check:
    """What of the design's §5 list lies furthest back, if that is more than retention explains."""
    allowed = (limits.retention_days + HORIZON_DAYS) * DAY
    # The stored horizon follows the others: it is named only where none of them explains its lag.
    bounds = {name: age for name, age in readings.horizon.items() if name != "horizon"}
    oldest = max(bounds, key=lambda name: bounds[name], default="horizon")
    if bounds.get(oldest, 0.0) <= allowed:
        oldest = "horizon"
    age = readings.horizon.get(oldest, 0.0)
    if age <= allowed:
        return Check("horizon", ok=True, line="the memory horizon moves")
    line = f"the memory horizon is held back {age / DAY:.0f} days: {HOLDERS[oldest]}"
    return Check("horizon", ok=False, line=line)


def check_silences(readings: Readings, limits: Limits) -> Iterator[Check]:
    silences = find_silences(readings, limits)
    for source, line in silences.items():
        yield Check(f"silence_{source}", ok=False, line=line)
    if not silences:
        yield Check("silence", ok=True, line="no source is silent against its past")


def check_job(job: JobReading) -> Check:
    if job.finished_seconds is None:
        return Check(f"job_{job.name}", ok=True, line=f"the job {job.name} has not ended yet")
    ago = f"{span(job.finished_seconds)} ago"
    if not job.failed:
        return Check(f"job_{job.name}", ok=True, line=f"the job {job.name} ended well {ago}")
    line = f"the job {job.name} failed ({job.last_result}) {ago}; it is tried again, the log has more"
    return Check(f"job_{job.name}", ok=False, line=line)


def check_poll(readings: Readings, limits: Limits) -> Iterator[Check]:
    """Only where a worker polls: how often somebody else's timetable runs ``run-once`` is not known here."""
    if readings.poll_seconds is None or all(job.name != "poll" for job in readings.jobs):
        return
    late = readings.poll_seconds > LATE_INTERVALS * limits.poll_interval_seconds
    line = f"the last good poll was {span(readings.poll_seconds)} ago"
    hint = "; is the worker running, and does HubSpot answer (python main.py doctor)?"
    yield Check("poll", ok=not late, line=line + (hint if late else ""))


def check_reconcile(readings: Readings) -> Iterator[Check]:
    """Only a worker compares by itself: where none ever ran, an old comparison is nobody's fault."""
    last = readings.reconciled
    if last is None:
        return
    line = f"compared with HubSpot {last.ended_at:%Y-%m-%d %H:%M} UTC: {last.counts.line}"
    late = last.seconds > OLDEST_RECONCILE_SECONDS and any(job.name == "reconcile" for job in readings.jobs)
    if last.counts.missing:
        line += ", which no source had shown; look in the log for what kept poll and sweep from them"
    elif late:
        line += "; is the worker running? python main.py reconcile does it now"
    yield Check("reconcile", ok=not (late or last.counts.missing), line=line)


def span(seconds: float) -> str:
    """``90 s``, ``15 min``, ``7 h``, ``3 days``: a length for a person."""
    for unit, length in (("days", DAY), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
