"""What the worker remembers of its own running: the last run of each job and the next."""

from datetime import datetime, timedelta

from peewee import CharField, IntegerField

from models.database import BaseModel, clock, read_clock, rerun_on_conflict
from models.utc import UtcDateTimeField

RECONCILED = "reconciliation"  #: a row that is no job's: its ``last_result`` has a comparison's counts
GOOD_RESULT = "ok"  #: what a job that ended well leaves in ``last_result``; else the fault's class


class JobRun(BaseModel):
    name = CharField(max_length=50, primary_key=True)
    last_started_at = UtcDateTimeField(null=True)
    last_finished_at = UtcDateTimeField(null=True)
    last_result = CharField(max_length=100, null=True)
    next_run_at = UtcDateTimeField(null=True)
    runs = IntegerField(default=0)
    failures = IntegerField(default=0)

    class Meta:
        table_name = "job_runs"


@rerun_on_conflict
def record_run(
    name: str, seconds: float, result: str, next_run_at: datetime | None, runs: int = 1, failures: int = 0
) -> None:
    """``runs`` more have ended, ``failures`` of them badly; the last now, after ``seconds``, with ``result``.

    Several workers share a row.
    """
    values = {
        "last_started_at": clock(-seconds),
        "last_finished_at": clock(),
        "last_result": result[:100],
        "next_run_at": next_run_at,
    }
    added = {"runs": JobRun.runs + runs, "failures": JobRun.failures + failures}
    JobRun.insert(name=name, runs=runs, failures=failures, **values).on_conflict(
        conflict_target=[JobRun.name], update={**values, **added}
    ).execute()


@rerun_on_conflict
def has_run_well_within(name: str, length: timedelta) -> bool:
    """Whether the last run of ``name`` ended well, and not longer ago than ``length``."""
    row = JobRun.get_or_none(JobRun.name == name)
    if row is None or row.last_result != GOOD_RESULT or row.last_finished_at is None:
        return False
    return bool(read_clock() - row.last_finished_at <= length)
