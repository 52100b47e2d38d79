"""Several channels and a merge: what a part was told on one counts for the ticket told for it (rule 11)."""

from datetime import datetime, timedelta

import pytest

from jobs.name_held_tickets import name_held_tickets
from jobs.run_report import Result
from jobs.ticket import Ticket
from models.database import connection
from models.deliveries import Delivery
from models.held import Release, confirm_ticket, resend_ticket
from models.horizon import read_horizon
from models.merges import Merge, join_parts, join_shown
from models.proposals import Proposal, propose
from models.sends import conclude_claim, record_refused, record_sent, record_unknown
from models.switches import lift_pause
from models.tickets import ProcessedTicket, Source
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
from tests.fakes.memory import ago, lay_ticket, look, raise_now
from tests.fakes.path import Path
from tests.store.conftest import CREATED, Ledger

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


def test_a_read_that_is_older_than_the_merge_tells_nobody(channels: Channels) -> None:
    """HubSpot's answer shows a ticket without parts; the ledger knows of them by a webhook."""
    path = channels.path
    channels.other.script = [NOT_SENT]
    path.handle("1")
    path.ledger.begin(path.ledger.claim("2", "two"), OTHER)
    join()
    for one in ("1", "2"):
        path.let_time_pass(one)
    assert path.handle("1").result is Result.RETRYING
    assert path.handle("1").result is Result.HELD
    assert path.shown() == [["1"], []]


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


def test_a_word_on_another_ticket_knows_nothing_of_a_part_of_a_part(channels: Channels) -> None:
    """2 was part of 1 before somebody looked for the card of 0, and is part of 0 since."""
    ledger, path = channels.path.ledger, channels.path
    ledger.find("0")
    channels.other.script = [UNKNOWN]
    assert path.handle("0").result is Result.HELD
    lift_pause(OTHER, "")
    channels.other.script = [NOT_SENT]
    assert path.handle("1").result is Result.RETRYING
    assert ledger.begin(ledger.claim("2", "two"), OTHER) == 1
    join()
    assert resend_ticket("0") is Release.DONE
    assert join_parts(Merge("4", ("0", "3")), Source.WEBHOOK).survivor == "0"
    path.let_time_pass("0")
    path.handle("0", make_ticket("4", aliases=("0", "1", "2", "3"), link=make_ticket("0").link))
    assert channels.other.shown == []


def test_a_ticket_held_by_no_word_of_a_channel_stays_held(channels: Channels) -> None:
    channels.path.ledger.edit("1", state="unconfirmed")
    channels.one.script = [NOT_SENT]
    assert channels.path.handle("2").result is Result.RETRYING
    join()
    assert channels.path.state("1") == "unconfirmed"


def test_a_refusal_of_a_removed_channel_holds_nothing(ledger: Ledger) -> None:
    ledger.find("1", "2")
    taken = ledger.claim("1")
    ledger.begin(taken, "removed")
    record_refused("1", "removed", 1, "refused_minimal_card")
    ledger.begin(taken, ONE)
    record_unknown("1", ONE, 1, "timeout")
    assert conclude_claim(taken, [ONE], 30, "timeout") == "unconfirmed"
    taken = ledger.claim("2")
    ledger.begin(taken, ONE)
    record_sent("2", ONE, [ONE, "removed"], "m", "here")
    conclude_claim(taken, [ONE, "removed"], 30, "timeout")
    join()
    assert ledger.delivery("1", ONE).state == "sent"
    assert conclude_claim(ledger.claim("1"), [ONE], 30, "incomplete") == "notified"


def test_what_was_told_and_forgotten_was_told_everywhere(channels: Channels) -> None:
    """5 leads to 4, which was; 7 is told on one channel only."""
    path = remembering(channels)
    lay_ticket("5", created=5, processed_at=ago(5), state="merged", merged_into="4")
    propose([Proposal("7", ago(1))], Source.POLL)
    channels.other.script = [NOT_SENT]
    assert path.handle("7", make_ticket("7", created_at=ago(1))).result is Result.RETRYING
    path.let_time_pass("7")
    link = make_ticket("7").link
    path.handle("7", make_ticket("8", aliases=("4", "5", "7"), created_at=ago(5), link=link))
    assert channels.other.shown == []


def test_a_forgotten_one_that_came_back_is_beyond_memory(channels: Channels) -> None:
    """3 was told on both channels; of 2, which is part of it, a late answer came."""
    path = remembering(channels)
    lay_ticket("2", created=30, processed_at=ago(5), state="merged", merged_into="3")
    with connection():
        Delivery.insert(ticket_id="2", channel=ONE, state="sent", sent_at=ago(5)).execute()
    propose([Proposal("3")], Source.WEBHOOK)
    seen = make_ticket("3", aliases=("1", "2"), created_at=ago(30))
    assert path.handle("3", seen).result is Result.SKIPPED
    assert channels.other.shown == []


def remembering(channels: Channels) -> Path:
    """A ledger a year old that forgets after a week."""
    with connection():
        ProcessedTicket.delete().execute()
    look()
    raise_now()
    channels.path.settings = {"activated_at": ago(365), "horizon": read_horizon}
    return channels.path


def test_a_gone_ticket_that_was_told_on_one_channel_is_shown_again_by_a_merge(channels: Channels) -> None:
    path = channels.path
    channels.other.script = [NOT_SENT]
    assert path.handle("1").result is Result.RETRYING
    path.let_time_pass("1")
    path.ledger.edit("1", missing_since_at=path.clock.now() - timedelta(hours=25))
    assert path.handle_missing("1").result is Result.SKIPPED
    join_parts(Merge("3", ("1", "2"), CREATED), Source.POLL)
    assert path.state("1") == "found"
    assert channels.handle() is Result.NOTIFIED
    assert path.shown() == [["1"], ["1"]]


def test_a_ticket_that_is_gone_after_the_merge_is_shown_again_by_a_search(channels: Channels) -> None:
    """HubSpot restores what it became; nobody was told on the other channel."""
    path, merged = channels.path, Merge("3", ("1", "2"), CREATED)
    channels.other.script = [NOT_SENT]
    assert path.handle("1").result is Result.RETRYING
    join_parts(merged, Source.POLL)
    path.let_time_pass("1")
    path.ledger.edit("1", missing_since_at=path.clock.now() - timedelta(hours=25))
    assert path.handle_missing("1").result is Result.SKIPPED
    join_shown([merged], Source.POLL)
    assert path.state("1") == "found"
    assert channels.handle() is Result.NOTIFIED
    join_shown([merged], Source.POLL)
    assert path.state("1") == "notified"
    assert path.shown() == [["1"], ["1"]]


def test_a_person_decides_of_a_gone_part_in_doubt(channels: Channels) -> None:
    """It is part of the ticket from the merge on, so whoever looks then knows of it."""
    path = channels.path
    channels.one.script = [NOT_SENT]
    assert path.handle("1").result is Result.RETRYING
    channels.one.script, channels.other.script = [UNKNOWN], [NOT_SENT]
    assert path.handle("2").result is Result.RETRYING
    path.let_time_pass("2")
    path.ledger.edit("2", missing_since_at=path.clock.now() - timedelta(hours=25))
    assert path.handle_missing("2").result is Result.SKIPPED
    lift_pause(ONE, "")
    join_parts(Merge("3", ("1", "2"), CREATED), Source.POLL)
    assert path.state("2") == "merged"
    assert channels.handle() is Result.HELD
    assert resend_ticket("1") is Release.DONE
    assert channels.handle() is Result.NOTIFIED


def test_a_forgotten_ticket_that_came_back_elsewhere_is_not_told_again(channels: Channels) -> None:
    path = remembering(channels)
    path.settings["pipelines"] = frozenset({"ours"})
    lay_ticket("2", created=5, processed_at=ago(5), state="merged", merged_into="3")
    propose([Proposal("3")], Source.WEBHOOK)
    seen = make_ticket("3", aliases=("1", "2"), created_at=ago(30), pipeline="theirs")
    assert path.handle("3", seen).result is Result.SKIPPED
    propose([Proposal("7", ago(1))], Source.POLL)
    join_parts(Merge("8", ("1", "2", "3", "7"), ago(30)), Source.POLL)
    assert path.state("3") == "skipped"


def test_a_forgotten_ticket_that_came_back_as_a_part_was_told_everywhere(channels: Channels) -> None:
    path = remembering(channels)
    lay_ticket("5", created=5, processed_at=ago(5), state="merged", merged_into="4")
    told_on_one(path, "7")
    seen = make_ticket("8", aliases=("4", "7"), created_at=ago(30), link=make_ticket("7").link)
    path.handle("7", seen)
    assert channels.other.shown == []


@pytest.mark.parametrize("partial", ["7", "3"])
@pytest.mark.parametrize("shown", [ago(30), None])
def test_a_forgotten_ticket_that_came_back_was_told_everywhere(
    channels: Channels, partial: str, shown: datetime | None
) -> None:
    path = remembering(channels)
    lay_ticket("5", created=5, processed_at=ago(5), state="merged", merged_into="4")
    propose([Proposal("4", shown)], Source.WEBHOOK)
    told_on_one(path, partial)
    seen = make_ticket("8", aliases=("4", "5", partial), created_at=ago(30), link=make_ticket(partial).link)
    path.handle(partial, seen)
    if path.state("4") == "found":
        path.handle("4", seen)
    assert channels.other.shown == []


def told_on_one(path: Path, ticket_id: str) -> None:
    """A new ticket, that is due again for the other channel."""
    propose([Proposal(ticket_id, ago(1))], Source.POLL)
    path.channels[1].script = [NOT_SENT]
    assert path.handle(ticket_id, make_ticket(ticket_id, created_at=ago(1))).result is Result.RETRYING
    path.let_time_pass(ticket_id)
