"""One run: poll, sweep if due, drain, handle until nothing is due, report."""

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from jobs.channel_gates import ChannelGates
from jobs.clock import utc_now
from jobs.errors import SettingsError, TriageError
from jobs.find_tickets import find_tickets
from jobs.handle_tickets import Desk, Handled
from jobs.handling import Handling
from jobs.hubspot.gateway import HubSpotGateway
from jobs.notify.channel import Channel
from jobs.run_report import RunReport
from jobs.settings import Settings
from jobs.ticket import Ticket
from jobs.triage.chain import Triager
from jobs.triage.rules import judge_priority
from models import claims, cursors, schema, stats
from models.errors import StoreUnreachable

log = logging.getLogger("triage")
R = TypeVar("R")

RUN_SECONDS = 900.0
GRACE_SECONDS = 60.0
WAIT_FOR_RETRIES_SECONDS = 60.0


@dataclass(frozen=True)
class Watch:
    """For a person who watches: the number of open tickets once found, and each handled one."""

    on_open: Callable[[int], object] = lambda _: None
    on_handled: Callable[[Handled], object] = lambda _: None


@dataclass(frozen=True)
class Parts:
    """What a run works with."""

    settings: Settings
    gateway: HubSpotGateway
    triager: Triager
    channels: Sequence[Channel]
    stopping: threading.Event = field(default_factory=threading.Event)
    watch: Watch = field(default_factory=Watch)
    now: Callable[[], datetime] = utc_now

    def close(self) -> None:
        """Close idle connections to the services."""
        self.gateway.close()
        self.triager.close()
        for channel in self.channels:
            channel.close()


def run_once(parts: Parts) -> RunReport:
    """Find, triage and tell; faults of services stand in the report. Raises StoreError and SettingsError.

    Ends by itself: after 15 minutes nothing new is started, a minute later the process is ended.
    """
    started = time.monotonic()
    report = RunReport()
    watchdog = threading.Timer(RUN_SECONDS + GRACE_SECONDS, end_hung_process)
    watchdog.daemon = True
    watchdog.start()
    try:
        schema.ensure_migrated()
        work_until(started + RUN_SECONDS, parts, report)
        standing = stats.read_stats()
        report.open, report.unconfirmed = standing.open, standing.unconfirmed
    finally:
        watchdog.cancel()
    report.note_faults(parts.triager.take_faults())
    report.seconds = time.monotonic() - started
    counts = {name: value for name, value in report.as_json().items() if isinstance(value, int)}
    log.info("run finished", extra=counts)
    return report


def work_until(deadline: float, parts: Parts, report: RunReport) -> None:
    owner = f"{socket.gethostname()[:60]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"

    def stop() -> bool:
        return parts.stopping.is_set() or time.monotonic() > deadline

    try:
        activated_at = open_ledger(parts)
    except TriageError as error:
        tell_fault(report, error)
        return
    fault = find_tickets(report, parts, owner, activated_at, stop)
    gates = ChannelGates(parts.channels, parts.gateway.fetch_account().ticket_link)
    desk = Desk(
        owner=owner,
        triage=parts.triager.triage,
        channels=parts.channels,
        insist=insist,
        activated_at=activated_at,
        lease_seconds=parts.settings.lease_seconds,
        pipelines=frozenset(parts.settings.hubspot_pipelines),
        now=parts.now,
        gates=gates,
    )
    handling = Handling(
        desk,
        parts.gateway.fetch_tickets,
        urgency_of,
        parts.settings.triage_concurrency,
        report,
        parts.watch.on_handled,
    )
    handle_until_none_due(handling, gates, parts.stopping, report, stop)
    gates.report_into(report)
    # Told last: a run with a problem does not wait for retries, and what the others found may need one.
    if fault:
        tell_fault(report, fault)


def tell_fault(report: RunReport, fault: TriageError) -> None:
    report.problem(str(fault), settings_fault=isinstance(fault, SettingsError))


def open_ledger(parts: Parts) -> datetime:
    """Bind the ledger to the token's portal and fix its activation, both once."""
    account = parts.gateway.fetch_account()
    cursors.bind_portal(account.portal_id)
    clocks = [parts.now(), parts.gateway.now() or parts.now()]
    overlap = timedelta(seconds=parts.settings.poll_overlap_seconds)
    return cursors.activate(min(clocks), parts.settings.notify_since, overlap)


def handle_until_none_due(
    handling: Handling,
    gates: ChannelGates,
    stopping: threading.Event,
    report: RunReport,
    stop: Callable[[], bool],
) -> None:
    while True:
        gates.look()
        handling.run(stop)
        gates.look()
        gates.name_held()
        due = claims.seconds_until_due()
        seconds = None if due is None else max(due, gates.seconds_until_open)
        if report.problems or seconds is None or seconds > WAIT_FOR_RETRIES_SECONDS:
            return
        if stopping.wait(max(0.2, seconds)) or stop():
            report.problem("the run was stopped before all was handled; the next run goes on")
            return


def urgency_of(ticket: Ticket) -> int:
    return judge_priority(ticket).rank


def insist(work: Callable[[], R]) -> R:
    """Repeat a ledger write until the store took it; the watchdog ends a process that waits in vain."""
    pause = 0.2
    while True:
        try:
            return work()
        except StoreUnreachable as error:
            log.warning("the ledger cannot be written, trying again", extra={"reason": str(error)})
            time.sleep(pause)
            pause = min(5.0, pause * 2)


def end_hung_process() -> None:
    log.error("run exceeded its deadline and was ended")
    os._exit(1)
