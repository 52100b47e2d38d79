"""Providers that failed several times in a row: passed over, but for a probe now and then."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from jobs.errors import ModelError
from jobs.verdict import Provider

FAILURES = 5
"""So many in a row open it: a restart of the server costs fewer tickets a full time limit than that."""

PROBE_SECONDS = 60.0
"""From opening to the first probe, and from one probe to the next, also where one never came back."""

OWN_FAULTS = frozenset({"timeout", "unreachable", "not_json"})
"""Kinds that count, with every ``http_5xx``; a limit, a full queue or a refusal is an answer and does not."""

#: Told whether the provider is passed over from now on. From several threads; must not raise.
OnBreaker = Callable[[Provider, bool], object]


@dataclass(slots=True)
class _Record:
    failures: int = 0
    probe_at: float | None = None  #: None while closed
    last: ModelError | None = None


class Breaker:
    """In memory, for several threads at once; ``clock`` counts seconds.

    Calls that were on their way when it opened are not stopped: with N threads up to N - 1 more end in vain.
    """

    def __init__(
        self, clock: Callable[[], float], on_change: OnBreaker = lambda _provider, _open: None
    ) -> None:
        self._clock, self._on_change = clock, on_change
        self._records = {provider: _Record() for provider in Provider}
        self._lock = threading.Lock()

    def check(self, provider: Provider) -> None:
        """Raise the last failure while open; one caller in PROBE_SECONDS passes, its call is the probe."""
        with self._lock:
            record = self._records[provider]
            if record.probe_at is None or record.last is None:
                return
            now = self._clock()
            if now >= record.probe_at:
                record.probe_at = now + PROBE_SECONDS
                return
            last = record.last
        raise ModelError(str(last), kind=last.kind)

    def note(self, provider: Provider, error: ModelError | None) -> None:
        """How one call ended, None for an answer, whatever was in it; not told of who was passed over."""
        with self._lock:
            record = self._records[provider]
            was_open = record.probe_at is not None
            if error is None or not is_own_fault(error.kind):
                self._records[provider] = _Record()
                is_open = False
            else:
                record.failures += 1
                # A copy: the error itself holds, through its traceback, the prompt.
                record.last = ModelError(str(error), kind=error.kind)
                if not was_open and record.failures >= FAILURES:
                    record.probe_at = self._clock() + PROBE_SECONDS
                is_open = record.probe_at is not None
            if is_open != was_open:  # under the lock, so that changes are told in their order
                self._on_change(provider, is_open)


def is_own_fault(kind: str) -> bool:
    return kind in OWN_FAULTS or kind.startswith("http_5")
