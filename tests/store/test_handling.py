"""The loop that keeps the threads busy, on the real store."""

import time
from collections.abc import Callable, Sequence
from itertools import chain
from threading import Event, Thread
from typing import Any

import pytest

from jobs.desk import Handled
from jobs.errors import SourceError
from jobs.fetch_around import fetch_around
from jobs.handling import Handling
from jobs.run_report import Result, RunReport
from jobs.ticket import Ticket
from models.claims import claim
from models.database import connection
from models.tickets import ProcessedTicket
from tests.conftest import connect
from tests.fakes.channel import NOT_SENT, RAISES_AFTER_SHOWING, FakeChannel
from tests.fakes.hubspot import FakeHubSpot, make_ticket
from tests.fakes.path import Path
from tests.fakes.store import Wire
from tests.store.conftest import Ledger


class Round:
    """A Handling on a real ledger with fakes around it."""

    def __init__(self, ledger: Ledger, threads: int = 2, channel: FakeChannel | None = None) -> None:
        self.ledger, self.threads = ledger, threads
        self.channel = channel or FakeChannel()
        self.path, self.hubspot, self.report = Path(ledger, self.channel), FakeHubSpot(), RunReport()
        self.urgency: Callable[[Ticket], int] = lambda _: 0
        self.handled: list[Handled] = []
        self.seconds = 0.0

    def find(self, count: int) -> list[str]:
        ids = [f"{number:04}" for number in range(count)]
        self.ledger.find(*ids)
        return ids

    def handling(self, **settings: Any) -> Handling:
        return Handling(
            self.path.desk(**settings),
            self.hubspot.fetch,
            self.urgency,
            self.threads,
            self.report,
            self.handled.append,
            clock=lambda: self.seconds,
        )

    def run(self, stop: Callable[[], bool] = lambda: False, **settings: Any) -> RunReport:
        self.handling(**settings).run(stop)
        return self.report


@pytest.fixture
def round_(ledger: Ledger) -> Round:
    return Round(ledger)


def states() -> dict[str, int]:
    found: dict[str, int] = {}
    with connection():
        for row in ProcessedTicket.select(ProcessedTicket.state):
            found[row.state] = found.get(row.state, 0) + 1
    return found


def test_no_more_tickets_are_claimed_than_threads_are_free(round_: Round) -> None:
    claimed: list[int] = []
    round_.threads = 3
    round_.find(20)
    round_.path.triage.work = lambda _: claimed.append(states()["claimed"])
    assert round_.run().count(Result.NOTIFIED) == 20
    assert max(claimed) <= 3


def test_leases_are_renewed_while_a_slow_triage_runs(round_: Round) -> None:
    won: list[object] = []

    def slow(_: Ticket) -> None:
        until = time.monotonic() + 3
        while time.monotonic() < until:
            won.extend(claim(["0000"], "a rival", 60))
            time.sleep(0.1)

    round_.find(1)
    round_.path.triage.work = slow
    assert round_.run(lease_seconds=1.0).count(Result.NOTIFIED) == 1
    assert won == []


def test_tickets_are_read_a_hundred_at_a_time_and_each_once(round_: Round) -> None:
    ids = round_.find(250)
    round_.threads = 4
    round_.run()
    assert [len(read) for read in round_.hubspot.reads] == [100, 100, 50]
    assert sorted(chain(*round_.hubspot.reads)) == ids
    assert sorted(round_.channel.shown) == ids


def test_in_a_storm_a_critical_ticket_does_not_wait_for_hundreds_of_older_ones(round_: Round) -> None:
    ids = round_.find(300)
    round_.urgency = lambda ticket: 3 if ticket.ticket_id == ids[-1] else 0
    round_.path.triage.work = lambda _: time.sleep(0.02)
    assert round_.run().count(Result.NOTIFIED) == 300
    assert round_.channel.shown.index(ids[-1]) < 150


def test_urgent_tickets_are_handled_first(round_: Round) -> None:
    round_.find(9)
    round_.threads = 1
    round_.urgency = lambda ticket: {"0004": 3, "0007": 2}.get(ticket.ticket_id, 0)
    round_.run()
    assert round_.path.triage.asked[:3] == ["0004", "0007", "0000"]


def test_a_fault_of_hubspot_in_the_middle_ends_the_round_and_leaves_nothing_claimed(round_: Round) -> None:
    round_.find(150)
    gone = SourceError("HubSpot cannot be reached; check the network")
    round_.hubspot.faults = dict.fromkeys(range(2, 10), gone)
    report = round_.run()
    assert report.problems == ["HubSpot cannot be reached; check the network"]
    left = states()
    assert left["found"] >= 50
    assert left["found"] + left.get("notified", 0) == 150
    round_.report, round_.hubspot.faults = RunReport(), {}
    round_.run()
    assert states() == {"notified": 150}
    assert len(round_.channel.shown) == 150


def test_an_unforeseen_fault_in_reading_is_a_problem_of_the_round_and_no_crash(round_: Round) -> None:
    round_.find(1)
    round_.hubspot.faults = {1: KeyError("subject")}
    assert round_.run().problems == ["internal error (KeyError); the log has the place"]
    assert states() == {"found": 1}


def test_one_ticket_that_cannot_be_ranked_does_not_stop_the_others(round_: Round) -> None:
    round_.find(3)

    def urgency(ticket: Ticket) -> int:
        return {"0000": 0, "0002": 3}[ticket.ticket_id]

    round_.urgency = urgency
    assert round_.run().count(Result.NOTIFIED) == 3


def test_a_triage_that_raises_costs_a_try_of_its_ticket_alone(round_: Round) -> None:
    def breaks(ticket: Ticket) -> None:
        if ticket.ticket_id == "0001":
            raise ValueError("a fault of ours")

    round_.find(4)
    round_.path.triage.work = breaks
    report = round_.run()
    assert (report.count(Result.NOTIFIED), report.count(Result.RETRYING)) == (3, 1)
    ticket = round_.ledger.ticket("0001")
    assert (ticket.state, ticket.crashes, ticket.last_error) == ("retry", 1, "internal_error")
    round_.path.let_time_pass("0001")
    round_.path.triage.work = lambda _: None
    round_.run()
    assert sorted(round_.channel.shown) == ["0000", "0001", "0002", "0003"]


def test_a_channel_that_raises_holds_its_ticket_and_others_go_on(round_: Round) -> None:
    round_.channel.script = [RAISES_AFTER_SHOWING]
    round_.find(3)
    report = round_.run()
    assert (report.count(Result.NOTIFIED), report.count(Result.HELD)) == (2, 1)
    assert sorted(round_.channel.shown) == ["0000", "0001", "0002"]


def test_a_stop_ends_the_round_with_nothing_claimed(round_: Round) -> None:
    round_.find(60)
    round_.run(stop=lambda: len(round_.handled) >= 3)
    left = states()
    assert "claimed" not in left
    assert 3 <= left["notified"] <= 3 + 2 * round_.threads
    assert left["found"] == 60 - left["notified"]


def test_a_stop_before_the_start_claims_and_reads_nothing(round_: Round) -> None:
    round_.find(3)
    round_.run(stop=lambda: True)
    assert states() == {"found": 3}
    assert round_.hubspot.reads == []


def test_two_rounds_at_once_tell_each_ticket_once(ledger: Ledger) -> None:
    channel = FakeChannel()
    rounds = [Round(ledger, threads=3, channel=channel) for _ in range(2)]
    ids = rounds[0].find(80)
    rounds[1].path.workers = 50
    running = [Thread(target=one.run) for one in rounds]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert sorted(channel.shown) == ids
    assert states() == {"notified": 80}
    assert sum(one.report.count(Result.NOTIFIED) for one in rounds) == 80
    assert all(one.report.problems == [] for one in rounds)


def test_what_was_read_long_ago_is_read_again_before_it_is_told(round_: Round) -> None:
    ids = round_.find(20)
    round_.threads = 1

    def slow(_: Ticket) -> None:
        if len(round_.path.triage.asked) == 5:
            round_.seconds += 61

    round_.path.triage.work = slow
    round_.run()
    first, *later = round_.hubspot.reads
    assert first == ids
    assert sorted(chain(*later)) == ids[5:]
    assert sorted(round_.channel.shown) == ids


def test_what_went_stale_after_the_last_read_is_read_again_in_the_same_round(round_: Round) -> None:
    started = Event()

    def outlast(ticket: Ticket) -> None:
        """0001 is at work all the while, 0002 ends when the read is too old for 0003."""
        if ticket.ticket_id == "0001":
            started.set()
            until = time.monotonic() + 20
            while len(round_.hubspot.reads) == 1 and time.monotonic() < until:
                time.sleep(0.01)
        if ticket.ticket_id == "0002":
            assert started.wait(20)
            round_.seconds += 61

    round_.find(4)
    round_.path.triage.work = outlast
    assert round_.run().count(Result.NOTIFIED) == 4
    assert round_.hubspot.reads[1:] == [["0003"]]


def test_tickets_that_wait_for_another_try_end_the_round(round_: Round) -> None:
    round_.find(2)
    round_.channel.script = [NOT_SENT, NOT_SENT]
    assert round_.run().count(Result.RETRYING) == 2
    assert len(round_.hubspot.reads) == 1


def test_a_problem_noted_before_the_round_neither_stops_it_nor_makes_it_spin(round_: Round) -> None:
    round_.find(2)
    round_.report.problem("something else was wrong before")
    assert round_.run().count(Result.NOTIFIED) == 2
    assert len(round_.hubspot.reads) == 1


def test_the_ledger_is_asked_what_is_due_as_often_as_there_is_something_to_read(
    round_: Round, store_url: str
) -> None:
    round_.find(150)
    round_.threads = 4
    round_.path.triage.work = lambda _: time.sleep(0.002)
    with Wire(store_url).laid() as wire:
        round_.run()
    asked = sum(count for sql, count in wire.statements.items() if "LIMIT" in sql and "ORDER BY" in sql)
    assert asked == len(round_.hubspot.reads) + 1 == 3


def test_a_lease_lost_in_hand_is_neither_read_nor_handled_a_second_time(round_: Round) -> None:
    def loses_its_lease(ticket: Ticket) -> None:
        if ticket.ticket_id == "0000":
            round_.path.let_time_pass("0000")
            time.sleep(0.5)

    round_.find(6)
    round_.path.triage.work = loses_its_lease
    round_.run()
    assert len(round_.hubspot.reads) == 1
    assert states() == {"retry": 1, "notified": 5}


def test_tickets_that_another_worker_won_meanwhile_do_not_end_the_round(round_: Round) -> None:
    ids = round_.find(8)
    round_.hubspot.before_answer = lambda: claim(ids[:4], "a rival", 60)
    assert round_.run().count(Result.NOTIFIED) == 4
    assert states() == {"claimed": 4, "notified": 4}


def test_a_ticket_that_somebody_keeps_locked_ends_the_round_and_is_left_as_it_was(
    round_: Round, store_url: str
) -> None:
    if not store_url.startswith("postgres"):
        pytest.skip("SQLite locks no rows")
    round_.find(1)
    session = connect(store_url)
    session.cursor().execute("BEGIN; SELECT 1 FROM processed_tickets FOR UPDATE")
    round_.run()
    session.cursor().execute("COMMIT")
    session.close()
    assert len(round_.hubspot.reads) == 1
    assert states() == {"found": 1}
    assert round_.run().count(Result.NOTIFIED) == 1


@pytest.mark.parametrize("poison", [0, 3, 6])
def test_one_ticket_that_cannot_be_served_keeps_no_other_back(poison: int) -> None:
    ids = [str(number) for number in range(7)]
    asked: list[list[str]] = []

    def fetch(wanted: Sequence[str]) -> dict[str, Ticket]:
        asked.append(list(wanted))
        if ids[poison] in wanted:
            raise SourceError("HubSpot answered 500")
        return {one: make_ticket(one) for one in wanted}

    tickets, unreadable = fetch_around(fetch, ids)
    assert unreadable == {ids[poison]}
    assert sorted(tickets) == sorted(set(ids) - unreadable)
    assert len(asked) <= 7


def test_an_outage_is_told_after_three_asks() -> None:
    asked: list[Sequence[str]] = []

    def fetch(wanted: Sequence[str]) -> dict[str, Ticket]:
        asked.append(wanted)
        raise SourceError("HubSpot answered 503")

    with pytest.raises(SourceError):
        fetch_around(fetch, [str(number) for number in range(100)])
    assert len(asked) == 3


def test_a_wake_brings_a_new_ticket_in_while_another_keeps_a_thread_busy(round_: Round) -> None:
    begun, told_meanwhile = Event(), Event()

    def work(ticket: Ticket) -> None:
        if ticket.ticket_id == "0000":
            begun.set()
            assert told_meanwhile.wait(30)

    round_.path.triage.work = work
    round_.find(1)
    handling = round_.handling()
    running = Thread(target=handling.run, args=(lambda: False,))
    running.start()
    assert begun.wait(30)
    round_.ledger.find("0001")
    handling.wake()
    while round_.ledger.ticket("0001").state != "notified":
        time.sleep(0.01)
    assert "0000" in handling.in_hand()
    told_meanwhile.set()
    running.join()
    assert states() == {"notified": 2}
    assert handling.in_hand() == {}


def test_a_wake_between_two_runs_is_not_lost(round_: Round) -> None:
    handling = round_.handling()
    handling.run(lambda: False)
    handling.wake()
    before = time.monotonic()
    handling.wait_for_wake(60)
    assert time.monotonic() - before < 30


def test_a_run_takes_the_wake_and_waits_again_after_it(round_: Round) -> None:
    handling = round_.handling()
    handling.wake()
    handling.run(lambda: False)
    before = time.monotonic()
    handling.wait_for_wake(0.2)
    assert time.monotonic() - before >= 0.19


def test_a_wake_ends_one_wait_also_where_no_run_follows(round_: Round) -> None:
    """While every channel is paused nothing is run: the loop must not turn at full speed until it is open."""
    handling = round_.handling()
    handling.wake()
    handling.wait_for_wake(60)
    before = time.monotonic()
    handling.wait_for_wake(0.2)
    assert time.monotonic() - before >= 0.19
