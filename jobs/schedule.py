"""The timetable; the only importer of APScheduler, which keeps it in memory: ``job_runs`` remembers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from jobs.clock import utc_now


@dataclass(frozen=True, slots=True)
class Job:
    """What runs when: every ``every_seconds``, or nightly at ``hour_utc``; ``at_once`` also at the start.

    ``run`` must not raise. One that still runs at its next time is not started a second time.
    """

    name: str
    run: Callable[[], object]
    every_seconds: float | None = None
    hour_utc: int | None = None
    at_once: bool = True

    @property
    def trigger(self) -> IntervalTrigger | CronTrigger:
        if self.every_seconds is not None:
            return IntervalTrigger(seconds=self.every_seconds, timezone=UTC)
        return CronTrigger(hour=self.hour_utc, minute=0, timezone=UTC, jitter=300)


class Timetable:
    """Runs jobs at their times in threads of its own, each job one at a time."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(len(jobs))},
            # A late run is better than none, and one is enough: missed ones are not made up for.
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        for job in jobs:
            first = {"next_run_time": utc_now()} if job.at_once else {}
            self._scheduler.add_job(job.run, job.trigger, id=job.name, name=job.name, **first)

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        """Start nothing more; what runs now is not waited for. Calling twice is safe."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def next_run_at(self, name: str) -> datetime | None:
        job = self._scheduler.get_job(name)
        return job.next_run_time if job is not None else None
