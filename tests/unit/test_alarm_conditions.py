"""Each threshold of the alarms, just below and just above."""

import pytest

from jobs.raise_alarms import LONGEST_MESSAGE, begin_text, find_conditions
from jobs.take_readings import AlarmReadings, Limits, PausedChannel
from models.health import MonthlyUse, Told
from tests.fakes.readings import LIMITS, calm, open_for, well

POLLING = Limits(webhooks=False, poll_interval_seconds=30)
CLOUD_ONLY = Limits(webhooks=True, local_model=False)


def told(tickets: int, succeeded: int, local: int) -> AlarmReadings:
    return calm(told=Told(tickets, succeeded, local))


def paused(*, fault: bool) -> AlarmReadings:
    return calm(health=well(paused=[PausedChannel("discord", "http_404", fault, 60)]))


BELOW = [
    (told(100, 95, 100), LIMITS),
    (told(9, 0, 0), LIMITS),
    (told(100, 100, 50), LIMITS),
    (told(100, 100, 0), CLOUD_ONLY),
    (calm(card_p95_seconds=20.0), LIMITS),
    (calm(card_p95_seconds=50.0), POLLING),
    (calm(card_p95_seconds=None), LIMITS),
    (calm(channel_failures=5), LIMITS),
    (calm(refused_signatures=10), LIMITS),
    (calm(refused_credentials={}), LIMITS),
    (paused(fault=False), LIMITS),
    (calm(health=well(webhook_finds=2, searches_showed=0)), LIMITS),
    (calm(health=open_for(900.0)), LIMITS),
    (calm(month=MonthlyUse(cost_usd=20.0)), LIMITS),
    (calm(month=MonthlyUse(cost_usd=999.0)), Limits()),
]
ABOVE = [
    (told(100, 94, 100), LIMITS, "success"),
    (told(10, 9, 10), LIMITS, "success"),
    (told(100, 100, 49), LIMITS, "local model"),
    (calm(card_p95_seconds=20.1), LIMITS, "slow cards"),
    (calm(card_p95_seconds=50.1), POLLING, "slow cards"),
    (calm(channel_failures=6), LIMITS, "channel failures"),
    (calm(refused_signatures=11), LIMITS, "refused signatures"),
    (calm(refused_credentials={"hubspot": 1}), LIMITS, "credentials"),
    (paused(fault=True), LIMITS, "credentials"),
    (calm(health=well(webhook_finds=3, searches_showed=0)), LIMITS, "search silent"),
    (calm(health=open_for(900.1)), LIMITS, "oldest open ticket"),
    (calm(month=MonthlyUse(cost_usd=20.01)), LIMITS, "budget"),
]


@pytest.mark.parametrize(("readings", "limits"), BELOW)
def test_up_to_the_threshold_nothing_is_wrong(readings: AlarmReadings, limits: Limits) -> None:
    assert list(find_conditions(readings, limits)) == []


@pytest.mark.parametrize(("readings", "limits", "name"), ABOVE)
def test_beyond_it_one_condition_has_numbers_and_what_to_do(
    readings: AlarmReadings, limits: Limits, name: str
) -> None:
    (condition,) = find_conditions(readings, limits)
    assert condition.name == name
    assert any(letter.isdigit() for letter in condition.line) or name == "credentials"
    assert "\n" not in condition.line
    assert len(begin_text(condition)) < LONGEST_MESSAGE


def test_the_credentials_are_named() -> None:
    readings = calm(
        refused_credentials={"groq": 3, "hubspot": 1},
        health=well(paused=[PausedChannel("discord", "http_401", True, 60)]),
    )
    (condition,) = find_conditions(readings, LIMITS)
    assert condition.line.startswith("refused: discord, groq, hubspot;")
