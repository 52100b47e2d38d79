"""One simulated process: the product's own jobs and loops, with clocks, sleeps and services of the world's.

What ``jobs.worker`` does with APScheduler, threads and signals is done by actors; the rest is its code.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from jobs.channel_gates import ChannelGates
from jobs.desk import Desk
from jobs.drain_inbox import drain_inbox
from jobs.errors import SourceError
from jobs.handling import Handling
from jobs.hubspot.gateway import HubSpotGateway
from jobs.job_runner import attempted
from jobs.look_for_cards import LookOut
from jobs.note_events import note_fault
from jobs.notify.channel import Channel
from jobs.parts import Insistence, Parts, build_desk, open_ledger
from jobs.poll_tickets import poll_tickets
from jobs.prune_records import prune_records
from jobs.reconcile_tickets import is_reconcile_due, reconcile_tickets
from jobs.run_report import Result
from jobs.sweep_tickets import is_sweep_due, sweep_tickets
from models import claims, cursors, releases
from models.errors import StoreError, StoreUnreachable, WrongPortal
from models.utc import to_utc
from tests.simulation.clock import DAY, HOUR, MachineClock
from tests.simulation.hubspot import WorldClient
from tests.simulation.scheduler import Process
from tests.simulation.seams import BOT, build_bot, build_webhook
from tests.simulation.shape import Shape
from tests.simulation.threads import Event

if TYPE_CHECKING:
    from tests.simulation.world import World

#: What jobs may come to in a world with faults; anything else is the product's own mistake.
EXPECTED = {"ok", "StoreUnreachable", "SourceError", "SettingsError", "a clock is behind", "fault"}
NIGHT = 3 * HOUR  #: of the day, by the worker's clock


def build_gateway(world: "World", clock: MachineClock) -> HubSpotGateway:
    """To the portal that tokens belong to at this moment."""
    portal = world.other_portal.portal if world.other_portal.is_met else world.portal
    client = WorldClient(portal, world.weather, world.effects, world.truth, clock)
    return HubSpotGateway(client, pipelines=world.shape.pipelines)  # type: ignore[arg-type]


class Tally:
    """Where the handle loop's faults go; one of our own code is an offence."""

    def __init__(self, world: "World") -> None:
        self._world, self._fault = world, False

    def record(self, ticket_id: str, result: Result, provider: str | None = None) -> None:
        """What became of tickets is judged by the ledger."""

    def problem(self, line: str, *, settings_fault: bool = False) -> None:
        note_fault("handle", line, settings_fault=settings_fault)
        self._fault = True

    def take_fault(self) -> str | None:
        fault, self._fault = self._fault, False
        return "fault" if fault else None


class Worker:
    """Starts at once, as actors of a process of its own, with the world's shape as it is then."""

    def __init__(self, world: "World", name: str, clock: MachineClock) -> None:
        self.world, self.name, self.clock = world, name, clock
        self.shape: Shape = world.shape
        self.process = Process(name)
        self.scheduler = world.scheduler
        self.stopping = Event(self.scheduler)
        self.drain_due = Event(self.scheduler)
        self.handling: Handling | None = None
        self.is_open = False
        self._tally = Tally(world)
        self._parts = self._build_parts()
        self.spawn("main", self._main)

    @property
    def gateway(self) -> HubSpotGateway:
        return self._parts.gateway

    @property
    def portal_id(self) -> str | None:
        """The ledger's portal, once it is open."""
        return self.gateway.fetch_account().portal_id if self.is_open else None

    def spawn(self, name: str, work: Callable[[], object]) -> None:
        self.scheduler.spawn(self.process, name, work)

    def _build_parts(self) -> Parts:
        world = self.world
        return Parts(
            settings=world.settings,
            gateway=build_gateway(world, self.clock),
            triager=world.model,  # type: ignore[arg-type]
            channels=[self._build_channel(name) for name in self.shape.channels],
            stopping=self.stopping,  # type: ignore[arg-type]
            now=self.clock.utc,
            insist=Insistence(self.scheduler.sleep),
        )

    def _build_channel(self, name: str) -> Channel:
        discord, transport = self.world.discord, self.world.transport
        if name == BOT:
            return build_bot(discord.api_url, self.scheduler, transport)
        return build_webhook(discord.webhook_url, self.scheduler, transport)

    def _seconds(self) -> float:
        """CLOCK_BOOTTIME and time.monotonic: both run on while a process is stopped."""
        return self.scheduler.time.now

    def _main(self) -> None:
        activated_at = self._open_patiently()
        if activated_at is None:
            return
        self.world.truth.activated_at = activated_at.timestamp()
        gateway = self._parts.gateway
        link_of = gateway.fetch_account().ticket_link
        gates = ChannelGates(
            self._parts.channels,
            link_of,
            clock=self._seconds,
            most_held=self.shape.threads,
            lookout=LookOut(
                self._parts.channels, link_of, clock=self._seconds, fetch_merged=gateway.fetch_merged
            ),
        )
        desk = replace(
            build_desk(self._parts, self.name, activated_at, gates),
            lease_clock=self._seconds,
            lease_seconds=self.shape.lease_seconds,
        )
        self.handling = self._build_handling(desk)
        self.is_open = True
        self._start_loops(self.handling, gates)

    def _open_patiently(self) -> datetime | None:
        while not self.stopping.is_set():
            try:
                return open_ledger(self._parts)
            except (SourceError, StoreUnreachable):
                self.stopping.wait(20.0)
            except WrongPortal:
                self.world.refuse(self)
                return None
        return None

    def _build_handling(self, desk: Desk) -> Handling:
        return Handling(
            desk,
            self._parts.gateway.fetch_tickets,
            lambda ticket: int(ticket.ticket_id) % 3,  # whatever is urgent, the order must not matter
            self.shape.threads,
            self._tally,
            clock=self._seconds,
        )

    def _start_loops(self, handling: Handling, gates: ChannelGates) -> None:
        pace = self.shape.pace
        self.spawn("poll", lambda: self._every(pace.poll, "poll", self._poll))
        self.spawn("sweep", lambda: self._every(pace.sweep / 4, "sweep", self._sweep))
        self.spawn("looks", lambda: self._every(pace.looks, "looks", lambda: self._look(gates.lookout)))
        self.spawn("compare", lambda: self._every(pace.compare, "reconcile", self._compare))
        self.spawn("nightly", lambda: self._nightly())
        self.spawn("drain", lambda: self._drain_loop(handling))
        self.spawn("handle", lambda: self._handle_loop(handling, gates))

    def _every(self, seconds: float, name: str, work: Callable[[], str | None]) -> None:
        while not self.stopping.is_set():
            self._attempt(name, work)
            self.stopping.wait(seconds)

    def _attempt(self, name: str, work: Callable[[], str | None]) -> bool:
        result = attempted(name, work)
        if result not in EXPECTED:
            self.world.truth.offences.append(f"the job {name} of {self.name} failed: {result}")
        return result == "ok"

    def _poll(self) -> str | None:
        polled = poll_tickets(
            self._parts.gateway,
            self.name,
            lease_seconds=self.shape.lease_seconds,
            overlap=self._parts.overlap,
            now=self._parts.now,
        )
        if polled.found or polled.reopened:
            self._wake()
        return "a clock is behind" if polled.clock_fault else None

    def _sweep(self) -> str | None:
        if not is_sweep_due(timedelta(seconds=self.shape.pace.sweep)):
            return None
        swept = sweep_tickets(
            self._parts.gateway,
            self.name,
            lease_seconds=self.shape.lease_seconds,
            hours=self._parts.settings.sweep_hours,
            now=self._parts.now,
            stop=self.stopping.is_set,
        )
        if swept.found or swept.reopened:
            self._wake()
        return None

    def _compare(self) -> str | None:
        if is_reconcile_due(int(NIGHT / HOUR), self.clock.utc()):
            reconcile_tickets(
                self.gateway,
                since=None,
                overlap=self._parts.overlap,
                now=self.clock.utc,
                stop=lambda: self.stopping.wait(1.0),
            )
            self._wake()
        return None

    def _look(self, lookout: LookOut) -> str | None:
        if lookout.look_where_due():
            self._wake()
        return None

    def _wake(self) -> None:
        if self.handling is not None:
            self.handling.wake()

    def _nightly(self) -> None:
        while not self.stopping.is_set():
            of_day = self.clock.seconds() % DAY
            self.stopping.wait((NIGHT - of_day) % DAY or DAY)
            if not self.stopping.is_set():
                self._attempt("retention", self._forget)

    def _forget(self) -> str | None:
        try:
            prune_records(
                self.shape.retention_days,
                dry_run=False,
                overlap=self._parts.overlap,
                sleep=self.scheduler.sleep,
                clock=self.clock.utc,
                stop=self.stopping.is_set,
            )
        finally:
            self._note_horizon()
        return None

    def _note_horizon(self) -> None:
        """Where it stands: retention raises it first, and may fail or die after."""
        found = self.world.outside.rows("SELECT horizon_at FROM poll_cursors WHERE name = 'ledger'")
        for at in (to_utc(row["horizon_at"]) for row in found):
            if at is not None:
                self.world.truth.horizons.append((self.scheduler.time.now, at.timestamp()))

    def _drain_loop(self, handling: Handling) -> None:
        def drain() -> str | None:
            self.drain_due.clear()
            drained = drain_inbox(self.stopping.is_set)
            if drained.found or drained.reopened:
                handling.wake()
            return None

        while not self.stopping.is_set():
            if self._attempt("drain", drain):
                self.drain_due.wait(self.shape.pace.drain)
            else:
                self.stopping.wait(5.0)

    def _handle_loop(self, handling: Handling, gates: ChannelGates) -> None:
        idle = self.shape.pace.idle

        def handle() -> str | None:
            nonlocal idle
            gates.look()
            if gates.any_open:
                handling.run(self.stopping.is_set)
            gates.look()
            gates.name_held()
            idle = self._idle_seconds(gates)
            return self._tally.take_fault()

        while not self.stopping.is_set():
            if self._attempt("handle", handle):
                handling.wait_for_wake(idle)
            else:
                self.stopping.wait(5.0)

    def _idle_seconds(self, gates: ChannelGates) -> float:
        """As ``jobs.worker.idle_seconds``, with a longest time that suits a world of weeks."""
        due, longest = claims.seconds_until_due(), self.shape.pace.idle
        return longest if due is None else min(longest, max(0.2, due, gates.seconds_until_open))

    def stop(self) -> None:
        """SIGTERM: what is in hand may end, then what nobody began to send is given back."""
        self.spawn("end", self._end)

    def _end(self) -> None:
        self.stopping.set()
        self.drain_due.set()
        self._wake()
        self.scheduler.sleep(self.world.rng.choice((0.0, 2.0, 20.0)))
        with suppress(StoreError):
            for name in ("poll", "sweep"):
                cursors.drop_lease(name, self.name)
            releases.release_unsent(self.name)
        self.scheduler.sleep(10.0)
        self.world.doubt_what_is_in_hand(self)
        self.world.effects.end(self.process)
