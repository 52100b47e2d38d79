"""The plain model's merges: of the tickets that HubSpot made one, one is told (rule 11 and decision 10)."""

from collections.abc import Iterable
from dataclasses import dataclass

from models.deliveries import DeliveryState as D
from models.tickets import SkipReason, Source
from models.tickets import TicketState as T
from tests.store.ledger_model import (
    IN_DOUBT,
    MAYBE_TOLD,
    OPEN,
    OPEN_AGAIN_WHEN_SHOWN,
    Card,
    Ledger,
    Shown,
    Ticket,
    give_back,
    settle,
)
from tests.store.ledger_model_looks import RESTORED, RESTORED_UNSEEN, is_decided, parts_of, way_to
from tests.store.ledger_model_sources import creation_time, event_counts, is_ours, propose, shown_by

TOO_OLD = (SkipReason.BEFORE_ACTIVATION, SkipReason.BEYOND_MEMORY)


@dataclass(frozen=True)
class Merged:
    """HubSpot made ``new_id`` of ``parts``; ``event`` is when, where a webhook tells it."""

    new_id: str
    parts: tuple[str, ...] = ()
    created: float | None = None
    event: float | None = None


@dataclass(frozen=True)
class Joined:
    survivor: str
    merged: tuple[str, ...] = ()
    reopened: int = 0
    released: bool = False


def join_parts(ledger: Ledger, merge: Merged, source: str) -> Joined:
    """One of the group is told, or was; every other open one is part of it."""
    inserted = insert_missing(ledger, merge, source)
    group = group_of(ledger, {merge.new_id, *merge.parts})
    event = merge.event if event_counts(ledger, merge.event) else None
    survivor = survivor_of(ledger, group, merge.new_id)
    absorbed = sorted(one for one in group if one != survivor and is_absorbed(ledger, one))
    made = merge.created if merge.created is not None else ledger.tickets[merge.new_id].ticket_created_at
    overriding = find_event(ledger, group, merge.new_id, survivor, absorbed, event, made)
    for one in absorbed:
        absorb(ledger, one, survivor)
    ticket = ledger.tickets[survivor]
    ticket.creation_event_at = ticket.creation_event_at if overriding is None else overriding
    opens, state_before = opens_again(ledger, survivor, absorbed, made), ticket.state
    lease = ticket.lease_expires_at if is_in_flight(ledger, survivor) else None
    if opens:
        open_again(ledger, survivor)
    due = None
    if ticket.state in (*OPEN, T.UNCONFIRMED) and not came_back(ledger, survivor):
        due = count_cards_of_parts(ledger, survivor, group, made)
    if ledger.restored is not None:
        grew = bool(inserted or absorbed)
        doubt_survivor(ledger, survivor, {merge.new_id, *merge.parts}, grew)
        due = ledger.now if due is None and grew and ticket.state == T.CLAIMED else due
    released = due is not None and make_due(ledger, survivor, due, lease, state_before)
    return Joined(survivor, tuple(absorbed), int(opens), released)


def is_absorbed(ledger: Ledger, ticket_id: str) -> bool:
    return ledger.tickets[ticket_id].state in OPEN or may_come_back(ledger, ticket_id)


def may_come_back(ledger: Ledger, ticket_id: str) -> bool:
    """It was written ahead, and was gone or elsewhere then."""
    ticket = ledger.tickets[ticket_id]
    return (
        bool(ledger.cards_of(ticket_id))
        and ticket.state == T.SKIPPED
        and ticket.reason in OPEN_AGAIN_WHEN_SHOWN
    )


def count_cards_of_parts(
    ledger: Ledger, survivor: str, group: Iterable[str], made: float | None
) -> float | None:
    """What the others were told on a channel is told; what they may have been told on is in doubt.

    Until a person or a look decides, who knew of them; what is on its way is waited for. When the survivor
    is due by it, None where nothing changed.
    """
    others = sorted({*group, *parts_of(ledger, survivor)} - {survivor})
    due: list[float] = []
    held, had_cards = ledger.tickets[survivor].state == T.UNCONFIRMED, bool(ledger.cards_of(survivor))
    for channel in sorted({name for one in others for name in ledger.cards_of(one)}):
        cards = {one: ledger.cards[one, channel] for one in others if (one, channel) in ledger.cards}
        cards = {one: card for one, card in cards.items() if card.state in MAYBE_TOLD}
        own = ledger.cards.get((survivor, channel), Card(D.PENDING, 0))
        sent = [card for card in cards.values() if card.state == D.SENT]
        if sent and own.state in (D.PENDING, D.UNCONFIRMED, D.REFUSED):
            first = min(sent, key=lambda card: card.sent_at or 0.0)
            own.state, own.sent_at, own.place = D.SENT, first.sent_at, first.place
            own.message_id = own.last_error = None
            ledger.cards[survivor, channel] = own
            due.append(ledger.now)
        elif own.state == D.UNCONFIRMED and not sent and not is_named_with(ledger, survivor, own, cards):
            own.notice_at = None
        elif (
            cards and not sent and own.state == D.PENDING and not is_decided(ledger, survivor, channel, cards)
        ):
            leases = [
                ledger.tickets[one].lease_expires_at or ledger.now
                for one, card in cards.items()
                if card.state == D.SENDING
            ]
            until = max(leases, default=ledger.now)
            if until <= ledger.now:
                doubt(ledger, own, cards, made)
                ledger.cards[survivor, channel] = own
            due.append(max(until, ledger.now))
    cards_now = ledger.cards_of(survivor).values()
    still_held = not had_cards or any(card.state in IN_DOUBT for card in cards_now)
    return None if held and still_held else max(due, default=None)


def is_named_with(ledger: Ledger, survivor: str, own: Card, cards: Iterable[str]) -> bool:
    """No part with a card joined since it was named; the last merge on its way is when it did."""
    parts = [one for one in cards if way_to(ledger, one, survivor)]
    ways = [[step for step, _ in way_to(ledger, one, survivor)] for one in parts]
    joined = [max(ledger.tickets[step].processed_at for step in way) for way in ways]
    return own.notice_at is None or all(at < own.notice_at for at in joined)


def doubt(ledger: Ledger, own: Card, cards: dict[str, Card], made: float | None) -> None:
    """The look for it sees whatever a part sent; after a restore also whatever it was told as itself."""
    restored = ledger.restored is not None and (made is None or made < ledger.restored)
    last = max(cards.values(), key=lambda card: (card.sending_at or -1.0, card.place or ""))
    began = [
        card.sending_at if card.first_sending_at is None else card.first_sending_at for card in cards.values()
    ]
    began += [made] if restored else []
    own.state, own.place, own.sending_at = D.UNCONFIRMED, last.place, last.sending_at
    own.first_sending_at = min((at for at in began if at is not None), default=None)
    own.last_error = (RESTORED_UNSEEN if made is None else RESTORED) if restored else "part"
    own.notice_at = None


def make_due(ledger: Ledger, survivor: str, due: float, lease: float | None, state_before: str) -> bool:
    """Whether a claim ends, whose worker cannot know what the merge brought."""
    ticket = ledger.tickets[survivor]
    due = max(at for at in (due, ticket.next_attempt_at, lease) if at is not None)
    if state_before in (T.CLAIMED, T.UNCONFIRMED) or due > ledger.now:
        give_back(ledger, survivor, 0.0, "merged")
        ticket.next_attempt_at, ticket.reason = due, None
    return state_before == T.CLAIMED


def doubt_survivor(ledger: Ledger, ticket_id: str, named: Iterable[str], grew: bool) -> None:
    """After a restore any part may have been told."""
    cards = ledger.cards_of(ticket_id).values()
    if not {ticket_id, *parts_of(ledger, ticket_id)}.issuperset(named):
        for card in cards:
            card.last_error = RESTORED_UNSEEN if card.state == D.UNCONFIRMED else card.last_error
    for card in cards if grew else ():
        card.decided_at = card.decided_at if card.state == D.SENT else None


def join_shown(ledger: Ledger, merges: Iterable[Merged], source: str) -> list[Joined]:
    """Of what a search shows only merges with a ticket that goes on, or may, as they stood before."""
    arrived = {one for (one, _), card in ledger.cards.items() if card.state == D.SENT}
    held = {one for one, ticket in ledger.tickets.items() if ticket.state == T.UNCONFIRMED}
    held &= {ledger.tickets[one].merged_into for one in arrived}
    unsettled = held | {one for one in ledger.tickets if is_absorbed(ledger, one)}
    return [join_parts(ledger, merge, source) for merge in merges if unsettled & {merge.new_id, *merge.parts}]


def is_told_for(ledger: Ledger, merge: Merged) -> bool:
    """Whether one of its parts was or may have been told for a new ticket that has no row."""
    group = group_of(ledger, merge.parts)
    return any(is_told(ledger, one) for one in group)


def join_late_events(ledger: Ledger, ids: Iterable[str], source: str) -> list[Joined]:
    """A part's creation event came after the merge."""
    known = [(one, ledger.tickets[one]) for one in ids if one in ledger.tickets]
    late = [one for one, ticket in known if ticket.state == T.MERGED and ticket.creation_event_at is not None]
    return [join_parts(ledger, Merged(one), source) for one in late]


def insert_missing(ledger: Ledger, merge: Merged, source: str) -> bool:
    """A part without a row becomes part of the new ticket, unless its gap says that it was told.

    Whether there was any.
    """
    known = group_of(ledger, {merge.new_id, *merge.parts})
    gaps = {ledger.tickets[one].merged_into for one in known}
    new = ledger.tickets.get(merge.new_id)
    if new is None or new.state == T.SKIPPED:
        propose(ledger, [Shown(merge.new_id, merge.created)], source)
    missing = set(merge.parts) - set(known) - gaps - {merge.new_id}
    for one in missing:
        ledger.tickets[one] = Ticket(source, ledger.now, ledger.now)
        absorb(ledger, one, merge.new_id)
    return bool(missing)


def group_of(ledger: Ledger, ids: Iterable[str]) -> list[str]:
    """The rows, and all that they were merged into."""
    group: list[str] = []
    waiting = [one for one in ids if one in ledger.tickets]
    while waiting:
        one = waiting.pop()
        into = ledger.tickets[one].merged_into
        if one not in group:
            group.append(one)
            waiting += [into] if into in ledger.tickets else []
    return group


def survivor_of(ledger: Ledger, group: Iterable[str], new_id: str) -> str:
    """The told one that needs least, then the lowest; else what the new ticket is part of by now."""
    told = [one for one in group if is_told(ledger, one)]
    return min(told, key=lambda one: (rank(ledger, one), one)) if told else root_of(ledger, new_id)


def is_told(ledger: Ledger, ticket_id: str) -> bool:
    """Merged is no evidence, unless the one that it is part of was forgotten."""
    ticket, cards = ledger.tickets[ticket_id], ledger.cards_of(ticket_id).values()
    held_by_doubt = ticket.state == T.UNCONFIRMED and not cards
    may_be = any(card.state in MAYBE_TOLD for card in cards)
    if may_be or ticket.state == T.NOTIFIED or held_by_doubt or leads_nowhere(ledger, ticket):
        return True
    return came_back(ledger, ticket_id)


def came_back(ledger: Ledger, ticket_id: str) -> bool:
    """Others were merged into it before it was found: it was told and forgotten, and then shown again."""
    found = ledger.tickets[ticket_id].created_at
    parts = [one for one in ledger.tickets.values() if one.merged_into == ticket_id]
    return any(one.processed_at < found for one in parts)


def leads_nowhere(ledger: Ledger, ticket: Ticket) -> bool:
    return ticket.state == T.MERGED and ticket.merged_into not in ledger.tickets


def rank(ledger: Ledger, ticket_id: str) -> int:
    ticket = ledger.tickets[ticket_id]
    if ticket.state in (T.NOTIFIED, T.UNCONFIRMED):
        return 0 if ticket.state == T.NOTIFIED else 1
    if leads_nowhere(ledger, ticket) or came_back(ledger, ticket_id):
        return 2
    return 4 if ticket.state == T.MERGED else 3


def root_of(ledger: Ledger, ticket_id: str) -> str:
    ticket = ledger.tickets[ticket_id]
    while ticket.state == T.MERGED and ticket.merged_into in ledger.tickets:
        ticket_id = ticket.merged_into or ""
        ticket = ledger.tickets[ticket_id]
    return ticket_id


def find_event(
    ledger: Ledger,
    group: Iterable[str],
    new_id: str,
    survivor: str,
    absorbed: Iterable[str],
    event: float | None,
    made: float | None,
) -> float | None:
    """What overrides the survivor's age, which is its oldest part's: a part of it was to be told."""
    if ledger.tickets[survivor].creation_event_at is not None or is_told(ledger, survivor):
        return None
    others = [ledger.tickets[one].creation_event_at for one in group if one != survivor]
    times = [at for at in others if at is not None]
    for one in absorbed:
        ticket = ledger.tickets[one]
        if ticket.creation_event_at is None and is_to_be_told(ledger, one, made):
            times.append(ledger.now if ticket.ticket_created_at is None else ticket.ticket_created_at)
    if event is not None and not was_judged(ledger, group, new_id):
        times.append(event)
    return max(times, default=None)


def is_to_be_told(ledger: Ledger, ticket_id: str, made: float | None) -> bool:
    """A part of unknown age is as old as the oldest may be, which is the age of what was ``made`` of it."""
    if ledger.cards_of(ticket_id):
        remembered = made is None or ledger.horizon is None or made >= ledger.horizon
        return remembered or ledger.tickets[ticket_id].state in OPEN
    created = ledger.tickets[ticket_id].ticket_created_at
    bounds = [ledger.horizon] if created is None else [ledger.activated, ledger.horizon]
    age = made if created is None else created
    return age is None or all(at is None or age >= at for at in bounds)


def was_judged(ledger: Ledger, group: Iterable[str], new_id: str) -> bool:
    """All parts were skipped for their age before."""
    roots = {root_of(ledger, one) for one in group if one != new_id}
    return bool(roots) and all(is_too_old(ledger.tickets[one]) and one != new_id for one in roots)


def is_too_old(ticket: Ticket) -> bool:
    return ticket.state == T.SKIPPED and ticket.reason in TOO_OLD


def opens_again(ledger: Ledger, survivor: str, absorbed: Iterable[str], made: float | None) -> bool:
    """Also what was gone or elsewhere and had been told: HubSpot shows it again, as what it became."""
    ticket = ledger.tickets[survivor]
    if ticket.state == T.MERGED:
        return not leads_nowhere(ledger, ticket)
    if may_come_back(ledger, survivor):
        # A part that has no row may have been told where this one was not.
        return bool(absorbed) or made is None or ledger.horizon is None or made >= ledger.horizon
    return is_too_old(ticket) and ticket.creation_event_at is not None


def open_again(ledger: Ledger, survivor: str) -> None:
    ticket = ledger.tickets[survivor]
    if ticket.state == T.SKIPPED:
        ticket.provider = ticket.success = ticket.missing_since_at = None
    waits = ticket.lease_expires_at is not None and is_in_flight(ledger, survivor)
    ticket.state, ticket.processed_at = T.RETRY if waits else T.FOUND, ledger.now
    ticket.next_attempt_at = ticket.lease_expires_at if waits else None
    ticket.reason = ticket.merged_into = ticket.lease_expires_at = None


def is_in_flight(ledger: Ledger, ticket_id: str) -> bool:
    return any(card.state == D.SENDING for card in ledger.cards_of(ticket_id).values())


def absorb(ledger: Ledger, ticket_id: str, into: str) -> None:
    """A verdict that a late ``sent`` may need stays, and until when one in flight is waited for."""
    ticket = ledger.tickets[ticket_id]
    until = ticket.next_attempt_at if ticket.lease_expires_at is None else ticket.lease_expires_at
    if not any(card.state in MAYBE_TOLD for card in ledger.cards_of(ticket_id).values()):
        ticket.provider, ticket.success = None, None
    ticket.provider = ticket.provider or "none"
    ticket.merged_into, ticket.missing_since_at = into, None
    ledger.joins[ticket_id] += 1
    settle(ledger, ticket, T.MERGED)
    ticket.lease_expires_at = until if is_in_flight(ledger, ticket_id) else None


def drain_events(ledger: Ledger, limit: int) -> dict[str, int]:
    """The oldest ``limit`` events to the ledger; nothing before activation."""
    if ledger.activated is None:
        return {}
    taken, ledger.inbox = ledger.inbox[:limit], ledger.inbox[limit:]
    ours = [event for event in taken if is_ours(ledger, event)]
    found, reopened, beyond, late = propose(ledger, shown_by(ledger, ours), Source.WEBHOOK)
    merges = [Merged(one.ticket_id, one.parts, None, one.occurred) for one in ours if one.kind == "merge"]
    joined = [join_parts(ledger, merge, Source.WEBHOOK) for merge in merges]
    if late:
        shown = dict.fromkeys(one.ticket_id for one in ours if creation_time(one) is not None)
        joined += join_late_events(ledger, shown, Source.WEBHOOK)
    return {
        "moved": len(ours),
        "dropped": len(taken) - len(ours),
        "found": found,
        "reopened": reopened + sum(one.reopened for one in joined),
        "beyond_memory": beyond,
        "merged": sum(len(one.merged) for one in joined),
    }
