"""The plain model, third part: sends, their outcomes, and how a claim ends."""

from collections.abc import Iterable, Sequence

from models.deliveries import DeliveryState as D
from models.tickets import TicketState as T
from tests.store.ledger_model import (
    IN_DOUBT,
    MAYBE_TOLD,
    OPEN_AGAIN_WHEN_SHOWN,
    SETTLED,
    Card,
    Lease,
    Ledger,
    Verdict,
    give_back,
    has_come,
    mine,
    settle_notified,
    settle_skipped,
)

NONCE, PLACE = "nonce", "place"  #: what a look goes by later


def begin_delivery(
    ledger: Ledger, lease: Lease, channel: str, verdict: Verdict, seconds: float, key: str, on_trial: bool
) -> int | None:
    """Rule 3; None: do not send. The verdict and the lease are stored wherever the claim stands."""
    ticket = mine(ledger, lease)
    if ticket is None or has_come(ledger, ticket.lease_expires_at):
        return None
    if (channel, key) in ledger.pauses and not on_trial:
        return None
    ticket.ticket_created_at, ticket.lease_expires_at = verdict.created, ledger.now + seconds
    ticket.provider, ticket.success, ticket.priority = verdict.provider, verdict.success, verdict.priority
    ticket.triage_ms, ticket.missing_since_at = verdict.triage_ms, None
    return begin_card(ledger, lease, channel)


def begin_card(ledger: Ledger, lease: Lease, channel: str) -> int | None:
    """The first one, or the next of one that still is pending as the claimant read it."""
    card, known = ledger.cards.get((lease.ticket_id, channel)), lease.known.get(channel)
    if card is None:
        card = ledger.cards[lease.ticket_id, channel] = Card(attempts=0, first_sending_at=ledger.now)
    elif known is None or known[:2] != (D.PENDING, card.attempts) or card.state != D.PENDING:
        return None
    card.state, card.attempts, card.sending_at = D.SENDING, card.attempts + 1, ledger.now
    card.last_error, card.nonce, card.place = None, NONCE, PLACE
    return card.attempts


def record_sent(
    ledger: Ledger, ticket_id: str, channel: str, configured: Sequence[str], message: str | None, place: str
) -> str | None:
    """Rule 4: whatever the row says."""
    ticket, card = ledger.tickets.get(ticket_id), ledger.cards.get((ticket_id, channel))
    if ticket is None or card is None:
        return ticket.state if ticket else None
    card.state, card.sent_at, card.last_error = D.SENT, ledger.now, None
    card.message_id, card.place = message, place
    if ticket.state not in SETTLED and state_after(ledger, ticket_id, configured) == T.NOTIFIED:
        settle_notified(ledger, ticket)
    return ticket.state


def record_not_sent(
    ledger: Ledger, ticket_id: str, channel: str, attempt: int, error: str, delay: float
) -> bool:
    card = current(ledger, ticket_id, channel, attempt, IN_DOUBT)
    if card is None:
        return False
    card.state, card.last_error = D.PENDING, error
    if ledger.tickets[ticket_id].state == T.UNCONFIRMED:
        give_back(ledger, ticket_id, delay)
    return True


def record_unknown(
    ledger: Ledger, ticket_id: str, channel: str, attempt: int, error: str, resend: bool
) -> bool:
    """Rule 6; with ``resend`` the first doubt of a ticket and its parts makes it resendable, once."""
    card = current(ledger, ticket_id, channel, attempt, (D.SENDING,))
    if card is None:
        return False
    parts = [ledger.cards.get((one, channel)) for one in parts_of(ledger, ticket_id)]
    resent = any(one is not None and one.resent_at is not None for one in (card, *parts))
    again = resend and not resent
    card.state, card.last_error = D.PENDING if again else D.UNCONFIRMED, error
    card.resent_at = ledger.now if again else card.resent_at
    return True


def parts_of(ledger: Ledger, ticket_id: str) -> Iterable[str]:
    for one, ticket in ledger.tickets.items():
        if ticket.merged_into == ticket_id:
            yield one
            yield from parts_of(ledger, one)


def record_refused(ledger: Ledger, ticket_id: str, channel: str, attempt: int, error: str) -> bool:
    """Rule 8: even the minimal card."""
    card = current(ledger, ticket_id, channel, attempt, (D.SENDING, D.PENDING))
    if card is not None:
        card.state, card.last_error = D.REFUSED, error
    return card is not None


def current(ledger: Ledger, ticket_id: str, channel: str, attempt: int, states: Iterable[str]) -> Card | None:
    """Not sent and unknown count for the current attempt only (rule 4)."""
    card = ledger.cards.get((ticket_id, channel))
    return card if card and card.attempts == attempt and card.state in states else None


def conclude_claim(
    ledger: Ledger, lease: Lease, configured: Sequence[str], delay: float, error: str
) -> str | None:
    ticket = mine(ledger, lease)
    if ticket is None:
        return None
    state = state_after(ledger, lease.ticket_id, configured)
    if state == T.NOTIFIED:
        settle_notified(ledger, ticket)
    elif state == T.RETRY:
        give_back(ledger, lease.ticket_id, delay, error)
    else:
        ticket.state, ticket.lease_owner, ticket.lease_expires_at = T.UNCONFIRMED, None, None
        ticket.last_error = error
    return state


def state_after(ledger: Ledger, ticket_id: str, configured: Sequence[str]) -> str:
    """Rule 9; a channel that is not configured any more counts only if sent, sending or unconfirmed."""
    states = {channel: card.state for channel, card in ledger.cards_of(ticket_id).items()}
    if any(states.get(channel, D.PENDING) == D.PENDING for channel in configured):
        return T.RETRY
    counted = [state for channel, state in states.items() if channel in configured or state in MAYBE_TOLD]
    return T.NOTIFIED if set(counted) == {D.SENT} else T.UNCONFIRMED


def abandon_delivery(ledger: Ledger, lease: Lease, channel: str) -> bool:
    """Before the first byte: what this claim wrote ahead may be sent again."""
    card = current(ledger, lease.ticket_id, channel, written_attempt(lease, channel), (D.SENDING,))
    if card is None or mine(ledger, lease) is None:
        return False
    card.state, card.last_error = D.PENDING, "abandoned"
    return True


def written_attempt(lease: Lease, channel: str) -> int:
    """The attempt that this claim's write-ahead wrote, if any."""
    return lease.known[channel].attempts + 1 if channel in lease.known else 1


def abandon_claim(
    ledger: Ledger, lease: Lease, channel: str, configured: Sequence[str], delay: float, error: str
) -> str | None:
    abandon_delivery(ledger, lease, channel)
    return conclude_claim(ledger, lease, configured, delay, error)


def release_for_retry(
    ledger: Ledger, lease: Lease, delay: float, error: str, crashed: bool, missing: float | None
) -> bool:
    ticket = mine(ledger, lease)
    if ticket is None:
        return False
    ticket.crashes += crashed
    ticket.missing_since_at = missing
    give_back(ledger, lease.ticket_id, delay, error)
    return True


def release_unsent(ledger: Ledger, owner: str) -> int:
    """A worker ends: what it holds is due at once, unless a first byte may have left."""
    held = [one for one, ticket in ledger.tickets.items() if ticket.state == T.CLAIMED]
    held = [one for one in held if ledger.tickets[one].lease_owner == owner]
    free = [one for one in held if all(card.state != D.SENDING for card in ledger.cards_of(one).values())]
    for one in free:
        give_back(ledger, one, 0.0)
    return len(free)


def skip_ticket(ledger: Ledger, lease: Lease, reason: str, created: float | None) -> bool:
    """A creation event overrides what a ticket's age says: then it is found, and not skipped."""
    ticket = mine(ledger, lease)
    if ticket is None:
        return False
    if ticket.creation_event_at is not None and reason not in OPEN_AGAIN_WHEN_SHOWN:
        ticket.state, ticket.lease_owner, ticket.lease_expires_at = T.FOUND, None, None
        return False
    ticket.ticket_created_at = ticket.ticket_created_at if created is None else created
    settle_skipped(ledger, ticket, reason)
    return True


def hasten_retries(ledger: Ledger, error: str) -> int:
    waiting = [one for one in ledger.tickets.values() if (one.state, one.last_error) == (T.RETRY, error)]
    waiting = [one for one in waiting if not has_come(ledger, one.next_attempt_at)]
    for one in waiting:
        one.next_attempt_at = ledger.now
    return len(waiting)
