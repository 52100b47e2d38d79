"""The operator: looks after held tickets, says what the channel shows, and is sometimes wrong."""

import random
from collections.abc import Callable

from models import held
from models.errors import StoreError
from models.held import Release
from models.tickets import TicketState, list_parts, list_tickets
from tests.simulation.effects import Effects
from tests.simulation.scheduler import Process
from tests.simulation.shape import PeopleShape
from tests.simulation.truth import Truth, Word


class Operator:
    """Works until ``is_over``; commands that fail because the database is away are given again later."""

    def __init__(
        self,
        effects: Effects,
        truth: Truth,
        shape: PeopleShape,
        channels: tuple[str, ...],
        rng: random.Random,
        is_over: Callable[[], bool],
    ) -> None:
        self._effects, self._truth, self._shape, self._rng = effects, truth, shape, rng
        self._channels, self._is_over = frozenset(channels), is_over
        if shape.every:
            effects.scheduler.spawn(Process("operator", mortal=False), "operator", self._work)

    def _work(self) -> None:
        while not self._is_over():
            self._effects.scheduler.sleep(self._shape.every * self._rng.uniform(0.5, 1.5))
            try:
                for row in list_tickets(TicketState.UNCONFIRMED):
                    self._decide(row.ticket_id)
            except StoreError:
                continue

    def _decide(self, ticket_id: str) -> None:
        looked_at = self._truth.time.now
        there = frozenset(
            channel
            for one in (ticket_id, *list_parts(ticket_id))
            for channel in self._truth.told_channels(one)
        )
        self._effects.scheduler.sleep(self._rng.uniform(0, 60))
        wrong = self._rng.random() < self._shape.wrong
        resend = (there == self._channels) is wrong
        done = (held.resend_ticket if resend else held.confirm_ticket)(ticket_id)
        if done is Release.DONE:
            word = Word(looked_at, self._truth.time.now, ticket_id, resend, there)
            self._truth.words.setdefault(ticket_id, []).append(word)
            self._effects.trace.note("operator", f"{'resend' if resend else 'confirm'} {ticket_id}")
