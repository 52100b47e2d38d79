"""What is done to workers: how often, for how long, and what is still to come."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from jobs.look_for_cards import ARRIVED_SECONDS
from jobs.tell_channel import SEND_SECONDS


class Blow(StrEnum):
    """A kill, or a stop: SIGSTOP, and SIGCONT after a while."""

    KILL = "killed with -9"
    SHORT_STOP = "stopped for less than the lease"
    LONG_STOP = "stopped for longer than the lease"
    SEND_STOP = "stopped until its sends were settled by others"


SHARES: Mapping[Blow, float] = {
    Blow.KILL: 0.6,
    Blow.SHORT_STOP: 0.16,
    Blow.LONG_STOP: 0.16,
    Blow.SEND_STOP: 0.08,
}


@dataclass(frozen=True, slots=True)
class Strike:
    """``alone``: a kill that is measured, with no other at the same time."""

    blow: Blow
    alone: bool = False


def draw_strikes(number: int, alone: int, shares: Mapping[Blow, float], dice: random.Random) -> list[Strike]:
    """``number`` in all, of which the last ``alone`` are the measured ones."""
    blows = dice.choices(list(shares), list(shares.values()), k=number - alone)
    return [*(Strike(blow) for blow in blows), *[Strike(Blow.KILL, alone=True)] * alone]


def stop_seconds(blow: Blow, lease_seconds: float, dice: random.Random, *, looked_for: bool) -> float:
    """A write-ahead extends the lease past the send; a card that can be ``looked_for`` is given up later."""
    match blow:
        case Blow.SHORT_STOP:
            return dice.uniform(0.05, 0.8) * lease_seconds
        case Blow.LONG_STOP:
            return dice.uniform(1.1, 3.0) * lease_seconds
        case _:
            settled = lease_seconds + (ARRIVED_SECONDS if looked_for else SEND_SECONDS)
            return settled + dice.uniform(0.5, 5.0)


class Torment:
    """The strikes still to come, shared by all victims; ``calm`` is set once the last fell.

    ``finished`` tells the victims to end orderly. ``on_strike`` is told how many fell so far.
    """

    def __init__(self, strikes: list[Strike], on_strike: Callable[[int], object]) -> None:
        self._left, self._under_way, self._lock = strikes[::-1], 0, threading.Lock()
        self._on_strike = on_strike
        self.struck: Counter[Blow] = Counter()
        self.calm, self.finished = threading.Event(), threading.Event()

    @property
    def is_measured(self) -> bool:
        """Whether only strikes that fall alone are left."""
        with self._lock:
            return not self._left or self._left[-1].alone

    def take(self) -> Strike | None:
        """The next strike; None where there is none, or it has to wait for others to be over."""
        with self._lock:
            if not self._left or (self._left[-1].alone and self._under_way):
                return None
            self._under_way += 1
            return self._left.pop()

    def give_back(self, strike: Strike) -> None:
        """The worker ended before it was struck."""
        with self._lock:
            self._under_way -= 1
            self._left.append(strike)

    def count(self, strike: Strike) -> None:
        with self._lock:
            self._under_way -= 1
            self.struck[strike.blow] += 1
            self._on_strike(self.struck.total())
            if not self._left and not self._under_way:
                self.calm.set()
