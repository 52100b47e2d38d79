from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from models import sends
from models.claims import (
    claim,
    find_due,
    renew_leases,
    seconds_until_due,
)
from models.deliveries import DeliveryState
from models.releases import release_for_retry, release_unsent, skip_ticket
from models.tickets import SkipReason, TicketState
from tests.store.conftest import CREATED, Ledger

Expire = Callable[[str], None]


def test_a_claimed_ticket_is_nobody_elses(ledger: Ledger) -> None:
    ledger.find("1", "2")
    assert [one.ticket_id for one in claim(["1"], "one", 60)] == ["1"]
    assert [one.ticket_id for one in claim(["1", "2"], "two", 60)] == ["2"]
    assert find_due(10) == []


def test_many_workers_claim_each_ticket_once(ledger: Ledger) -> None:
    ids = [str(number) for number in range(60)]
    ledger.find(*ids)
    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(lambda owner: claim(ids, f"owner {owner}", 60), range(8)))
    assert sorted(one.ticket_id for claims in won for one in claims) == sorted(ids)


def test_an_expired_claim_is_taken_over_and_counted_as_a_crash(ledger: Ledger, expire: Expire) -> None:
    ledger.find("1")
    first = ledger.claim("1", "one")
    expire("1")
    second = ledger.claim("1", "two")
    assert (first.attempt, first.crashes) == (1, 0)
    assert (second.attempt, second.crashes) == (2, 1)


def test_a_claim_brings_what_the_channels_were_told(ledger: Ledger, expire: Expire) -> None:
    ledger.sending("1")
    expire("1")
    taken = ledger.claim("1", "two")
    assert {name: (one.state, one.attempts) for name, one in taken.deliveries.items()} == {
        "console": (DeliveryState.SENDING, 1)
    }


def test_renewing_keeps_a_lease_and_never_revives_one(ledger: Ledger, expire: Expire) -> None:
    ledger.find("1", "2")
    ledger.claim("1", seconds=5)
    ledger.claim("2", seconds=5)
    expire("2")
    assert renew_leases(["1", "2"], "one", 600) == 1
    assert ledger.ticket("1").lease_expires_at > datetime.now(UTC)
    assert find_due(10) == ["2"]


def test_renewing_never_shortens_a_lease(ledger: Ledger) -> None:
    ledger.find("1")
    ledger.claim("1", seconds=600)
    before = ledger.ticket("1").lease_expires_at
    renew_leases(["1"], "one", 5)
    assert ledger.ticket("1").lease_expires_at == before


def test_nobody_renews_anothers_lease(ledger: Ledger) -> None:
    ledger.find("1")
    ledger.claim("1", seconds=5)
    assert renew_leases(["1"], "two", 600) == 0


def test_a_released_ticket_is_due_again_after_the_delay(ledger: Ledger) -> None:
    ledger.find("1")
    taken = ledger.claim("1")
    assert release_for_retry(taken, 30, "unreachable")
    assert find_due(10) == []
    seconds = seconds_until_due()
    assert seconds is not None
    assert 25 < seconds <= 30.01
    assert ledger.ticket("1").last_error == "unreachable"


def test_a_released_ticket_has_no_verdict(ledger: Ledger) -> None:
    taken = ledger.sending("1")
    sends.record_not_sent("1", "console", 1, "refused", 0)
    assert release_for_retry(taken, 0, "refused")
    ticket = ledger.ticket("1")
    assert (ticket.provider, ticket.success, ticket.lease_owner) == (None, None, None)


def test_our_own_fault_counts_as_a_crash_and_a_services_does_not(ledger: Ledger) -> None:
    ledger.find("1")
    release_for_retry(ledger.claim("1"), -1, "http_503")
    assert ledger.claim("1").crashes == 0
    ledger.edit("1", state=TicketState.FOUND)
    release_for_retry(ledger.claim("1"), -1, "internal_error", crashed=True)
    assert ledger.claim("1").crashes == 1


def test_a_lost_claim_can_neither_release_nor_skip(ledger: Ledger, expire: Expire) -> None:
    ledger.find("1")
    lost = ledger.claim("1", "one")
    expire("1")
    ledger.claim("1", "two")
    assert not release_for_retry(lost, 0, "late")
    assert not skip_ticket(lost, SkipReason.GONE, None)
    assert ledger.ticket("1").lease_owner == "two"


def test_a_claim_is_lost_where_its_own_process_claimed_anew(ledger: Ledger, expire: Expire) -> None:
    ledger.find("1")
    lost = ledger.claim("1")
    expire("1")
    ledger.claim("1")
    assert ledger.begin(lost) is None
    assert not release_for_retry(lost, 0, "late")
    assert not skip_ticket(lost, SkipReason.GONE, None)
    assert sends.conclude_claim(lost, ["console"], 0, "late") is None
    assert (ledger.ticket("1").state, ledger.ticket("1").attempts) == (TicketState.CLAIMED, 2)


def test_a_claim_is_lost_where_anothers_has_the_same_number(ledger: Ledger) -> None:
    ledger.find("1")
    lost = ledger.claim("1", "one")
    ledger.edit("1", state=TicketState.FOUND, attempts=0)
    assert ledger.claim("1", "two").attempt == lost.attempt
    assert ledger.begin(lost) is None
    assert not release_for_retry(lost, 0, "late")
    assert ledger.ticket("1").lease_owner == "two"


def test_a_skipped_ticket_is_settled_with_its_reason(ledger: Ledger) -> None:
    ledger.find("1")
    assert skip_ticket(ledger.claim("1"), SkipReason.BEFORE_ACTIVATION, CREATED)
    ticket = ledger.ticket("1")
    assert (ticket.state, ticket.reason, ticket.provider) == ("skipped", "before activation", "none")
    assert find_due(10) == []


def test_the_first_404_is_remembered_until_hubspot_answers(ledger: Ledger) -> None:
    ledger.find("1")
    release_for_retry(ledger.claim("1"), -1, "not_found", missing_since_at=CREATED)
    again = ledger.claim("1")
    assert again.missing_since_at == CREATED
    release_for_retry(again, -1, "unreachable")
    assert ledger.claim("1").missing_since_at is None


def test_due_tickets_come_oldest_first_and_nothing_open_means_no_wait(ledger: Ledger) -> None:
    assert seconds_until_due() is None
    for one in ("9", "10", "2"):
        ledger.find(one)
        ledger.edit(one, created_at=CREATED.replace(minute=int(one)))
    assert find_due(2) == ["2", "9"]
    assert seconds_until_due() == 0.0


def test_a_worker_that_ends_gives_back_what_nobody_began_to_send(ledger: Ledger) -> None:
    ledger.find("claimed", "theirs")
    mine = ledger.claim("claimed")
    ledger.claim("theirs", owner="two")
    ledger.sending("sending")
    assert release_unsent("one") == 1
    states = {one: ledger.ticket(one).state for one in ("claimed", "theirs", "sending")}
    assert states == {"claimed": "retry", "theirs": "claimed", "sending": "claimed"}
    assert find_due(10) == ["claimed"]
    # Its thread may wake up later: the write-ahead finds no claim of its any more.
    assert ledger.begin(mine) is None
