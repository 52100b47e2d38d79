"""The plain model, last part: the memory horizon and what is forgotten, and pauses of channels."""

from collections.abc import Iterator
from math import inf

from models.horizon import HeldBack
from models.tickets import TicketState
from tests.store.ledger_model import DAY, FOUR_DAYS, MAYBE_TOLD, OPEN, SETTLED, Ledger, has_come

FIRST_PAUSE, LONGEST_PAUSE = 30.0, 600.0


def raise_horizon(
    ledger: Ledger, days: int, overlap: float, now: float
) -> tuple[float | None, set[HeldBack]]:
    """Where the horizon is then, and what holds it back (any of them, where several do equally)."""
    bounds = list(horizon_bounds(ledger, days, overlap, min(now, ledger.now)))
    lowest = min(at for _, at in bounds)
    highest = max(lowest, -inf if ledger.horizon is None else ledger.horizon)
    at = None if highest == -inf else highest
    if (ledger.portal, ledger.activated) != (None, None):  # a ledger that was never opened remembers nothing
        ledger.horizon = at
    return at, {name for name, bound in bounds if bound == lowest}


def horizon_bounds(ledger: Ledger, days: int, overlap: float, now: float) -> Iterator[tuple[HeldBack, float]]:
    yield HeldBack.RETENTION, now - days * DAY
    yield HeldBack.FOUR_DAYS, now - FOUR_DAYS
    yield HeldBack.POLL, ledger.looked["poll"][1] - overlap if "poll" in ledger.looked else -inf
    swept_from = ledger.looked.get("sweep", (None, 0.0))[0]
    yield HeldBack.SWEEP, -inf if swept_from is None else swept_from
    for event in ledger.inbox:
        yield HeldBack.INBOX, event.received if event.occurred is None else event.occurred
    for ticket in ledger.tickets.values():
        found = ticket.created_at - FOUR_DAYS
        created = found if ticket.ticket_created_at is None else ticket.ticket_created_at
        if ticket.state in OPEN:
            yield HeldBack.OPEN_TICKET, created
        elif ticket.state == TicketState.UNCONFIRMED:
            yield HeldBack.HELD_TICKET, created


def forget_batch(ledger: Ledger, days: int, limit: int, after: str) -> tuple[int, int, str | None]:
    """Tickets and deliveries forgotten among the next ``limit`` ids, and where the next page begins."""
    if ledger.horizon is None:
        return 0, 0, None
    page = sorted(one for one in ledger.tickets if one > after)[:limit]
    old = [one for one in page if is_forgettable(ledger, one, days, ledger.horizon)]
    cards = [key for key in ledger.cards if key[0] in old]
    for key in cards:
        del ledger.cards[key]
    for one in old:
        del ledger.tickets[one]
    return len(old), len(cards), page[-1] if len(page) == limit else None


def is_forgettable(ledger: Ledger, ticket_id: str, days: int, horizon: float) -> bool:
    ticket = ledger.tickets[ticket_id]
    created = ticket.created_at if ticket.ticket_created_at is None else ticket.ticket_created_at
    settled_long_ago = ticket.processed_at < ledger.now - max(days * DAY, FOUR_DAYS)
    named = ticket_id in {other.merged_into for other in ledger.tickets.values()}
    may_go = ticket.state == TicketState.NOTIFIED or (ticket.state in SETTLED and not named)
    if may_be_asked_for(ledger, ticket_id):
        return False
    return may_go and settled_long_ago and created < horizon


def may_be_asked_for(ledger: Ledger, ticket_id: str) -> bool:
    """A look for what it is part of, which is not told yet, would ask for the card that it may have.

    A send of that asks whether it had the one resend.
    """
    ticket = ledger.tickets[ticket_id]
    if ticket.state != TicketState.MERGED:
        return False
    while ticket.merged_into in ledger.tickets:
        ticket = ledger.tickets[ticket.merged_into]
    untold = ticket.state in (*OPEN, TicketState.UNCONFIRMED)
    cards = ledger.cards_of(ticket_id).values()
    return untold and any(card.state in MAYBE_TOLD or card.resent_at is not None for card in cards)


def pause_after_unknown(ledger: Ledger, channel: str, key: str, error: str) -> None:
    """Rule 7."""
    _, streak, _ = ledger.pauses.get((channel, key), ("", 0, 0.0))
    ledger.pauses[channel, key] = error, streak + 1, ledger.now + pause_seconds(streak + 1)


def pause_until_look(ledger: Ledger, channel: str, key: str, error: str) -> None:
    """Rule 7, of a channel that can look."""
    ledger.pauses.setdefault((channel, key), (error, 1, ledger.now))


def pause_for_fault(ledger: Ledger, channel: str, key: str, error: str) -> None:
    """Rule 8."""
    ledger.pauses[channel, key] = error, 0, ledger.now + 600.0


def take_probe(ledger: Ledger, channel: str, key: str, seconds: float) -> bool:
    if (channel, key) not in ledger.pauses:
        return False
    reason, streak, until = ledger.pauses[channel, key]
    if not has_come(ledger, until):
        return False
    ledger.pauses[channel, key] = reason, streak, ledger.now + seconds
    return True


def extend_pause(ledger: Ledger, channel: str, key: str) -> None:
    if (channel, key) in ledger.pauses:
        reason, streak, _ = ledger.pauses[channel, key]
        seconds = max(FIRST_PAUSE, pause_seconds(streak))
        ledger.pauses[channel, key] = reason, streak, ledger.now + seconds


def lift_pause(ledger: Ledger, channel: str, key: str) -> None:
    ledger.pauses.pop((channel, key), None)


def lift_doubt(ledger: Ledger, channel: str, key: str) -> bool:
    """Not a pause for a setting to mend."""
    _, streak, _ = ledger.pauses.get((channel, key), ("", 0, 0.0))
    if streak:
        lift_pause(ledger, channel, key)
    return streak > 0


def pause_seconds(streak: int) -> float:
    """None after the first, then 30 s doubling to ten minutes."""
    return 0.0 if streak < 2 else min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (streak - 2))
