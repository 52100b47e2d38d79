"""``run-once``: live, dry or in the sandbox, for a person at a terminal and for machines."""

import _thread
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.logs import start_logging
from jobs.name_held_tickets import HELD_HINT
from jobs.notify.channel import Channel
from jobs.notify.console import ConsoleChannel
from jobs.observations import Observations
from jobs.parts import Parts, Watch
from jobs.preview_tickets import preview_run
from jobs.run_once import run_once
from jobs.run_report import RunReport
from jobs.settings import Need, Settings, load_settings
from jobs.usage_meter import UsageMeter
from jobs.verbs.printing import plain_table, print_json, print_table, remark, say
from jobs.wiring import build_channels, build_gateway, build_triager
from models import schema
from models.database import close_database, may_exist, open_database

if TYPE_CHECKING:
    from rich.table import Table

ROWS = (
    ("found", "new tickets that HubSpot showed"),
    ("notified", "told, each once"),
    ("failed", "of these without a model, by rules"),
    ("retrying", "not told yet, tried again later"),
    ("skipped", "not to be told"),
    ("merged", "part of another ticket by now, which is told"),
    ("open", "open now, in the whole ledger"),
    ("unconfirmed", "held now: nobody can tell whether they were sent"),
)
SIMULATION = (
    "This is a simulation: HubSpot, the model and Discord run on 127.0.0.1, the ledger is sandbox.db,\n"
    "cards are shown here too, and nothing leaves this machine.\n"
)


def run_sandbox(tickets: Path | None, *, as_json: bool) -> int:
    """Everything simulated but the work: real HTTP on loopback, a real ledger in ``sandbox.db``."""
    from jobs.sandbox.world import sandbox_world

    with sandbox_world(tickets) as world:
        needs = Need.HUBSPOT | Need.MODEL | Need.DATABASE
        settings = load_settings(world.settings, needs=needs, isolated=True)
        (remark if as_json else say)(SIMULATION)
        # The console beside the simulated Discord, whose cards nobody could see.
        return run_with(settings, [*build_channels(settings), console(as_json)], as_json=as_json)


def run_live(*, dry_run: bool, as_json: bool) -> int:
    """``dry_run`` needs no channel yet: it is the first step of going live."""
    settings = load_settings(needs=Need.LIVE & ~Need.CHANNEL if dry_run else Need.LIVE)
    for line in settings.warnings:
        remark(f"note: {line}")
    if dry_run:
        return preview_with(settings, as_json=as_json)
    return run_with(settings, build_channels(settings), as_json=as_json)


def console(as_json: bool) -> ConsoleChannel:
    """``--json`` keeps standard output for its one object."""
    return ConsoleChannel(sys.stderr if as_json else None)


def run_with(settings: Settings, channels: Sequence[Channel], *, as_json: bool) -> int:
    start_logging(log_level_of(settings))
    open_database(settings.database_url.get_secret_value(), settings.db_pool_size)
    try:
        with (
            stop_on_signals() as stopping,
            closing(build_parts(settings, channels, stopping)) as parts,
            progress_bar(as_json=as_json) as watch,
        ):
            report = run_once(replace(parts, watch=watch))
    finally:
        close_database()
    return show_report(report, as_json=as_json)


def preview_with(settings: Settings, *, as_json: bool) -> int:
    """``--dry-run``: an existing ledger is read to leave out what was told, and never written or made."""
    start_logging(log_level_of(settings))
    url = settings.database_url.get_secret_value()
    present = may_exist(url)
    if present:
        open_database(url, settings.db_pool_size)
    try:
        ledger_exists = present and schema.is_ready()
        with (
            stop_on_signals() as stopping,
            closing(build_parts(settings, [console(as_json)], stopping)) as parts,
        ):
            report = preview_run(parts, ledger_exists=ledger_exists)
    finally:
        close_database()
    return show_report(report, as_json=as_json)


def build_parts(
    settings: Settings,
    channels: Sequence[Channel],
    stopping: threading.Event,
    observations: Observations | None = None,
) -> Parts:
    """Without ``observations`` nothing is noted."""
    noted = observations or Observations()
    meter = UsageMeter(noted)
    triager = build_triager(
        settings,
        meter,
        lambda provider, is_open: noted.model_passed_over(provider.value, is_open),
        noted.answer_guarded,
    )
    return Parts(
        settings=settings,
        gateway=build_gateway(settings, noted.hubspot_answered),
        triager=triager,
        flush_usage=meter.flush,
        warm_models=triager.warm,
        channels=channels,
        stopping=stopping,
        observations=noted,
    )


def log_level_of(settings: Settings) -> str:
    """At a terminal the cards and the table tell what the log lines would."""
    quiet = sys.stderr.isatty() and settings.log_level == "INFO"
    return "WARNING" if quiet else settings.log_level


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """The first SIGINT or SIGTERM stops claiming and lets the work in hand end; a second ends at once."""
    stopping, asked = threading.Event(), list[int]()

    def stop(number: int, _frame: object) -> None:
        if asked:
            os._exit(128 + number)
        asked.append(number)
        # By another thread: this one may stand in a wait that holds the event's lock, and would for ever.
        _thread.start_new_thread(stopping.set, ())

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def progress_bar(*, as_json: bool) -> Iterator[Watch]:
    """A bar below the cards where a person is watching; nothing elsewhere."""
    if as_json or not sys.stdout.isatty():
        yield Watch()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    with Progress(TextColumn("tickets"), BarColumn(), MofNCompleteColumn(), transient=True) as progress:
        bar = progress.add_task("tickets", total=None)
        yield Watch(
            on_open=lambda total: progress.update(bar, total=total),
            on_handled=lambda _: progress.advance(bar),
        )


def show_report(report: RunReport, *, as_json: bool) -> int:
    if as_json:
        print_json(report.as_json())
    else:
        print_table(report_table(report))
    for line in (*(f"note: {note}" for note in report.notes), *report.problems):
        remark(line)
    if report.unconfirmed:
        remark(f"held tickets: {HELD_HINT}")
    return report.exit_code


def report_table(report: RunReport) -> "Table":
    counts = report.as_json()
    table = plain_table("", "", "")
    for name, words in ROWS:
        table.add_row(name, str(counts[name]), words)
    by_provider = ", ".join(f"{count} {name}" for name, count in report.by_provider.items())
    table.add_row("triaged by", by_provider or "-", f"in {report.seconds:.1f} s")
    return table
