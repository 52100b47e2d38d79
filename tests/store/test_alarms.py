"""Alarms in the store: each message is one worker's to send, and none is forgotten."""

import threading
from datetime import UTC, datetime

from models.alarms import PREFIX, give_back, list_alarms, settle_begin, settle_end, take_begin, take_end
from models.database import connection
from models.switches import Switch, read_pause
from tests.store.conftest import Ledger

NAME = "credentials"


def lease_runs_out() -> None:
    with connection():
        Switch.update(until_at=datetime(2020, 1, 1, tzinfo=UTC)).where(
            Switch.until_at.is_null(False)
        ).execute()


def test_a_begin_is_told_once_and_an_end_once(ledger: Ledger) -> None:
    assert take_begin(NAME)
    settle_begin(NAME)
    lease_runs_out()
    assert not take_begin(NAME)
    assert list_alarms() == {NAME}
    lasted = take_end(NAME)
    assert lasted is not None
    assert lasted < 60
    settle_end(NAME)
    assert take_end(NAME) is None
    assert list_alarms() == set()


def test_while_one_worker_tells_no_other_does(ledger: Ledger) -> None:
    assert take_begin(NAME)
    assert not take_begin(NAME)
    assert take_end(NAME) is None
    settle_begin(NAME)
    assert take_end(NAME) is not None
    assert take_end(NAME) is None
    assert not take_begin(NAME)


def test_a_message_certainly_not_sent_is_due_again(ledger: Ledger) -> None:
    assert take_begin(NAME)
    give_back(NAME)
    assert take_begin(NAME)
    settle_begin(NAME)
    assert take_end(NAME) is not None
    give_back(NAME)
    assert take_end(NAME) is not None


def test_giving_back_too_late_changes_nothing(ledger: Ledger) -> None:
    assert take_begin(NAME)
    settle_begin(NAME)
    give_back(NAME)
    assert not take_begin(NAME)
    assert take_end(NAME) is not None


def test_a_worker_that_died_over_its_message_is_replaced(ledger: Ledger) -> None:
    assert take_begin(NAME)
    lease_runs_out()
    assert take_begin(NAME)
    settle_begin(NAME)
    assert take_end(NAME) is not None
    lease_runs_out()
    assert take_end(NAME) is not None


def test_what_was_never_told_ends_without_a_word(ledger: Ledger) -> None:
    assert take_begin(NAME)
    give_back(NAME)
    assert take_end(NAME) is None
    assert list_alarms() == set()


def test_what_begins_again_before_its_end_was_told_goes_on(ledger: Ledger) -> None:
    assert take_begin(NAME)
    settle_begin(NAME)
    assert take_end(NAME) is not None
    give_back(NAME)
    assert not take_begin(NAME)
    assert list_alarms() == {NAME}
    assert take_end(NAME) is not None


def test_an_alarm_is_no_pause_of_a_channel(ledger: Ledger) -> None:
    take_begin("discord")
    assert read_pause("discord", "") is None
    assert read_pause(f"{PREFIX}discord", "") is not None


def test_of_many_workers_one_tells(ledger: Ledger) -> None:
    won: list[bool] = []
    together = threading.Barrier(6)

    def work() -> None:
        together.wait()
        won.append(take_begin(NAME))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 5 + [True]
