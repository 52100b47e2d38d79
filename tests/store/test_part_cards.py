"""Several channels and a merge: what a part was told on one counts for the ticket told for it (rule 11)."""

import pytest

from jobs.name_held_tickets import name_held_tickets
from jobs.run_report import Result
from jobs.ticket import Ticket
from models.held import Release, confirm_ticket, resend_ticket
from models.merges import Merge, join_parts
from models.sends import record_sent
from models.tickets import Source
from tests.fakes.channel import (
    DIES_AFTER_SHOWING,
    NOT_SENT,
    UNKNOWN,
    UNKNOWN_BUT_SHOWN,
    Answer,
    FakeChannel,
    ProcessDied,
)
from tests.fakes.hubspot import make_ticket
from tests.fakes.path import Path
from tests.store.conftest import Ledger

ONE, OTHER = CHANNELS = ["one", "other"]


class Channels:
    """Two channels; 1 is told on one, 2 comes to ``answer`` on the other, and both are then one: 3."""

    def __init__(self, ledger: Ledger) -> None:
        self.one, self.other = FakeChannel(ONE), FakeChannel(OTHER)
        self.path = Path(ledger, self.one, self.other)
        ledger.find("1", "2")

    def tell_apart(self, *answers: Answer) -> None:
        self.other.script = [NOT_SENT]
        assert self.path.handle("1").result is Result.RETRYING
        self.one.script, self.other.script = [NOT_SENT], list(answers)
        self.path.handle("2")

    def handle(self, ticket_id: str = "1") -> Result:
        self.path.let_time_pass(ticket_id)
        return self.path.handle(ticket_id, became(ticket_id)).result


def became(asked: str) -> Ticket:
    return make_ticket("3", aliases=("1", "2"), link=make_ticket(asked).link)


def join() -> None:
    join_parts(Merge("3", ("1", "2")), Source.WEBHOOK)


@pytest.fixture
def channels(ledger: Ledger) -> Channels:
    return Channels(ledger)


def test_the_card_of_a_part_is_the_tickets_on_its_channel(channels: Channels) -> None:
    channels.tell_apart()
    join()
    assert channels.handle() is Result.NOTIFIED
    assert channels.path.shown() == [["1"], ["2"]]


def test_a_claim_that_learns_of_the_merge_ends_before_it_tells(channels: Channels) -> None:
    channels.tell_apart()
    assert channels.handle() is Result.RETRYING
    assert channels.handle() is Result.NOTIFIED
    assert channels.path.shown() == [["1"], ["2"]]


def test_a_part_in_doubt_is_a_doubt_of_the_tickets_own(channels: Channels) -> None:
    channels.tell_apart(UNKNOWN_BUT_SHOWN)
    join()
    assert channels.handle() is Result.HELD
    assert confirm_ticket("1") is Release.DONE
    assert channels.path.shown() == [["1"], ["2"]]


def test_a_person_who_knew_of_the_parts_decides(channels: Channels) -> None:
    channels.tell_apart(UNKNOWN)
    join()
    channels.handle()
    assert resend_ticket("1") is Release.DONE
    assert channels.handle() is Result.NOTIFIED
    assert channels.path.shown() == [["1"], ["1"]]


def test_a_word_of_before_the_merge_does_not_decide(channels: Channels) -> None:
    """1 was held on the other channel too, and somebody looked for its card alone."""
    channels.other.script = [UNKNOWN]
    channels.path.handle("1")
    channels.one.script, channels.other.script = [NOT_SENT], [DIES_AFTER_SHOWING]
    with pytest.raises(ProcessDied):
        channels.path.handle("2")
    channels.path.let_time_pass("2")
    assert resend_ticket("1") is Release.DONE
    join()
    assert channels.handle() is Result.HELD
    assert channels.path.shown() == [["1"], ["2"]]


def test_a_card_on_its_way_is_awaited(channels: Channels) -> None:
    ledger = channels.path.ledger
    channels.other.script = [NOT_SENT]
    channels.path.handle("1")
    ledger.begin(ledger.claim("2", "two"), OTHER)
    until = ledger.ticket("2").lease_expires_at
    join()
    row = ledger.ticket("1")
    assert (row.state, row.next_attempt_at) == ("retry", until)
    record_sent("2", OTHER, CHANNELS, "m", "here")
    assert channels.handle() is Result.RETRYING
    assert channels.handle() is Result.NOTIFIED
    assert channels.path.shown() == [["1"], []]


def test_a_card_whose_worker_died_is_in_doubt(channels: Channels) -> None:
    with pytest.raises(ProcessDied):
        channels.tell_apart(DIES_AFTER_SHOWING)
    join()
    assert (
        channels.path.ledger.ticket("1").next_attempt_at == channels.path.ledger.ticket("2").lease_expires_at
    )
    channels.path.let_time_pass("2")
    assert channels.handle() is Result.RETRYING
    assert channels.handle() is Result.HELD
    assert channels.path.shown() == [["1"], ["2"]]


def test_a_held_ticket_whose_part_was_told_waits_for_nobody(channels: Channels) -> None:
    channels.other.script = [UNKNOWN]
    assert channels.path.handle("1").result is Result.HELD
    channels.one.script = [NOT_SENT]
    channels.path.handle("2")
    join()
    assert channels.handle() is Result.NOTIFIED
    assert channels.path.shown() == [["1"], ["2"]]


def test_a_check_message_names_the_parts(channels: Channels) -> None:
    """A person looks for their cards too."""
    channels.tell_apart(UNKNOWN_BUT_SHOWN)
    join()
    channels.handle()
    assert name_held_tickets(channels.other, lambda one: f"link {one}") == 1
    (message,) = channels.other.announced
    assert message.endswith("- #1 <link 1> or the card of #2, #3")
