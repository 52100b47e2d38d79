"""What HubSpot shows in the model's world, and the model's values as the real functions take them."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from models.claims import Claim, KnownDelivery
from models.inbox import EventType
from models.proposals import Proposal
from models.write_ahead import VerdictColumns
from tests.store.ledger_mirror import Timeline
from tests.store.ledger_model import DAY, Event, Known, Lease, Shown, Verdict

#: When HubSpot created them, in the model's seconds. Ids of several lengths: byte order is not their order.
CREATED = {"9": -40.0, "10": -3_640.0, "100": -40 - 3 * DAY, "20": -40 - 6 * DAY}


class Sight(NamedTuple):
    """A source shows a ticket, ``dated`` where it tells its creation, and maybe when an event occurred."""

    ticket_id: str
    dated: bool
    event: float | str | None

    def shown(self, now: float) -> Shown:
        created = CREATED[self.ticket_id] if self.dated else None
        return Shown(self.ticket_id, created, event_time(self.ticket_id, self.event, now))


class Webhook(NamedTuple):
    portal: str
    kind: str
    ticket_id: str
    event_id: str
    occurred: float | str | None

    def event(self, now: float) -> Event:
        occurred = event_time(self.ticket_id, self.occurred, now)
        parts = older_than(self.ticket_id) if self.kind == EventType.MERGE else ()
        return Event(self.portal, self.kind, self.ticket_id, self.event_id, occurred, parts=parts)


def older_than(ticket_id: str) -> tuple[str, ...]:
    """HubSpot makes a new ticket of older ones, never the other way round."""
    return tuple(one for one, created in CREATED.items() if created < CREATED[ticket_id])


def event_time(ticket_id: str, told: float | str | None, now: float) -> float | None:
    if isinstance(told, float):
        return now - told
    return None if told is None else CREATED[ticket_id]


class Received(NamedTuple):
    """What the receiver stores of an event."""

    portal_id: str
    event_type: str
    object_id: str
    event_id: str
    occurred_at: datetime | None
    merged_ids: tuple[str, ...] = ()


def proposals_of(time: Timeline, shown: Sequence[Shown]) -> list[Proposal]:
    at = time.maybe_stored
    return [Proposal(one.ticket_id, at(one.created), at(one.event)) for one in shown]


def received_of(time: Timeline, events: Sequence[Event]) -> list[Received]:
    at = time.maybe_stored
    return [
        Received(one.portal, one.kind, one.ticket_id, one.event_id, at(one.occurred), one.parts)
        for one in events
    ]


def columns_of(time: Timeline, verdict: Verdict) -> VerdictColumns:
    return VerdictColumns(
        ticket_created_at=time.stored(verdict.created),
        priority=verdict.priority,
        handling_mode="reply_only",
        confidence=0.8,
        provider=verdict.provider,
        success=verdict.success,
        model="llama3.2",
        triage_ms=verdict.triage_ms,
        triage_attempts=1,
    )


def lease_of(time: Timeline, claim: Claim) -> Lease:
    return Lease(
        claim.ticket_id,
        claim.owner,
        claim.attempt,
        claim.crashes,
        {name: known_of(time, one) for name, one in claim.deliveries.items()},
        time.told(claim.missing_since_at),
        time.told(claim.ticket_created_at),
        time.told(claim.creation_event_at),
        claim.source,
        time.told(claim.restored_at),
        claim.has_parts,
    )


def known_of(time: Timeline, known: KnownDelivery) -> Known:
    return Known(known.state, known.attempts, time.told(known.decided_at))
