"""Held tickets: nobody can tell whether they were sent, so a person decides (rule 6)."""

from enum import StrEnum

from models.barrier import decision_time
from models.claims import not_told_yet
from models.database import clock, rerun_on_conflict, transaction
from models.deliveries import Delivery, DeliveryState
from models.sends import lock_ticket, settle_notified
from models.tickets import ProcessedTicket, TicketState

HELD_DELIVERIES = (DeliveryState.SENDING, DeliveryState.UNCONFIRMED, DeliveryState.REFUSED)


class Release(StrEnum):
    """What came of a person's word on a ticket."""

    DONE = "done"
    NOT_HELD = "not held"
    UNKNOWN_TICKET = "unknown ticket"


@rerun_on_conflict
def resend_ticket(ticket_id: str) -> Release:
    """A person saw that it was not sent: due at once, and sent once more, behind a restore barrier too."""
    with transaction():
        refusal = refuse_unless_held(ticket_id)
        if refusal is not None:
            return refusal
        # Before the deliveries, so that the verdict stays: a late ``sent`` may still settle the ticket by it.
        due = {**not_told_yet(), "next_attempt_at": clock(), "reason": None}
        ProcessedTicket.update(**due).where(ProcessedTicket.ticket_id == ticket_id).execute()
        release_deliveries(ticket_id, state=DeliveryState.PENDING, decided_at=decision_time())
        return Release.DONE


@rerun_on_conflict
def confirm_ticket(ticket_id: str) -> Release:
    """A person saw the card: settled as told. Channels that were never tried are not told any more."""
    with transaction():
        refusal = refuse_unless_held(ticket_id)
        if refusal is not None:
            return refusal
        release_deliveries(ticket_id, state=DeliveryState.SENT, sent_at=clock())
        settle_notified(ticket_id)
        return Release.DONE


def refuse_unless_held(ticket_id: str) -> Release | None:
    ticket = lock_ticket(ticket_id)
    if ticket is None:
        return Release.UNKNOWN_TICKET
    return None if ticket.state == TicketState.UNCONFIRMED else Release.NOT_HELD


def release_deliveries(ticket_id: str, **columns: object) -> None:
    held = (Delivery.ticket_id == ticket_id) & Delivery.state.in_(HELD_DELIVERIES)
    Delivery.update(**columns).where(held).execute()
