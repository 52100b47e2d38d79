"""The plain model, fourth part: what is held, what a person decides, and of whom a check message tells."""

from collections.abc import Iterable, Sequence

from models.deliveries import DeliveryState as D
from models.tickets import TicketState as T
from tests.store.ledger_model import HELD, Card, Ledger, give_back, settle_notified
from tests.store.ledger_model_looks import BY_A_RESTORE, decide


def resend_ticket(ledger: Ledger, ticket_id: str) -> str:
    refusal = refuse_unless_held(ledger, ticket_id)
    if refusal is None:
        give_back(ledger, ticket_id, 0.0)
        for channel, card in ledger.cards_of(ticket_id).items():
            if card.state in HELD:
                decide(ledger, ticket_id, channel)
        ledger.tickets[ticket_id].reason = None
    return refusal or "done"


def confirm_ticket(ledger: Ledger, ticket_id: str) -> str:
    refusal = refuse_unless_held(ledger, ticket_id)
    if refusal is None:
        for card in held_cards(ledger, ticket_id):
            card.state, card.sent_at = D.SENT, ledger.now
        settle_notified(ledger, ledger.tickets[ticket_id])
    return refusal or "done"


def refuse_unless_held(ledger: Ledger, ticket_id: str) -> str | None:
    if ticket_id not in ledger.tickets:
        return "unknown ticket"
    return None if is_held(ledger, ticket_id) else "not held"


def held_cards(ledger: Ledger, ticket_id: str) -> list[Card]:
    return [card for card in ledger.cards_of(ticket_id).values() if card.state in HELD]


def take_unnoticed(ledger: Ledger, channel: str, limit: int, among: Sequence[str] | None) -> list[str]:
    """Each held ticket is named once (rule 6); one in doubt only ``among`` those no look decides."""
    cards = {one: card for (one, name), card in ledger.cards.items() if name == channel}
    held = [one for one in sorted(cards) if is_held(ledger, one)]
    doubted = {one for one in held if cards[one].state == D.UNCONFIRMED and (among is None or one in among)}
    named = [one for one in held if one in doubted or cards[one].state == D.REFUSED]
    taken = [one for one in named if cards[one].notice_at is None][:limit]
    for one in taken:
        cards[one].notice_at = ledger.now
    return taken


def give_notices_back(ledger: Ledger, channel: str, ids: Iterable[str]) -> None:
    for one in ids:
        ledger.cards[one, channel].notice_at = None


def take_restored(ledger: Ledger, channel: str, more_than: int) -> int | None:
    """All that a restore holds, in one sentence; None where they are few."""
    cards = [card for (one, name), card in ledger.cards.items() if name == channel and is_held(ledger, one)]
    doubted = [card for card in cards if card.state == D.UNCONFIRMED and card.last_error in BY_A_RESTORE]
    unnamed = [card for card in doubted if card.notice_at is None]
    if len(unnamed) <= more_than:
        return None
    for card in unnamed:
        card.notice_at = ledger.now
    return len(unnamed) or None


def is_held(ledger: Ledger, ticket_id: str) -> bool:
    return ledger.tickets[ticket_id].state == T.UNCONFIRMED
