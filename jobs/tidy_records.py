"""The hourly upkeep: what retention leaves to it between two nights. It forgets no ticket."""

import time
from collections.abc import Callable
from functools import partial

from jobs.prune_records import Pace, PruneReport, prune_some
from models import retention
from models.horizon import HeldBack, Horizon


def tidy_records(retention_days: int, *, stop: Callable[[], bool] = lambda: False) -> PruneReport:
    """Delete old rows of inbox and counts, and refresh the planner's statistics. Raises StoreError."""
    report = PruneReport(Horizon(None, HeldBack.RETENTION), dry_run=False)
    pace = Pace(time.sleep, stop)
    report.inbox = prune_some(report, partial(retention.prune_inbox, retention_days), pace)
    report.hourly_counts = prune_some(report, retention.prune_counts, pace)
    for table in retention.ANALYZED:
        if not stop():
            report.timed(partial(retention.refresh_statistics, table))
    return report
