"""The nightly clean-up, also the verb's: raise the memory horizon, forget, and tell the planner."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from jobs.clock import utc_now
from models import retention
from models.horizon import HeldBack, Horizon, judge_horizon, raise_horizon

log = logging.getLogger("triage")
R = TypeVar("R")

#: A page, four statements and a commit, is doubled below the first and halved above the second, so that no
#: statement comes near 100 ms, whatever the machine.
SHORT_MS, LONG_MS = 20.0, 50.0
FIRST_PAGE, SMALLEST_PAGE, LARGEST_PAGE = 250, 25, 1_000
ROWS_AT_ONCE = 500
FEW = 5_000  #: old tickets that are listed first
REST_SHARE = 0.75  #: pauses, as a share of the time worked: claims come first


@dataclass
class PruneReport:
    """Rows forgotten, or with ``dry_run`` to be forgotten, by table; ``stopped`` where it was cut short.

    ``longest_ms`` is the longest transaction, waiting for locks included.
    """

    horizon: Horizon
    dry_run: bool
    tickets: int = 0
    deliveries: int = 0
    inbox: int = 0
    hourly_counts: int = 0
    longest_ms: float = 0.0
    seconds: float = 0.0
    stopped: bool = False

    @property
    def held_by(self) -> HeldBack:
        return self.horizon.held_by

    def timed(self, work: Callable[[], R]) -> tuple[R, float]:
        """What ``work`` answers, and how many milliseconds it took."""
        started = time.perf_counter()
        answer = work()
        taken = (time.perf_counter() - started) * 1000
        self.longest_ms = max(self.longest_ms, taken)
        return answer, taken

    def as_json(self) -> dict[str, object]:
        horizon_at = self.horizon.at
        return {
            "dry_run": self.dry_run,
            "tickets": self.tickets,
            "deliveries": self.deliveries,
            "inbox": self.inbox,
            "hourly_counts": self.hourly_counts,
            "horizon_at": horizon_at and horizon_at.isoformat(timespec="seconds"),
            "held_back_by": self.held_by.value,
            "longest_ms": round(self.longest_ms, 1),
            "seconds": round(self.seconds, 3),
            "stopped": self.stopped,
        }


@dataclass(frozen=True, slots=True)
class Pace:
    """How the work is spread: ``rest`` after each transaction; False where the process is to end."""

    sleep: Callable[[float], object]
    stop: Callable[[], bool]

    def rest(self, taken_ms: float) -> bool:
        self.sleep(taken_ms / 1000 * REST_SHARE)
        return not self.stop()


def prune_records(
    retention_days: int,
    *,
    dry_run: bool,
    overlap: timedelta,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], datetime] = utc_now,
    stop: Callable[[], bool] = lambda: False,
) -> PruneReport:
    """Forget what is older than ``retention_days`` (less than 4 works like 4), in short transactions.

    ``overlap`` is the poll's. ``stop`` is asked between them: what is left waits for the next night. Several
    at once are harmless. ``dry_run`` counts and changes nothing. Raises StoreError.
    """
    started = time.monotonic()
    report, pace = PruneReport(Horizon(None, HeldBack.POLL), dry_run), Pace(sleep, stop)
    judge = judge_horizon if dry_run else raise_horizon
    report.horizon, _ = report.timed(partial(judge, retention_days, overlap, clock()))
    forget_tickets(report, retention_days, pace)
    report.inbox = prune_some(report, partial(retention.prune_inbox, retention_days), pace)
    report.hourly_counts = prune_some(report, retention.prune_counts, pace)
    if not dry_run and not stop():
        for table in retention.ANALYZED:
            report.timed(partial(retention.refresh_statistics, table))
    report.stopped, report.seconds = stop(), time.monotonic() - started
    log.info("retention finished", extra=report.as_json())
    return report


def forget_tickets(report: PruneReport, retention_days: int, pace: Pace) -> None:
    """Once over the ledger by id, or over the old ones if these are few, in pages as large as time allows."""
    limit, after = FIRST_PAGE, ""
    horizon_at = report.horizon.at
    if horizon_at is None:
        return
    # A dry run counts under the horizon that a real one would have stored.
    forget = (
        partial(retention.count_batch, retention_days, horizon_at)
        if report.dry_run
        else partial(retention.forget_batch, retention_days)
    )
    among, _ = report.timed(partial(retention.list_old, retention_days, FEW))
    while True:
        page, taken = report.timed(partial(forget, limit, after, among))
        report.tickets, report.deliveries = report.tickets + page.tickets, report.deliveries + page.deliveries
        if page.last_id is None or not pace.rest(taken):
            return
        limit, after = next_limit(limit, taken), page.last_id


def next_limit(limit: int, taken_ms: float) -> int:
    if taken_ms > LONG_MS:
        return max(SMALLEST_PAGE, limit // 2)
    return min(LARGEST_PAGE, limit * 2) if taken_ms < SHORT_MS else limit


def prune_some(report: PruneReport, prune: Callable[..., int], pace: Pace) -> int:
    """Until a step finds less than it may delete; a dry run counts all at once."""
    total = 0
    while True:
        pruned, taken = report.timed(partial(prune, ROWS_AT_ONCE, dry_run=report.dry_run))
        total += pruned
        if report.dry_run or pruned < ROWS_AT_ONCE or not pace.rest(taken):
            return total
