"""Log lines: one JSON object each, and nobody's words in them."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from jobs.logs import start_logging


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The process's logging as it was before the test."""
    loggers = [logging.getLogger(), logging.getLogger("triage")]
    before = [(one.handlers[:], one.level, one.propagate) for one in loggers]
    yield
    for one, (handlers, level, propagate) in zip(loggers, before, strict=True):
        one.handlers, one.propagate = handlers, propagate
        one.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    captured = capsys.readouterr()
    assert captured.out == "", "standard output belongs to --json"
    return [json.loads(line) for line in captured.err.splitlines()]


def test_a_line_is_one_json_object_with_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging("INFO")
    logging.getLogger("triage.run").info("run finished", extra={"found": 3, "state": None})
    (line,) = lines(capsys)
    time = datetime.fromisoformat(str(line.pop("time")))
    assert abs((datetime.now(UTC) - time).total_seconds()) < 5
    assert line == {"level": "info", "message": "run finished", "found": 3, "state": None}


def test_the_level_is_the_one_set(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging("WARNING")
    log = logging.getLogger("triage")
    log.info("quiet")
    log.warning("loud")
    assert [line["message"] for line in lines(capsys)] == ["loud"]


def test_a_message_stays_constant_and_its_arguments_out(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging("INFO")
    logging.getLogger("triage").info("ticket %s settled", "planted")
    (line,) = lines(capsys)
    assert line["message"] == "ticket %s settled"
    assert "planted" not in json.dumps(line)


def fail() -> None:
    try:
        int("planted cause")
    except ValueError as error:
        raise LookupError("planted words") from error


def test_of_an_exception_only_the_class_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging("INFO")
    try:
        fail()
    except LookupError:
        logging.getLogger("triage").exception("a job failed")
    (line,) = lines(capsys)
    assert line["error"] == "LookupError"
    assert "planted" not in json.dumps(line)


def test_the_lines_of_libraries_go_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging("DEBUG")
    for name in ("urllib3.connectionpool", "httpx", "hubspot", "peewee", "apscheduler"):
        logging.getLogger(name).error("GET https://discord.com/api/webhooks/planted")
    assert lines(capsys) == []


def test_starting_twice_does_not_write_twice(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging("INFO")
    start_logging("INFO")
    logging.getLogger("triage").info("once")
    assert len(lines(capsys)) == 1


def test_text_of_any_kind_stays_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging("INFO")
    logging.getLogger("triage").info("odd", extra={"ticket": "a\nb\u2028c\ud800\x00"})
    (line,) = lines(capsys)
    assert line["ticket"] == "a\nb\u2028c\ud800\x00"


def test_a_value_that_json_does_not_know_is_still_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging("INFO")
    moment = datetime(2026, 11, 23, tzinfo=UTC)
    logging.getLogger("triage").info("odd", extra={"at": moment, "ids": {"7"}})
    (line,) = lines(capsys)
    assert line["at"] == str(moment)
