import pytest

from jobs.notify.pace import UNNAMED_PAUSE_SECONDS, RateGate, number_of


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def gate(time: Time) -> RateGate:
    return RateGate(1, now=lambda: time.now, sleep=time.sleep)


def limits(remaining: object, reset_after: object) -> dict[str, str]:
    return {"x-ratelimit-remaining": str(remaining), "x-ratelimit-reset-after": str(reset_after)}


def test_nothing_is_assumed_before_the_first_answer(gate: RateGate, time: Time) -> None:
    for _ in range(100):
        with gate.turn(0) as seconds:
            assert seconds == 0
    assert time.now == 100


def test_the_remaining_turns_are_used_up_and_then_the_reset_is_waited_for(gate: RateGate, time: Time) -> None:
    gate.note_limits(limits(2, 1.5))
    for _ in range(2):
        with gate.turn(30) as seconds:
            assert (seconds, time.now) == (0, 100)
    with gate.turn(30) as seconds:
        assert (seconds, time.now) == (0, 101.5)


def test_a_429_closes_for_as_long_as_it_says(gate: RateGate, time: Time) -> None:
    assert gate.close_for(12.5) == 12.5
    with gate.turn(30) as seconds:
        assert (seconds, time.now) == (0, 112.5)


def test_who_would_wait_too_long_is_told_how_long(gate: RateGate, time: Time) -> None:
    gate.close_for(60)
    with gate.turn(30) as seconds:
        assert (seconds, time.now) == (60, 100)


def test_a_429_that_names_no_time_closes_for_a_moment(gate: RateGate) -> None:
    assert gate.close_for(None) == UNNAMED_PAUSE_SECONDS


def test_answers_out_of_order_never_give_turns_back(gate: RateGate, time: Time) -> None:
    gate.note_limits(limits(1, 2))
    gate.note_limits(limits(3, 2))
    with gate.turn(0):
        pass
    with gate.turn(0) as seconds:
        assert seconds == 2


@pytest.mark.parametrize("junk", [{}, limits("many", 1), limits(1, "nan"), limits(-1, 2), limits(1, "inf")])
def test_junk_headers_change_nothing(gate: RateGate, junk: dict[str, str]) -> None:
    gate.note_limits(junk)
    with gate.turn(0) as seconds:
        assert seconds == 0


def test_numbers_are_finite_and_not_negative() -> None:
    assert [number_of(text) for text in ("1.5", 2, "x", None, "-1", "nan", "inf")] == [
        1.5,
        2.0,
        None,
        None,
        None,
        None,
        None,
    ]


def test_a_taken_slot_is_not_waited_for_longer_than_asked(gate: RateGate) -> None:
    with gate.turn(0), gate.turn(0.01) as seconds:
        assert seconds > 0
