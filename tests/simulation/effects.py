"""Every effect of a simulated process passes here: the seed may crash, freeze or delay it just before.

To crash before an effect is to crash after the one before it, so one place for each is enough. To freeze is
not the same: what a process does by itself in between, such as to look at a clock, it does before or after
the freeze. So there is a second place after what it commits. A dead process has no more effects, whatever its
unwinding code tries.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.simulation.scheduler import Died, Process, Scheduler
from tests.simulation.trace import Trace
from tests.simulation.truth import FOREVER, Truth

LONGEST_DELAY = 3.0


@dataclass(frozen=True, slots=True)
class Disturbance:
    """How often: the mean number of effects between two; 0 is never. ``freeze_seconds`` is the longest."""

    delay_every: float = 8.0
    crash_every: float = 0.0
    freeze_every: float = 0.0
    freeze_seconds: float = 600.0
    #: How much likelier around a card's send, where a fault tells the most.
    send_weight: float = 20.0


class Effects:
    """``on_crash`` is told of a process the moment it dies, before anything of it unwinds."""

    def __init__(
        self,
        scheduler: Scheduler,
        trace: Trace,
        truth: Truth,
        rng: random.Random,
        plan: Disturbance,
        after: random.Random,
    ) -> None:
        self.scheduler, self.trace, self.truth, self._rng = scheduler, trace, truth, rng
        self._after = after
        self.on_crash: Callable[[Process], object] = lambda _: None
        self.crashes = self.freezes = 0
        self.use(plan)

    def use(self, plan: Disturbance) -> None:
        self._plan = plan
        self._delay_in = self._draw(plan.delay_every)
        self._crash_in = self._draw(plan.crash_every)
        self._freeze_in = self._draw(plan.freeze_every)
        self._freeze_after_in = self._draw(plan.freeze_every, self._after)

    @property
    def send_weight(self) -> float:
        return self._plan.send_weight

    def _draw(self, every: float, rng: random.Random | None = None) -> float:
        return (rng or self._rng).expovariate(1 / every) if every else float("inf")

    def pass_point(self, what: str, *details: object, weight: float = 1.0) -> None:
        """Outside of a transaction: others may take turns here. Raises Died in a process that is dead."""
        actor = self.scheduler.current
        process = actor.process
        if not process.alive:
            raise Died
        self.trace.note(process.name, what, *details)
        if process.mortal:
            self._crash_in -= weight
            self._freeze_in -= weight
            if self._crash_in < 0:
                self._crash_in = self._draw(self._plan.crash_every)
                self.crash(process)
                raise Died
            if self._freeze_in < 0:
                self._freeze_in = self._draw(self._plan.freeze_every)
                self.freeze(process)
        self._delay_in -= 1
        if self._delay_in < 0:
            self._delay_in = self._draw(self._plan.delay_every)
            self.scheduler.sleep(self._rng.choice((0.0, 0.0, 0.01, 0.2, LONGEST_DELAY)))

    def pass_inner_point(self, what: str, *details: object) -> None:
        """Within a transaction: nobody else takes a turn."""
        process = self.scheduler.current.process
        if not process.alive:
            raise Died
        self.trace.note(process.name, what, *details)
        if process.mortal:
            self._crash_in -= 1
            if self._crash_in < 0:
                self._crash_in = self._draw(self._plan.crash_every)
                self.crash(process)
                raise Died

    def pass_committed(self) -> None:
        """Right after a commit, and before the process acts on it: others may take turns here."""
        process = self.scheduler.current.process
        if process.mortal and process.alive:
            self._freeze_after_in -= 1
            if self._freeze_after_in < 0:
                self._freeze_after_in = self._draw(self._plan.freeze_every, self._after)
                self.freeze(process)

    def crash(self, process: Process) -> None:
        self.crashes += 1
        self.trace.note(process.name, "CRASH")
        self.truth.disable(process.name, FOREVER)
        self.on_crash(process)
        self.end(process)

    def end(self, process: Process) -> None:
        """It is gone, whatever it was at."""
        for actor in process.actors:
            self.truth.cut_off_page(actor)
        self.scheduler.kill(process)

    def freeze(self, process: Process) -> None:
        """SIGSTOP, and SIGCONT after a while: its clocks run on, and nothing of it moves."""
        self.freezes += 1
        seconds = self._rng.uniform(1.0, self._plan.freeze_seconds)
        process.frozen_until = self.scheduler.time.now + seconds
        self.trace.note(process.name, "FREEZE", f"{seconds:.0f}s")
        self.truth.disable(process.name, process.frozen_until)
        self.scheduler.sleep(0)
