"""The path claim, read, triage, tell, settle on the real store, with every service faked."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.handle_tickets import CRASHES_BEFORE_MINIMAL, handle_ticket
from jobs.notify.outcome import NotSent, Sent
from jobs.run_report import Result
from jobs.tell_channel import LONGEST_RETRY_SECONDS
from jobs.verdict import Provider
from models.claims import claim, read_claims, seconds_until_due
from models.database import connection
from models.deliveries import DeliveryState
from models.held import Release, confirm_ticket, resend_ticket
from models.proposals import Proposal, propose
from models.sends import record_not_sent, record_sent
from models.tickets import Source
from tests.fakes.channel import (
    DIES,
    DIES_AFTER_SHOWING,
    NOT_SENT,
    RAISES,
    RAISES_AFTER_SHOWING,
    SENT,
    UNKNOWN,
    UNKNOWN_BUT_SHOWN,
    Answer,
    FakeChannel,
    ProcessDied,
)
from tests.fakes.hubspot import CREATED, make_ticket
from tests.fakes.path import LEASE, Path, settled_counts
from tests.fakes.triage import make_verdict
from tests.store.conftest import Ledger


@pytest.fixture
def path(ledger: Ledger) -> Path:
    """A found ticket 1 and one channel."""
    ledger.find("1")
    return Path(ledger)


@pytest.fixture
def two(ledger: Ledger) -> Path:
    """A found ticket 1 and two channels."""
    ledger.find("1")
    return Path(ledger, FakeChannel("console"), FakeChannel("discord"))


def seconds_to_wait(path: Path) -> float:
    due_at = path.ledger.ticket("1").next_attempt_at
    return float((due_at - datetime.now(UTC)).total_seconds())


def test_a_told_ticket_is_settled_and_counted(path: Path) -> None:
    assert path.handle().result is Result.NOTIFIED
    ticket, delivery = path.ledger.ticket("1"), path.ledger.delivery("1")
    assert (ticket.state, ticket.provider, ticket.success) == ("notified", "local", True)
    assert (delivery.state, delivery.message_id, delivery.place) == ("sent", "m1", "here")
    assert path.shown() == [["1"]]
    assert settled_counts() == {"notified": 1}


def test_a_ticket_triaged_by_rules_is_told_without_success(path: Path) -> None:
    path.triage.verdict = make_verdict(Provider.RULES)
    assert path.handle().provider is Provider.RULES
    ticket = path.ledger.ticket("1")
    assert (ticket.state, ticket.provider, ticket.success) == ("notified", "rules", False)


def test_both_channels_are_told_before_the_ticket_settles(two: Path) -> None:
    assert two.handle().result is Result.NOTIFIED
    assert two.shown() == [["1"], ["1"]]
    assert settled_counts() == {"notified": 1}


@pytest.mark.parametrize("answer", [DIES, DIES_AFTER_SHOWING])
def test_a_send_that_a_crash_left_in_doubt_is_held_and_never_repeated(path: Path, answer: Answer) -> None:
    path.channels[0].script = [answer]
    with pytest.raises(ProcessDied):
        path.handle()
    path.let_time_pass()
    assert path.handle().result is Result.HELD
    assert path.state() == "unconfirmed"
    assert path.delivery() is DeliveryState.UNCONFIRMED
    path.let_time_pass()
    assert claim(["1"], "another", 60) == []
    assert path.channels[0].sends == 1


def test_after_a_crash_the_other_channel_is_still_told_and_then_the_ticket_is_held(two: Path) -> None:
    two.channels[0].script = [DIES]
    with pytest.raises(ProcessDied):
        two.handle()
    two.let_time_pass()
    assert two.handle().result is Result.HELD
    assert [channel.sends for channel in two.channels] == [1, 1]
    assert two.shown() == [[], ["1"]]
    assert two.delivery("discord") is DeliveryState.SENT


def test_a_crash_between_two_channels_repeats_neither(two: Path) -> None:
    two.channels[1].script = [DIES_AFTER_SHOWING]
    with pytest.raises(ProcessDied):
        two.handle()
    two.let_time_pass()
    assert two.handle().result is Result.HELD
    assert two.shown() == [["1"], ["1"]]


def test_a_held_ticket_keeps_its_verdict_and_can_be_confirmed(path: Path) -> None:
    path.channels[0].script = [UNKNOWN_BUT_SHOWN]
    assert path.handle().result is Result.HELD
    assert settled_counts() == {}
    assert confirm_ticket("1") is Release.DONE
    ticket = path.ledger.ticket("1")
    assert (ticket.state, ticket.provider, ticket.success) == ("notified", "local", True)
    assert settled_counts() == {"notified": 1}


def test_certainly_not_sent_is_tried_again_later_and_later(path: Path) -> None:
    path.channels[0].script = [NOT_SENT] * 3
    waits = []
    for _ in range(3):
        assert path.handle().result is Result.RETRYING
        waits.append(round(seconds_to_wait(path), -1))
        path.let_time_pass()
    assert waits == [30, 60, 120]
    assert path.handle().result is Result.NOTIFIED
    assert path.shown() == [["1"]]


def test_the_longest_pause_that_any_channel_asked_for_is_kept(two: Path) -> None:
    two.channels[0].script = [Answer(NotSent("http_429", retry_after=900), shown=False)]
    two.channels[1].script = [UNKNOWN]
    assert two.handle().result is Result.RETRYING
    assert 880 < seconds_to_wait(two) <= 900


@pytest.mark.parametrize("asked", [1e300, float("inf"), float("nan"), -5.0])
def test_an_absurd_pause_leaves_no_ticket_stuck(path: Path, asked: float) -> None:
    path.channels[0].script = [Answer(NotSent("http_429", retry_after=asked), shown=False)]
    assert path.handle().result is Result.RETRYING
    waiting = seconds_until_due()
    assert waiting is not None
    assert 25 < waiting <= LONGEST_RETRY_SECONDS + 0.01


def test_a_resent_ticket_is_told_once_more_and_settles(path: Path) -> None:
    path.channels[0].script = [UNKNOWN]
    path.handle()
    assert resend_ticket("1") is Release.DONE
    assert path.handle().result is Result.NOTIFIED
    assert path.channels[0].sends == 2


def test_a_late_sent_of_a_paused_worker_overrides_the_hold(path: Path) -> None:
    path.channels[0].script = [DIES_AFTER_SHOWING]
    with pytest.raises(ProcessDied):
        path.handle()
    path.let_time_pass()
    path.handle()
    record_sent("1", "console", ["console"], "m1", None)
    ticket = path.ledger.ticket("1")
    assert (ticket.state, ticket.provider, ticket.success) == ("notified", "local", True)


def test_a_late_sent_during_the_next_triage_is_not_followed_by_a_second_card(path: Path) -> None:
    path.channels[0].script = [NOT_SENT]
    path.handle()
    path.let_time_pass()
    path.triage.work = lambda _: record_sent("1", "console", ["console"], "m1", None)
    assert path.handle().result is Result.LOST
    assert path.state() == "notified"
    assert path.channels[0].sends == 1


def test_a_late_sent_after_a_resend_settles_with_the_verdict(path: Path) -> None:
    path.channels[0].script = [UNKNOWN]
    path.handle()
    resend_ticket("1")
    record_sent("1", "console", ["console"], "m1", None)
    ticket = path.ledger.ticket("1")
    assert (ticket.state, ticket.provider, ticket.success) == ("notified", "local", True)


def test_a_channel_that_is_removed_leaves_the_told_ticket_its_verdict(two: Path) -> None:
    two.channels[1].script = [NOT_SENT]
    assert two.handle().result is Result.RETRYING
    two.let_time_pass()
    assert two.handle(channels=two.channels[:1]).result is Result.NOTIFIED
    ticket = two.ledger.ticket("1")
    assert (ticket.provider, ticket.success) == ("local", True)
    assert two.shown() == [["1"], []]


def test_a_ticket_told_to_nobody_has_no_verdict_while_it_waits(path: Path) -> None:
    path.channels[0].script = [NOT_SENT]
    path.handle()
    ticket = path.ledger.ticket("1")
    assert (ticket.state, ticket.provider, ticket.success) == ("retry", None, None)


def test_nothing_is_sent_where_another_worker_won_during_triage(path: Path) -> None:
    def overtaken(_: object) -> None:
        path.triage.work = lambda _: None
        path.let_time_pass()
        assert path.handle().result is Result.NOTIFIED

    path.triage.work = overtaken
    assert path.handle().result is Result.LOST
    assert path.shown() == [["1"]]


def test_a_lease_that_ran_out_unseen_gives_the_ticket_back_untold(path: Path) -> None:
    path.triage.work = lambda _: path.let_time_pass()
    assert path.handle().result is Result.RETRYING
    assert path.channels[0].sends == 0
    assert path.state() == "retry"


class Suspended:
    """A clock that jumps once, between the write-ahead and the send."""

    def __init__(self, path: Path, seconds: float, overtaken: bool = False) -> None:
        self.path, self.seconds, self.overtaken, self.reads = path, seconds, overtaken, 0

    def __call__(self) -> float:
        self.reads += 1
        if self.reads == 2 and self.overtaken:
            self.path.let_time_pass()
            assert self.path.handle().result is Result.HELD
        return self.seconds if self.reads == 2 else 0.0


def test_a_lease_that_passed_after_the_write_ahead_sends_nothing_and_can_be_sent_again(path: Path) -> None:
    assert path.handle(lease_clock=Suspended(path, LEASE)).result is Result.RETRYING
    assert path.channels[0].sends == 0
    assert path.delivery() is DeliveryState.PENDING
    path.let_time_pass()
    assert path.handle().result is Result.NOTIFIED
    assert path.shown() == [["1"]]


def test_a_short_suspension_within_the_lease_does_not_keep_the_card_back(path: Path) -> None:
    assert path.handle(lease_clock=Suspended(path, LEASE - 1)).result is Result.NOTIFIED


def test_a_hold_on_a_send_that_was_given_up_before_its_first_byte_is_taken_back(path: Path) -> None:
    assert path.handle(lease_clock=Suspended(path, 10 * LEASE, overtaken=True)).result is Result.LOST
    assert path.state() == "retry"
    path.let_time_pass()
    assert path.handle().result is Result.NOTIFIED
    assert path.channels[0].sends == 1


@pytest.mark.parametrize("answer", [RAISES, RAISES_AFTER_SHOWING])
def test_a_channel_that_raises_leaves_its_send_in_doubt_and_the_other_is_told(
    two: Path, answer: Answer
) -> None:
    two.channels[0].script = [answer]
    assert two.handle().result is Result.HELD
    assert two.ledger.delivery("1").last_error == "RuntimeError"
    two.let_time_pass()
    assert claim(["1"], "another", 60) == []
    assert [channel.sends for channel in two.channels] == [1, 1]


class OneTurn(FakeChannel):
    """Says whether its turn is taken, as a channel that sends a few at a time would."""

    taken = False

    @contextmanager
    def turn(self, longest_seconds: float) -> Iterator[float]:
        self.taken = True
        yield 0.0
        self.taken = False


@pytest.mark.parametrize("answer", [SENT, NOT_SENT, UNKNOWN], ids=["sent", "not sent", "unknown"])
def test_a_turn_ends_with_a_sent_card_and_else_when_the_ledger_knows(ledger: Ledger, answer: Answer) -> None:
    ledger.find("1")
    channel, seen = OneTurn("console", answer), []

    def insist_and_look(work: Callable[[], object]) -> object:
        seen.append(channel.taken)
        return work()

    Path(ledger, channel).handle(insist=insist_and_look)
    assert seen[0] is (answer is not SENT)


def test_a_ticket_that_broke_the_program_five_times_is_told_minimally_and_without_a_model(path: Path) -> None:
    with connection():
        path.ledger.edit("1", crashes=CRASHES_BEFORE_MINIMAL - 1)
    path.triage.verdict = make_verdict(Provider.LOCAL)
    taken = path.ledger.claim("1", "worker that dies", LEASE)
    assert taken.crashes == CRASHES_BEFORE_MINIMAL - 1
    path.let_time_pass()
    handled = path.handle()
    assert (handled.result, handled.provider) == (Result.NOTIFIED, Provider.RULES)
    assert path.triage.asked == []
    assert path.shown() == [["1"]]
    ticket = path.ledger.ticket("1")
    assert (ticket.state, ticket.provider, ticket.success) == ("notified", "rules", False)


def test_a_message_id_too_long_for_the_ledger_loses_no_outcome(path: Path) -> None:
    path.channels[0].script = [Answer(Sent("m" * 80, "p" * 80), shown=True)]
    assert path.handle().result is Result.NOTIFIED


def test_a_missing_ticket_is_tried_again_and_is_gone_after_a_day_of_404s(path: Path) -> None:
    assert path.handle_missing().result is Result.RETRYING
    first = path.ledger.ticket("1").missing_since_at
    path.clock.advance(timedelta(hours=23).total_seconds())
    path.let_time_pass()
    assert path.handle_missing().result is Result.RETRYING
    assert path.ledger.ticket("1").missing_since_at == first
    path.clock.advance(timedelta(hours=2).total_seconds())
    path.let_time_pass()
    assert path.handle_missing().result is Result.SKIPPED
    ticket = path.ledger.ticket("1")
    assert (ticket.state, ticket.reason) == ("skipped", "gone")
    assert settled_counts() == {"skipped": 1}


def test_a_search_opens_a_gone_ticket_and_it_is_told(path: Path) -> None:
    path.handle_missing()
    path.clock.advance(timedelta(hours=25).total_seconds())
    path.let_time_pass()
    path.handle_missing()
    assert propose([Proposal("1", CREATED)], Source.SWEEP).reopened == 1
    assert path.handle_missing().result is Result.RETRYING, "a new day of 404s begins"
    path.let_time_pass()
    assert path.handle().result is Result.NOTIFIED


@pytest.mark.parametrize("first", [UNKNOWN_BUT_SHOWN, DIES_AFTER_SHOWING])
def test_the_policy_resend_sends_a_card_in_doubt_once_more(path: Path, first: Answer) -> None:
    path.settings["resend_unknown"] = True
    path.channels[0].script = [first, UNKNOWN_BUT_SHOWN]
    with suppress(ProcessDied):
        path.handle()
    results = []
    while path.state() != "unconfirmed":
        path.let_time_pass()
        results.append(path.handle().result)
    assert results[-1] is Result.HELD
    assert set(results[:-1]) <= {Result.RETRYING}
    assert path.shown() == [["1", "1"]]


def test_a_send_in_doubt_is_held_even_where_hubspot_no_longer_knows_the_ticket(path: Path) -> None:
    path.channels[0].script = [DIES]
    with pytest.raises(ProcessDied):
        path.handle()
    path.let_time_pass()
    assert path.handle_missing().result is Result.HELD


def test_a_forgotten_ticket_of_another_pipeline_does_not_open_when_it_moves(path: Path) -> None:
    """A webhook without a time showed it, so its age was not known at the door."""
    path.ledger.edit("1", ticket_created_at=None)
    path.settings |= {"pipelines": frozenset({"7"}), "horizon": lambda: CREATED + timedelta(days=1)}
    assert path.handle(ticket=make_ticket("1", pipeline="8")).result is Result.SKIPPED
    assert path.ledger.ticket("1").reason == "beyond memory"
    propose([Proposal("1")], Source.POLL)
    assert path.state() == "skipped"


def test_a_ticket_of_another_pipeline_is_skipped_until_a_search_shows_it_again(path: Path) -> None:
    path.settings["pipelines"] = frozenset({"7"})
    assert path.handle(ticket=make_ticket("1", pipeline="8")).result is Result.SKIPPED
    assert path.ledger.ticket("1").reason == "other pipeline"
    assert path.triage.asked == []
    propose([Proposal("1")], Source.POLL)
    assert path.handle(ticket=make_ticket("1", pipeline="7")).result is Result.NOTIFIED


def test_a_ticket_from_before_activation_is_skipped(path: Path) -> None:
    old = make_ticket("1", created_at=CREATED - timedelta(milliseconds=1))
    assert path.handle(ticket=old).result is Result.SKIPPED
    assert path.ledger.ticket("1").reason == "before activation"
    assert propose([Proposal("1")], Source.POLL).reopened == 0
    assert path.shown() == [[]]


def test_a_ticket_that_one_channel_was_told_is_not_skipped_any_more(two: Path) -> None:
    two.channels[1].script = [NOT_SENT]
    two.handle()
    two.let_time_pass()
    moved = make_ticket("1", pipeline="8")
    assert two.handle(ticket=moved, pipelines=frozenset({"7"})).result is Result.NOTIFIED


#: What may happen to a worker apart from its sends.
FATES = ("goes on", "dies in triage", "dies before recording", "dies after recording", "is suspended")
ANSWERS = (SENT, NOT_SENT, UNKNOWN, UNKNOWN_BUT_SHOWN, RAISES, RAISES_AFTER_SHOWING, DIES, DIES_AFTER_SHOWING)

tries = st.lists(
    st.fixed_dictionaries(
        {
            "fate": st.sampled_from(FATES),
            "answers": st.tuples(st.sampled_from(ANSWERS), st.sampled_from(ANSWERS)),
            "word comes late": st.booleans(),
        }
    ),
    min_size=1,
    max_size=5,
)


class Story:
    """One ticket on two channels through several workers, some of whom die or are heard of late."""

    def __init__(self, ledger: Ledger, ticket_id: str) -> None:
        self.ticket_id, self.path = ticket_id, Path(ledger, FakeChannel("console"), FakeChannel("discord"))
        self.late: list[tuple[str, int, bool]] = []
        ledger.find(ticket_id)

    def handle(self, fate: str, answers: tuple[Answer, Answer]) -> None:
        for channel, answer in zip(self.path.channels, answers, strict=True):
            channel.script = [answer]
        desk = (
            self.path.desk(insist=self.dying_at_a_record(fate)) if "recording" in fate else self.path.desk()
        )
        if fate == "is suspended":
            desk = self.path.desk(lease_clock=Suspended(self.path, LEASE))
        self.path.triage.work = die if fate == "dies in triage" else lambda _: None
        shown = [len(channel.shown) for channel in self.path.channels]
        for taken in claim([self.ticket_id], desk.owner, LEASE):
            try:
                handle_ticket(desk, taken, make_ticket(self.ticket_id))
            except ProcessDied:
                self.remember_what_is_in_flight(shown)
        self.path.let_time_pass(self.ticket_id)

    def dying_at_a_record(self, fate: str) -> object:
        def insist(work: object) -> object:
            if fate == "dies after recording":
                work()  # type: ignore[operator]
            raise ProcessDied

        return insist

    def remember_what_is_in_flight(self, shown_before: list[int]) -> None:
        for channel, before in zip(self.path.channels, shown_before, strict=True):
            known = self.deliveries().get(channel.name)
            if known and known[0] is DeliveryState.SENDING:
                self.late.append((channel.name, known[1], len(channel.shown) > before))

    def late_words_come(self) -> None:
        for channel, attempt, was_shown in self.late:
            if was_shown:
                record_sent(self.ticket_id, channel, ["console", "discord"], "m1", None)
            else:
                record_not_sent(self.ticket_id, channel, attempt, "late", 0)
        self.late.clear()

    def deliveries(self) -> dict[str, tuple[DeliveryState, int]]:
        with connection():
            (known,) = read_claims([self.ticket_id], "")
        return {name: (one.state, one.attempts) for name, one in known.deliveries.items()}

    def check_promises(self) -> None:
        states = {name: state for name, (state, _) in self.deliveries().items()}
        for channel in self.path.channels:
            assert len(channel.shown) <= 1, "told twice"
            if states.get(channel.name) is DeliveryState.SENT:
                assert channel.shown == [self.ticket_id], "not told, and counted as told"
        ticket = self.path.ledger.ticket(self.ticket_id)
        assert ticket.state in {"retry", "claimed", "unconfirmed", "notified"}
        all_sent = list(states.values()) == [DeliveryState.SENT] * 2
        assert (ticket.state == "notified") == all_sent or ticket.state == "claimed"
        if ticket.state == "notified":  # by rules where five crashes went before
            assert (ticket.provider, ticket.success) in {("local", True), ("rules", False)}


def die(_: object) -> None:
    raise ProcessDied


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tries=tries)
def test_whatever_happens_no_channel_shows_a_ticket_twice_and_none_is_lost(
    ledger: Ledger, tries: list[dict[str, object]], numbers: list[int]
) -> None:
    numbers.append(len(numbers))
    story = Story(ledger, f"story {len(numbers)}")
    counted = settled_counts().get("notified", 0)
    for one in tries:
        story.handle(one["fate"], one["answers"])  # type: ignore[arg-type]
        story.check_promises()
        if one["word comes late"]:
            story.late_words_come()
            story.path.let_time_pass(story.ticket_id)
            story.check_promises()
    for _ in range(2):
        story.handle("goes on", (SENT, SENT))
    story.check_promises()
    state = story.path.state(story.ticket_id)
    assert state in {"notified", "unconfirmed"}, "stuck"
    assert settled_counts().get("notified", 0) - counted == int(state == "notified")


@pytest.fixture
def numbers() -> list[int]:
    """One entry per story told on this database."""
    return []
