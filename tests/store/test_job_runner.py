"""Jobs fail in many ways; none of them ends anything else, and all of them are seen."""

import threading
from datetime import timedelta

import pytest

from jobs.errors import SettingsError, SourceError
from jobs.job_runner import JobRunner, Work
from jobs.loop import Loop
from jobs.observations import Observations
from jobs.watchdog import Watchdog
from models.counts import Event, HourlyCount, recent_by_name
from models.database import connection, database
from models.errors import StoreUnreachable
from models.job_runs import GOOD_RESULT, JobRun, has_run_well_within, record_run
from tests.store.conftest import Ledger


class Seen(Observations):
    def __init__(self) -> None:
        self.jobs: list[tuple[str, bool]] = []

    def job_ended(self, name: str, seconds: float, *, failed: bool) -> None:
        self.jobs.append((name, failed))


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def runner(ledger: Ledger, seen: Seen) -> JobRunner:
    return JobRunner(Watchdog(), seen)


def row(name: str = "poll") -> JobRun:
    with connection():
        return JobRun.get_by_id(name)


def raising(error: Exception) -> Work:
    def work() -> str | None:
        raise error

    return work


def test_a_good_run_is_remembered_with_its_next_time(runner: JobRunner, seen: Seen) -> None:
    assert runner.run("poll", lambda: None)
    assert (row().last_result, row().runs, row().failures) == (GOOD_RESULT, 1, 0)
    assert row().last_started_at <= row().last_finished_at
    assert seen.jobs == [("poll", False)]
    assert has_run_well_within("poll", timedelta(hours=24))


@pytest.mark.parametrize(
    "error",
    [SourceError("HubSpot is away"), StoreUnreachable("no database"), ValueError("a customer's words")],
)
def test_a_run_that_raises_is_remembered_by_its_class_alone(
    runner: JobRunner, seen: Seen, error: Exception
) -> None:
    assert not runner.run("poll", raising(error))
    assert (row().last_result, row().failures) == (type(error).__name__, 1)
    assert seen.jobs == [("poll", True)]
    assert not has_run_well_within("poll", timedelta(hours=24))


def test_a_result_of_its_own_is_a_failure(runner: JobRunner) -> None:
    assert not runner.run("drain", lambda: "events not moved")
    assert row("drain").last_result == "events not moved"


def test_a_refused_credential_is_counted_by_the_settings_name(runner: JobRunner) -> None:
    runner.run("poll", raising(SettingsError("HUBSPOT_ACCESS_TOKEN: HubSpot refuses the token (401)")))
    assert recent_by_name(Event.CREDENTIAL_REFUSED, 3600) == {"HUBSPOT_ACCESS_TOKEN": 1}


def test_a_loops_passes_are_written_once_a_minute_and_all_counted(ledger: Ledger, seen: Seen) -> None:
    seconds = [0.0]
    runner = JobRunner(Watchdog(), seen, clock=lambda: seconds[0])
    for _ in range(10):
        runner.run("drain", lambda: None, loop=True)
    assert row("drain").runs == 1
    seconds[0] = 61.0
    runner.run("drain", lambda: None, loop=True)
    assert row("drain").runs == 11
    runner.run("drain", lambda: "fault", loop=True)
    assert (row("drain").runs, row("drain").last_result) == (12, "fault")


def test_each_failed_pass_of_a_loop_is_counted_also_after_it_heals(ledger: Ledger, seen: Seen) -> None:
    runner = JobRunner(Watchdog(), seen, clock=lambda: 0.0)
    for _ in range(10):
        runner.run("drain", lambda: "fault", loop=True)
    runner.run("drain", lambda: None, loop=True)
    assert (row("drain").runs, row("drain").failures, row("drain").last_result) == (11, 10, GOOD_RESULT)


def test_an_old_run_is_overdue(ledger: Ledger) -> None:
    assert not has_run_well_within("retention", timedelta(hours=24))
    record_run("retention", 2.0, GOOD_RESULT, None)
    assert has_run_well_within("retention", timedelta(hours=24))
    with connection():
        JobRun.update(last_finished_at="2020-01-01 00:00:00.000+00:00").execute()
    assert not has_run_well_within("retention", timedelta(hours=24))


def test_a_loop_goes_on_after_every_fault_and_ends_when_told(
    runner: JobRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.loop.FAULT_PAUSES", (0.01,))
    stopping, passes = threading.Event(), [0]
    waits: list[int] = []

    def work() -> str | None:
        passes[0] += 1
        if passes[0] < 4:
            raise ValueError
        if passes[0] > 5:
            stopping.set()
        return None

    loop = Loop("handle", work, lambda: waits.append(passes[0]), runner=runner, stopping=stopping)
    loop.start()
    assert loop.join(30)
    assert loop.is_well
    assert waits == [4, 5]


def test_a_loop_outlives_tables_that_are_away(runner: JobRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a restore has it for a moment; neither the run nor the fault can be written down then."""
    away = [HourlyCount._meta.table_name, JobRun._meta.table_name]
    with connection():
        for table in away:
            database.execute_sql(f"ALTER TABLE {table} RENAME TO {table}_away")
    monkeypatch.setattr("jobs.loop.FAULT_PAUSES", (0.01,))
    stopping, passes = threading.Event(), [0]

    def work() -> str | None:
        passes[0] += 1
        if passes[0] > 2:
            stopping.set()
        raise SettingsError("HUBSPOT_ACCESS_TOKEN: HubSpot refuses the token (401)")

    loop = Loop("handle", work, lambda: None, runner=runner, stopping=stopping)
    loop.start()
    assert loop.join(30)
    assert passes == [3]
    with connection():
        for table in away:
            database.execute_sql(f"ALTER TABLE {table}_away RENAME TO {table}")


def test_a_failing_loop_is_not_well(runner: JobRunner) -> None:
    stopping = threading.Event()

    def work() -> str | None:
        stopping.set()
        return "fault"

    loop = Loop("handle", work, lambda: None, runner=runner, stopping=stopping)
    loop.start()
    assert loop.join(30)
    assert not loop.is_well
