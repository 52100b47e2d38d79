"""What hangs ends the process; what only just ends does not."""

import subprocess
import sys

import pytest

from jobs.watchdog import WEDGED, Watchdog


class Ended:
    """Counts instead of ending; the clock is ours."""

    def __init__(self) -> None:
        self.times, self.seconds = 0, 0.0
        self.hanging: str | None = None

    def end(self) -> None:
        self.times += 1

    def watchdog(self) -> Watchdog:
        return Watchdog(lambda: self.hanging, self.end, lambda: self.seconds)


def test_work_past_its_limit_ends_the_process() -> None:
    ended = Ended()
    watchdog = ended.watchdog()
    with watchdog.limit("poll", 10):
        ended.seconds = 9.9
        watchdog.look()
        assert ended.times == 0
        ended.seconds = 10.1
        watchdog.look()
    assert ended.times == 1


def test_work_that_ended_in_time_or_badly_is_not_watched_any_more() -> None:
    ended = Ended()
    watchdog = ended.watchdog()
    with pytest.raises(ZeroDivisionError), watchdog.limit("poll", 10):
        _ = 1 / 0
    ended.seconds = 99
    watchdog.look()
    assert ended.times == 0


def test_two_runs_of_one_name_are_two() -> None:
    ended = Ended()
    watchdog = ended.watchdog()
    with watchdog.limit("poll", 10):
        with watchdog.limit("poll", 99):
            pass
        ended.seconds = 11
        watchdog.look()
    assert ended.times == 1


def test_what_hangs_must_hang_in_two_looks() -> None:
    ended = Ended()
    watchdog = ended.watchdog()
    for hanging in ("ticket 1", None, "ticket 1", "ticket 2"):
        ended.hanging = hanging
        watchdog.look()
    assert ended.times == 0
    watchdog.look()
    assert ended.times == 1


def test_the_real_end_is_a_code_that_the_platform_restarts() -> None:
    program = (
        "import time; from jobs.watchdog import Watchdog\n"
        "dog = Watchdog()\n"
        "with dog.limit('x', 0.01):\n"
        "    dog.start(); time.sleep(60)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=50).returncode == WEDGED
