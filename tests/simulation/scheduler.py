"""Actors that take turns: threads of which only one runs, and virtual time that jumps when all of them wait.

Peewee keeps a connection for each thread, so every actor is a thread of the operating system. The baton goes
straight from one to the next: whoever begins to wait picks the next one due and wakes it.
"""

import random
import threading
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from tests.simulation.clock import Time

Work = Callable[[], object]


class Died(BaseException):
    """The process of this actor is dead: nothing of ours catches it, as nothing runs after a kill."""


class Process:
    """What dies and freezes as one; ``mortal`` False for what stands outside, such as a person."""

    def __init__(self, name: str, *, mortal: bool = True) -> None:
        self.name, self.mortal = name, mortal
        self.alive = True
        self.frozen_until = 0.0
        self.actors: list[Actor] = []


class Actor:
    """One line of work; ``token`` tells a wake-up that is still meant from one that is outdated."""

    __slots__ = ("baton", "ended", "name", "process", "token", "waiters", "work")

    def __init__(self, name: str, process: Process, work: Work, baton: Any) -> None:
        self.name, self.process, self.work, self.baton = name, process, work, baton
        self.token = 0
        self.ended = False
        self.waiters: list[tuple[Actor, int]] = []


class Scheduler:
    """Runs actors and calls by virtual time. Who is due at the same moment goes in an order of the seed's.

    The thread that makes it is an actor too, the world's ``director``. ``raised`` holds what an actor raised
    beside Died.
    """

    def __init__(self, time: Time, rng: random.Random) -> None:
        self.time, self._draw = time, rng.random
        self._queue: list[tuple[float, float, int, Actor | None, Any]] = []
        self._pushed = 0
        self._idle: list[Seat] = []
        self.raised: list[BaseException] = []
        self.director = Actor("director", Process("world", mortal=False), lambda: None, locked())
        self.current = self.director
        self.living = 0

    def spawn(self, process: Process, name: str, work: Work) -> Actor:
        """Start an actor; it takes its first turn when the one who calls waits."""
        seat = self._idle.pop() if self._idle else Seat(self)
        actor = Actor(name, process, work, seat.baton)
        seat.actor = actor
        process.actors.append(actor)
        self.living += 1
        self._push(self.time.now, actor, 0)
        return actor

    def at(self, moment: float, call: Work) -> None:
        """Call something of the world's own, which neither waits nor touches the database."""
        self._pushed += 1
        heappush(self._queue, (moment, self._draw(), self._pushed, None, call))

    def sleep(self, seconds: float) -> None:
        """Let virtual time pass; raises Died where the process died meanwhile."""
        me = self.current
        self._push(self.time.now + seconds, me, me.token)
        self._hand_over(me)

    def park(self, seconds: float | None = None) -> None:
        """Wait for ``unpark``, at most so long."""
        me = self.current
        if seconds is not None:
            self._push(self.time.now + seconds, me, me.token)
        self._hand_over(me)

    def unpark(self, actor: Actor, token: int) -> None:
        """End the wait that ``actor`` began with ``token``; an earlier wait's is ignored."""
        if actor.token == token:
            self._push(self.time.now, actor, token)

    def join(self, actor: Actor) -> None:
        while not actor.ended:
            actor.waiters.append((self.current, self.current.token))
            self.park()

    def kill(self, process: Process) -> None:
        """The process is gone: its actors unwind at their next turn, without any effect."""
        process.alive, process.frozen_until = False, 0.0
        for actor in process.actors:
            if not actor.ended:
                self._push(self.time.now, actor, actor.token)

    def _push(self, moment: float, actor: Actor, token: int) -> None:
        self._pushed += 1
        heappush(self._queue, (moment, self._draw(), self._pushed, actor, token))

    def _hand_over(self, me: Actor) -> None:
        following = self._take_next()
        if following is not me:
            following.baton.release()
            me.baton.acquire()
        if not me.process.alive:
            raise Died

    def _take_next(self) -> Actor:
        queue, time = self._queue, self.time
        while True:
            moment, _, _, actor, given = heappop(queue)
            if actor is None:
                time.now = max(time.now, moment)
                given()
                continue
            if actor.token != given or actor.ended:
                continue
            if actor.process.frozen_until > max(moment, time.now):
                self._push(actor.process.frozen_until, actor, given)
                continue
            time.now = max(time.now, moment)
            actor.token += 1
            self.current = actor
            return actor

    def finish(self, actor: Actor, seat: "Seat") -> None:
        """The last of an actor's thread: whoever waits for it is woken, and the baton goes on."""
        actor.ended = True
        actor.process.actors.remove(actor)
        self.living -= 1
        for waiter, token in actor.waiters:
            self.unpark(waiter, token)
        self._idle.append(seat)
        self._take_next().baton.release()

    def close(self) -> None:
        """Unwind every actor and end the threads; called by the director."""
        while self.living:
            self.sleep(0)
        for seat in self._idle:
            seat.actor = None
            seat.baton.release()
            seat.thread.join()
        self._idle.clear()


class Seat:
    """A thread that plays one actor after the other: to start a thread costs more than a turn."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.baton = locked()
        self.actor: Actor | None = None
        self.thread = threading.Thread(target=self._play, args=(scheduler,), name="seat", daemon=True)
        self.thread.start()

    def _play(self, scheduler: Scheduler) -> None:
        while True:
            self.baton.acquire()
            actor = self.actor
            if actor is None:
                return
            try:
                if actor.process.alive:
                    actor.work()
            except Died:
                pass
            except BaseException as error:  # noqa: BLE001 - told by the director, whose thread it is not
                scheduler.raised.append(error)
            scheduler.finish(actor, self)


def locked() -> Any:
    baton = threading.Lock()
    baton.acquire()
    return baton
