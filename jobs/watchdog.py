"""Ends a process in which something hangs, so that the platform starts another."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

log = logging.getLogger("triage")

LOOK_SECONDS = 1.0
WEDGED = 70  #: the exit code: not 0, which the platform would take for done


@dataclass(frozen=True, slots=True)
class Limited:
    name: str
    until: float


def end_process() -> None:
    os._exit(WEDGED)


class Watchdog:
    """Work under a limit is ended with the whole process when it is past it: a thread cannot be.

    ``overdue`` is asked at each look for anything else that hangs, and gives its name; it counts when two
    looks in a row find it, so that what just ends is not taken for hanging.
    """

    def __init__(
        self,
        overdue: Callable[[], str | None] = lambda: None,
        end: Callable[[], object] = end_process,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._overdue, self._end, self._clock = overdue, end, clock
        self._limited: dict[int, Limited] = {}
        self._numbers, self._over = count(), threading.Event()
        self._suspect: str | None = None

    @contextmanager
    def limit(self, name: str, seconds: float) -> Iterator[None]:
        number = next(self._numbers)
        self._limited[number] = Limited(name, self._clock() + seconds)
        try:
            yield
        finally:
            del self._limited[number]

    def start(self) -> None:
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        self._over.set()

    def look(self) -> None:
        now = self._clock()
        late = [one.name for one in list(self._limited.values()) if one.until < now]
        suspect = self._overdue()
        if suspect is not None and suspect == self._suspect:
            late.append(suspect)
        self._suspect = suspect
        if late:
            log.error("past its deadline, the process ends", extra={"what": late[0]})
            self._end()

    def _watch(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self.look()
