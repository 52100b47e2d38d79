"""Check messages: held tickets that the team is still to be told about, each named once (rule 6)."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from peewee import SQL, Expression, ModelSelect, Node

from models.barrier import HELD_BY_BARRIER
from models.claims import lock_rows
from models.database import clock, read_clock, rerun_on_conflict, transaction
from models.deliveries import Delivery, DeliveryState
from models.tickets import IS_HELD, ProcessedTicket, TicketState, read_joined


@rerun_on_conflict
def take_unnoticed(channel: str, limit: int, among: Collection[str] | None = None) -> dict[str, list[str]]:
    """Held tickets that no check message named yet, with their parts, marked as named before it is sent.

    Marked first, so that a lost answer names a ticket once at most; ``give_back`` undoes it. Of cards in
    doubt only those ``among`` the given ids, where they are given: a look decides the others.
    """
    doubted = (Delivery.state == DeliveryState.UNCONFIRMED) & is_among(among)
    with transaction():
        waiting = (
            Delivery.select(Delivery.ticket_id)
            .join(ProcessedTicket, on=(ProcessedTicket.ticket_id == Delivery.ticket_id))
            .where(
                (Delivery.channel == channel)
                & (doubted | (Delivery.state == DeliveryState.REFUSED))
                & Delivery.notice_at.is_null()
                & (ProcessedTicket.state == TicketState.UNCONFIRMED)
            )
            .order_by(Delivery.ticket_id)
            .limit(limit)
        )
        ids = [row.ticket_id for row in waiting]
        if not ids:
            return {}
        locked = lock_rows(ProcessedTicket.select().where(ProcessedTicket.ticket_id.in_(ids)))
        still_held = [row.ticket_id for row in locked if row.state == TicketState.UNCONFIRMED]
        unnamed = of(channel, still_held) & Delivery.notice_at.is_null()
        taken = [row.ticket_id for row in Delivery.select(Delivery.ticket_id).where(unnamed)]
        parts = {ticket_id: [*joined] for ticket_id, joined in read_joined(taken).items()}
        Delivery.update(notice_at=clock()).where(of(channel, taken)).execute()
        return parts


@dataclass(frozen=True, slots=True)
class RestoredNotice:
    """So many cards held by a restore, marked as named at ``at``."""

    cards: int
    at: datetime


@rerun_on_conflict
def take_restored(
    channel: str, more_than: int, among: Collection[str] | None = None
) -> RestoredNotice | None:
    """All that a restore holds and no check message named yet, marked as named; None up to ``more_than``.

    ``among`` as of ``take_unnoticed``. One statement, so that several workers take each card once;
    ``give_back_restored`` undoes it.
    """
    unnamed = held_by_restore(channel) & Delivery.notice_at.is_null() & is_among(among)
    if Delivery.select().where(unnamed).count() <= more_than:
        return None
    at = read_clock()
    cards = Delivery.update(notice_at=at).where(unnamed).execute()
    return RestoredNotice(int(cards), at) if cards else None


@rerun_on_conflict
def give_back_restored(channel: str, notice: RestoredNotice) -> None:
    """The check message was certainly not sent: these are to be named yet."""
    Delivery.update(notice_at=None).where(
        held_by_restore(channel) & (Delivery.notice_at == notice.at)
    ).execute()


def held_by_restore(channel: str) -> Expression:
    held = (Delivery.channel == channel) & (Delivery.state == DeliveryState.UNCONFIRMED)
    return held & Delivery.last_error.in_(HELD_BY_BARRIER) & Delivery.ticket_id.in_(held_tickets())


def held_tickets() -> "ModelSelect[ProcessedTicket]":
    return ProcessedTicket.select(ProcessedTicket.ticket_id).where(IS_HELD)


@rerun_on_conflict
def count_held(channel: str) -> int:
    """How many of the channel's cards nobody can tell of."""
    doubted = (Delivery.channel == channel) & (Delivery.state == DeliveryState.UNCONFIRMED)
    return int(Delivery.select().where(doubted & Delivery.ticket_id.in_(held_tickets())).count())


@rerun_on_conflict
def give_back(channel: str, ticket_ids: Collection[str]) -> None:
    """The check message was certainly not sent: these are to be named yet."""
    Delivery.update(notice_at=None).where(of(channel, ticket_ids)).execute()


def of(channel: str, ticket_ids: Collection[str]) -> Expression:
    return (Delivery.channel == channel) & Delivery.ticket_id.in_(list(ticket_ids))


def is_among(ticket_ids: Collection[str] | None) -> Node:
    return SQL("1 = 1") if ticket_ids is None else cast(Node, Delivery.ticket_id.in_(list(ticket_ids)))
