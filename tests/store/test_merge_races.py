"""Rule 11 beside workers: on PostgreSQL with sessions of their own, where row locks decide who came first."""

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg2
import pytest

from jobs.handle_tickets import handle_ticket
from models import claims
from models.claims import Claim
from models.database import close_database, connection, open_database
from models.deliveries import Delivery
from models.merges import Joined, Merge, join_parts
from models.proposals import Proposal, propose
from models.retention import forget_batch
from models.tickets import ProcessedTicket, SkipReason, Source, TicketState
from tests.fakes.channel import FakeChannel
from tests.fakes.hubspot import make_ticket
from tests.fakes.memory import ago, lay_ticket, look, raise_now
from tests.fakes.path import Path
from tests.store.conftest import Ledger
from tests.store.test_memory_races import PATIENCE_SECONDS, wait_for_lock

NEW = Merge("3", ("1", "2"))
CARDS = 40


@pytest.fixture
def url(new_postgres: Callable[..., str], template: str) -> Iterator[str]:
    url = new_postgres(template)
    open_database(url)
    look()
    yield url
    close_database()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture
def other(url: str, threads: ThreadPoolExecutor) -> Iterator[Any]:
    """A second session, within a transaction of its own; it ends before the threads that wait for it."""
    session = psycopg2.connect(url)
    yield session
    session.close()


@pytest.fixture
def taken(url: str) -> Claim:
    """Part 1, claimed and not written ahead; the new ticket is found."""
    ledger = Ledger()
    ledger.find("1", "3")
    return ledger.claim("1")


def lock(session: Any, ticket_id: str) -> None:
    session.cursor().execute("SELECT 1 FROM processed_tickets WHERE ticket_id = %s FOR UPDATE", (ticket_id,))


def answer(future: "Future[Any]") -> Any:
    return future.result(PATIENCE_SECONDS)


def test_a_merge_that_comes_while_a_part_is_written_ahead_waits_and_counts_it_as_told(
    url: str, other: Any, threads: ThreadPoolExecutor, taken: Claim
) -> None:
    """The write-ahead's statement is over and its commit is not."""
    lock(other, "1")
    columns, values = "(ticket_id, channel, state, attempts)", "('1', 'x', 'sending', 1)"
    other.cursor().execute(f"INSERT INTO deliveries {columns} VALUES {values}")
    joined = threads.submit(join_parts, NEW, Source.WEBHOOK)
    wait_for_lock(url, 'FROM "processed_tickets"')
    other.commit()
    assert answer(joined) == Joined("1", ("3",))
    assert Ledger().ticket("1").state == "claimed"


def test_a_write_ahead_that_comes_while_its_part_is_merged_waits_and_is_refused(
    url: str, other: Any, threads: ThreadPoolExecutor, taken: Claim
) -> None:
    """The merge holds ticket 1 and waits for 3, which the other session has."""
    lock(other, "3")
    joined = threads.submit(join_parts, NEW, Source.WEBHOOK)
    wait_for_lock(url, 'FROM "processed_tickets"')
    begun = threads.submit(Ledger().begin, taken)
    wait_for_lock(url, "WITH held")
    other.commit()
    assert (answer(joined), answer(begun)) == (Joined("3", ("1",)), None)
    with connection():
        assert not Delivery.select().exists()


def test_a_claim_that_comes_while_its_part_is_merged_is_left_out(
    url: str, other: Any, threads: ThreadPoolExecutor
) -> None:
    Ledger().find("1", "3")
    lock(other, "3")
    joined = threads.submit(join_parts, NEW, Source.WEBHOOK)
    wait_for_lock(url, 'FROM "processed_tickets"')
    assert claims.claim(["1"], "one", 60) == []
    other.commit()
    assert answer(joined) == Joined("3", ("1",))
    assert claims.claim(["1"], "one", 60) == []


def test_a_part_that_another_session_lets_in_at_the_same_moment_is_waited_for(
    url: str, other: Any, threads: ThreadPoolExecutor
) -> None:
    other.cursor().execute("INSERT INTO processed_tickets (ticket_id, state) VALUES ('2', 'found')")
    joined = threads.submit(join_parts, NEW, Source.WEBHOOK)
    wait_for_lock(url, "INSERT INTO")
    other.commit()
    assert answer(joined) == Joined("3", ("2",))


def test_two_merges_of_one_group_at_once_wait_for_each_other_and_agree(
    url: str, other: Any, threads: ThreadPoolExecutor, taken: Claim
) -> None:
    lock(other, "1")
    both = [threads.submit(join_parts, NEW, source) for source in (Source.WEBHOOK, Source.POLL)]
    wait_for_lock(url, 'FROM "processed_tickets"')
    other.commit()
    assert sorted(len(answer(one).merged) for one in both) == [0, 1]
    assert {answer(one).survivor for one in both} == {"3"}


def test_a_target_that_is_forgotten_while_the_merge_waits_for_it_was_told(
    url: str, other: Any, threads: ThreadPoolExecutor
) -> None:
    lay_ticket("1", created=30, settled=30)
    lay_ticket("3", created=30, processed_at=ago(5), state=TicketState.MERGED, merged_into="1")
    lay_ticket("4", created=1)
    other.cursor().execute("DELETE FROM processed_tickets WHERE ticket_id = '1'")
    joined = threads.submit(join_parts, Merge("5", ("3", "4")), Source.POLL)
    wait_for_lock(url, 'FROM "processed_tickets"')
    other.commit()
    assert answer(joined) == Joined("3", ("4", "5"))


def test_retention_leaves_a_skipped_ticket_that_a_merge_holds(
    url: str, other: Any, threads: ThreadPoolExecutor
) -> None:
    """It is not forgotten between the merge's locks and its commit, and after that a part names it."""
    raise_now()
    reason = SkipReason.BEFORE_ACTIVATION
    lay_ticket("3", created=400, processed_at=ago(20), state=TicketState.SKIPPED, reason=reason)
    lay_ticket("9", created=400)
    lock(other, "9")
    joined = threads.submit(join_parts, Merge("3", ("9",)), Source.POLL)
    wait_for_lock(url, 'FROM "processed_tickets"')
    assert forget_batch(7, 10).tickets == 0
    other.commit()
    assert answer(joined) == Joined("3", ("9",))
    assert forget_batch(7, 10).tickets == 0


def test_retention_leaves_a_skipped_ticket_that_a_merge_is_about_to_lock(
    url: str, other: Any, threads: ThreadPoolExecutor
) -> None:
    """Its parts go in naming it; were it forgotten then, they would count as told, and ticket 4 with them."""
    raise_now()
    reason = SkipReason.BEFORE_ACTIVATION
    lay_ticket("3", created=400, processed_at=ago(20), state=TicketState.SKIPPED, reason=reason)
    lay_ticket("4", created=1)
    other.cursor().execute("INSERT INTO processed_tickets (ticket_id, state) VALUES ('2', 'found')")
    joined = threads.submit(join_parts, Merge("3", ("2", "4")), Source.POLL)
    wait_for_lock(url, "INSERT INTO")
    forget_batch(7, 10)
    other.rollback()
    assert answer(joined) == Joined("3", ("4",), reopened=1)
    assert Ledger().ticket("3").state == TicketState.FOUND


def race(path: Path, channel: FakeChannel, round_: int) -> None:
    """Two parts and the new ticket are found; two workers, a webhook and a search come at the same moment."""
    a, b, c = (str(round_ * 10 + number) for number in (1, 2, 3))
    parts = (a, b)
    path.ledger.find(a, b)
    dice = random.Random(round_)
    desks = {one: path.desk() for one in (a, b, c)}
    start = threading.Barrier(4)

    def read(asked: str) -> Any:
        return make_ticket(c, aliases=parts, link=make_ticket(asked).link)

    def handle(ticket_id: str) -> None:
        start.wait()
        for _ in range(3):
            for taken in claims.claim([ticket_id], desks[ticket_id].owner, 60):
                handle_ticket(desks[ticket_id], taken, read(ticket_id))

    def tell_of_it(source: Source) -> None:
        start.wait()
        if dice.random() < 0.8:
            propose([Proposal(c)], source)
            join_parts(Merge(c, parts), source)

    work: list[Callable[[], None]] = [
        lambda: handle(a),
        lambda: handle(dice.choice([b, c])),
        lambda: tell_of_it(Source.WEBHOOK),
        lambda: tell_of_it(Source.POLL),
    ]
    with ThreadPoolExecutor(len(work)) as pool:
        for one in [pool.submit(step) for step in work]:
            answer(one)
    while due := claims.find_due(1):
        path.handle(due[0], read(due[0]))
    assert len({a, b, c} & set(channel.shown)) == 1, f"round {round_}: {channel.shown}"


def test_workers_webhook_and_search_at_the_same_moment_show_one_card(ledger: Ledger) -> None:
    channel = FakeChannel()
    path = Path(ledger, channel)
    for round_ in range(CARDS):
        race(path, channel, round_)
    assert len(channel.shown) == CARDS
    with connection():
        states = {row.state for row in ProcessedTicket.select()}
    assert states == {"notified", "merged"}
