"""Pacing by what a channel answers: nothing is assumed of its limits, everything it says is kept."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

LONGEST_PAUSE_SECONDS = 3_600.0
#: Of a 429 that names no time, such as a proxy's page.
UNNAMED_PAUSE_SECONDS = 5.0
SLOT_PAUSE_SECONDS = 1.0


class RateGate:
    """Turns at one channel: at most ``at_once`` at a time, and none before the channel said so.

    Shared by the threads of a process; another process learns the same from its own answers.
    """

    def __init__(
        self,
        at_once: int,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._slots, self._lock = threading.BoundedSemaphore(at_once), threading.Lock()
        self._now, self._sleep = now, sleep
        self._closed_until, self._resets_at = 0.0, 0.0
        self._remaining: int | None = None

    @contextmanager
    def turn(self, longest_seconds: float) -> Iterator[float]:
        """Waits up to ``longest_seconds`` for a turn; yields 0.0 with it, else the seconds still to wait."""
        deadline = self._now() + longest_seconds
        if not self._slots.acquire(timeout=longest_seconds):
            yield SLOT_PAUSE_SECONDS
            return
        try:
            while (seconds := self._seconds_to_wait()) > 0:
                if self._now() + seconds > deadline:
                    break
                self._sleep(seconds)
            yield seconds
        finally:
            self._slots.release()

    def _seconds_to_wait(self) -> float:
        with self._lock:
            now = self._now()
            if now < self._closed_until:
                return self._closed_until - now
            if self._remaining is None or now >= self._resets_at:
                self._remaining = None
                return 0.0
            if self._remaining > 0:
                self._remaining -= 1
                return 0.0
            return self._resets_at - now

    def note_limits(self, headers: Mapping[str, str]) -> None:
        """Keep ``X-RateLimit-Remaining`` and ``-Reset-After`` of an answer, where it has them."""
        remaining = number_of(headers.get("x-ratelimit-remaining"))
        reset_after = number_of(headers.get("x-ratelimit-reset-after"))
        if remaining is None or reset_after is None:
            return
        with self._lock:
            # Answers come out of order: within one window the smaller number is the later one.
            resets_at = self._now() + reset_after
            same_window = self._remaining is not None and resets_at < self._resets_at + 0.5
            self._remaining = min(int(remaining), self._remaining or 0) if same_window else int(remaining)
            self._resets_at = max(resets_at, self._resets_at)

    def close_for(self, seconds: float | None) -> float:
        """After a 429: nobody's turn for so long; returns the seconds."""
        pause = min(UNNAMED_PAUSE_SECONDS if seconds is None else seconds, LONGEST_PAUSE_SECONDS)
        with self._lock:
            self._closed_until = max(self._closed_until, self._now() + pause)
        return pause


def number_of(text: object) -> float | None:
    """A non-negative number, or None for anything else that a server may say."""
    try:
        number = float(str(text))
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
