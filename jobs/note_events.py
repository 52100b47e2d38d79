"""Faults and events that all workers count together, for health and alarms."""

import logging
import re

from models.counts import Event, count_event

log = logging.getLogger("triage")

SETTING = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")


def note_fault(job: str, line: str, *, settings_fault: bool) -> None:
    """Log a fault that has a line of its own; a refused credential is counted for the alarms."""
    log.warning("job failed", extra={"job": job, "reason": line})
    if settings_fault:
        note_event(Event.CREDENTIAL_REFUSED, of=named_setting(line))


def named_setting(line: str) -> str:
    """The setting that a fault's line names, at most 20 characters of it."""
    found = SETTING.search(line)
    return found.group()[:20] if found else "setting"


def note_event(event: Event, number: int = 1, of: str = "") -> None:
    """Count an event for all workers; one that cannot be written now is not worth a failure. Never raises."""
    try:
        count_event(event, number, of)
    except Exception:  # also where a restore has the table in its hands
        log.warning("event not counted", exc_info=True, extra={"event": event.value})
