"""One world: built from a seed, lived through with faults, brought to rest without."""

import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from jobs.errors import SettingsError, SourceError
from jobs.hold_restored import raise_by_hubspots_clock
from jobs.reconcile_tickets import reconcile_tickets
from jobs.sandbox.rate_limits import RateLimits
from jobs.settings import Need, Settings, load_settings
from models.barrier import Barrier, raise_barrier, replace_lost_ledger
from models.errors import BarrierRefused, LedgerUnused
from models.reconciliation import Reconciled
from tests.simulation.clock import DAY, HOUR, MachineClock, Time
from tests.simulation.discord import Line, WorldDiscord, WorldTransport
from tests.simulation.effects import Disturbance, Effects
from tests.simulation.hubspot import Weather, WorldPortal
from tests.simulation.ledger import Outside
from tests.simulation.log import listening
from tests.simulation.mishaps import plan_mishaps, usual
from tests.simulation.model import Model
from tests.simulation.nature import Nature
from tests.simulation.other_portal import BOUND, OtherPortal
from tests.simulation.people import Operator
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.seams import played
from tests.simulation.shape import Shape, calm, draw_shape
from tests.simulation.trace import Trace
from tests.simulation.truth import FOREVER, Truth
from tests.simulation.webhooks import Webhooks
from tests.simulation.wire import Wire
from tests.simulation.worker import Worker, build_gateway

LEAD = 0.05  #: of a world's time: tickets come before the first worker does
IN_DOUBT = """
SELECT t.ticket_id, t.lease_owner FROM deliveries d JOIN processed_tickets t ON t.ticket_id = d.ticket_id
WHERE d.state IN ('sending', 'unconfirmed')"""
REST = 30 * HOUR  #: longer than a day of 404s, and than any pause


class World:
    """``run`` lives it through; then ``truth`` and the ledger tell what came of it."""

    def __init__(self, seed: int, outside: Outside, *, keep_trace: bool = False) -> None:
        self.seed, self.outside = seed, outside
        self.rng = self._random("world")
        self.shape: Shape = draw_shape(self._random("shape"))
        self.time = Time()
        self.truth = Truth(self.time)
        self.trace = Trace(self.time, kept=keep_trace)
        self.scheduler = Scheduler(self.time, self._random("scheduler"))
        self.effects = Effects(
            self.scheduler,
            self.trace,
            self.truth,
            self._random("effects"),
            self.shape.disturbance,
            self._random("freezes"),
        )
        self.effects.on_crash = self._crashed
        apart = self.shape.clocks_apart
        self.clocks = [MachineClock(self.time, self.rng.uniform(-apart, apart)) for _ in range(6)]
        hubspot_clock, discord_clock, database_clock, *self.machines = self.clocks
        self.settable = self.clocks[1:]
        self.wire = Wire(self.effects, database_clock, self._random("wire"))
        self.portal = WorldPortal(hubspot_clock, self._random("portal"))
        self.other_portal = OtherPortal(hubspot_clock, self._random("other portal"))
        self.weather = Weather(self._random("weather"))
        limits = RateLimits() if self.shape.discord.rate_limits else None
        self.discord = WorldDiscord(clock=discord_clock.seconds, rate_limits=limits)
        self.transport = WorldTransport(self.discord, self.effects, self.truth, self._random("discord"))
        self.model = Model(self.effects, self._random("model"))
        self.settings = self._load_settings()
        self.workers: list[Worker] = []
        self.down_until = self.started = 0.0
        self.refusals = 0
        self.is_over = False
        self.last_comparison: Reconciled | None = None
        self.webhooks = Webhooks(
            self.scheduler, hubspot_clock, self.shape.webhooks, self._random("webhooks"), self.find_receiver
        )
        self.nature = Nature(
            self.scheduler,
            self.portal,
            self.truth,
            self.webhooks,
            self.shape.hubspot,
            self._random("nature"),
        )

    def _random(self, name: str) -> random.Random:
        return random.Random(f"{self.seed} {name}")

    def _load_settings(self) -> Settings:
        given = {
            "DATABASE_URL": "sqlite:///unused.db",
            "HUBSPOT_ACCESS_TOKEN": "unused",
            "DISCORD_WEBHOOK_URL": "https://discord.invalid/api/webhooks/1/unused",
            "LOCAL_LLM_URL": "http://model.invalid",
            "HUBSPOT_PIPELINES": ",".join(self.shape.pipelines),
            "POLL_OVERLAP_SECONDS": f"{self.shape.overlap_seconds:.0f}",
            "LEASE_SECONDS": f"{self.shape.lease_seconds:.0f}",
            "UNCONFIRMED_POLICY": self.shape.policy,
        }
        return load_settings(given, needs=Need.LIVE, isolated=True)

    def run(self) -> None:
        with (
            played(self.scheduler, self.transport),
            listening(self.trace, self.truth.offences),
            self.wire.laid(),
        ):
            begin, lead = self.time.now, LEAD * self.shape.seconds
            self.nature.plan(self.shape.tickets, begin, lead + self.shape.seconds)
            plan_mishaps(self, begin + lead, self.shape.seconds, self._random("mishaps"))
            Operator(
                self.effects,
                self.truth,
                self.shape.people,
                self.shape.channels,
                self._random("people"),
                lambda: self.is_over,
            )
            self._worsen()
            self.scheduler.sleep(lead)
            for _ in range(self.shape.workers):
                self.start_worker()
            self.scheduler.sleep(self.shape.seconds)
            self._come_to_rest()

    def _worsen(self) -> None:
        self.wire.lose_every(self.shape.lose_every)
        self.weather.failing = self.shape.hubspot.failing
        self.transport.line = usual(self.shape.discord)
        self.model.breaks = self.shape.model_breaks

    def _come_to_rest(self) -> None:
        """Everything works from now on, and whoever was at work is followed by others."""
        self.shape = calm(self.shape)
        self.effects.use(Disturbance())
        self.wire.lose_every(0)
        self.wire.is_down, self.wire.cut_off = False, set()
        self.weather.failing, self.weather.down, self.model.breaks = 0.0, False, 0.0
        self.transport.line = Line()
        self.down_until = 0.0
        self.other_portal.leave()
        for worker in list(self.workers):
            worker.process.frozen_until = 0.0
            worker.stop()
        self.start_worker()
        ends_at = max(self.time.now, self.nature.ends_at, self.webhooks.ends_at) + REST
        while self.time.now < ends_at:
            self.scheduler.sleep(ends_at - self.time.now)
            ends_at = max(ends_at, max(self.nature.ends_at, self.webhooks.ends_at) + REST)
        self.is_over = True
        self.scheduler.sleep(2 * DAY if self.shape.people.every else 0.0)
        auditor = Process("auditor", mortal=False)
        self.scheduler.join(self.scheduler.spawn(auditor, "compare", self._compare))
        for worker in self.workers:
            self.scheduler.kill(worker.process)
        self.scheduler.close()

    def start_worker(self) -> None:
        """Now, or when a downtime ends."""
        if self.down_until == FOREVER:
            return
        if self.down_until > self.time.now:
            self.scheduler.at(self.down_until, self.start_worker)
            return
        self.started += 1
        machine = self.machines[int(self.started) % len(self.machines)]
        self.workers = [one for one in self.workers if one.process.alive]
        self.workers.append(Worker(self, f"worker-{self.started:.0f}", machine))

    def find_receiver(self) -> Worker | None:
        running = [one for one in self.workers if one.process.alive and not one.stopping.is_set()]
        return self.rng.choice(running) if running else None

    def deploy(self) -> None:
        """The new one runs beside the old one for a while."""
        running = [one for one in self.workers if one.process.alive and not one.stopping.is_set()]
        if running:
            self.start_worker()
            running[0].stop()

    def refuse(self, worker: Worker) -> None:
        """It ended with one line about its settings; the platform starts another."""
        self.trace.note(worker.name, "REFUSED")
        self.refusals += 1
        self.scheduler.at(self.time.now + self.rng.expovariate(1 / 300), self.start_worker)
        self.effects.end(worker.process)

    def go_down(self, seconds: float) -> None:
        """All workers are gone, and nobody starts another for so long."""
        self.trace.note("world", "DOWNTIME", f"{seconds / HOUR:.1f}h")
        self.down_until = max(self.down_until, self.time.now + seconds)
        for worker in self.workers:
            if worker.process.alive:
                self.effects.crash(worker.process)

    def back_up(self) -> None:
        self.outside.back_up()
        self.truth.backed_up_at = self.time.now

    def restore(self) -> None:
        """An older backup takes the ledger's place; the operator says so before any worker starts."""
        self.trace.note("world", "RESTORE")
        self.go_down(FOREVER)
        self.outside.restore()
        if not self.outside.rows(BOUND):
            self.other_portal.leave()  # an unused ledger takes the first portal that it meets
        self.truth.restored_at = self.time.now
        for row in self.outside.rows(IN_DOUBT):  # on its way as the backup was made
            self.truth.doubted.setdefault(row["ticket_id"], []).append(self.time.now)
        operator = Process("operator", mortal=False)
        self.scheduler.spawn(operator, "restore", self._raise_barrier)

    def _raise_barrier(self) -> None:
        """What ``reconcile --restored-at now`` does before it compares."""
        with suppress(LedgerUnused, BarrierRefused):
            self.truth.barrier_at = self._barrier_of_operator().restored_at.timestamp()
            self.truth.barrier_at = self._raise_by_hubspots_clock().restored_at.timestamp()
        self.down_until = self.time.now
        self.start_worker()

    def _barrier_of_operator(self) -> Barrier:
        """Who lost everything sets NOTIFY_SINCE to a time before it."""
        if not self.shape.loses_backups or self.truth.activated_at == FOREVER:
            return raise_barrier()
        self.trace.note("world", "LOST WHOLE")
        since = datetime.fromtimestamp(self.truth.activated_at, UTC)
        return replace_lost_ledger(since, timedelta(seconds=self.shape.overlap_seconds))

    def _raise_by_hubspots_clock(self) -> Barrier:
        gateway = build_gateway(self, self.machines[0])
        while True:
            try:
                return raise_by_hubspots_clock(gateway, None)
            except (SourceError, SettingsError):
                self.scheduler.sleep(60.0)

    def _compare(self) -> None:
        """What ``reconcile`` says at rest."""
        with suppress(LedgerUnused):
            report = reconcile_tickets(
                self.workers[-1].gateway,
                since=None,
                overlap=timedelta(seconds=self.shape.overlap_seconds),
                now=self.machines[0].utc,
            )
            self.last_comparison = report.counts

    def _crashed(self, process: Process) -> None:
        """The platform starts another."""
        (worker,) = (one for one in self.workers if one.process is process)
        self.doubt_what_is_in_hand(worker)
        self.scheduler.at(self.time.now + self.rng.expovariate(1 / 60), self.start_worker)

    def doubt_what_is_in_hand(self, worker: Worker) -> None:
        """From its end on; of one that was told to stop, what it could not write down in time."""
        in_hand = set(worker.handling.in_hand()) if worker.handling else set()
        for row in self.outside.rows(IN_DOUBT):
            if row["lease_owner"] == worker.name or row["ticket_id"] in in_hand:
                self.truth.doubted.setdefault(row["ticket_id"], []).append(self.time.now)
