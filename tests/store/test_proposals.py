from concurrent.futures import ThreadPoolExecutor

import pytest

from models.proposals import Proposal, Proposed, propose
from models.tickets import SkipReason, Source, TicketState, known_ids, look_up_ticket
from tests.store.conftest import CREATED, Ledger


def test_an_id_enters_once_whoever_proposes_it(ledger: Ledger) -> None:
    assert propose([Proposal("1", CREATED), Proposal("2", CREATED)], Source.POLL) == Proposed(2, 0)
    assert propose([Proposal("2", CREATED), Proposal("3")], Source.WEBHOOK) == Proposed(1, 0)
    assert [ledger.ticket(one).source for one in ("1", "2", "3")] == ["poll", "poll", "webhook"]


def test_an_id_repeated_within_one_proposal_enters_once(ledger: Ledger) -> None:
    assert propose([Proposal("1"), Proposal("1")], Source.POLL) == Proposed(1, 0)


def test_nothing_proposed_asks_nothing_of_the_database(ledger: Ledger) -> None:
    assert propose([], Source.POLL) == Proposed(0, 0)


def test_a_new_ticket_is_found_with_its_creation_time_and_no_verdict(ledger: Ledger) -> None:
    ledger.find("7")
    ticket = ledger.ticket("7")
    assert (ticket.state, ticket.ticket_created_at) == (TicketState.FOUND, CREATED)
    assert ticket.provider is None
    assert ticket.success is None


@pytest.mark.parametrize("reason", [SkipReason.GONE, SkipReason.OTHER_PIPELINE])
def test_a_search_opens_a_skipped_ticket_again(ledger: Ledger, reason: SkipReason) -> None:
    ledger.find("7")
    ledger.edit("7", state=TicketState.SKIPPED, reason=reason, provider="none")
    assert propose([Proposal("7")], Source.POLL) == Proposed(0, 1)
    ticket = ledger.ticket("7")
    assert (ticket.state, ticket.reason, ticket.provider) == (TicketState.FOUND, None, None)


@pytest.mark.parametrize("reason", [SkipReason.BEFORE_ACTIVATION, SkipReason.BEYOND_MEMORY])
def test_a_search_does_not_open_what_is_too_old(ledger: Ledger, reason: SkipReason) -> None:
    ledger.find("7")
    ledger.edit("7", state=TicketState.SKIPPED, reason=reason)
    assert propose([Proposal("7")], Source.POLL) == Proposed(0, 0)
    assert ledger.ticket("7").state == TicketState.SKIPPED


def test_two_hundred_threads_worth_of_proposals_let_each_id_in_once(ledger: Ledger) -> None:
    given = [Proposal(str(number)) for number in range(200)]
    with ThreadPoolExecutor(8) as threads:
        proposed = list(threads.map(lambda _: propose(given, Source.POLL), range(16)))
    assert sum(one.found for one in proposed) == 200
    assert len(known_ids([one.ticket_id for one in given])) == 200


def test_look_up_tells_where_a_ticket_stands_or_none(ledger: Ledger) -> None:
    ledger.find("7")
    entry = look_up_ticket("7")
    assert entry is not None
    assert (entry.ticket_id, entry.state, entry.attempts) == ("7", TicketState.FOUND, 0)
    assert look_up_ticket("8") is None
