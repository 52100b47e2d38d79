"""Runs one job of the worker: nothing it does stops anything else, and everybody can see how it went."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime

from jobs.errors import SettingsError, TriageError
from jobs.note_events import note_fault
from jobs.observations import Observations
from jobs.watchdog import Watchdog
from models.errors import StoreError
from models.job_runs import GOOD_RESULT, record_run

log = logging.getLogger("triage")

#: A loop's passes are written down that often, or when their result changes; each would be a commit.
LOOP_REMEMBERED_SECONDS = 60.0

#: What a job does; the class of a fault it met and went on after, or None.
Work = Callable[[], str | None]


@dataclass(slots=True)
class Remembered:
    at: float
    result: str
    runs_since: int = 0


class JobRunner:
    """``next_run_at`` tells a job's next time, for ``job_runs``. From several threads, each job from one."""

    def __init__(
        self,
        watchdog: Watchdog,
        observations: Observations,
        next_run_at: Callable[[str], datetime | None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._watchdog, self._observations, self._clock = watchdog, observations, clock
        self._remembered: dict[str, Remembered] = {}
        self._lock = threading.Lock()
        self.next_run_at = next_run_at

    def run(self, name: str, work: Work, *, limit_seconds: float | None = None, loop: bool = False) -> bool:
        """Do the work, log, count and remember how it ended; True if well. Never raises.

        Past ``limit_seconds`` the process ends. A ``loop`` is remembered once a minute.
        """
        started = self._clock()
        limit = self._watchdog.limit(name, limit_seconds) if limit_seconds else nullcontext()
        with limit:
            result = attempted(name, work)
        seconds = self._clock() - started
        self._observations.job_ended(name, seconds, failed=result != GOOD_RESULT)
        self._remember(name, seconds, result, LOOP_REMEMBERED_SECONDS if loop else 0.0)
        return result == GOOD_RESULT

    def _remember(self, name: str, seconds: float, result: str, every_seconds: float) -> None:
        with self._lock:
            last, now = self._remembered.get(name), self._clock()
            if last and last.result == result and now - last.at < every_seconds:
                last.runs_since += 1
                return
            since = last.runs_since if last else 0
            failures = int(result != GOOD_RESULT) + (since if last and last.result != GOOD_RESULT else 0)
            self._remembered[name] = Remembered(now, result)
        try:
            record_run(name, seconds, result, self.next_run_at(name), 1 + since, failures)
        except Exception:  # also of a table in a restore's hands: the thread must go on
            log.warning("job run not remembered", exc_info=True, extra={"job": name})


def attempted(name: str, work: Work) -> str:
    """Do the work; ``ok``, or the class of what went wrong, which is logged with its line if it has one."""
    try:
        return work() or GOOD_RESULT
    except (StoreError, TriageError) as error:
        note_fault(name, str(error), settings_fault=isinstance(error, SettingsError))
        return type(error).__name__
    except Exception as error:
        log.exception("job failed", extra={"job": name})
        return type(error).__name__
