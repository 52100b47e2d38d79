"""What the worker does by the clock: poll, sweep, looks for cards, retention, reconcile, upkeep, alerts."""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta

from jobs import take_readings
from jobs.back_up import back_up
from jobs.heartbeat import beat
from jobs.job_runner import JobRunner, Work
from jobs.look_for_cards import LookOut
from jobs.note_events import note_event, note_fault
from jobs.parts import Parts
from jobs.poll_tickets import poll_tickets
from jobs.presence import RENEWED_SECONDS, Presence
from jobs.prune_records import prune_records
from jobs.raise_alarms import AlarmMemory, Send, alarm_sender, raise_alarms
from jobs.reconcile_tickets import is_reconcile_due, reconcile_tickets
from jobs.schedule import Job
from jobs.sweep_tickets import is_sweep_due, sweep_tickets
from jobs.tidy_records import tidy_records
from models.counts import Event
from models.errors import StoreError
from models.job_runs import has_run_well_within

log = logging.getLogger("triage")

DAY = timedelta(hours=24)
#: How often is looked whether a sweep is due: another worker, or the one before, may have swept.
SWEEP_LOOK_SECONDS = 60.0
#: The same for the nightly comparison, which follows retention. One search a second leaves three to the poll.
RECONCILE_LOOK_SECONDS = 300.0
RECONCILE_REST_SECONDS = 1.0
#: How often is asked whether a card in doubt is to be looked for; most times none is.
LOOKS_SECONDS = 5.0
UPKEEP_SECONDS = 3600.0
ALERTS_SECONDS = 60.0
#: Past these the process ends. 400,000 tickets, at four searches a second, take poll or sweep 10 min; the
#: comparison, at one, takes 35 min for them.
LIMITS = {
    "poll": 3600.0,
    "sweep": 3600.0,
    "looks": 900.0,
    "retention": 3600.0,
    "reconcile": 10_800.0,
    "backup": 3600.0,
    "upkeep": 900.0,
    "alerts": 300.0,
    "presence": 300.0,
}
#: Most of their runs find nothing to do.
LOOPS = frozenset({"sweep", "looks", "reconcile", "alerts", "presence"})


def is_overdue(name: str) -> bool:
    """Whether a nightly job did not run well for a day; so it counts where the ledger cannot tell."""
    try:
        return not has_run_well_within(name, DAY)
    except StoreError:
        return True


@dataclass(frozen=True)
class TimetableJobs:
    """``wake`` tells the handle loop that something may be due; ``is_well`` whether both loops are."""

    parts: Parts
    owner: str
    runner: JobRunner
    presence: Presence
    wake: Callable[[], object]
    lookout: LookOut
    is_well: Callable[[], bool]

    def jobs(self) -> list[Job]:
        """Each never raises. Retention that a deploy made miss its hour runs at once."""
        settings, memory = self.parts.settings, AlarmMemory()
        url = settings.alert_discord_webhook_url
        send = alarm_sender(url.get_secret_value() if url else None)

        def alert() -> None:
            self.alert(send, memory)

        sweep_look = min(SWEEP_LOOK_SECONDS, settings.sweep_interval_minutes * 60)
        overdue = is_overdue("retention")
        return [
            Job("poll", self._run("poll", self.poll), every_seconds=settings.poll_interval_seconds),
            Job("sweep", self._run("sweep", self.sweep), every_seconds=sweep_look),
            Job("looks", self._run("looks", self.look), every_seconds=LOOKS_SECONDS),
            Job(
                "retention",
                self._run("retention", self.forget),
                hour_utc=settings.retention_hour_utc,
                at_once=overdue,
            ),
            Job(
                "reconcile",
                self._run("reconcile", self.reconcile),
                every_seconds=RECONCILE_LOOK_SECONDS,
                at_once=False,
            ),
            Job("upkeep", self._run("upkeep", self.tidy), every_seconds=UPKEEP_SECONDS, at_once=False),
            Job("alerts", self._run("alerts", alert), every_seconds=ALERTS_SECONDS),
            Job("presence", self._run("presence", self.stay), every_seconds=RENEWED_SECONDS),
            *self._backup(),
        ]

    def _backup(self) -> list[Job]:
        settings, folder = self.parts.settings, self.parts.settings.backup_dir
        if folder is None:
            return []

        def save() -> None:
            back_up(folder, settings.backup_keep, self.owner, self.parts.now())

        hour = settings.retention_hour_utc
        return [Job("backup", self._run("backup", save), hour_utc=hour, at_once=is_overdue("backup"))]

    def _run(self, name: str, work: Work) -> Callable[[], object]:
        return lambda: self.runner.run(name, work, limit_seconds=LIMITS[name], loop=name in LOOPS)

    def poll(self) -> str | None:
        polled = poll_tickets(
            self.parts.gateway,
            self.owner,
            lease_seconds=self.parts.settings.lease_seconds,
            overlap=self.parts.overlap,
            now=self.parts.now,
        )
        log.info("poll finished", extra=asdict(polled))
        self._note_shown("poll", polled.shown, changed=polled.found + polled.reopened)
        if polled.clock_fault:
            note_fault("poll", polled.clock_fault, settings_fault=False)
            return "a clock is behind"
        if self.is_well() and self.parts.settings.heartbeat_url is not None:
            beat(self.parts.settings.heartbeat_url.get_secret_value())
        return None

    def sweep(self) -> None:
        settings = self.parts.settings
        if not is_sweep_due(timedelta(minutes=settings.sweep_interval_minutes)):
            return
        swept = sweep_tickets(
            self.parts.gateway,
            self.owner,
            lease_seconds=settings.lease_seconds,
            hours=settings.sweep_hours,
            now=self.parts.now,
            stop=self.parts.stopping.is_set,
        )
        log.info("sweep finished", extra=asdict(swept))
        self._note_shown("sweep", swept.shown, changed=swept.found + swept.reopened)

    def _note_shown(self, source: str, shown: int, *, changed: int) -> None:
        if changed:
            self.wake()
        if shown:
            note_event(Event.SEARCH_SHOWED, shown, of=source)

    def stay(self) -> None:
        self.presence.renew()

    def look(self) -> None:
        if self.lookout.look_where_due():
            self.wake()

    def forget(self) -> None:
        prune_records(
            self.parts.settings.retention_days,
            dry_run=False,
            overlap=self.parts.overlap,
            stop=self.parts.stopping.is_set,
        )

    def reconcile(self) -> None:
        """Where it was cut short, it is due again for whoever works next."""
        parts = self.parts
        if not is_reconcile_due(parts.settings.retention_hour_utc, parts.now()):
            return
        report = reconcile_tickets(
            parts.gateway,
            since=None,
            overlap=parts.overlap,
            now=parts.now,
            stop=lambda: parts.stopping.wait(RECONCILE_REST_SECONDS),
        )
        if report.counts.missing or report.counts.open:
            self.wake()

    def tidy(self) -> None:
        tidy_records(self.parts.settings.retention_days, stop=self.parts.stopping.is_set)

    def alert(self, send: Send, memory: AlarmMemory) -> None:
        """Without a database there is one alarm to raise: that there is none."""
        settings = self.parts.settings
        self.parts.flush_usage()
        readings = None
        fault: StoreError | None = None
        try:
            readings = take_readings.take_alarm_readings(
                self.parts.channels, self.parts.overlap.total_seconds()
            )
        except StoreError as error:
            fault = error
        raise_alarms(readings, send, memory, take_readings.limits_of(settings))
        if fault is not None:
            raise fault
