"""HubSpot's calls to the receiver: lost, repeated, out of order, days late, tried again without an answer."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from jobs.hubspot.events import parse_body
from jobs.sandbox.arrivals import creation_event
from jobs.sandbox.hubspot import SANDBOX_PORTAL_ID
from models.errors import StoreError
from models.inbox import store_events
from tests.simulation.clock import DAY, HOUR, MachineClock
from tests.simulation.scheduler import Scheduler
from tests.simulation.shape import WebhookShape
from tests.simulation.truth import FOREVER, Accepted, TrueTicket
from tests.simulation.worker import Worker

TRIES, ANSWER_SECONDS = 10, 5.0
WORKFLOW_LATEST = 3 * DAY


@dataclass(slots=True)
class Call:
    """One webhook on its way; ``occurred_at`` is 0 for a workflow's, which tells no time.

    ``parts`` are the two tickets that a merge made ``ticket`` of; ``portal_id`` is the account it is of.
    """

    ticket: TrueTicket
    event_id: int
    occurred_at: float
    parts: tuple[str, ...] = ()
    ends_at: float = FOREVER
    tries: int = 0
    answered: bool = field(default=False)
    portal_id: int = SANDBOX_PORTAL_ID

    @property
    def body(self) -> bytes:
        if self.parts:
            return json.dumps([self._merge]).encode()
        if self.occurred_at:
            event = creation_event(self.ticket.ticket_id, self.event_id, int(self.occurred_at * 1000))
            return json.dumps([event | {"portalId": self.portal_id}]).encode()
        ticket_id = int(self.ticket.ticket_id)
        return json.dumps({"hs_object_id": ticket_id, "portalId": self.portal_id}).encode()

    @property
    def _merge(self) -> dict[str, object]:
        event = creation_event(self.ticket.ticket_id, self.event_id, int(self.occurred_at * 1000))
        primary, other = map(int, self.parts)
        return event | {
            "subscriptionType": "ticket.merge",
            "primaryObjectId": primary,
            "mergedObjectIds": [other],
            "newObjectId": int(self.ticket.ticket_id),
        }


class Webhooks:
    """``find_receiver`` gives a running worker, or None where nobody listens."""

    def __init__(
        self,
        scheduler: Scheduler,
        clock: MachineClock,
        shape: WebhookShape,
        rng: random.Random,
        find_receiver: Callable[[], Worker | None],
    ) -> None:
        self._scheduler, self._clock, self._shape, self._rng = scheduler, clock, shape, rng
        self._find_receiver = find_receiver
        self._event_ids = 0
        self.ends_at = 0.0

    def tell_creation(self, ticket: TrueTicket, portal_id: int = SANDBOX_PORTAL_ID) -> None:
        shape, rng = self._shape, self._rng
        if rng.random() < shape.sent:
            self._event_ids += 1
            late = rng.uniform(0, shape.latest) if rng.random() < shape.late else rng.uniform(0.3, 5.0)
            call = Call(ticket, self._event_ids, self._clock.seconds(), portal_id=portal_id)
            self._plan(call, late)
        if rng.random() < shape.workflow:
            ends_at = self._scheduler.time.now + WORKFLOW_LATEST
            call = Call(ticket, 0, 0.0, ends_at=ends_at, portal_id=portal_id)
            self._plan(call, rng.uniform(1.0, WORKFLOW_LATEST))

    def tell_merge(self, ticket: TrueTicket, parts: tuple[str, str]) -> None:
        """HubSpot may tell that a ticket was created, too."""
        if self._rng.random() < 0.5:
            self.tell_creation(ticket)
        if self._rng.random() < self._shape.sent:
            late = self._rng.random() < self._shape.late
            seconds = self._rng.uniform(0, self._shape.latest) if late else self._rng.uniform(0.3, 5.0)
            self._event_ids += 1
            self._plan(Call(ticket, self._event_ids, self._clock.seconds(), parts), seconds)

    def _plan(self, call: Call, seconds: float) -> None:
        moment = self._scheduler.time.now + seconds
        if moment > call.ends_at:
            return
        self.ends_at = max(self.ends_at, moment)
        self._scheduler.at(moment, lambda: self._try(call))

    def _try(self, call: Call) -> None:
        call.tries += 1
        call.answered = False
        receiver = self._find_receiver()
        if receiver is not None:
            receiver.spawn("receive", lambda: self._receive(receiver, call))
        self._scheduler.at(self._scheduler.time.now + ANSWER_SECONDS, lambda: self._judge(call))

    def _receive(self, receiver: Worker, call: Call) -> None:
        """The receiver's own steps: parse, commit, answer."""
        received = parse_body(call.body, receiver.portal_id)
        ticket, now = call.ticket, self._scheduler.time.now
        is_creation = call.occurred_at > 0 and not call.parts
        ticket.offered.append(Accepted(now, is_creation, call.occurred_at))
        try:
            store_events(received.events)
        except StoreError:
            return
        receiver.drain_due.set()
        call.answered = True
        ticket.accepted.append(Accepted(self._scheduler.time.now, is_creation, call.occurred_at))

    def _judge(self, call: Call) -> None:
        """No answer in time is tried again; one that was heard may be repeated all the same."""
        if not call.answered:
            if call.tries < TRIES:
                self._plan(call, self._rng.uniform(60, 5 * HOUR))
        elif self._rng.random() < self._shape.repeated:
            call.tries = TRIES
            self._plan(call, self._rng.choice((3.0, 600.0, self._shape.latest)) * self._rng.random())
