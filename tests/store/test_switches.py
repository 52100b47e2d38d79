from concurrent.futures import ThreadPoolExecutor

import pytest

from models.database import connection
from models.switches import (
    Switch,
    extend_pause,
    lift_pause,
    pause_after_unknown,
    pause_for_fault,
    pause_seconds,
    read_pause,
    take_probe,
)
from tests.store.conftest import CREATED, Ledger

HERE = ("discord", "hash")


def run_out() -> None:
    with connection():
        Switch.update(until_at=CREATED).execute()


def test_a_channel_is_open_until_it_is_paused(ledger: Ledger) -> None:
    assert read_pause(*HERE) is None
    pause_after_unknown(*HERE, "http_500")
    assert read_pause(*HERE) is not None
    assert read_pause("discord", "another hash") is None
    lift_pause(*HERE)
    assert read_pause(*HERE) is None


def test_one_unknown_answer_asks_for_a_probe_at_once_and_two_for_a_pause(ledger: Ledger) -> None:
    pause_after_unknown(*HERE, "http_500")
    first = read_pause(*HERE)
    assert first is not None
    assert (first.streak, first.reason) == (1, "http_500")
    assert first.seconds_left < 1
    pause_after_unknown(*HERE, "http_502")
    second = read_pause(*HERE)
    assert second is not None
    assert (second.streak, second.reason) == (2, "http_502")
    assert 25 < second.seconds_left <= 30.01


def test_pauses_double_to_ten_minutes() -> None:
    pauses = [pause_seconds(streak) for streak in (1, 2, 3, 4, 5, 6, 7, 99)]
    assert pauses == [0, 30, 60, 120, 240, 480, 600, 600]


def test_one_worker_probes_at_a_time(ledger: Ledger) -> None:
    pause_after_unknown(*HERE, "http_500")
    run_out()
    with ThreadPoolExecutor(6) as threads:
        won = list(threads.map(lambda _: take_probe(*HERE, 60), range(6)))
    assert won.count(True) == 1


def test_a_pause_that_runs_is_not_probed(ledger: Ledger) -> None:
    pause_for_fault(*HERE, "http_404")
    assert not take_probe(*HERE, 60)
    pause = read_pause(*HERE)
    assert pause is not None
    assert 590 < pause.seconds_left <= 600.01


@pytest.mark.parametrize(("streak", "least"), [(1, 25), (3, 55)])
def test_a_probe_without_answer_waits_as_long_as_the_streak_says(
    ledger: Ledger, streak: int, least: int
) -> None:
    for _ in range(streak):
        pause_after_unknown(*HERE, "http_500")
    run_out()
    assert take_probe(*HERE, 60)
    extend_pause(*HERE)
    pause = read_pause(*HERE)
    assert pause is not None
    assert pause.streak == streak
    assert pause.seconds_left > least
