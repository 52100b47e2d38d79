"""Virtual time: one true time for the whole world, and the clocks of its machines, which differ from it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

MONDAY = datetime(2026, 11, 23, 10, 0, tzinfo=UTC).timestamp()
MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
CLOCKS_APART = 1_800.0  #: more than any two clocks here differ


@dataclass(slots=True)
class Time:
    """The true time in epoch seconds; it only rises, and only the scheduler moves it."""

    now: float = MONDAY


@dataclass(slots=True)
class MachineClock:
    """A machine's wall clock: ``offset`` seconds ahead of the true time, and it may be stepped."""

    time: Time
    offset: float = 0.0
    steps: list[tuple[float, float]] = field(default_factory=list)

    def seconds(self) -> float:
        return self.time.now + self.offset

    def utc(self) -> datetime:
        return utc(self.seconds())

    def step(self, seconds: float) -> None:
        """Somebody sets the clock, as NTP does after a start."""
        self.offset += seconds
        self.steps.append((self.time.now, seconds))


def utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def to_text(seconds: float) -> str:
    """As the database writes it: ``2026-11-23 10:00:00.123+00:00``."""
    return utc(seconds).isoformat(sep=" ", timespec="milliseconds")


class StandingClock:
    """Stands for the module ``time`` where the product takes the time of its own work, which is none here."""

    def __init__(self, time: Time) -> None:
        self._time = time

    def monotonic(self) -> float:
        return self._time.now

    perf_counter = monotonic
