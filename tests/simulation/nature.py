"""What customers and the portal's own people do: tickets come, are edited in bulk, moved, put away."""

import random
from datetime import datetime
from itertools import islice

from tests.simulation.clock import DAY, HOUR, MINUTE, utc
from tests.simulation.hubspot import WorldPortal
from tests.simulation.scheduler import Scheduler
from tests.simulation.shape import HubSpotShape
from tests.simulation.truth import FOREVER, TrueTicket, Truth
from tests.simulation.webhooks import Webhooks

OURS, OTHERS = ("0", "1"), "2"


class Nature:
    """Plans a world's tickets ahead. ``ends_at`` is when the last of what it planned is over."""

    def __init__(
        self,
        scheduler: Scheduler,
        portal: WorldPortal,
        truth: Truth,
        webhooks: Webhooks,
        shape: HubSpotShape,
        rng: random.Random,
    ) -> None:
        self._scheduler, self._portal, self._truth = scheduler, portal, truth
        self._webhooks, self._shape, self._rng = webhooks, shape, rng
        self.ends_at = self._seconds = 0.0

    def plan(self, tickets: int, start: float, seconds: float) -> None:
        left, self._seconds = tickets, seconds
        while left > 0:
            group = min(left, self._rng.randint(2, 40) if self._rng.random() < self._shape.burst else 1)
            left -= group
            self._plan_group(group, start + self._rng.uniform(0, seconds))
        for _ in range(self._shape.bulk_edits):
            self.at(start + self._rng.uniform(0.2, 1.0) * seconds, self._edit_in_bulk)

    def _plan_group(self, group: int, moment: float) -> None:
        tie = self._rng.random() < self._shape.tie
        for number in range(group):
            self.at(moment if tie else moment + number * self._rng.uniform(0.001, 20), self._add)

    def at(self, moment: float, call: object) -> None:
        self.ends_at = max(self.ends_at, moment)
        self._scheduler.at(moment, call)  # type: ignore[arg-type]

    def _add(self) -> None:
        shape, rng, now = self._shape, self._rng, self._scheduler.time.now
        created_at = self._back_dated() if rng.random() < shape.back_dated else None
        pipeline = rng.choice((*OURS, OTHERS))
        ticket_id = self._portal.add_ticket("A question", "", created_at=created_at, hs_pipeline=pipeline)
        record = self._portal.record(ticket_id)
        ticket = TrueTicket(ticket_id, record.created_ms / 1000, now, now, [(now, pipeline)])
        self._truth.tickets[ticket_id] = ticket
        self._hide_for_a_while(ticket)
        self._webhooks.tell_creation(ticket)
        if rng.random() < shape.moved:
            self.at(now + rng.uniform(1.0, 2 * DAY), lambda: self._move(ticket))
        if rng.random() < shape.archived:
            self.at(now + rng.uniform(1.0, 2 * DAY), lambda: self._put_away(ticket))
        if rng.random() < shape.merged:
            seconds = min(self._seconds, rng.choice((5.0, 60.0, HOUR, 2 * DAY, 8 * DAY)))
            self.at(now + rng.uniform(0.0, seconds), lambda: self._merge_with_any(ticket))

    def _back_dated(self) -> datetime:
        seconds = self._rng.choice((10 * MINUTE, 5 * HOUR, 3 * DAY, 6 * DAY, 60 * DAY))
        return utc(self._scheduler.time.now - self._rng.uniform(0, seconds))

    def _hide_for_a_while(self, ticket: TrueTicket) -> None:
        """From search, until its index knows the ticket; and from reads, whose replicas are late too."""
        shape, rng, number = self._shape, self._rng, int(ticket.ticket_id)
        lag = rng.uniform(0, shape.late_index_lag if rng.random() < shape.late else shape.index_lag)
        self._portal.unindexed.add(number)
        self.at(ticket.made_at + lag, lambda: self._portal.unindexed.discard(number))
        ticket.sure_from = ticket.made_at + lag
        if rng.random() < shape.flapping:
            ticket.sure_from += rng.uniform(0, 2 * HOUR)
            self._portal.flapping.add(number)
            self.at(ticket.sure_from, lambda: self._portal.flapping.discard(number))
        if rng.random() < shape.unreadable:
            readable_at = ticket.made_at + rng.uniform(1.0, 20 * MINUTE)
            ticket.away.append((ticket.made_at, readable_at))
            self._portal.reads.unreadable.add(number)
            self.at(readable_at, lambda: self._portal.reads.unreadable.discard(number))

    def _move(self, ticket: TrueTicket) -> None:
        if ticket.merged_into is not None:
            return
        pipeline = self._rng.choice((*OURS, OTHERS, OTHERS))
        ticket.pipelines.append((self._scheduler.time.now, pipeline))
        self._portal.change(ticket.ticket_id, hs_pipeline=pipeline)

    def _put_away(self, ticket: TrueTicket) -> None:
        now = self._scheduler.time.now
        if ticket.merged_into is not None:
            return
        ticket.away.append((now, FOREVER))
        self._portal.record(ticket.ticket_id).archived = True
        if self._rng.random() < 0.6:
            self.at(now + self._rng.uniform(1.0, 60 * HOUR), lambda: self._bring_back(ticket))

    def _bring_back(self, ticket: TrueTicket) -> None:
        """Out of the bin; that counts as a change, so a sweep shows it."""
        ticket.away[-1] = (ticket.away[-1][0], self._scheduler.time.now)
        self._portal.record(ticket.ticket_id).archived = False
        self._portal.change(ticket.ticket_id)

    def _merge_with_any(self, primary: TrueTicket) -> None:
        """With one of about the same time, or with any."""
        newest_first = reversed(self._truth.tickets.values())
        others = (one for one in newest_first if one is not primary and self.is_there(one))
        near = [*islice(others, 20)]
        if not near or not self.is_there(primary):
            return
        there = [*near, *others] if self._rng.random() < 0.3 else near
        self.merge(primary, self._rng.choice(there[::-1]))

    def merge(self, primary: TrueTicket, other: TrueTicket) -> None:
        """HubSpot makes a third one of the two; both are there."""
        now, parts = self._scheduler.time.now, (primary.ticket_id, other.ticket_id)
        merged_id = self._portal.merge(*parts)
        record = self._portal.record(merged_id)
        pipeline = primary.pipelines[-1][1]
        merged = TrueTicket(merged_id, record.created_ms / 1000, now, now, [(now, pipeline)], parts=parts)
        self._truth.tickets[merged_id] = merged
        for part in (primary, other):
            part.merged_into, part.merged_at = merged_id, now
        self._hide_for_a_while(merged)
        self._webhooks.tell_merge(merged, parts)

    def is_there(self, ticket: TrueTicket) -> bool:
        number = int(ticket.ticket_id)
        readable = not ticket.is_away and number not in self._portal.reads.unreadable
        return readable and ticket.merged_into is None

    def _edit_in_bulk(self) -> None:
        known = sorted(self._truth.tickets)
        for ticket_id in self._rng.sample(known, len(known) // 2):
            self._portal.change(ticket_id, hs_ticket_category="edited")
