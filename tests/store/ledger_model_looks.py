"""The plain model of looks and of the restore barrier (rule 5, design §5, decision 9)."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from models.deliveries import DeliveryState as D
from models.tickets import TicketState as T
from tests.store.ledger_model import IN_DOUBT, Card, Lease, Ledger, Way, give_back, mine
from tests.store.ledger_model_sends import conclude_claim, current

RESTORED, RESTORED_UNSEEN = BY_A_RESTORE = "restored", "restored_unseen"
HOUR = 3600.0


@dataclass(frozen=True)
class Doubt:
    """What a look needs to know: where and for what to look, from when, and since when it may be there."""

    attempt: int
    place: str | None
    nonce: str | None
    first: float | None
    seconds: float
    parts: frozenset[str]


def find_doubts(ledger: Ledger, channel: str) -> dict[str, Doubt]:
    """Held tickets whose card nobody can tell of: any part may have been told for it, first or last."""
    return {
        one: doubt_of(ledger, one, channel, card)
        for (one, name), card in ledger.cards.items()
        if name == channel and card.state == D.UNCONFIRMED and ledger.tickets[one].state == T.UNCONFIRMED
    }


def doubt_of(ledger: Ledger, ticket_id: str, channel: str, card: Card) -> Doubt:
    parts = parts_to_look_for(ledger, ticket_id)
    new = [one for one in parts if not is_decided(ledger, ticket_id, channel, [one])]
    theirs = [ledger.cards[one, channel] for one in new if (one, channel) in ledger.cards]
    theirs = [one for one in theirs if one.state in IN_DOUBT]
    began = [sent_first(one) for one in theirs]
    last = [card.first_sending_at or 0.0 if card.sending_at is None else card.sending_at]
    last += [one.sending_at for one in theirs if one.sending_at is not None]
    return Doubt(
        card.attempts,
        card.place,
        card.nonce,
        min((at for at in (looked_from(card), *began) if at is not None), default=None),
        ledger.now - max(last),
        parts,
    )


def sent_first(card: Card) -> float | None:
    return card.sending_at if card.first_sending_at is None else card.first_sending_at


def looked_from(card: Card) -> float | None:
    """What a restore holds has a time of HubSpot's clock."""
    since = card.first_sending_at
    return since - HOUR if since is not None and card.last_error in BY_A_RESTORE else since


def parts_to_look_for(ledger: Ledger, ticket_id: str) -> frozenset[str]:
    """Those whose card may be the ticket's."""
    return frozenset(parts_of(ledger, ticket_id))


def parts_of(ledger: Ledger, ticket_id: str) -> Iterator[str]:
    for one, ticket in ledger.tickets.items():
        if ticket.merged_into == ticket_id:
            yield one
            yield from parts_of(ledger, one)


def way_to(ledger: Ledger, part: str, ticket_id: str) -> Way:
    way = [(part, ledger.joins[part])]
    into = ledger.tickets[part].merged_into
    while into not in (None, ticket_id) and into in ledger.tickets:
        way.append((into, ledger.joins[into]))
        into = ledger.tickets[into].merged_into
    return way if into == ticket_id else []


def is_decided(ledger: Ledger, survivor: str, channel: str, parts: Iterable[str]) -> bool:
    """Whoever decided knew each of them as part of this ticket, as it is by now."""
    own, known = ledger.cards.get((survivor, channel), Card()), ledger.knew.get((survivor, channel), {})
    ways = {one: way_to(ledger, one, survivor) for one in parts}
    return own.decided_at is not None and all(known.get(one) == way for one, way in ways.items())


def decide(ledger: Ledger, ticket_id: str, channel: str) -> None:
    """Its card is not there, says somebody who knows what was merged into it by now."""
    card = ledger.cards[ticket_id, channel]
    card.state, card.decided_at = D.PENDING, ledger.now
    parts = parts_of(ledger, ticket_id)
    ledger.knew[ticket_id, channel] = {one: way_to(ledger, one, ticket_id) for one in parts}


def list_sent(ledger: Ledger, channel: str, place: str) -> dict[str, str]:
    """Cards that are certainly there, by which a look shows that it can see."""
    cards = {
        one: card for (one, name), card in ledger.cards.items() if (name, card.place) == (channel, place)
    }
    return {one: card.message_id for one, card in cards.items() if card.message_id and card.state == D.SENT}


def decide_absent(
    ledger: Ledger, ticket_id: str, channel: str, attempt: int, delay: float, looked_for: Collection[str]
) -> bool:
    """It is not there, so it is sent again: unless it may be there as a part that was not looked for."""
    card = current(ledger, ticket_id, channel, attempt, (D.UNCONFIRMED,))
    if card is None or ledger.tickets[ticket_id].state != T.UNCONFIRMED:
        return False
    if parts_to_look_for(ledger, ticket_id) - {*looked_for}:
        return False
    give_back(ledger, ticket_id, delay)
    ledger.tickets[ticket_id].reason = None
    decide(ledger, ticket_id, channel)
    card.last_error = "absent"
    return True


def raise_barrier(ledger: Ledger, restored: float) -> bool | None:
    """Never lowered; None where the time cannot be one of a restore of this ledger."""
    if ledger.activated is None or not ledger.activated <= restored <= ledger.now:
        return None
    raised = ledger.restored is None or restored > ledger.restored
    ledger.restored = restored if raised else ledger.restored
    return raised


def behind_barrier(lease: Lease, created: float, untold: Sequence[str]) -> list[str]:
    """Channels on which a ticket of before the restore may have been told: nobody looked since."""
    if lease.restored is None or (created >= lease.restored and not lease.has_parts):
        return []  # a read that shows no parts does not tell the age of a ticket that has some
    decided = {name: known.decided_at for name, known in lease.known.items()}
    return [name for name in untold if (at := decided.get(name)) is None or at < lease.restored]


def hold_restored(
    ledger: Ledger,
    lease: Lease,
    created: float,
    places: Mapping[str, str | None],
    configured: Sequence[str],
) -> str | None:
    """What a restored ledger cannot know to be untold is held, and its look begins at its creation."""
    ticket = mine(ledger, lease)
    if ticket is None:
        return None
    for channel, place in places.items():
        card = ledger.cards.setdefault((lease.ticket_id, channel), Card(D.PENDING, 0))
        if card.state == D.PENDING:
            card.state, card.first_sending_at, card.notice_at = D.UNCONFIRMED, created, None
            card.last_error, card.place = RESTORED, place or card.place
    ticket.ticket_created_at, ticket.provider = created, ticket.provider or "none"
    return conclude_claim(ledger, lease, configured, 0.0, RESTORED)
