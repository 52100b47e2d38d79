"""Clocks: the wall's in UTC, and one that goes on while the process or the machine is suspended."""

import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    return datetime.now(UTC)


def suspend_aware_seconds() -> float:
    """Seconds since some start, counting the time a machine slept: a lease runs on meanwhile.

    Linux has CLOCK_BOOTTIME for it; elsewhere the wall clock is the one that does not stand still.
    """
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return time.time() if boottime is None else time.clock_gettime(boottime)
