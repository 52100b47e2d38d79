import pytest

from models.deliveries import DeliveryState
from models.held import Release, confirm_ticket, resend_ticket
from models.sends import conclude_claim, record_sent, record_unknown
from models.tickets import TicketState
from tests.store.conftest import Ledger


@pytest.fixture
def held(ledger: Ledger) -> Ledger:
    taken = ledger.sending("1")
    record_unknown("1", "console", 1, "timeout")
    conclude_claim(taken, ["console"], 30, "timeout")
    return ledger


def test_resend_sends_once_more(held: Ledger) -> None:
    assert resend_ticket("1") is Release.DONE
    assert resend_ticket("1") is Release.NOT_HELD
    assert held.begin(held.claim("1")) == 2


def test_confirm_counts_it_as_told_with_its_provider(held: Ledger) -> None:
    assert confirm_ticket("1") is Release.DONE
    ticket = held.ticket("1")
    assert (ticket.state, ticket.provider, ticket.success) == (TicketState.NOTIFIED, "local", True)
    assert held.delivery("1").state == DeliveryState.SENT
    assert confirm_ticket("1") is Release.NOT_HELD


def test_a_late_sent_after_resend_settles_without_a_second_card(held: Ledger) -> None:
    resend_ticket("1")
    assert record_sent("1", "console", ["console"], "m1", None) is TicketState.NOTIFIED


def test_only_held_tickets_can_be_released(ledger: Ledger) -> None:
    ledger.find("1")
    assert resend_ticket("1") is Release.NOT_HELD
    assert confirm_ticket("404") is Release.UNKNOWN_TICKET
