"""A clock that stands still until it is told otherwise."""

from datetime import UTC, datetime, timedelta


class FakeClock:
    """Both of a desk's clocks in one: the wall's, and the seconds that go on during suspension."""

    def __init__(self) -> None:
        self.seconds_passed = 0.0

    def now(self) -> datetime:
        return datetime(2026, 11, 23, 12, 0, tzinfo=UTC) + timedelta(seconds=self.seconds_passed)

    def seconds(self) -> float:
        return self.seconds_passed

    def advance(self, seconds: float) -> None:
        self.seconds_passed += seconds
