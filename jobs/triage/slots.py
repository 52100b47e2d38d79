"""Slots of the local model: so many calls at once, and who would wait too long goes elsewhere."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jobs.errors import ModelError

SPILL_SECONDS = 5.0
"""A ticket waits no longer where another model can be asked: half the time limit of the call it waits for."""

LONE_SECONDS = 60.0
"""Where only the rules are left, which are the worse answer: six calls that each take all their time."""

_NEWEST_SHARE = 0.3
_LINE = "all slots of the local model (LOCAL_LLM_CONCURRENCY) are taken"


class Slots:
    """``limit`` callers at once, from several threads; first come, first served.

    One caller waits at most ``wait_seconds``, and not at all where the pace of the last calls foresees more.
    """

    def __init__(self, limit: int, wait_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._wait_seconds, self._clock = limit, wait_seconds, clock
        self._free = limit
        self._mean_seconds = 0.0  #: of a call; 0 until the first one ended
        self._queue: deque[threading.Event] = deque()
        self._lock = threading.Lock()

    @contextmanager
    def take(self) -> Iterator[None]:
        """Hold a slot. Raises ModelError ``crowded`` where none is free in time; nobody was asked then."""
        self._enter()
        started = self._clock()
        try:
            yield
        finally:
            self._leave(self._clock() - started)

    def _enter(self) -> None:
        turn = threading.Event()
        with self._lock:
            if self._free:
                self._free -= 1
                return
            if (len(self._queue) + 1) * self._mean_seconds / self._limit > self._wait_seconds:
                raise ModelError(_LINE, kind="crowded", asked=False)
            self._queue.append(turn)
        if turn.wait(self._wait_seconds):
            return
        with self._lock:
            if turn.is_set():  # handed over at the last moment
                return
            self._queue.remove(turn)
        raise ModelError(_LINE, kind="crowded", asked=False)

    def _leave(self, seconds: float) -> None:
        with self._lock:
            known = self._mean_seconds
            self._mean_seconds = known + _NEWEST_SHARE * (seconds - known) if known else seconds
            if self._queue:
                self._queue.popleft().set()  # the slot passes on: nobody comes in between
            else:
                self._free += 1
