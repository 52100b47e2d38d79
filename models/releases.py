"""The ends of a claim that told nobody: given back for another try, or settled as never to be told."""

from datetime import datetime

from peewee import SQL, fn

from models.claims import Claim, is_mine, lock_rows, not_told_yet
from models.counts import count_settled
from models.database import clock, rerun_on_conflict, transaction
from models.deliveries import Delivery, DeliveryState
from models.tickets import REOPENED_BY_A_CREATION, ProcessedTicket, SkipReason, TicketState


@rerun_on_conflict
def release_for_retry(
    taken: Claim,
    delay_seconds: float,
    error: str,
    *,
    crashed: bool = False,
    missing_since_at: datetime | None = None,
) -> bool:
    """Give the ticket back, due again after ``delay_seconds``; False where the claim was lost meanwhile.

    ``crashed`` counts the try as one that our own fault ended (rule 8). ``missing_since_at`` is the first
    of HubSpot's unbroken 404s, None once it answered (rule 10).
    """
    given_back = ProcessedTicket.update(
        **not_told_yet(),
        next_attempt_at=clock(delay_seconds),
        last_error=error[:100],
        crashes=ProcessedTicket.crashes + int(crashed),
        missing_since_at=missing_since_at,
    )
    return bool(given_back.where(is_mine(taken)).execute())


@rerun_on_conflict
def hasten_retries(error: str) -> int:
    """What waits because of ``error`` is due now; how many tickets. Those that others work on stay."""
    waiting = (
        (ProcessedTicket.state == TicketState.RETRY)
        & (ProcessedTicket.last_error == error)
        & (ProcessedTicket.next_attempt_at > clock())
    )
    with transaction():
        ids = [row.ticket_id for row in lock_rows(ProcessedTicket.select().where(waiting), skip_locked=True)]
        due = ProcessedTicket.update(next_attempt_at=clock(), updated_at=clock())
        return int(due.where(ProcessedTicket.ticket_id.in_(ids)).execute()) if ids else 0


@rerun_on_conflict
def release_unsent(owner: str) -> int:
    """Give back, due at once, what ``owner`` holds and nobody began to send; how many tickets.

    For a worker that ends: its threads may go on until then, but their claims are lost, so that they send
    nothing more. A ticket whose first byte may have left stays claimed until its outcome or its lease's end.
    """
    of_this = Delivery.ticket_id == ProcessedTicket.ticket_id
    sending = fn.EXISTS(Delivery.select(SQL("1")).where(of_this, Delivery.state == DeliveryState.SENDING))
    held = (ProcessedTicket.state == TicketState.CLAIMED) & (ProcessedTicket.lease_owner == owner)
    with transaction():
        # Locked first: a write-ahead that was on its way is seen by what is asked after it.
        ids = [row.ticket_id for row in lock_rows(ProcessedTicket.select().where(held))]
        due = ProcessedTicket.update(**not_told_yet(), next_attempt_at=clock())
        return int(due.where(ProcessedTicket.ticket_id.in_(ids), ~sending).execute())


@rerun_on_conflict
def skip_ticket(taken: Claim, reason: SkipReason, ticket_created_at: datetime | None) -> bool:
    """Settle the ticket as never to be told; False where the claim was lost meanwhile.

    A creation event that came since the claim overrides what a ticket's age says: then the ticket is given
    back as found, which is False too. Without ``ticket_created_at`` the row keeps what it knows.
    """
    known_at = ProcessedTicket.ticket_created_at if ticket_created_at is None else ticket_created_at
    with transaction():
        if reason in REOPENED_BY_A_CREATION and give_back_to_event(taken):
            return False
        skipped = ProcessedTicket.update(
            state=TicketState.SKIPPED,
            reason=reason,
            provider="none",
            success=None,
            ticket_created_at=known_at,
            lease_owner=None,
            lease_expires_at=None,
            processed_at=clock(),
            updated_at=clock(),
        )
        if not skipped.where(is_mine(taken)).execute():
            return False
        count_settled(ProcessedTicket.get(ProcessedTicket.ticket_id == taken.ticket_id))
        return True


def give_back_to_event(taken: Claim) -> bool:
    """The row's lock decides between an event and a skip: whichever comes second sees the other."""
    told = {"state": TicketState.FOUND, "lease_owner": None, "lease_expires_at": None, "updated_at": clock()}
    held = lock_rows(ProcessedTicket.select().where(is_mine(taken)))
    if not any(row.creation_event_at for row in held):
        return False
    return bool(ProcessedTicket.update(**told).where(is_mine(taken)).execute())
