"""Behind the restore barrier nothing is told that the backup cannot know to be untold."""

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobs.hold_restored import raise_by_hubspots_clock
from jobs.hubspot.client import HubSpotClient
from jobs.hubspot.gateway import HubSpotGateway
from jobs.notify.outcome import NotSent
from jobs.run_report import Result
from jobs.sandbox.hubspot import SimulatedHubSpot
from models.barrier import (
    RESTORED_UNSEEN,
    hold_restored,
    in_milliseconds,
    raise_barrier,
    read_barrier,
    replace_lost_ledger,
)
from models.claims import Claim, claim
from models.cursors import activate, read_known_ledger
from models.database import connection, read_clock
from models.deliveries import Delivery, DeliveryState
from models.errors import BarrierRefused, LedgerUnused
from models.held import Release, confirm_ticket, resend_ticket
from models.merges import Joined, Merge, join_parts
from models.proposals import Proposal, propose
from models.releases import skip_ticket
from models.sends import conclude_claim, record_not_sent, record_sent, record_unknown
from models.tickets import SkipReason, Source
from tests.fakes.channel import DIES_AFTER_SHOWING, NOT_SENT, UNKNOWN, Answer, FakeChannel, ProcessDied
from tests.fakes.hubspot import make_ticket
from tests.fakes.path import Path, settled_counts
from tests.store.conftest import Ledger

OVERLAP = timedelta(minutes=15)
HOUR = timedelta(hours=1)
NOW = datetime.now(UTC).replace(microsecond=0)
OPENED = NOW - timedelta(days=2)
BACKED_UP, RESTORED = NOW - HOUR * 3, NOW - HOUR
IN_THE_GAP, SINCE = NOW - HOUR * 2, NOW - timedelta(minutes=5)


class RestoredPath(Path):
    """Tickets of a ledger that went live an hour ago, restored from a backup of three hours ago."""

    def __init__(self, ledger: Ledger, *channels: FakeChannel) -> None:
        super().__init__(ledger, *channels)
        self.settings = {"activated_at": OPENED}

    def find(self, ticket_id: str = "1", source: Source = Source.POLL) -> None:
        created_at = None if source is Source.WEBHOOK else IN_THE_GAP
        propose([Proposal(ticket_id, created_at)], source)

    def restore(self) -> None:
        assert raise_barrier(RESTORED).raised

    def handle_created(self, created_at: datetime = IN_THE_GAP, **settings: Any) -> Result:
        return self.handle(ticket=make_ticket("1", created_at=created_at), **settings).result


@pytest.fixture
def opened(ledger: Ledger) -> Ledger:
    activate(NOW, OPENED, OVERLAP)
    return ledger


@pytest.fixture
def path(opened: Ledger) -> RestoredPath:
    return RestoredPath(opened)


@pytest.fixture
def two(opened: Ledger) -> RestoredPath:
    return RestoredPath(opened, FakeChannel("console"), FakeChannel("discord"))


def test_the_barrier_only_rises(opened: Ledger) -> None:
    assert read_barrier() is None
    assert raise_barrier(BACKED_UP).raised
    assert raise_barrier(RESTORED).raised
    for lower in (BACKED_UP, RESTORED):
        assert raise_barrier(lower) == raise_barrier(lower)
        assert not raise_barrier(lower).raised
        assert read_barrier() == RESTORED


def test_without_a_time_it_is_now_by_the_databases_clock(opened: Ledger) -> None:
    before = read_clock() - timedelta(milliseconds=1)
    barrier = raise_barrier()
    assert before <= barrier.restored_at <= read_clock()
    assert read_barrier() == barrier.restored_at


@pytest.mark.parametrize(("date_ahead", "raised_by"), [(0, 0), (-600, 0), (300, 301)])
def test_it_stands_where_hubspots_clock_was_at_the_restore(
    opened: Ledger, date_ahead: float, raised_by: float
) -> None:
    with SimulatedHubSpot() as portal:
        portal.faults.wrong_date_offset_seconds = date_ahead
        client = HubSpotClient(portal.url, portal.access_token, sleep=lambda _: None)
        with closing(HubSpotGateway(client)) as gateway:
            barrier = raise_by_hubspots_clock(gateway, RESTORED)
    assert (barrier.restored_at - RESTORED).total_seconds() == pytest.approx(raised_by, abs=1.5)
    assert read_barrier() == barrier.restored_at


def test_what_hubspot_is_ahead_is_not_added_at_every_call(opened: Ledger) -> None:
    ahead = timedelta(minutes=5)
    assert raise_barrier(RESTORED, ahead).restored_at == RESTORED + ahead
    assert not raise_barrier(RESTORED, ahead).raised


def test_a_time_that_cannot_be_a_restores_is_refused(opened: Ledger) -> None:
    for wrong, words in ((NOW + HOUR, "the future"), (OPENED - HOUR, "activation")):
        with pytest.raises(BarrierRefused, match=words):
            raise_barrier(wrong)
    assert read_barrier() is None
    assert raise_barrier(OPENED).raised


def test_a_ledger_that_was_never_used_has_nothing_to_hold(store_url: str) -> None:
    with pytest.raises(LedgerUnused):
        raise_barrier()


def test_a_ledger_in_the_place_of_a_lost_one_opens_and_holds_in_one_step(store_url: str) -> None:
    overlap = timedelta(minutes=15)
    with pytest.raises(BarrierRefused):
        replace_lost_ledger(read_clock() + HOUR, overlap)
    assert read_known_ledger() is None, "nothing of it stays"
    since = read_clock() - HOUR
    barrier = replace_lost_ledger(since, overlap)
    ledger = read_known_ledger()
    assert ledger is not None
    assert (ledger.activated_at, ledger.restored_at) == (in_milliseconds(since), barrier.restored_at)
    assert replace_lost_ledger(since - HOUR, overlap).restored_at > barrier.restored_at
    assert read_known_ledger().activated_at == ledger.activated_at, "it is fixed once"  # type: ignore[union-attr]


def test_a_claim_brings_the_barrier(path: RestoredPath) -> None:
    path.find()
    assert path.ledger.claim("1").restored_at is None
    path.restore()
    path.let_time_pass()
    assert path.ledger.claim("1", "two").restored_at == RESTORED


@pytest.mark.parametrize("source", [Source.POLL, Source.WEBHOOK])
def test_a_ticket_of_the_gap_is_held_and_not_told(two: RestoredPath, source: Source) -> None:
    two.find(source=source)
    two.restore()
    assert two.handle_created() is Result.HELD
    assert (two.state(), two.shown(), two.triage.asked) == ("unconfirmed", [[], []], [])
    ticket = two.ledger.ticket("1")
    assert (ticket.last_error, ticket.ticket_created_at) == ("restored", IN_THE_GAP)
    assert (ticket.lease_owner, ticket.next_attempt_at) == (None, None)
    for name in ("console", "discord"):
        held = two.ledger.delivery("1", name)
        assert (held.state, held.last_error, held.attempts) == ("unconfirmed", "restored", 0)
        assert (held.first_sending_at, held.place) == (IN_THE_GAP, None)
    two.let_time_pass()
    assert claim(["1"], "another", 60) == []


def test_what_has_parts_that_the_ledger_does_not_know_is_held_for_a_person(
    path: RestoredPath,
) -> None:
    path.find("3")
    skip_ticket(path.ledger.claim("3"), SkipReason.OTHER_PIPELINE, IN_THE_GAP)
    path.find("5")
    path.restore()
    merged = make_ticket("5", aliases=("3", "4"), created_at=IN_THE_GAP)
    assert path.handle("5", merged).result is Result.RETRYING
    assert path.handle("5", merged).result is Result.HELD
    assert path.ledger.delivery("5").last_error == RESTORED_UNSEEN


def test_what_was_created_since_the_restore_is_told(path: RestoredPath) -> None:
    path.find()
    path.restore()
    assert path.handle_created(RESTORED) is Result.NOTIFIED


def test_a_millisecond_before_the_restore_is_before_it(path: RestoredPath) -> None:
    path.find()
    path.restore()
    assert path.handle_created(RESTORED - timedelta(milliseconds=1)) is Result.HELD


def test_a_ledger_that_was_never_restored_holds_nothing(path: RestoredPath) -> None:
    path.find()
    assert path.handle_created() is Result.NOTIFIED


def test_what_the_backup_believed_unsent_is_held_too(path: RestoredPath) -> None:
    path.find()
    path.channels[0].script = [NOT_SENT]
    assert path.handle_created() is Result.RETRYING
    path.restore()
    path.let_time_pass()
    assert path.handle_created() is Result.HELD
    held = path.ledger.delivery("1")
    assert (held.state, held.attempts, held.first_sending_at) == ("unconfirmed", 1, IN_THE_GAP)
    assert path.channels[0].sends == 1


@pytest.mark.parametrize("resend", [False, True])
def test_what_the_backup_left_sending_is_held_under_any_policy(path: RestoredPath, resend: bool) -> None:
    path.find()
    path.channels[0].script = [DIES_AFTER_SHOWING]
    with pytest.raises(ProcessDied):
        path.handle_created()
    path.restore()
    while path.state() != "unconfirmed":
        path.let_time_pass()
        path.handle_created(resend_unknown=resend)
    assert path.state() == "unconfirmed"
    assert path.shown() == [["1"]]


def test_only_the_channel_that_the_backup_knows_as_told_is_left_alone(two: RestoredPath) -> None:
    two.find()
    two.channels[1].script = [NOT_SENT]
    assert two.handle_created() is Result.RETRYING
    two.restore()
    two.let_time_pass()
    assert two.handle_created() is Result.HELD
    assert (two.delivery("console"), two.delivery("discord")) == ("sent", "unconfirmed")
    assert two.shown() == [["1"], []]


def test_resend_releases_it_and_no_later_try_holds_it_again(two: RestoredPath) -> None:
    two.find()
    two.restore()
    two.handle_created()
    assert resend_ticket("1") is Release.DONE
    two.channels[0].script = [NOT_SENT]
    assert two.handle_created() is Result.RETRYING
    two.let_time_pass()
    assert two.handle_created() is Result.NOTIFIED
    assert two.shown() == [["1"], ["1"]]
    ticket = two.ledger.ticket("1")
    assert (ticket.provider, ticket.success) == ("local", True)


@pytest.fixture
def decided(path: RestoredPath) -> RestoredPath:
    """Ticket 1 is held, and a person, or a look, said that its card is not there."""
    path.find()
    path.restore()
    assert path.handle_created() is Result.HELD
    assert resend_ticket("1") is Release.DONE
    return path


def test_a_merge_takes_back_what_was_decided_without_its_parts(decided: RestoredPath) -> None:
    """The part may have been told after the backup; the second time nothing new comes, and it is told."""
    merged = make_ticket("1", created_at=IN_THE_GAP, aliases=("2", "3"))
    assert decided.handle(ticket=merged).result is Result.RETRYING
    assert decided.handle(ticket=merged).result is Result.HELD
    assert decided.ledger.delivery("1").last_error == "restored"
    assert (decided.shown(), decided.triage.asked) == ([[]], [])
    assert resend_ticket("1") is Release.DONE
    assert decided.handle(ticket=merged).result is Result.NOTIFIED


@pytest.mark.parametrize("is_known", [False, True])
def test_a_merge_that_comes_before_the_send_ends_the_claim(decided: RestoredPath, is_known: bool) -> None:
    if is_known:
        decided.ledger.find("2")
    joined: list[Joined] = []
    decided.triage.work = lambda _: joined.append(join_parts(Merge("1", ("2",)), Source.WEBHOOK))
    assert decided.handle_created() is Result.LOST
    assert (joined, decided.shown()) == ([Joined("1", ("2",) * is_known, released=True)], [[]])
    decided.let_time_pass()
    assert decided.handle_created() is Result.HELD


@pytest.mark.parametrize("refused", [False, True])
def test_a_merge_that_comes_while_a_card_is_not_sent_is_seen_before_the_next(
    decided: RestoredPath, refused: bool
) -> None:
    """The next is a minimal one, and at once, where the channel refused the card."""
    channel = FakeChannel("console", Answer(NotSent("400", refused=refused), shown=False))
    channel.before_send = lambda: join_parts(Merge("1", ("2",)), Source.WEBHOOK)
    decided.channels = [channel]
    assert decided.handle_created() is Result.LOST
    decided.let_time_pass()
    assert decided.handle_created() is Result.HELD
    assert (channel.sends, channel.shown) == (1, [])


def test_a_merge_that_comes_while_a_card_is_sent_leaves_it_sent(decided: RestoredPath) -> None:
    channel = FakeChannel()
    channel.before_send = lambda: join_parts(Merge("1", ("2",)), Source.WEBHOOK)
    decided.channels = [channel]
    assert decided.handle_created() is Result.NOTIFIED


def test_what_is_in_doubt_as_the_merge_comes_and_was_not_sent_after_all_is_held(
    decided: RestoredPath,
) -> None:
    taken = decided.ledger.claim("1")
    assert decided.ledger.begin(taken) == 1
    record_unknown("1", "console", 1, "crashed")
    conclude_claim(taken, ["console"], 30, "crashed")
    assert join_parts(Merge("3", ("1", "2")), Source.WEBHOOK).survivor == "1"
    assert record_not_sent("1", "console", 1, "late", 0)
    decided.let_time_pass()
    assert decided.handle_created() is Result.HELD
    assert decided.shown() == [[]]


def test_a_ticket_created_since_the_restore_waits_for_its_second_channel_once_it_is_merged(
    two: RestoredPath,
) -> None:
    """Another part was created before that, and may have been told on either."""
    first, _ = two.channels
    two.restore()
    propose([Proposal("1", SINCE)], Source.POLL)
    first.before_send = lambda: join_parts(Merge("3", ("1", "2")), Source.WEBHOOK)
    two.handle_created(SINCE)
    assert (two.shown(), two.state()) == ([["1"], []], "retry")
    two.let_time_pass()
    assert (
        two.handle(ticket=make_ticket("3", created_at=IN_THE_GAP, aliases=("1", "2"))).result is Result.HELD
    )


@pytest.mark.parametrize("knows_all", [False, True])
def test_a_merge_that_names_what_is_no_part_for_the_ledger_has_hubspot_asked(
    path: RestoredPath, knows_all: bool
) -> None:
    """Ticket 2 was of another pipeline as the backup was made; it may have been moved, and told."""
    path.find()
    path.find("2")
    if not knows_all:
        skip_ticket(path.ledger.claim("2"), SkipReason.OTHER_PIPELINE, IN_THE_GAP)
    path.restore()
    assert path.handle_created() is Result.HELD
    assert join_parts(Merge("3", ("1", "2")), Source.WEBHOOK).survivor == "1"
    assert path.ledger.delivery("1").last_error == ("restored" if knows_all else RESTORED_UNSEEN)


def test_a_merge_takes_back_no_decision_of_a_ledger_that_was_never_restored(path: RestoredPath) -> None:
    path.channels = [FakeChannel("console", UNKNOWN)]
    path.find()
    path.handle_created()
    assert resend_ticket("1") is Release.DONE
    merged = make_ticket("1", created_at=IN_THE_GAP, aliases=("2", "3"))
    assert path.handle(ticket=merged).result is Result.NOTIFIED


def test_a_resend_that_the_backup_holds_does_not_count(path: RestoredPath) -> None:
    path.find()
    path.channels[0].script = [UNKNOWN]
    path.handle_created()
    resend_ticket("1")
    with_decision(path, BACKED_UP)
    path.restore()
    assert path.handle_created() is Result.HELD
    assert path.channels[0].sends == 1


def test_a_decision_at_the_very_time_of_the_restore_counts(path: RestoredPath) -> None:
    path.find()
    path.restore()
    path.handle_created()
    resend_ticket("1")
    with_decision(path, RESTORED)
    assert path.handle_created() is Result.NOTIFIED


def with_decision(path: RestoredPath, at: datetime) -> None:
    path.ledger.edit("1", next_attempt_at=OPENED)
    with connection():
        Delivery.update(decided_at=at).execute()


def test_confirm_settles_it_without_a_verdict(path: RestoredPath) -> None:
    path.find()
    path.restore()
    path.handle_created()
    assert confirm_ticket("1") is Release.DONE
    ticket = path.ledger.ticket("1")
    assert (ticket.state, ticket.provider, ticket.success) == ("notified", "none", None)
    assert (settled_counts(), path.shown()) == ({"notified": 1}, [[]])


def test_a_channel_added_after_a_resend_is_held_while_the_others_are_told(two: RestoredPath) -> None:
    console = two.channels[:1]
    two.find()
    two.restore()
    two.handle_created(channels=console)
    resend_ticket("1")
    assert two.handle_created() is Result.RETRYING
    assert (two.delivery("console"), two.delivery("discord")) == ("pending", "unconfirmed")
    assert two.handle_created() is Result.HELD
    assert two.shown() == [["1"], []]


def test_a_card_that_turns_out_to_be_sent_is_not_doubted(path: RestoredPath) -> None:
    path.find()
    path.restore()
    path.handle_created()
    record_sent("1", "console", ["console"], "m1", None)
    assert (path.state(), path.delivery()) == ("notified", DeliveryState.SENT)


def test_a_claim_that_was_lost_holds_nothing(path: RestoredPath, expire: Callable[[str], None]) -> None:
    path.find()
    path.restore()
    lost: Claim = path.ledger.claim("1", "one")
    expire("1")
    path.ledger.claim("1", "two")
    assert hold_restored(lost, IN_THE_GAP, {"console": None}, ["console"]) is None
    assert path.ledger.ticket("1").lease_owner == "two"
    with connection():
        assert not Delivery.select().exists()


def test_what_is_not_to_be_told_is_skipped_as_ever(path: RestoredPath) -> None:
    path.find()
    path.restore()
    assert path.handle_created(OPENED - HOUR) is Result.SKIPPED


def test_a_ticket_that_hubspot_does_not_know_yet_waits_as_ever(path: RestoredPath) -> None:
    path.find()
    path.restore()
    assert path.handle_missing().result is Result.RETRYING


def test_a_channel_that_can_look_is_told_where(path: RestoredPath) -> None:
    path.find()
    path.restore()
    hold_restored(path.ledger.claim("1"), IN_THE_GAP, {"console": "42"}, ["console"])
    assert path.ledger.delivery("1").place == "42"


def test_a_late_sent_of_one_channel_is_not_doubted_by_the_hold_of_both(two: RestoredPath) -> None:
    two.find()
    for channel in two.channels:
        channel.script = [NOT_SENT]
    two.handle_created()
    two.restore()
    two.let_time_pass()
    taken = two.ledger.claim("1")
    record_sent("1", "console", ["console", "discord"], "m1", None)
    assert hold_restored(taken, IN_THE_GAP, {"console": None, "discord": None}, ["console", "discord"]) == (
        "unconfirmed"
    )
    assert (two.delivery("console"), two.delivery("discord")) == ("sent", "unconfirmed")
