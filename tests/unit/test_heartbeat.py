"""The sign of life: one GET, nothing raised, no URL in the log."""

import logging
import time
from collections.abc import Iterator

import pytest

from jobs import heartbeat
from jobs.heartbeat import beat
from jobs.sandbox.serving import Answer, Drop, Outcome, Request, Simulator

SECRET = "planted-id"


class Switch(Simulator):
    def __init__(self) -> None:
        super().__init__()
        self.outcome: Outcome = Answer(200, b"OK")
        self.seen: list[Request] = []

    def answer(self, request: Request) -> Outcome:
        self.seen.append(request)
        return self.outcome


@pytest.fixture
def switch() -> Iterator[Switch]:
    with Switch() as simulator:
        yield simulator
    heartbeat.open_client.cache_clear()


def test_it_is_one_get_of_the_url_as_it_is(switch: Switch, caplog: pytest.LogCaptureFixture) -> None:
    beat(f"{switch.url}/{SECRET}?run=1")
    beat(f"{switch.url}/{SECRET}?run=1")
    assert [(one.method, one.path, one.query) for one in switch.seen] == [("GET", f"/{SECRET}", "run=1")] * 2
    assert switch.connections == 2  # none is kept open between two cycles
    assert caplog.records == []


@pytest.mark.parametrize(
    "outcome", [Answer(404), Answer(302, headers={"Location": "/x"}), Answer(500), Drop()]
)
def test_what_goes_wrong_is_a_line_without_the_url(
    switch: Switch, outcome: Outcome, caplog: pytest.LogCaptureFixture
) -> None:
    switch.outcome = outcome
    with caplog.at_level(logging.DEBUG):
        beat(f"{switch.url}/{SECRET}")
    ours = [record for record in caplog.records if record.name == "triage"]
    assert len(ours) == 1
    assert all(SECRET not in str(vars(record)) for record in ours)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "http://no.such.invalid/x", "nonsense", "http://[/"])
def test_nobody_there_raises_nothing(url: str) -> None:
    beat(url)


def test_a_switch_that_hangs_is_left(switch: Switch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "LIMIT_SECONDS", 0.2)
    heartbeat.open_client.cache_clear()
    switch.outcome = Answer(200, delay_seconds=60)
    started = time.monotonic()
    beat(switch.url)
    assert time.monotonic() - started < 20
