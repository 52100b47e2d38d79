"""A run's sources one after the other: poll, sweep if due, drain; what each did goes into the report."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from jobs.drain_inbox import drain_inbox
from jobs.errors import TriageError
from jobs.parts import Parts
from jobs.poll_tickets import poll_tickets
from jobs.run_report import RunReport
from jobs.sweep_tickets import is_sweep_due, sweep_tickets
from models import cursors, stats
from models.tickets import Source

#: At four searches a second 240,000 tickets; what a bulk edit brings beyond it is the worker's to sweep.
SWEEP_SECONDS = 300.0


def find_tickets(
    report: RunReport, parts: Parts, owner: str, activated_at: datetime, stop: Callable[[], bool]
) -> TriageError | None:
    """Poll, sweep if due, drain; returns HubSpot's fault, which does not keep the drain from its work."""
    fault = None
    # A poll from the activation on sees all there is to tell: a sweep right behind it would only repeat it.
    first_look = cursors.read_cursor(Source.POLL).looked_until_at == activated_at
    try:
        poll_into(report, parts, owner)
        if not first_look and is_sweep_due(timedelta(minutes=parts.settings.sweep_interval_minutes)):
            sweep_into(report, parts, owner, stop)
    except TriageError as error:
        fault = error
    drain_into(report, stop)
    parts.watch.on_open(stats.read_stats().open)
    return fault


def poll_into(report: RunReport, parts: Parts, owner: str) -> None:
    polled = poll_tickets(
        parts.gateway,
        owner,
        lease_seconds=parts.settings.lease_seconds,
        overlap=parts.overlap,
        now=parts.now,
    )
    report.count_proposed(polled.found, polled.reopened, merged=polled.merged)
    report.searches += polled.searches
    if polled.skipped:
        report.note("the poll was left to another process that is polling now")
    if polled.clock_fault:
        report.problem(polled.clock_fault)


def sweep_into(report: RunReport, parts: Parts, owner: str, stop: Callable[[], bool]) -> None:
    until = time.monotonic() + SWEEP_SECONDS
    swept = sweep_tickets(
        parts.gateway,
        owner,
        lease_seconds=parts.settings.lease_seconds,
        hours=parts.settings.sweep_hours,
        now=parts.now,
        stop=lambda: stop() or time.monotonic() > until,
    )
    report.count_proposed(swept.found, swept.reopened, swept.beyond_memory, swept.merged)
    report.swept += swept.shown
    report.searches += swept.searches
    if swept.skipped:
        report.note("the sweep was left to another process that is sweeping now")
    elif not swept.completed:
        report.note("the sweep did not see all there is; the next run repeats it whole")


def drain_into(report: RunReport, stop: Callable[[], bool]) -> None:
    drained = drain_inbox(stop)
    report.count_proposed(drained.found, drained.reopened, drained.beyond_memory, drained.merged)
    report.drained += drained.moved
    report.dropped += drained.dropped
    report.set_aside += drained.set_aside
    if drained.failed:
        report.note(
            f"{drained.failed} received events could not be moved to the ledger, {drained.set_aside} of them "
            "for the fifth time and set aside; poll and sweep find their tickets all the same"
        )
