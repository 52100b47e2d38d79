"""The store lost around the write-ahead and around the record, and words that cross on their way to it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import sleep

import pytest

from jobs.run_report import Result
from models.database import connection
from models.deliveries import Delivery, DeliveryState
from models.sends import abandon_claim, conclude_claim, record_sent, record_unknown
from models.tickets import TicketState
from tests.conftest import connect
from tests.fakes.channel import NOT_SENT, UNKNOWN, UNKNOWN_BUT_SHOWN, Answer, FakeChannel
from tests.fakes.path import Path, settled_counts
from tests.fakes.store import Wire
from tests.store.conftest import Ledger

TWO = ["console", "discord"]


@pytest.fixture
def path(ledger: Ledger) -> Path:
    ledger.find("1")
    return Path(ledger)


@pytest.fixture
def wire(store_url: str) -> Iterator[Wire]:
    with Wire(store_url).laid() as wire:
        yield wire


@pytest.mark.parametrize("committed", [False, True])
def test_the_store_lost_at_the_write_ahead_sends_nothing_and_the_ticket_is_told_later(
    path: Path, wire: Wire, committed: bool
) -> None:
    wire.cut(DeliveryState.SENDING, committed=committed)
    assert path.handle().result is Result.RETRYING
    assert path.channels[0].sends == 0
    with connection():
        written = [delivery.state for delivery in Delivery.select()]
    assert written == (["pending"] if committed else [])
    ticket = path.ledger.ticket("1")
    assert (ticket.state, ticket.lease_owner, ticket.last_error) == ("retry", None, "write_ahead_lost")
    path.let_time_pass()
    assert path.handle().result is Result.NOTIFIED
    assert path.shown() == [["1"]]
    assert path.ledger.ticket("1").crashes == 0


@pytest.mark.parametrize("committed", [False, True])
def test_the_store_lost_at_a_second_write_ahead_leaves_it_resendable_too(
    path: Path, wire: Wire, committed: bool
) -> None:
    path.channels[0].script = [NOT_SENT]
    path.handle()
    path.let_time_pass()
    wire.cut(DeliveryState.SENDING, committed=committed)
    assert path.handle().result is Result.RETRYING
    assert path.delivery() is DeliveryState.PENDING
    path.let_time_pass()
    assert path.handle().result is Result.NOTIFIED
    assert path.shown() == [["1"]]


@pytest.mark.parametrize("committed", [False, True])
def test_the_store_lost_between_two_channels_leaves_the_first_told_once(
    ledger: Ledger, wire: Wire, committed: bool
) -> None:
    ledger.find("1")
    two = Path(ledger, FakeChannel("console"), FakeChannel("discord"))
    two.channels[0].before_send = lambda: wire.cut(DeliveryState.SENDING, committed=committed)
    assert two.handle().result is Result.RETRYING
    assert two.shown() == [["1"], []]
    two.let_time_pass()
    assert two.handle().result is Result.NOTIFIED
    assert two.shown() == [["1"], ["1"]]


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("times", [1, 4])
def test_the_store_lost_after_the_send_is_told_again_until_it_took_the_record(
    path: Path, wire: Wire, committed: bool, times: int
) -> None:
    path.channels[0].before_send = lambda: wire.cut(DeliveryState.SENT, committed=committed, times=times)
    assert path.handle().result is Result.NOTIFIED
    assert path.state() == "notified"
    assert path.shown() == [["1"]]
    assert settled_counts() == {"notified": 1}


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize(
    ("answer", "state", "result"),
    [
        (NOT_SENT, DeliveryState.PENDING, Result.RETRYING),
        (UNKNOWN, DeliveryState.UNCONFIRMED, Result.HELD),
    ],
)
def test_the_store_lost_at_any_other_outcome_hears_of_it_again(
    path: Path, wire: Wire, committed: bool, answer: Answer, state: DeliveryState, result: Result
) -> None:
    path.channels[0].script = [answer]
    path.channels[0].before_send = lambda: wire.cut(state, committed=committed)
    assert path.handle().result is result
    assert path.delivery() is state


def test_a_write_ahead_that_arrives_after_its_claim_was_given_up_writes_nothing(path: Path) -> None:
    taken = path.ledger.claim("1")
    assert abandon_claim(taken, "console", ["console"], 0, "lost") is TicketState.RETRY
    assert path.ledger.begin(taken) is None
    path.let_time_pass()
    assert path.ledger.begin(taken) is None
    assert path.handle().result is Result.NOTIFIED


def test_giving_up_a_claim_that_another_worker_holds_leaves_its_send_alone(path: Path) -> None:
    lost = path.ledger.claim("1", "one")
    path.let_time_pass()
    path.ledger.begin(path.ledger.claim("1", "two"))
    assert abandon_claim(lost, "console", ["console"], 0, "lost") is None
    assert path.delivery() is DeliveryState.SENDING


def test_a_process_that_ends_while_the_store_is_lost_leaves_the_send_to_be_held(path: Path) -> None:
    class Ended(BaseException):
        pass

    def end(_: Callable[[], object]) -> object:
        raise Ended

    path.channels[0].script = [UNKNOWN_BUT_SHOWN]
    with pytest.raises(Ended):
        path.handle(insist=end)
    path.let_time_pass()
    assert path.handle().result is Result.HELD
    assert path.channels[0].sends == 1


@pytest.mark.parametrize("held", [False, True])
def test_the_last_two_channels_heard_of_at_once_settle_the_ticket(
    ledger: Ledger, store_url: str, held: bool
) -> None:
    taken = ledger.sending("1")
    ledger.begin(taken, "discord")
    if held:
        for channel in TWO:
            record_unknown("1", channel, 1, "timeout")
        conclude_claim(taken, TWO, 0, "timeout")
    told: list[Callable[[], object]] = [
        lambda: record_sent("1", "console", TWO, None, None),
        lambda: record_sent("1", "discord", TWO, None, None),
    ]
    with ThreadPoolExecutor(2) as threads:
        with somebody_at_the_row(store_url):
            heard = [threads.submit(one) for one in told]
            sleep(0.3)  # both statements have begun, and wait for the row
        for one in heard:
            one.result()
    assert ledger.ticket("1").state == "notified"
    assert settled_counts() == {"notified": 1}


class somebody_at_the_row:  # noqa: N801 reads as a sentence
    """Keeps ticket 1 locked on PostgreSQL; SQLite has one writer at a time anyway."""

    def __init__(self, url: str) -> None:
        self.session = connect(url) if url.startswith("postgres") else None

    def __enter__(self) -> None:
        if self.session:
            self.session.cursor().execute("BEGIN; SELECT 1 FROM processed_tickets FOR UPDATE")

    def __exit__(self, *_: object) -> None:
        if self.session:
            self.session.cursor().execute("COMMIT")
            self.session.close()
