"""The drain's job: moves what the receiver stored to the ledger until the inbox is empty."""

from collections.abc import Callable

from jobs.propose_pages import never
from models.drain import DRAIN_BATCH, Drained, add, drain_events

DrainReport = Drained


def drain_inbox(stop: Callable[[], bool] = never) -> DrainReport:
    """Drain batch by batch until a batch has nothing left to move, or ``stop`` says so between two.

    Raises StoreError; what was moved before stays moved.
    """
    total = Drained()
    while not stop():
        drained = drain_events(DRAIN_BATCH)
        total = add(total, drained)
        if not drained.handled:
            break
    return total
