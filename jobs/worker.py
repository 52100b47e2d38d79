"""The long-running worker: a timetable, a drain loop, a handle loop, and an orderly end.

receiver -> (event) -> drain loop --\
                                     >-> (wake) -> handle loop -> TRIAGE_CONCURRENCY threads
timetable -> poll, sweep -----------/
"""

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from itertools import chain, repeat
from typing import Protocol

from jobs.channel_gates import ChannelGates
from jobs.drain_inbox import drain_inbox
from jobs.errors import SourceError
from jobs.handling import Handling
from jobs.job_runner import JobRunner
from jobs.loop import Loop
from jobs.note_events import note_event, note_fault
from jobs.parts import Parts, build_desk, build_gates, build_handling, new_owner, open_ledger
from jobs.presence import Presence
from jobs.run_report import Result
from jobs.schedule import Timetable
from jobs.timetable_jobs import TimetableJobs
from jobs.watchdog import Watchdog
from models import claims, cursors, releases, schema
from models.counts import Event
from models.database import open_database
from models.errors import StoreError, StoreUnreachable

log = logging.getLogger("triage")

#: Between looks without a wake: what another worker or a person's ``resend`` made due is seen by then.
IDLE_SECONDS, LEAST_IDLE_SECONDS = 15.0, 0.2
#: A webhook whose receiver died before the drain is seen by then.
DRAIN_EVERY_SECONDS = 10.0
DRAIN_LIMIT_SECONDS = 300.0
#: Both models, a turn at the channel and a card take two minutes at most, and ten where each call of a lone
#: local model waits as long as it may for a slot: what takes fifteen hangs.
TICKET_SECONDS = 900.0
#: Of the time to end, what is kept for cards on their way.
SENDS_SECONDS = 10.0
SIGNAL_SECONDS = 1.0
WEB_SECONDS = 3.0
OPENING_PAUSES = (1.0, 2.0, 5.0, 10.0, 20.0)


class Web(Protocol):
    """The HTTP side; it starts before the ledger is open, so that no webhook waits for HubSpot."""

    def start(self) -> None: ...
    def stop(self, seconds: float) -> bool: ...


class WorkerTally:
    """Where the handle loop's faults go; its tickets are logged by the handling and observed at the desk."""

    def __init__(self) -> None:
        self._fault: str | None = None

    def record(self, ticket_id: str, result: Result, provider: str | None = None) -> None:
        pass

    def problem(self, line: str, *, settings_fault: bool = False) -> None:
        note_fault("handle", line, settings_fault=settings_fault)
        self._fault = "settings fault" if settings_fault else "fault"

    def take_fault(self) -> str | None:
        """The kind of the last fault since the last call."""
        fault, self._fault = self._fault, None
        return fault


class Worker:
    """One process's work until ``parts.stopping`` is set; any number of workers may share a ledger."""

    def __init__(self, parts: Parts) -> None:
        self.parts, self.stopping = parts, parts.stopping
        self.owner = new_owner()
        self.presence = Presence(self.owner)
        self.is_ready = self.is_shutting_down = self._store_is_open = False
        self.drain_due = threading.Event()
        self._tally, self._idle_seconds = WorkerTally(), IDLE_SECONDS
        self._handling: Handling | None = None
        self._watchdog = Watchdog(self._find_hanging_ticket)
        self._runner = JobRunner(self._watchdog, parts.observations)

    @property
    def portal_id(self) -> str | None:
        """The ledger's portal, once it is open."""
        return self.parts.gateway.fetch_account().portal_id if self.is_ready else None

    def run(self, web: Web) -> None:
        """Work until told to stop, then finish or give back what is in hand within ``DRAIN_SECONDS``.

        Raises what settings or an operator must mend at the start: SettingsError for a port that is taken or
        a HubSpot token that is refused, StoreError but for a database that is only away.
        """
        with suppress(StoreUnreachable):  # the HTTP side then says so, and the opening is patient
            self._open_store()
        web.start()
        self.parts.warm_models()
        try:
            activated_at = self._open_patiently()
            if activated_at is not None:
                self._work(activated_at)
        finally:
            self.is_shutting_down = True
            web.stop(WEB_SECONDS)
            self._leave()

    def _open_patiently(self) -> datetime | None:
        """The activation, once database and HubSpot answer; None where told to stop before.

        Meanwhile health says so, and webhooks are stored as soon as the database is there.
        """
        for pause in chain(OPENING_PAUSES, repeat(OPENING_PAUSES[-1])):
            try:
                return self._open()
            except (SourceError, StoreUnreachable) as error:
                log.warning("the ledger is not open yet, trying again", extra={"reason": str(error)})
            if self.stopping.wait(pause):
                break
        return None

    def _open_store(self) -> None:
        """Once: the HTTP side uses the pool from then on."""
        if not self._store_is_open:
            settings = self.parts.settings
            open_database(settings.database_url.get_secret_value(), settings.db_pool_size)
            self._store_is_open = True

    def _open(self) -> datetime:
        self._open_store()
        schema.ensure_migrated()
        self.presence.renew()
        return open_ledger(self.parts)

    def _leave(self) -> None:
        if self._store_is_open:
            with suppress(StoreError):  # then its lease runs out
                self.presence.end()

    def _work(self, activated_at: datetime) -> None:
        gates = build_gates(self.parts, self._tally)
        desk = build_desk(self.parts, self.owner, activated_at, gates)
        handling = self._handling = build_handling(self.parts, desk, self._tally)
        loops = [self._handle_loop(handling, gates), self._drain_loop(handling)]
        jobs = TimetableJobs(
            self.parts,
            self.owner,
            self._runner,
            presence=self.presence,
            wake=handling.wake,
            lookout=gates.lookout,
            is_well=lambda: all(loop.is_well for loop in loops),
        )
        timetable = Timetable(jobs.jobs())
        self._runner.next_run_at = timetable.next_run_at
        self._watchdog.start()
        for loop in loops:
            loop.start()
        timetable.start()
        self.is_ready = True
        log.info("worker started", extra={"owner": self.owner})
        # Not without end: where the system gives the signal to another thread, its handler runs as soon as
        # this one comes back from a wait, and no earlier.
        while not self.stopping.wait(SIGNAL_SECONDS):
            pass
        self._end(timetable, handling, loops)

    def _handle_loop(self, handling: Handling, gates: ChannelGates) -> Loop:
        def handle() -> str | None:
            gates.look()
            if gates.any_open:
                handling.run(self.stopping.is_set)
            for fault in self.parts.triager.take_faults():
                note_fault("triage", fault.line, settings_fault=fault.settings_fault)
            gates.look()
            gates.name_held()
            self._idle_seconds = idle_seconds(gates)
            return self._tally.take_fault()

        def wait() -> None:
            handling.wait_for_wake(self._idle_seconds)

        return Loop("handle", handle, wait, runner=self._runner, stopping=self.stopping)

    def _drain_loop(self, handling: Handling) -> Loop:
        def drain() -> str | None:
            # Cleared before the drain looks: what is stored after that sets it again.
            self.drain_due.clear()
            drained = drain_inbox(self.stopping.is_set)
            if drained.found or drained.reopened:
                handling.wake()
            if drained.dropped:
                self.parts.observations.webhook_dropped(drained.dropped)
                note_event(Event.WEBHOOK_DROPPED, drained.dropped)
            return "events not moved" if drained.failed else None

        return Loop(
            "drain",
            drain,
            lambda: self.drain_due.wait(DRAIN_EVERY_SECONDS),
            runner=self._runner,
            stopping=self.stopping,
            limit_seconds=DRAIN_LIMIT_SECONDS,
        )

    def _find_hanging_ticket(self) -> str | None:
        """A ticket in hand for too long; one whose outcome waits for the store does not hang."""
        if self._handling is None or self.parts.insist.waits:
            return None
        now = time.monotonic()
        late = (one for one, since in self._handling.in_hand().items() if now - since > TICKET_SECONDS)
        return next((f"ticket {one}" for one in late), None)

    def _end(self, timetable: Timetable, handling: Handling, loops: Sequence[Loop]) -> None:
        """Claim no more; give back what is not on its way to a channel in time, and wait for what is."""
        drain_seconds = float(self.parts.settings.drain_seconds)
        until = time.monotonic() + drain_seconds
        self.is_shutting_down = True
        log.info("worker stops", extra={"in_hand": len(handling.in_hand())})
        timetable.stop()
        handling.wake()
        self.drain_due.set()
        for loop in loops:
            loop.join(until - min(SENDS_SECONDS, drain_seconds / 3) - time.monotonic())
        self._watchdog.stop()
        given_back = self._give_back()
        self.parts.flush_usage()
        for loop in loops:
            loop.join(until - time.monotonic())
        log.info("worker stopped", extra={"given_back": given_back})

    def _give_back(self) -> int:
        """What nobody began to send is due for others at once, and so are poll and sweep."""
        try:
            for name in ("poll", "sweep"):
                cursors.drop_lease(name, self.owner)
            return releases.release_unsent(self.owner)
        except StoreError as error:
            log.warning("claims not given back; their leases run out", extra={"reason": str(error)})
            return 0


def idle_seconds(gates: ChannelGates) -> float:
    """How long the handle loop may wait for a wake; asks the ledger when the next ticket is due."""
    due = claims.seconds_until_due()
    if due is None:
        return IDLE_SECONDS
    return min(IDLE_SECONDS, max(LEAST_IDLE_SECONDS, due, gates.seconds_until_open))
