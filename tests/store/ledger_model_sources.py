"""The plain model, second part: what comes into the ledger, by looks and by the webhook inbox."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from math import inf

from models.inbox import EventType
from models.tickets import SkipReason
from models.tickets import TicketState as T
from tests.store.ledger_model import (
    FOUR_DAYS,
    OPEN,
    OPEN_AGAIN_WHEN_SHOWN,
    Event,
    Ledger,
    Shown,
    Ticket,
    has_come,
    settle_skipped,
)


def propose(ledger: Ledger, shown: Iterable[Shown], source: str) -> tuple[int, int, int, int]:
    """How many ids were found, opened again, beyond memory, and merged ones that were to be told."""
    combined: dict[str, Shown] = {}
    for one in shown:
        known = combined.get(one.ticket_id, one)
        created = known.created if one.created is None else one.created
        events = [event for event in (known.event, one.event) if event is not None]
        combined[one.ticket_id] = Shown(one.ticket_id, created, max(events, default=None))
    answers = Counter(propose_one(ledger, one, source) for one in combined.values())
    return answers["found"], answers["reopened"], answers["beyond memory"], answers["late part"]


def propose_one(ledger: Ledger, shown: Shown, source: str) -> str:
    event = shown.event if event_counts(ledger, shown.event) else None
    old = shown.created is not None and ledger.horizon is not None and shown.created < ledger.horizon
    beyond = old and event is None
    ticket = ledger.tickets.get(shown.ticket_id)
    if ticket is None:
        ticket = Ticket(source, ledger.now, ledger.now, T.FOUND, shown.created, event)
        ledger.tickets[shown.ticket_id] = ticket
        if beyond:
            settle_skipped(ledger, ticket, SkipReason.BEYOND_MEMORY)
        return "beyond memory" if beyond else "found"
    opens = ticket.state == T.SKIPPED and (ticket.reason in OPEN_AGAIN_WHEN_SHOWN or event is not None)
    if opens:
        ticket.state, ticket.processed_at = T.FOUND, ledger.now
        ticket.reason = ticket.provider = ticket.success = ticket.missing_since_at = None
    late = ticket.state == T.MERGED and ticket.creation_event_at is None and event is not None
    if ticket.state in OPEN or late:
        if ticket.ticket_created_at is None and not beyond:
            ticket.ticket_created_at = shown.created
        if ticket.creation_event_at is None:
            ticket.creation_event_at = event
    return "reopened" if opens else "late part" if late else "known"


def event_counts(ledger: Ledger, event: float | None) -> bool:
    """Design §5: it occurred after activation and less than four days ago."""
    if event is None or ledger.activated is None:
        return False
    return event > max(ledger.activated, ledger.now - FOUR_DAYS)


def activate(ledger: Ledger, now: float, since: float | None, overlap: float) -> float:
    """Once; a ledger with rows but no activation was adopted (design §3)."""
    if ledger.activated is None:
        newest = max((one.processed_at for one in ledger.tickets.values()), default=None)
        given = min(now, ledger.now) - 300 if since is None else since
        ledger.activated = given if newest is None else newest - overlap
        ledger.looked.setdefault("poll", (None, ledger.activated))
    return ledger.activated


def bind_portal(ledger: Ledger, portal: str) -> bool:
    """Rule 12: the first one counts."""
    ledger.portal = ledger.portal or portal
    return ledger.portal == portal


def take_lease(ledger: Ledger, name: str, owner: str, seconds: float) -> bool:
    held_by, until = ledger.leases.get(name, (owner, 0.0))
    if held_by != owner and not has_come(ledger, until):
        return False
    ledger.leases[name] = owner, ledger.now + seconds
    return True


def drop_lease(ledger: Ledger, name: str, owner: str) -> None:
    if name in ledger.leases and ledger.leases[name][0] == owner:
        del ledger.leases[name]


def propose_last(
    ledger: Ledger, shown: Iterable[Shown], source: str, owner: str, until: float, since: float | None
) -> tuple[int, int, int, int]:
    """The cursor only rises, and only under its lease; what was found is stored anyway."""
    held_by, expires = ledger.leases.get(source, ("", 0.0))
    known = ledger.looked.get(source)
    if held_by == owner and not has_come(ledger, expires) and (known is None or known[1] < until):
        ledger.looked[source] = since, until
    return propose(ledger, shown, source)


def store_events(ledger: Ledger, events: Iterable[Event]) -> int:
    """Each once, by its key."""
    known = {event_key(event) for event in ledger.inbox}
    new = {event_key(event): replace(event, received=ledger.now) for event in events}
    fresh = [new[key] for key in sorted(new) if key not in known]
    ledger.inbox += fresh
    return len(fresh)


def event_key(event: Event) -> tuple[str, str, str, str, float]:
    occurred = -inf if event.occurred is None else event.occurred
    return (event.portal, event.kind, event.ticket_id, event.event_id, occurred)


def is_ours(ledger: Ledger, event: Event) -> bool:
    """An unbound ledger takes events of any portal, and a workflow may name none."""
    foreign = ledger.portal and event.portal and event.portal != ledger.portal
    return not foreign and event.kind in set(EventType)


def creation_time(event: Event) -> float | None:
    """Only a creation event that tells its time says when the ticket was created."""
    return event.occurred if event.kind == EventType.CREATION else None


def shown_by(ledger: Ledger, events: Iterable[Event]) -> list[Shown]:
    """One from before the activation tells the age that a merge would hide, while that is remembered."""
    times = [(event.ticket_id, creation_time(event)) for event in events]
    ages: dict[str, float] = {}
    for one, at in times:
        if at is not None and is_old(ledger, at):
            ages[one] = min(at, ages.get(one, at))
    return [Shown(one, ages.get(one), at) for one, at in times]


def is_old(ledger: Ledger, at: float) -> bool:
    return (
        ledger.activated is not None
        and (ledger.horizon is None or at >= ledger.horizon)
        and at <= ledger.activated
    )
