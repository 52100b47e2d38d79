"""Tickets that arrive while workers die: by the poll, by signed webhooks, by both, and repeated."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count

from jobs.sandbox.arrivals import Subscription, call_webhook, creation_event
from jobs.sandbox.faults import HubSpotFaults
from jobs.sandbox.hubspot import SimulatedHubSpot

#: Few arrive while so many are open: a backlog would only show that the machine is slow.
MOST_OPEN, FEW_SHARE = 40, 0.1
CALLERS = 12
AGAIN_SECONDS = 0.3


class Way(StrEnum):
    """How HubSpot shows a ticket."""

    POLL = "poll"
    WEBHOOK = "webhook"
    BOTH = "both"


@dataclass
class HidingFaults(HubSpotFaults):
    """``unsearchable`` tickets never show in a search: what was acknowledged of them must not be lost."""

    unsearchable: set[int] = field(default_factory=set)

    def hidden(self, ticket_ids: Iterable[int], search_number: int) -> set[int]:
        return super().hidden(ticket_ids, search_number) | self.unsearchable


class Arrivals:
    """``subscriptions`` are those of the workers that run now; ``open_count`` is how many tickets are open.

    ``accepted`` counts webhooks answered with 200, ``unheard`` those that were not; each is sent again until
    it was accepted, and half of them once or twice more.
    """

    def __init__(
        self,
        hubspot: SimulatedHubSpot,
        dice: random.Random,
        subscriptions: Callable[[], list[Subscription]],
        open_count: Callable[[], int],
    ) -> None:
        self._hubspot, self._dice, self._subscriptions = hubspot, dice, subscriptions
        self._open_count, self._event_ids, self._lock = open_count, count(1), threading.Lock()
        self._faults = hubspot.faults = HidingFaults(index_lag_seconds=1.0)
        self._unaccepted = 0
        self.ids: list[str] = []
        self.by_way: Counter[Way] = Counter()
        self.accepted = self.unheard = 0

    def arrive(self, over: threading.Event) -> None:
        """Until ``over``; returns when every webhook was accepted, which takes a worker that lives."""
        calls: list[Future[None]] = []
        with ThreadPoolExecutor(CALLERS) as callers:
            while not over.wait(self._dice.uniform(0.05, 0.3)):
                busy = self._open_count() + self._unaccepted >= MOST_OPEN
                if busy and self._dice.random() > FEW_SHARE:
                    continue
                way = self._dice.choice(list(Way))
                tickets = [self._add(way) for _ in range(self._dice.randint(1, 6))]
                if way is not Way.POLL:
                    self._count(unaccepted=len(tickets))
                    calls.append(callers.submit(self._call, tickets, random.Random(self._dice.random())))
        for call in calls:
            call.result()

    def add_to_poll(self) -> None:
        """One more ticket, which wakes whoever waits."""
        self._add(Way.POLL)

    def _add(self, way: Way) -> str:
        ticket_id = self._hubspot.add_ticket("Question", "How do I export a report?")
        if way is Way.WEBHOOK:
            self._faults.unsearchable |= {int(ticket_id)}
        self.ids.append(ticket_id)
        self.by_way[way] += 1
        return ticket_id

    def _call(self, tickets: list[str], dice: random.Random) -> None:
        """As HubSpot does: again until it was taken, to whichever worker answers under the address now."""
        occurred_ms = int(time.time() * 1000)
        event_id = next(self._event_ids)
        repeats = dice.choice((0, 0, 1, 2))
        for repeat in range(1 + repeats):
            # A repeat is the same event, or another one of the same ticket.
            again = repeat and dice.random() < 0.5
            events = [creation_event(one, event_id, occurred_ms + bool(again)) for one in tickets]
            while not self._called(events, dice):
                time.sleep(AGAIN_SECONDS)
            if not repeat:
                self._count(unaccepted=-len(tickets))
            time.sleep(dice.uniform(0, 1))

    def _called(self, events: list[dict[str, object]], dice: random.Random) -> bool:
        living = self._subscriptions()
        accepted = bool(living) and call_webhook(dice.choice(living), events) == 200
        self._count(accepted=accepted, unheard=bool(living) and not accepted)
        return accepted

    def _count(self, *, accepted: bool = False, unheard: bool = False, unaccepted: int = 0) -> None:
        with self._lock:
            self.accepted += accepted
            self.unheard += unheard
            self._unaccepted += unaccepted
