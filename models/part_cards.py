"""What the parts of a merge were told on a channel counts for the one that is told for them (rule 11)."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from models.claims import MAYBE_TOLD
from models.deliveries import Delivery, DeliveryState
from models.sends import IN_DOUBT
from models.tickets import ProcessedTicket, read_joined
from models.utc import NEVER

DOUBTED_AS_PART = "part"  #: the ``last_error`` of a card that a part may have brought
Columns = dict[str, object]
UNSETTLED = (DeliveryState.PENDING, DeliveryState.UNCONFIRMED, DeliveryState.REFUSED)


@dataclass(frozen=True, slots=True)
class PartCard:
    """A card that a part brought, or may have; ``awaited_until`` is when its worker's lease ends.

    ``joined_at`` is None of one that is told or held for itself, and is in no merge with the ticket yet.
    """

    ticket_id: str
    channel: str
    state: str
    place: str | None
    first_sending_at: datetime | None
    sending_at: datetime | None
    sent_at: datetime | None
    awaited_until: datetime | None
    joined_at: datetime | None


@dataclass(frozen=True, slots=True)
class DoubtOfParts:
    """Why a card that a part may have brought is held, and since when it may have been sent."""

    error: str = DOUBTED_AS_PART
    since: datetime | None = None


def take_over_cards(
    ticket_id: str, group: Collection[str], now: datetime, doubt: DoubtOfParts, *, held: bool
) -> datetime | None:
    """When the survivor is due again where its parts' cards changed its own; None where they did not.

    On a channel that a part was told on, it is told. One that a part may have been told on is in doubt,
    unless a person or a look decided since the part joined; what is on its way is awaited first. One in doubt
    that was named to the team before a part in doubt joined is to be named again. One that is
    ``held`` stays so while any of its cards is in doubt. Within the merge's transaction, the survivor locked;
    a part's card comes into no new doubt, for nobody claims it.
    """
    joined_at = read_joined([ticket_id])[ticket_id]
    cards = read_cards({*group, *joined_at} - {ticket_id}, joined_at)
    if not cards:
        return None
    own = {one.channel: one for one in Delivery.select().where(Delivery.ticket_id == ticket_id)}
    states: dict[str, object] = {channel: one.state for channel, one in own.items()}
    due_at: list[datetime] = []
    for channel in sorted({card.channel for card in cards}):
        of_channel = [card for card in cards if card.channel == channel]
        changes, again_at = judge(own.get(channel), of_channel, now, doubt)
        if changes:
            write_card(ticket_id, channel, changes)
            states[channel] = changes["state"]
        if again_at is not None:
            due_at.append(again_at)
    # Without a delivery it is held by no word of a channel.
    if held and (not own or any(state in IN_DOUBT for state in states.values())):
        return None
    return max(due_at, default=None)


def judge(
    own: Delivery | None, cards: Sequence[PartCard], now: datetime, doubt: DoubtOfParts
) -> tuple[Columns, datetime | None]:
    """What becomes of the survivor's card on one channel, and when the ticket is due for it."""
    state = DeliveryState.PENDING if own is None else own.state
    sent = [card for card in cards if card.state == DeliveryState.SENT]
    if sent and state in UNSETTLED:
        return sent_as(min(sent, key=lambda card: card.sent_at or now)), now
    if own is not None and state == DeliveryState.UNCONFIRMED and not is_named_with(own, cards):
        return {"state": state, "notice_at": None}, None
    if sent or state != DeliveryState.PENDING or (own is not None and is_decided(own, cards)):
        return {}, None
    awaited = [card.awaited_until for card in cards if card.state == DeliveryState.SENDING]
    until = max([now, *filter(None, awaited)])
    return ({} if until > now else doubted_as(cards, doubt)), until


def sent_as(card: PartCard) -> Columns:
    """Without its message, which is another ticket's."""
    return {
        "state": DeliveryState.SENT,
        "sent_at": card.sent_at,
        "place": card.place,
        "message_id": None,
        "last_error": None,
    }


def doubted_as(cards: Sequence[PartCard], doubt: DoubtOfParts) -> Columns:
    last = max(cards, key=lambda card: (card.sending_at or NEVER, card.place or ""))
    began = [doubt.since, *(card.first_sending_at or card.sending_at for card in cards)]
    return {
        "state": DeliveryState.UNCONFIRMED,
        "place": last.place,
        "first_sending_at": min(filter(None, began), default=None),
        "sending_at": last.sending_at,
        "last_error": doubt.error,
        "notice_at": None,
    }


def is_decided(own: Delivery, cards: Iterable[PartCard]) -> bool:
    """By somebody who could know of the parts."""
    decided_at = own.decided_at
    return decided_at is not None and all(joined_before(card, decided_at) for card in cards)


def is_named_with(own: Delivery, cards: Iterable[PartCard]) -> bool:
    """Whether no check message named it before one of these parts joined: nobody would look for that."""
    parts = (card for card in cards if card.joined_at is not None)
    return own.notice_at is None or all(joined_before(card, own.notice_at) for card in parts)


def joined_before(card: PartCard, at: datetime) -> bool:
    return card.joined_at is not None and card.joined_at < at


def read_cards(ticket_ids: Collection[str], joined_at: Mapping[str, datetime]) -> list[PartCard]:
    """What was or may have been told of them."""
    query = (
        Delivery.select(
            Delivery.ticket_id,
            Delivery.channel,
            Delivery.state,
            Delivery.place,
            Delivery.first_sending_at,
            Delivery.sending_at,
            Delivery.sent_at,
            ProcessedTicket.lease_expires_at,
        )
        .join(ProcessedTicket, on=(ProcessedTicket.ticket_id == Delivery.ticket_id))
        .where(Delivery.ticket_id.in_(sorted(ticket_ids)), Delivery.state.in_(MAYBE_TOLD))
    )
    return [PartCard(*(*row, joined_at.get(row[0]))) for row in cast(Any, query.tuples())]


def write_card(ticket_id: str, channel: str, columns: Columns) -> None:
    Delivery.insert(ticket_id=ticket_id, channel=channel, **columns).on_conflict(
        conflict_target=[Delivery.ticket_id, Delivery.channel], update=columns
    ).execute()
