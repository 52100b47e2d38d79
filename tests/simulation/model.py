"""The model: it takes its time, says the same of every ticket, and sometimes raises as our own code may."""

import random

from jobs.ticket import Ticket
from jobs.verdict import Provider, Verdict
from tests.fakes.triage import make_verdict
from tests.simulation.effects import Effects

VERDICTS = (make_verdict(), make_verdict(), make_verdict(Provider.GROQ), make_verdict(Provider.RULES))


class ModelBroke(RuntimeError):
    """A fault of ours with one ticket, as rule 8 counts them."""


class Model:
    """Stands for the Triager. ``breaks`` is the chance of a fault, ``slowest`` the longest answer."""

    def __init__(self, effects: Effects, rng: random.Random) -> None:
        self._effects, self._rng = effects, rng
        self.breaks, self.slowest = 0.0, 8.0

    def triage(self, ticket: Ticket) -> Verdict:
        self._effects.pass_point("model", ticket.ticket_id)
        self._effects.scheduler.sleep(self._rng.uniform(0.3, self.slowest))
        if self.breaks and self._rng.random() < self.breaks:
            raise ModelBroke
        return self._rng.choice(VERDICTS)

    def take_faults(self) -> list[object]:
        return []

    def close(self) -> None:
        """Nothing is open."""
