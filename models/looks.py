"""Cards in doubt that a channel can look for, and what a look decides of them (rule 5).

A card that was found is recorded by ``sends.record_sent``, as a late answer is.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from peewee import SQL

from models.barrier import HELD_BY_BARRIER, RESTORED_UNSEEN, decision_time, read_barrier
from models.claims import not_told_yet
from models.database import clock, rerun_on_conflict, transaction
from models.deliveries import Delivery, DeliveryState
from models.sends import IN_DOUBT, current, lock_ticket
from models.tickets import ProcessedTicket, TicketState, list_parts, read_joined
from models.utc import to_utc

held = ProcessedTicket.alias("held")
#: What a restore holds may have been sent since the ticket was created, which HubSpot's clock tells.
CLOCKS_APART = timedelta(hours=1)
# A literal, since SQLite cannot see behind a parameter that a partial index will do.
IS_HELD = SQL(f"held.state = '{TicketState.UNCONFIRMED}'")


@dataclass(frozen=True, slots=True)
class PartSend:
    """A card of a part that nobody can tell of either, as it was written ahead."""

    ticket_id: str
    place: str | None
    nonce: str | None
    first_at: datetime | None
    sending_at: datetime | None


@dataclass(frozen=True, slots=True)
class Doubt:
    """A held ticket's card that nobody can tell of, after its ``attempt``-th send ``seconds`` ago.

    ``place`` and ``nonce`` are what was written ahead, None where nothing was. ``first_at`` is the time
    before which the card cannot have been sent. ``parts`` were merged into it: one of them may have been told
    for it. ``sends`` are those of theirs that are in doubt too, and of which nobody decided; ``first_at`` and
    ``seconds`` are of all.
    ``knows_parts`` is False where HubSpot named more of them than the ledger can. ``asks_for_parts``: after a
    restore one may have been told that the ledger does not know, and HubSpot does.
    """

    ticket_id: str
    attempt: int
    place: str | None
    nonce: str | None
    first_at: datetime
    seconds: float
    parts: tuple[str, ...] = ()
    knows_parts: bool = True
    asks_for_parts: bool = False
    sends: tuple[PartSend, ...] = ()


@rerun_on_conflict
def find_doubts(channel: str) -> list[Doubt]:
    """The channel's cards in doubt of all held tickets, oldest first."""
    query = (
        held.select(
            Delivery.ticket_id,
            Delivery.attempts,
            Delivery.place,
            Delivery.nonce,
            Delivery.first_sending_at,
            Delivery.sending_at,
            Delivery.decided_at,
            Delivery.last_error,
            held.created_at,
            clock().alias("now"),
        )
        .join(Delivery, on=(Delivery.ticket_id == held.ticket_id))
        .where(IS_HELD, Delivery.channel == channel, Delivery.state == DeliveryState.UNCONFIRMED)
    )
    rows = list(cast(Any, query.namedtuples()))
    joined = read_joined([row.ticket_id for row in rows])
    sends = read_sends(channel, {part for parts in joined.values() for part in parts})
    restored = any(joined.values()) and read_barrier() is not None
    doubts = [to_doubt(row, joined[row.ticket_id], sends, restored=restored) for row in rows]
    return sorted(doubts, key=lambda one: (one.first_at, one.ticket_id))


def read_sends(channel: str, ticket_ids: Collection[str]) -> dict[str, PartSend]:
    """Their cards in doubt on the channel."""
    if not ticket_ids:
        return {}
    columns = (
        Delivery.ticket_id,
        Delivery.place,
        Delivery.nonce,
        Delivery.first_sending_at,
        Delivery.sending_at,
    )
    query = Delivery.select(*columns).where(
        Delivery.channel == channel, Delivery.ticket_id.in_(sorted(ticket_ids)), Delivery.state.in_(IN_DOUBT)
    )
    return {row[0]: PartSend(*row) for row in cast(Any, query.tuples())}


def to_doubt(
    row: Any, joined: Mapping[str, datetime], sends: Mapping[str, PartSend], *, restored: bool
) -> Doubt:
    """``row`` is one of ``find_doubts``.

    A part's send may be older or newer than the ticket's: the look sees the first, and waits for the last.
    """
    theirs = [sends[part] for part in undecided(row.decided_at, joined) if part in sends]
    own_first = row.first_sending_at or row.sending_at or row.created_at
    last = max([row.sending_at or own_first, *(one.sending_at for one in theirs if one.sending_at)])
    if row.last_error in HELD_BY_BARRIER:
        own_first -= CLOCKS_APART
    unseen = row.last_error == RESTORED_UNSEEN
    return Doubt(
        ticket_id=row.ticket_id,
        attempt=row.attempts,
        place=row.place,
        nonce=row.nonce,
        first_at=min([own_first, *(at for one in theirs if (at := one.first_at or one.sending_at))]),
        seconds=(cast(datetime, to_utc(row.now)) - last).total_seconds(),
        parts=tuple(joined),
        knows_parts=not unseen,
        asks_for_parts=unseen or bool(joined and restored),
        sends=tuple(theirs),
    )


def undecided(decided_at: datetime | None, joined: Mapping[str, datetime]) -> list[str]:
    """The parts of which nobody has decided yet: those that came after a decision of the ticket's card."""
    return [part for part, at in joined.items() if decided_at is None or at >= decided_at]


def has_other_parts(ticket_id: str, looked_for: Collection[str]) -> bool:
    """A merge locks the ticket that others become part of, so under that lock none comes meanwhile."""
    return not set(looked_for).issuperset(list_parts(ticket_id))


@rerun_on_conflict
def list_sent(channel: str, place: str, limit: int) -> list[tuple[str, str]]:
    """Ticket and message ids of the last cards that were certainly sent there."""
    here = (Delivery.channel == channel) & (Delivery.place == place) & Delivery.message_id.is_null(False)
    newest = Delivery.select().where(here, Delivery.state == DeliveryState.SENT)
    rows = newest.order_by(Delivery.sent_at.desc(), Delivery.ticket_id.desc()).limit(limit)
    return [(row.ticket_id, str(row.message_id)) for row in rows]


@rerun_on_conflict
def decide_absent(
    ticket_id: str, channel: str, attempt: int, delay_seconds: float, parts: Collection[str] = ()
) -> bool:
    """A look that can see did not find the card of ``attempt``: sent again, due after ``delay_seconds``.

    False where somebody decided otherwise meanwhile, a person or a late answer, and where more parts are
    known by now than ``parts``, those that were looked for. Safe to call twice.
    """
    with transaction():
        ticket = lock_ticket(ticket_id)
        in_doubt = current(ticket_id, channel, attempt, [DeliveryState.UNCONFIRMED])
        if ticket is None or ticket.state != TicketState.UNCONFIRMED:
            return False
        if not Delivery.select().where(in_doubt).exists() or has_other_parts(ticket_id, parts):
            return False
        # Before the delivery, so that the verdict stays: a late ``sent`` may still settle the ticket by it.
        due = {**not_told_yet(), "next_attempt_at": clock(delay_seconds), "reason": None}
        ProcessedTicket.update(**due).where(ProcessedTicket.ticket_id == ticket_id).execute()
        absent = {"state": DeliveryState.PENDING, "decided_at": decision_time(), "last_error": "absent"}
        return bool(Delivery.update(**absent).where(in_doubt).execute())
