"""A blocking read for many requests: in a thread of its own, one at a time, its answer shared for a while."""

import asyncio
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")
FAILURE_SECONDS = 2.0


class SharedRead(Generic[T]):
    """``read`` may hang: whoever waits gives up after a time, and no second one is started meanwhile.

    For the coroutines of one event loop. The thread is a daemon, so that a hanging read cannot keep the
    process from ending.
    """

    def __init__(
        self, read: Callable[[], T], fresh_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read, self._fresh_seconds, self._clock = read, fresh_seconds, clock
        self._reading: Future[T | Exception] | None = None
        self._stale_at = 0.0

    async def get(self, limit_seconds: float) -> T:
        """An answer of the last ``fresh_seconds`` (a failure of the last two), or a new one.

        Raises TimeoutError after ``limit_seconds``, and whatever ``read`` raised.
        """
        reading = self._fresh() or self._start()
        # Shielded, so that one who gives up does not cancel what others wait for.
        waiting = asyncio.shield(asyncio.wrap_future(reading))
        answer = await asyncio.wait_for(waiting, limit_seconds)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _fresh(self) -> "Future[T | Exception] | None":
        reading = self._reading
        if reading is None or (reading.done() and self._clock() >= self._stale_at):
            return None
        return reading

    def _start(self) -> "Future[T | Exception]":
        reading: Future[T | Exception] = Future()
        reading.set_running_or_notify_cancel()
        self._reading = reading
        threading.Thread(target=self._work, args=(reading,), name="shared read", daemon=True).start()
        return reading

    def _work(self, reading: "Future[T | Exception]") -> None:
        answer: T | Exception
        try:
            answer = self._read()
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            answer = error
        failed = isinstance(answer, Exception)
        self._stale_at = self._clock() + min(self._fresh_seconds, FAILURE_SECONDS if failed else math.inf)
        reading.set_result(answer)
