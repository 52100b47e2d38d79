"""The part of ``threading`` and ``concurrent.futures`` that the product waits with, on virtual time.

``jobs.handling`` keeps its threads busy with pools, futures and events. Here each of its threads is an actor,
and each wait lets the others take their turns.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ALL_COMPLETED, Future
from typing import Any, Self

from tests.simulation.scheduler import Actor, Died, Scheduler


class Threads:
    """Stands for the module ``threading`` where the product waits by it."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler

    def Lock(self) -> "Lock":  # noqa: N802 - the names in ``threading``
        return Lock(self.scheduler)

    def Event(self) -> "Event":  # noqa: N802
        return Event(self.scheduler)

    def Thread(self, target: Callable[..., object], args: Sequence[Any] = (), **_: Any) -> "Thread":  # noqa: N802
        return Thread(self.scheduler, lambda: target(*args))

    def pool(self, _: int, name: str) -> "Pool":
        return Pool(self.scheduler, name)

    def wait(
        self, futures: Iterable[Future[Any]], timeout: float | None = None, return_when: str = ALL_COMPLETED
    ) -> None:
        """Until the first, or all, are done. Only the two ways of the product are known."""
        waiting = list(futures)
        if any(one.done() for one in waiting):
            return
        scheduler, me = self.scheduler, self.scheduler.current
        token = me.token
        for one in waiting:
            one.add_done_callback(lambda _: scheduler.unpark(me, token))
        scheduler.park(timeout)


class Lock:
    def __init__(self, scheduler: Scheduler) -> None:
        self._one = Semaphore(scheduler, 1)

    def __enter__(self) -> None:
        self._one.acquire()

    def __exit__(self, *_: object) -> None:
        self._one.release()


class Event:
    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler, self._set = scheduler, False
        self._waiting: list[tuple[Actor, int]] = []

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        for actor, token in self._waiting:
            self._scheduler.unpark(actor, token)
        self._waiting.clear()

    def clear(self) -> None:
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        if not self._set:
            me = self._scheduler.current
            self._waiting.append((me, me.token))
            self._scheduler.park(timeout)
        return self._set


class Thread:
    def __init__(self, scheduler: Scheduler, work: Callable[[], object]) -> None:
        self._scheduler, self._work = scheduler, work
        self._actor: Actor | None = None

    def start(self) -> None:
        self._actor = self._scheduler.spawn(self._scheduler.current.process, "thread", self._work)

    def join(self) -> None:
        if self._actor is not None and self._scheduler.current.process.alive:
            self._scheduler.join(self._actor)


class Pool:
    """A ThreadPoolExecutor whose limit the product keeps by itself: it submits no more than are free."""

    def __init__(self, scheduler: Scheduler, name: str) -> None:
        self._scheduler, self._name = scheduler, name
        self._actors: list[Actor] = []

    def submit(self, work: Callable[..., Any], *args: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def run() -> None:
            try:
                answer = work(*args)
            except Died:
                raise
            except BaseException as error:  # noqa: BLE001 - the future's
                future.set_exception(error)
            else:
                future.set_result(answer)

        self._actors.append(self._scheduler.spawn(self._scheduler.current.process, self._name, run))
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._scheduler.current.process.alive:
            for actor in self._actors:
                self._scheduler.join(actor)


class Semaphore:
    """A BoundedSemaphore on virtual time: turns at a channel are held while a card is on its way."""

    def __init__(self, scheduler: Scheduler, count: int) -> None:
        self._scheduler, self._free = scheduler, count
        self._waiting: list[tuple[Actor, int]] = []

    def acquire(self, timeout: float | None = None) -> bool:
        scheduler = self._scheduler
        until = None if timeout is None else scheduler.time.now + timeout
        while self._free == 0:
            left = None if until is None else until - scheduler.time.now
            if left is not None and left <= 0:
                return False
            self._waiting.append((scheduler.current, scheduler.current.token))
            scheduler.park(left)
        self._free -= 1
        return True

    def release(self) -> None:
        self._free += 1
        for actor, token in self._waiting:
            self._scheduler.unpark(actor, token)
        self._waiting.clear()
