"""Merged tickets on a worker's way: claim, read, rule 11, tell."""

import random
from collections.abc import Callable
from datetime import timedelta

import pytest

from jobs.notify.card import Card
from jobs.notify.outcome import NotSent, Outcome
from jobs.run_report import Result
from jobs.ticket import Ticket
from models import claims
from models.database import connection
from models.deliveries import Delivery
from models.merges import Merge, join_parts, join_shown
from models.proposals import Proposal, propose
from models.tickets import ProcessedTicket, SkipReason, Source, TicketState
from tests.fakes.channel import NOT_SENT, UNKNOWN, Answer, FakeChannel
from tests.fakes.hubspot import CREATED, make_ticket
from tests.fakes.path import Path, settled_counts
from tests.store.conftest import Ledger

BECAME = make_ticket("3", aliases=("1", "2"))


@pytest.fixture
def channel() -> FakeChannel:
    return FakeChannel()


@pytest.fixture
def path(ledger: Ledger, channel: FakeChannel) -> Path:
    return Path(ledger, channel)


def became(asked: str) -> Ticket:
    """What HubSpot answers to a read of a part: the new ticket, and the link of what was asked for."""
    return make_ticket("3", aliases=("1", "2"), link=make_ticket(asked).link)


def test_a_part_that_nobody_was_told_of_ends_as_merged_and_the_new_ticket_is_told(
    path: Path, channel: FakeChannel
) -> None:
    path.ledger.find("1")
    assert path.handle("1", became("1")).result.value == "merged"
    row = path.ledger.ticket("1")
    assert (row.state, row.merged_into, row.attempts, path.triage.asked) == ("merged", "3", 1, [])
    assert path.handle("3", BECAME).result.value == "notified"
    assert channel.shown == ["3"]
    assert settled_counts() == {"merged": 2, "notified": 1}


def test_a_part_in_doubt_goes_on_under_its_own_id_and_link(path: Path) -> None:
    """Its card on the first channel may have been seen; the second is told of the same ticket."""
    first, second = FakeChannel("first"), FakeChannel("second", NOT_SENT)
    path.channels = [first, second]
    path.ledger.find("1")
    assert path.handle("1").result.value == "retrying"
    path.let_time_pass("1")
    assert path.handle("1", became("1")).result.value == "notified"
    assert (first.shown, second.shown) == (["1"], ["1"])
    assert path.state("3") == "merged"


def test_a_card_of_a_part_that_survives_has_its_id_and_link_and_the_new_tickets_text(path: Path) -> None:
    path.channels = [FakeChannel("first"), second := Keeping("second", NOT_SENT)]
    path.ledger.find("1")
    path.handle("1")
    path.let_time_pass("1")
    path.handle("1", became("1"))
    assert [(card.ticket_id, card.url) for card in second.cards] == [("1", make_ticket("1").link)] * 2


class Keeping(FakeChannel):
    def __init__(self, name: str, *script: Answer) -> None:
        super().__init__(name, *script)
        self.cards: list[Card] = []

    def send(self, card: Card) -> Outcome:
        self.cards.append(card)
        return super().send(card)


def test_a_claimed_new_ticket_ends_as_merged_where_a_part_was_told(path: Path, channel: FakeChannel) -> None:
    path.ledger.find("1", "3")
    path.handle("1")
    assert path.handle("3", BECAME).result.value == "merged"
    assert channel.shown == ["1"]


def test_a_new_ticket_waits_for_the_fate_of_a_part_in_flight(path: Path, channel: FakeChannel) -> None:
    """The part's send is written ahead and not over: the new ticket comes, and is not told beside it."""
    path.ledger.find("1", "3")
    channel.before_send = lambda: meanwhile.append(path.handle("3", BECAME).result)
    meanwhile: list[Result] = []
    assert path.handle("1").result.value == "notified"
    assert (meanwhile, channel.shown) == ([Result.MERGED], ["1"])


def test_a_part_that_certainly_was_not_sent_goes_on_for_the_whole_group(path: Path) -> None:
    channel = FakeChannel("console", NOT_SENT)
    path.channels = [channel]
    path.ledger.find("1", "3")

    channel.before_send = lambda: path.handle("3", BECAME)
    assert path.handle("1").result.value == "retrying"
    channel.before_send = lambda: None
    path.let_time_pass("1")
    assert path.handle("1", became("1")).result.value == "notified"
    assert (channel.shown, path.state("3")) == (["1"], "merged")


def test_a_part_that_is_held_holds_the_group(path: Path) -> None:
    channel = FakeChannel("console", UNKNOWN)
    path.channels = [channel]
    path.ledger.find("1", "3")
    assert path.handle("1").result.value == "held"
    assert path.handle("3", BECAME).result.value == "merged"
    assert (channel.shown, path.state("1")) == ([], "unconfirmed")


def test_a_worker_whose_claimed_part_became_part_of_another_sends_nothing(
    path: Path, channel: FakeChannel
) -> None:
    """The merge comes while the model thinks: the write-ahead finds no claim any more."""
    path.ledger.find("1")
    path.triage.work = lambda _: join_parts(Merge("3", ("1", "2")), Source.WEBHOOK)
    assert path.handle("1").result.value == "lost"
    path.triage.work = lambda _: None
    assert (channel.shown, path.state("1")) == ([], "merged")
    assert path.handle("3", BECAME).result.value == "notified"


def test_a_new_ticket_that_is_older_than_the_ledger_is_told_for_its_new_part(
    path: Path, channel: FakeChannel
) -> None:
    old = make_ticket("3", aliases=("1", "2"), created_at=CREATED - timedelta(days=90))
    path.ledger.find("2")
    assert path.handle("2", old).result.value == "merged"
    assert path.handle("3", old).result.value == "notified"
    assert channel.shown == ["3"]


def test_an_event_that_a_claim_does_not_know_of_yet_gives_it_back(path: Path, channel: FakeChannel) -> None:
    """The new ticket is claimed before its part was known."""
    old = make_ticket("3", aliases=("1", "2"), created_at=CREATED - timedelta(days=90))
    propose([Proposal("3")], Source.WEBHOOK)
    path.ledger.find("2")
    path.handle("3", old)
    assert path.state("3") == "found"
    assert path.handle("3", old).result.value == "notified"
    assert channel.shown == ["3"]


def test_a_merge_of_old_tickets_stays_untold(path: Path, channel: FakeChannel) -> None:
    old = make_ticket("3", aliases=("1", "2"), created_at=CREATED - timedelta(days=90))
    propose([Proposal("3", old.created_at)], Source.SWEEP)
    assert path.handle("3", old).result.value == "skipped"
    assert (path.ledger.ticket("3").reason, channel.shown) == (SkipReason.BEFORE_ACTIVATION, [])


def test_a_part_of_a_ticket_in_another_pipeline_is_skipped_with_it_and_told_when_it_moves(
    path: Path, channel: FakeChannel
) -> None:
    elsewhere = make_ticket("3", aliases=("1", "2"), pipeline="other")
    path.settings["pipelines"] = frozenset({"ours"})
    path.ledger.find("1")
    assert path.handle("1", elsewhere).result.value == "merged"
    assert path.handle("3", elsewhere).result.value == "skipped"
    path.ledger.find("3")
    assert path.handle("3", make_ticket("3", aliases=("1", "2"), pipeline="ours")).result.value == "notified"
    assert channel.shown == ["3"]


def test_a_ticket_that_breaks_the_program_is_merged_before_it_is_told_minimally(
    path: Path, channel: FakeChannel
) -> None:
    path.ledger.find("1", "3")
    path.handle("1")
    path.ledger.edit("3", crashes=9)
    assert path.handle("3", BECAME).result.value == "merged"
    assert channel.shown == ["1"]


class World(FakeChannel):
    """HubSpot as searches, reads and webhooks show it, and the channel where cards are seen.

    Each merge makes a ticket of the one before and a new one: 10 of 1 and 2, 20 of 10 and 3. ``doubled`` are
    cards of a ticket that was known to be one with another that had been told.
    """

    def __init__(self, path: Path, dice: random.Random) -> None:
        super().__init__()
        self.path, self.dice = path, dice
        self.merges = [Merge("10", ("1", "2")), Merge("20", ("10", "3", "1", "2"))]
        self.done: list[Merge] = []
        self.known: list[Merge] = []
        self.begun: set[str] = set()
        self.doubled: list[str] = []
        path.channels = [self]
        self.before_send = self.between

    def send(self, card: Card) -> Outcome:
        groups = [ids for ids in map(ids_of, self.known) if card.ticket_id in ids]
        if not set[str]().union(*groups).isdisjoint(self.begun):
            self.doubled.append(card.ticket_id)
        self.begun.add(card.ticket_id)
        outcome = super().send(card)
        if isinstance(outcome, NotSent):
            self.begun.remove(card.ticket_id)
        return outcome

    def read(self, asked: str) -> Ticket:
        for merge in reversed(self.done):
            if asked in ids_of(merge):
                return make_ticket(merge.new_id, aliases=merge.parts, link=make_ticket(asked).link)
        return make_ticket(asked)

    def exist(self) -> list[str]:
        return ["1", "2", "3", *(merge.new_id for merge in self.done)]

    def between(self) -> None:
        """Things may happen while a card is on its way, and it may certainly not arrive."""
        while self.dice.random() < 0.5:
            self.dice.choice([self.merge, self.webhook, self.search, self.work])()
        self.script = [NOT_SENT] if self.dice.random() < 0.2 else []

    def merge(self) -> None:
        if len(self.done) < len(self.merges):
            self.done.append(self.merges[len(self.done)])

    def webhook(self) -> None:
        """Of any merge so far, late or again; it names two parts."""
        if self.done:
            merge = self.dice.choice(self.done)
            told = Merge(merge.new_id, merge.parts[:2])
            propose([Proposal(merge.new_id)], Source.WEBHOOK)
            join_parts(told, Source.WEBHOOK)
            self.known.append(told)

    def creation(self) -> None:
        """Of any ticket that ever was, also when it was merged long since."""
        propose([Proposal(self.dice.choice(self.exist()))], Source.WEBHOOK)

    def search(self) -> None:
        """Shows what is not part of another, most of it."""
        for one in self.exist():
            ticket = self.read(one)
            if ticket.ticket_id == one and self.dice.random() < 0.8:
                propose([Proposal(one, CREATED)], Source.POLL)
                if ticket.aliases:
                    merge = Merge(one, ticket.aliases, CREATED)
                    join_shown([merge], Source.POLL)
                    self.known.append(merge)

    def work(self) -> None:
        """A worker reads ahead: something may happen between its read of a ticket and the claim."""
        due = claims.find_due(10)
        if not due:
            return
        one = self.dice.choice(due)
        ticket = self.read(one)
        if self.dice.random() < 0.2:
            self.dice.choice([self.merge, self.webhook, self.search])()
        if ticket.aliases:
            self.known.append(Merge(ticket.ticket_id, ticket.aliases))
        if one in claims.find_due(10):
            self.path.handle(one, ticket)

    def pass_time(self) -> None:
        with connection():
            waits = ProcessedTicket.state == TicketState.RETRY
            ProcessedTicket.update(next_attempt_at=CREATED).where(waits).execute()

    def happen(self) -> None:
        rare: list[Callable[[], None]] = [self.merge, self.pass_time]
        self.dice.choice([*rare, *[self.webhook, self.creation, self.search, self.work] * 2])()

    def end(self) -> None:
        """All merges are over, and one search shows everything; then what is due is handled."""
        for _ in self.merges:
            self.merge()
        self.before_send = lambda: None
        self.pass_time()
        propose([Proposal("20", CREATED)], Source.SWEEP)
        join_shown([Merge("20", self.merges[-1].parts, CREATED)], Source.SWEEP)
        while due := claims.find_due(1):
            self.path.handle(due[0], self.read(due[0]))


def ids_of(merge: Merge) -> set[str]:
    return {merge.new_id, *merge.parts}


@pytest.mark.parametrize("block", range(4))
def test_in_any_order_of_events_a_group_is_told_and_not_again_once_it_is_one(
    ledger: Ledger, block: int
) -> None:
    for seed in range(block * 15, block * 15 + 15):
        empty_ledger()
        world = World(Path(ledger), random.Random(seed))
        for _ in range(30):
            world.happen()
        world.end()
        assert world.doubled == [], f"seed {seed}: {world.shown}"
        assert world.shown, f"seed {seed}: nobody was told"
        with connection():
            left = {row.ticket_id: row.state for row in ProcessedTicket.select()}
        assert set(left.values()) <= {"notified", "merged"}, f"seed {seed}: {left}"


def empty_ledger() -> None:
    with connection():
        for model in (ProcessedTicket, Delivery):
            model.delete().execute()
