from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import pytest

from models.claims import claim
from models.deliveries import DeliveryState
from models.sends import (
    abandon_delivery,
    conclude_claim,
    record_not_sent,
    record_sent,
    record_unknown,
    state_after,
)
from models.tickets import TicketState
from tests.store.conftest import CREATED, Ledger

Expire = Callable[[str], None]
ONE = ["console"]
TWO = ["console", "discord"]


def test_the_write_ahead_stores_the_verdict_and_marks_the_delivery(ledger: Ledger) -> None:
    ledger.sending("1")
    ticket, delivery = ledger.ticket("1"), ledger.delivery("1")
    assert (ticket.priority, ticket.provider, ticket.success, ticket.triage_ms) == (
        "high",
        "local",
        True,
        1200,
    )
    assert (delivery.state, delivery.attempts) == (DeliveryState.SENDING, 1)
    assert delivery.sending_at == delivery.first_sending_at is not None


def test_a_delivery_is_begun_once_per_claim(ledger: Ledger) -> None:
    taken = ledger.sending("1")
    assert ledger.begin(taken) is None


def test_a_lost_claim_begins_nothing(ledger: Ledger, expire: Expire) -> None:
    ledger.find("1")
    lost = ledger.claim("1", "one")
    expire("1")
    assert ledger.begin(lost) is None
    ledger.claim("1", "two")
    assert ledger.begin(lost) is None


def test_a_delivery_that_changed_since_the_claim_is_not_begun(ledger: Ledger) -> None:
    taken = ledger.sending("1")
    record_unknown("1", "console", 1, "reset")
    assert ledger.begin(taken) is None
    assert ledger.delivery("1").state == DeliveryState.UNCONFIRMED


def test_threads_with_the_same_claim_send_once(ledger: Ledger) -> None:
    ledger.find("1")
    taken = ledger.claim("1")
    with ThreadPoolExecutor(8) as threads:
        begun = list(threads.map(lambda _: ledger.begin(taken), range(8)))
    assert sorted(one or 0 for one in begun) == [0] * 7 + [1]


def test_the_write_ahead_extends_the_lease_past_the_send(ledger: Ledger) -> None:
    ledger.find("1")
    taken = ledger.claim("1", seconds=5)
    before = ledger.ticket("1").lease_expires_at
    ledger.begin(taken, seconds=300)
    assert (ledger.ticket("1").lease_expires_at - before).total_seconds() > 250


def test_sent_settles_the_ticket_and_clears_the_lease(ledger: Ledger) -> None:
    ledger.sending("1")
    assert record_sent("1", "console", ONE, "m1", "here") is TicketState.NOTIFIED
    ticket, delivery = ledger.ticket("1"), ledger.delivery("1")
    assert (ticket.state, ticket.lease_owner, ticket.lease_expires_at) == ("notified", None, None)
    assert (delivery.state, delivery.message_id, delivery.place) == ("sent", "m1", "here")
    assert claim(["1"], "two", 60) == []


def test_sent_twice_is_recorded_once(ledger: Ledger) -> None:
    ledger.sending("1")
    record_sent("1", "console", ONE, "m1", "here")
    settled_at = ledger.ticket("1").processed_at
    assert record_sent("1", "console", ONE, "m1", "here") is TicketState.NOTIFIED
    assert ledger.ticket("1").processed_at == settled_at


def test_sent_counts_whoever_holds_the_ticket_by_now(ledger: Ledger, expire: Expire) -> None:
    ledger.sending("1", "slow")
    expire("1")
    ledger.claim("1", "next")
    assert record_sent("1", "console", ONE, "m1", "here") is TicketState.NOTIFIED


def test_sent_overrides_a_hold(ledger: Ledger) -> None:
    taken = ledger.sending("1")
    record_unknown("1", "console", 1, "timeout")
    assert conclude_claim(taken, ONE, 30, "timeout") is TicketState.UNCONFIRMED
    assert record_sent("1", "console", ONE, "m1", "here") is TicketState.NOTIFIED


def test_a_certain_not_sent_turns_a_hold_into_a_retry(ledger: Ledger) -> None:
    taken = ledger.sending("1")
    record_unknown("1", "console", 1, "timeout")
    conclude_claim(taken, ONE, 30, "timeout")
    assert record_not_sent("1", "console", 1, "refused", -1)
    assert ledger.ticket("1").state == TicketState.RETRY
    assert ledger.begin(ledger.claim("1")) == 2


@pytest.mark.parametrize("record", [record_not_sent, record_unknown])
def test_an_outcome_of_an_earlier_attempt_changes_nothing(
    ledger: Ledger, record: Callable[..., bool]
) -> None:
    taken = ledger.sending("1")
    record_not_sent("1", "console", 1, "refused", -1)
    conclude_claim(taken, ONE, -1, "refused")
    ledger.begin(ledger.claim("1"))
    extra = (0,) if record is record_not_sent else ()
    assert not record("1", "console", 1, "late", *extra)
    assert ledger.delivery("1").state == DeliveryState.SENDING


def test_an_unknown_outcome_is_held_and_not_claimed_again(ledger: Ledger) -> None:
    taken = ledger.sending("1")
    assert record_unknown("1", "console", 1, "timeout")
    assert conclude_claim(taken, ONE, 30, "timeout") is TicketState.UNCONFIRMED
    assert claim(["1"], "two", 60) == []
    ticket = ledger.ticket("1")
    assert (ticket.last_error, ticket.provider) == ("timeout", "local")


def test_abandoning_makes_the_delivery_resendable(ledger: Ledger) -> None:
    taken = ledger.sending("1")
    assert abandon_delivery(taken, "console")
    assert conclude_claim(taken, ONE, -1, "abandoned") is TicketState.RETRY
    assert ledger.begin(ledger.claim("1")) == 2


def test_abandoning_what_was_never_written_changes_nothing(ledger: Ledger) -> None:
    ledger.find("1")
    taken = ledger.claim("1")
    assert not abandon_delivery(taken, "console")
    assert ledger.begin(taken) == 1


def test_abandoning_never_touches_a_later_claims_send(ledger: Ledger, expire: Expire) -> None:
    ledger.find("1")
    lost = ledger.claim("1", "one")
    expire("1")
    ledger.begin(ledger.claim("1", "two"))
    assert not abandon_delivery(lost, "console")
    assert ledger.delivery("1").state == DeliveryState.SENDING


def test_a_card_that_arrived_after_its_verdict_was_given_up_settles_by_nobodys(ledger: Ledger) -> None:
    taken = ledger.sending("1")
    record_not_sent("1", "console", 1, "connect", 30)
    conclude_claim(taken, ONE, 30, "connect")
    assert ledger.ticket("1").provider is None
    assert record_sent("1", "console", ONE, "m1", None) is TicketState.NOTIFIED
    assert (ledger.ticket("1").provider, ledger.ticket("1").success) == ("none", None)


def test_two_channels_settle_together(ledger: Ledger) -> None:
    taken = ledger.sending("1")
    ledger.begin(taken, "discord")
    assert record_sent("1", "console", TWO, None, None) is TicketState.CLAIMED
    assert record_sent("1", "discord", TWO, None, None) is TicketState.NOTIFIED


def test_one_channel_missing_means_retry_and_keeps_what_was_told(ledger: Ledger) -> None:
    taken = ledger.sending("1")
    record_sent("1", "console", TWO, None, None)
    assert conclude_claim(taken, TWO, -1, "discord down") is TicketState.RETRY
    again = ledger.claim("1")
    assert again.deliveries["console"].state is DeliveryState.SENT


def test_a_removed_channel_in_doubt_still_holds(ledger: Ledger) -> None:
    taken = ledger.sending("1", channel="old")
    record_unknown("1", "old", 1, "crashed")
    ledger.begin(taken)
    assert record_sent("1", "console", ONE, None, None) is TicketState.CLAIMED
    assert conclude_claim(taken, ONE, -1, "crashed") is TicketState.UNCONFIRMED


def test_a_removed_channel_that_was_never_sent_does_not_count(ledger: Ledger) -> None:
    taken = ledger.sending("1", channel="old")
    record_not_sent("1", "old", 1, "refused", 0)
    ledger.begin(taken)
    assert record_sent("1", "console", ONE, None, None) is TicketState.NOTIFIED


def test_a_lost_claim_concludes_nothing(ledger: Ledger, expire: Expire) -> None:
    lost = ledger.sending("1", "one")
    expire("1")
    ledger.claim("1", "two")
    assert conclude_claim(lost, ONE, 0, "late") is None
    assert ledger.ticket("1").lease_owner == "two"


def test_rule_nine_over_every_pair_of_states() -> None:
    for first, second in product([*DeliveryState, None], repeat=2):
        known = {name: state for name, state in (("console", first), ("discord", second)) if state}
        state = state_after(known, TWO)
        if first is second is DeliveryState.SENT:
            assert state is TicketState.NOTIFIED
        elif {first, second} & {None, DeliveryState.PENDING}:
            assert state is TicketState.RETRY
        else:
            assert state is TicketState.UNCONFIRMED


def test_a_ticket_told_on_no_configured_channel_is_found_again_as_it_was(ledger: Ledger) -> None:
    ledger.find("1")
    assert ledger.ticket("1").ticket_created_at == CREATED
    assert record_sent("404", "console", ONE, None, None) is None


def test_a_doubt_is_resent_once_where_the_policy_says_so_and_held_then(ledger: Ledger) -> None:
    taken = ledger.sending("1")
    assert record_unknown("1", "console", 1, "timeout", resend=True)
    assert not record_unknown("1", "console", 1, "timeout", resend=True)
    assert ledger.delivery("1").state == DeliveryState.PENDING
    assert conclude_claim(taken, ONE, -1, "timeout") is TicketState.RETRY
    again = ledger.claim("1")
    assert ledger.begin(again) == 2
    assert record_unknown("1", "console", 2, "timeout", resend=True)
    assert ledger.delivery("1").state == DeliveryState.UNCONFIRMED
    assert conclude_claim(again, ONE, -1, "timeout") is TicketState.UNCONFIRMED
