"""What is left of a plan's requests and tokens, as the service says in the headers of its answers.

Groq's allowances fill up again evenly, and ``x-ratelimit-reset-...`` is the time until they are full: 73 of
8,000 tokens a minute are back in 547 ms, 2 of 1,000 requests a day in 2m52.8s.
"""

import math
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jobs.triage.pauses import MAX_SECONDS

_NUMBER = re.compile("[0-9]{1,9}")
_DURATION = re.compile(
    r"(?=.)(?:([0-9]{1,4})h)?(?:([0-9]{1,5})m)?(?:([0-9]{1,6}(?:\.[0-9]{1,9})?)s)?"
    r"(?:([0-9]{1,6}(?:\.[0-9]{1,9})?)ms)?"
)
_UNIT_SECONDS = (3600.0, 60.0, 1.0, 0.001)


@dataclass(frozen=True, slots=True)
class Allowance:
    """``level`` was left at ``at`` and grows by ``rate`` a second up to ``limit``; void after ``until``."""

    level: float
    limit: float
    rate: float
    at: float
    until: float

    def level_at(self, now: float) -> float:
        return min(self.limit, self.level + self.rate * (now - self.at))


class Budget:
    """For several threads at once; ``clock`` counts seconds. What is not known is not limited."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._allowances: dict[str, Allowance] = {}
        self._lock = threading.Lock()

    def reserve(self, tokens: float) -> bool:
        """Whether a call of so many tokens fits into what is left; what it takes is then set aside.

        One that is larger than the whole allowance is let through: it is refused at once, and takes nothing.
        """
        now, needs = self._clock(), {"requests": 1.0, "tokens": tokens}
        with self._lock:
            counts = {
                name: one
                for name, one in self._allowances.items()
                if now < one.until and needs[name] <= one.limit
            }
            if any(one.level_at(now) < needs[name] for name, one in counts.items()):
                return False
            for name, one in counts.items():
                level = one.level_at(now) - needs[name]
                self._allowances[name] = Allowance(level, one.limit, one.rate, now, one.until)
        return True

    def note(self, headers: Mapping[str, str]) -> None:
        """Believe an answer's headers, which count the calls so far. Never raises; odd ones are ignored."""
        now = self._clock()
        for name in ("requests", "tokens"):
            said = (headers.get(f"x-ratelimit-{part}-{name}", "") for part in ("limit", "remaining", "reset"))
            found = parse_allowance(*said, now=now)
            if found is not None:
                with self._lock:
                    self._allowances[name] = found


def parse_allowance(limit: str, remaining: str, reset: str, *, now: float) -> Allowance | None:
    """None for what is no allowance; without a sensible limit nothing comes back before the reset."""
    seconds = parse_duration(reset)
    if seconds is None or not _NUMBER.fullmatch(remaining):
        return None
    level, most = float(remaining), float(limit) if _NUMBER.fullmatch(limit) else 0.0
    if most <= 0 or most < level:
        return Allowance(level, math.inf, 0.0, now, now + min(seconds, MAX_SECONDS))
    # Full already, or about to be: nothing to learn of the pace, and nothing is withheld.
    if seconds <= 0 or most == level:
        return Allowance(most, most, 0.0, now, now)
    rate = (most - level) / min(seconds, MAX_SECONDS)
    return Allowance(level, most, rate, now, now + MAX_SECONDS)


def parse_duration(text: str) -> float | None:
    """Seconds of a form such as ``7.66s``, ``2m59.56s``, ``547ms`` or ``1h0m0s``; None for anything else."""
    found = _DURATION.fullmatch(text)
    if found is None:
        return None
    pairs = zip(found.groups(), _UNIT_SECONDS, strict=True)
    return sum(float(number) * unit for number, unit in pairs if number)
