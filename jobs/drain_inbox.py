"""The drain's job: moves what the receiver stored to the ledger until the inbox is empty."""

import logging
from collections.abc import Callable

from jobs.propose_pages import never
from models.drain import DRAIN_BATCH, Drained, add, drain_events, list_set_aside

log = logging.getLogger("triage")

DrainReport = Drained


def drain_inbox(stop: Callable[[], bool] = never) -> DrainReport:
    """Drain batch by batch until a batch has nothing left to move, or ``stop`` says so between two.

    Raises StoreError; what was moved before stays moved. What was set aside is logged with its reason.
    """
    total = Drained()
    while not stop():
        drained = drain_events(DRAIN_BATCH)
        total = add(total, drained)
        if not drained.handled:
            break
    if total.set_aside:
        log_set_aside(total.set_aside)
    return total


def log_set_aside(number: int) -> None:
    for event in list_set_aside(number):
        fields = {"event_type": event.event_type, "object_id": event.object_id, "reason": event.last_error}
        log.warning("webhook event set aside", extra=fields)
