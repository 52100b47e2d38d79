"""UNCONFIRMED_POLICY=resend and merges: what became one is sent once more, once, and never beside a send."""

import pytest

from jobs.ticket import Ticket
from models.merges import Merge, join_parts
from models.sends import record_not_sent, record_sent, record_unknown
from models.tickets import Source
from tests.fakes.channel import UNKNOWN_BUT_SHOWN, FakeChannel
from tests.fakes.hubspot import make_ticket
from tests.fakes.path import Path
from tests.store.conftest import Ledger

CHANNELS = ["console"]
BECAME = make_ticket("3", aliases=("1", "2"))


@pytest.fixture
def path(ledger: Ledger) -> Path:
    path = Path(ledger)
    path.settings = {"resend_unknown": True}
    return path


def became(asked: str) -> Ticket:
    return make_ticket("3", aliases=("1", "2"), link=make_ticket(asked).link)


def join() -> None:
    join_parts(Merge("3", ("1", "2")), Source.WEBHOOK)


def both_in_flight(ledger: Ledger) -> None:
    """1 stays, 2 became part of it, and both may have left."""
    ledger.sending("1", "one")
    ledger.sending("2", "two")
    join()


def test_a_part_that_opens_again_waits_for_the_send_that_it_has_in_flight(path: Path) -> None:
    """Its worker is alive: to call that send crashed, and repeat it, would be a double without any doubt."""
    ledger = path.ledger
    both_in_flight(ledger)
    until = ledger.ticket("2").lease_expires_at
    assert until is not None
    record_not_sent("1", "console", 1, "refused", 0)
    join()
    row = ledger.ticket("2")
    assert (row.state, row.next_attempt_at, row.lease_expires_at) == ("retry", until, None)
    assert record_sent("2", "console", CHANNELS, "m", "here") == "notified"
    assert path.shown() == [[]]


def test_a_part_that_waits_so_waits_on_where_it_is_merged_and_opened_once_more(ledger: Ledger) -> None:
    both_in_flight(ledger)
    until = ledger.ticket("2").lease_expires_at
    record_not_sent("1", "console", 1, "refused", 0)
    join()
    ledger.sending("4", "four")
    record_sent("4", "console", CHANNELS, "m", "here")
    join_parts(Merge("5", ("3", "4", "1", "2")), Source.WEBHOOK)
    row = ledger.ticket("2")
    assert (row.state, row.merged_into, row.lease_expires_at) == ("merged", "4", until)


def test_a_part_whose_worker_died_is_sent_again_when_its_lease_is_over(path: Path) -> None:
    both_in_flight(path.ledger)
    record_not_sent("1", "console", 1, "refused", 0)
    join()
    path.let_time_pass("2")
    assert path.handle("2", became("2")).result.value == "retrying"
    path.let_time_pass("2")
    assert path.handle("2", became("2")).result.value == "notified"
    assert path.shown() == [["2"]]


def test_the_new_ticket_has_no_resend_of_its_own_after_a_parts(path: Path) -> None:
    path.channels = [FakeChannel("console", UNKNOWN_BUT_SHOWN, UNKNOWN_BUT_SHOWN)]
    path.ledger.find("1")
    assert path.handle("1").result.value == "retrying"
    join()
    assert path.handle("3", BECAME).result.value == "held"
    assert path.shown() == [["1", "3"]]


def test_a_part_of_a_part_counts_too(path: Path) -> None:
    path.channels = [FakeChannel("console", UNKNOWN_BUT_SHOWN, UNKNOWN_BUT_SHOWN)]
    path.ledger.find("1")
    path.handle("1")
    join()
    join_parts(Merge("5", ("3", "4")), Source.WEBHOOK)
    assert path.handle("5", make_ticket("5", aliases=("3", "4"))).result.value == "held"
    assert path.shown() == [["1", "5"]]


def test_one_of_two_parts_in_doubt_is_the_one_that_is_sent_once_more(ledger: Ledger) -> None:
    both_in_flight(ledger)
    assert record_unknown("2", "console", 1, "timeout", resend=True)
    assert record_unknown("1", "console", 1, "timeout", resend=True)
    assert [ledger.delivery(one).state for one in ("1", "2")] == ["unconfirmed", "pending"]


def test_another_channels_resend_is_its_own(ledger: Ledger) -> None:
    ledger.sending("1", channel="discord")
    record_unknown("1", "discord", 1, "timeout", resend=True)
    join()
    ledger.sending("3")
    record_unknown("3", "console", 1, "timeout", resend=True)
    assert ledger.delivery("3").state == "pending"
