"""Commits the rows of all requests that wait at a moment in one transaction, in threads of its own.

A commit costs the disk, and the threads' hand-over the processor, the same for one row as for a thousand.
While one runs the next group gathers. At its end it waits, at most a millisecond, for as many as there were:
answered senders send again at once. A lone sender never waits.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue

from jobs.web.deadlines import Deadlines
from models.errors import StoreError
from models.inbox import EventLike

log = logging.getLogger("triage")

MOST_WAITING_REQUESTS = 1_000
MOST_WAITING_ROWS = 20_000  # 100 connections with 100 events each, twice; some 8 MB
MOST_ROWS_IN_GROUP = 1_000  # so that a commit stays in the tens of milliseconds
GATHER_SECONDS = 0.001
ENOUGH_ROWS = 200  # worth a commit of their own, beside one that is under way
COMMITS_AT_ONCE = 2
# HubSpot gives an app 5 seconds and sends again; what is committed after that is a repeat, and harmless.
WAIT_SECONDS = 4.0

Store = Callable[[Sequence[EventLike]], int]


class NotStored(Exception):
    """Too many requests wait, the commit failed, or nobody knows yet: the sender must send again."""


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    events: Sequence[EventLike]
    stored: "asyncio.Future[bool]"


def give_up(stored: "asyncio.Future[bool]") -> None:
    """Nobody knows yet whether it is stored."""
    if not stored.done():
        stored.set_result(False)


class GroupCommitter:
    """All but ``store`` and ``on_stored``, which its threads call, belongs to the event loop that opened it.

    ``on_stored`` is called after each commit that brought new rows, before the senders get their answer.
    """

    def __init__(self, store: Store, on_stored: Callable[[], None]) -> None:
        self.store = store
        self.on_stored = on_stored
        self.waiting: deque[Waiting] = deque()
        self.waiting_rows = 0
        self.at_work = 0
        self.asides = 0
        self.expected = 1
        self.timer: asyncio.TimerHandle | None = None
        self.deadlines: Deadlines[asyncio.Future[bool]] = Deadlines(give_up)
        self.is_failing = False
        self.jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def open(self) -> None:
        """Start the threads. Daemons: a store that hangs must not keep the process from ending."""
        self.loop = asyncio.get_running_loop()
        for _ in range(COMMITS_AT_ONCE):
            threading.Thread(target=self.run_jobs, name="webhook-commits", daemon=True).start()

    async def close(self) -> None:
        """Commit what waits and do what was put aside, then end the threads; a hurry cancels this."""
        while self.waiting or self.at_work or self.asides:
            await asyncio.sleep(0.01)
        for _ in range(COMMITS_AT_ONCE):
            self.jobs.put(None)

    async def commit(self, events: Sequence[EventLike]) -> None:
        """Return when ``events`` are committed, which may have been before; raises NotStored."""
        full = len(self.waiting) >= MOST_WAITING_REQUESTS
        if full or self.waiting_rows + len(events) > MOST_WAITING_ROWS:
            raise NotStored
        one = Waiting(events, self.loop.create_future())
        self.waiting.append(one)
        self.waiting_rows += len(events)
        self.begin_when_enough_wait()
        self.deadlines.add(one.stored, WAIT_SECONDS)
        try:
            stored = await one.stored
        finally:
            self.deadlines.remove(one.stored)
        if not stored:
            raise NotStored

    def begin_when_enough_wait(self) -> None:
        many_rows = self.waiting_rows >= ENOUGH_ROWS
        if not self.waiting or self.at_work >= (COMMITS_AT_ONCE if many_rows else 1):
            return
        if many_rows or len(self.waiting) >= self.expected:
            self.begin_groups()
        elif self.timer is None:
            self.timer = self.loop.call_later(GATHER_SECONDS, self.begin_groups)

    def begin_groups(self) -> None:
        """Hand the oldest requests to each thread that is free."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        while self.waiting and self.at_work < COMMITS_AT_ONCE:
            group = self.take_group()
            if group:
                self.at_work += 1
                self.jobs.put(partial(self.store_group, group))

    def take_group(self) -> list[Waiting]:
        group: list[Waiting] = []
        rows = 0
        while self.waiting and (not group or rows + len(self.waiting[0].events) <= MOST_ROWS_IN_GROUP):
            one = self.waiting.popleft()
            self.waiting_rows -= len(one.events)
            if not one.stored.done():  # else it was given up, and will be sent again
                group.append(one)
                rows += len(one.events)
        return group

    def end_group(self, group: Sequence[Waiting], stored: Sequence[bool]) -> None:
        self.at_work -= 1
        self.expected = len(group) + len(self.waiting)
        for one, outcome in zip(group, stored, strict=True):
            if not one.stored.done():
                one.stored.set_result(outcome)
        self.begin_when_enough_wait()

    def run_aside(self, job: Callable[[], None]) -> None:
        """Let a thread do something else between two commits."""
        self.asides += 1
        self.jobs.put(partial(self.do_aside, job))

    def do_aside(self, job: Callable[[], None]) -> None:
        try:
            job()
        finally:
            self.loop.call_soon_threadsafe(self.end_aside)

    def end_aside(self) -> None:
        self.asides -= 1

    def run_jobs(self) -> None:
        while (job := self.jobs.get()) is not None:
            try:
                job()
            except Exception:  # the thread serves the others too
                log.exception("a job beside the webhooks failed")

    def store_group(self, group: Sequence[Waiting]) -> None:
        stored = [False] * len(group)
        try:
            stored = self.outcomes(group)
        finally:
            self.loop.call_soon_threadsafe(self.end_group, group, stored)

    def outcomes(self, group: Sequence[Waiting]) -> list[bool]:
        try:
            return [self.is_stored([event for one in group for event in one.events])] * len(group)
        except Exception:
            if len(group) == 1:
                log.exception("webhook events cannot be stored")
                return [False]
            # One request's rows must not cost the others theirs.
            return [stored for one in group for stored in self.outcomes([one])]

    def is_stored(self, events: Sequence[EventLike]) -> bool:
        """False while the store is away, which is logged once when it begins and once when it ends."""
        try:
            new = self.store(events)
        except StoreError:
            if not self.is_failing:
                log.exception("webhooks get 503: the store is away")
            self.is_failing = True
            return False
        if self.is_failing:
            log.info("webhooks are stored again")
        self.is_failing = False
        if new:
            self.on_stored()
        return True
