"""The timetable, with the real scheduler."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from jobs.schedule import Job, Timetable


def wait_for(count: "list[float]", number: int) -> None:
    until = time.monotonic() + 30
    while len(count) < number:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_job_runs_at_once_and_again_at_its_interval() -> None:
    runs: list[float] = []
    timetable = Timetable([Job("poll", lambda: runs.append(time.monotonic()), every_seconds=1.0)])
    timetable.start()
    wait_for(runs, 2)
    timetable.stop()
    # The first may be late on a busy machine, and the second never early.
    assert runs[1] - runs[0] > 0.05


def test_a_job_that_still_runs_is_not_started_again_and_others_go_on() -> None:
    release, slow, quick = threading.Event(), [0.0][:0], [0.0][:0]

    def hold() -> None:
        slow.append(time.monotonic())
        release.wait(30)

    timetable = Timetable(
        [
            Job("slow", hold, every_seconds=0.05),
            Job("quick", lambda: quick.append(time.monotonic()), every_seconds=0.05),
        ]
    )
    timetable.start()
    wait_for(quick, 6)
    assert len(slow) == 1
    timetable.stop()
    release.set()


def test_a_nightly_job_waits_for_its_hour_in_utc() -> None:
    hour = (datetime.now(UTC) + timedelta(hours=5)).hour
    runs: list[float] = []
    nightly = Job("retention", lambda: runs.append(1.0), hour_utc=hour, at_once=False)
    timetable = Timetable([nightly])
    timetable.start()
    next_run_at = timetable.next_run_at("retention")
    timetable.stop()
    assert next_run_at is not None
    assert next_run_at.utcoffset() == timedelta(0)
    # Spread by five minutes, so that many workers do not begin in the same second.
    full_hour = next_run_at.replace(minute=0, second=0, microsecond=0)
    distance = min(next_run_at - full_hour, full_hour + timedelta(hours=1) - next_run_at)
    assert distance <= timedelta(minutes=5)
    assert runs == []


def test_stopping_twice_and_before_the_start_is_safe() -> None:
    timetable = Timetable([Job("poll", lambda: None, every_seconds=60)])
    timetable.stop()
    timetable.start()
    timetable.stop()
    timetable.stop()


def test_an_unknown_job_has_no_next_run() -> None:
    assert Timetable([Job("poll", lambda: None, every_seconds=60)]).next_run_at("other") is None


@pytest.mark.parametrize("at_once", [True, False])
def test_at_once_means_at_the_start(at_once: bool) -> None:
    runs: list[float] = []
    timetable = Timetable([Job("x", lambda: runs.append(1.0), every_seconds=3600, at_once=at_once)])
    timetable.start()
    if at_once:
        wait_for(runs, 1)
    else:
        time.sleep(0.3)
    timetable.stop()
    assert len(runs) == int(at_once)
