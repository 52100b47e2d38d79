"""One run: poll, sweep if due, drain, handle until nothing is due, report."""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable

from jobs.channel_gates import ChannelGates
from jobs.errors import SettingsError, TriageError
from jobs.find_tickets import find_tickets
from jobs.handling import Handling
from jobs.parts import Parts, build_desk, build_gates, build_handling, new_owner, open_ledger
from jobs.run_report import RunReport
from models import claims, schema, stats

log = logging.getLogger("triage")

RUN_SECONDS = 900.0
GRACE_SECONDS = 60.0
WAIT_FOR_RETRIES_SECONDS = 60.0


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
        parts.flush_usage()
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
    owner = new_owner()

    def stop() -> bool:
        return parts.stopping.is_set() or time.monotonic() > deadline

    try:
        activated_at = open_ledger(parts)
    except TriageError as error:
        tell_fault(report, error)
        return
    fault = find_tickets(report, parts, owner, activated_at, stop)
    gates = build_gates(parts, report)
    desk = build_desk(parts, owner, activated_at, gates)
    handling = build_handling(parts, desk, report)
    handle_until_none_due(handling, gates, parts.stopping, report, stop)
    gates.report_into(report)
    # Told last: a run with a problem does not wait for retries, and what the others found may need one.
    if fault:
        tell_fault(report, fault)


def tell_fault(report: RunReport, fault: TriageError) -> None:
    report.problem(str(fault), settings_fault=isinstance(fault, SettingsError))


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
        gates.look_for_cards()
        gates.look()
        gates.name_held()
        seconds = seconds_until_work(gates)
        if report.problems or seconds is None or seconds > WAIT_FOR_RETRIES_SECONDS:
            return
        if stopping.wait(max(0.2, seconds)) or stop():
            report.problem("the run was stopped before all was handled; the next run goes on")
            return


def seconds_until_work(gates: ChannelGates) -> float | None:
    """Seconds until a ticket is due or a look can decide one; None where there is nothing to wait for."""
    due = claims.seconds_until_due()
    waits = [] if due is None else [max(due, gates.seconds_until_open)]
    return min([*waits, *gates.lookout.seconds_until_decided()], default=None)


def end_hung_process() -> None:
    log.error("run exceeded its deadline and was ended")
    sys.stderr.write("the run did not end in 16 minutes and was stopped; the next run goes on\n")
    sys.stderr.flush()
    os._exit(1)
