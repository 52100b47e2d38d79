"""Providers that said "not before": they are left alone until then."""

import threading
from collections.abc import Callable

from jobs.errors import ModelError
from jobs.verdict import Provider

MAX_SECONDS = 3600.0
"""Nobody is left alone for longer, whatever was said: plans reset, and settings are mended."""


class Pauses:
    """In memory, for several threads at once; ``clock`` counts seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._errors: dict[Provider, tuple[float, ModelError]] = {}
        self._lock = threading.Lock()

    def note(self, provider: Provider, error: ModelError) -> None:
        """Start a pause if ``error`` names one; it never shortens another."""
        if not error.retry_after:
            return
        until = self._clock() + min(error.retry_after, MAX_SECONDS)
        with self._lock:
            known = self._errors.get(provider)
            if known is None or known[0] < until:
                # A copy: the error itself holds, through its traceback, the prompt.
                self._errors[provider] = (until, ModelError(str(error), kind=error.kind))

    def check(self, provider: Provider) -> None:
        """Raise the pause's error, without ``retry_after``, while it lasts."""
        known = self._errors.get(provider)
        if known is not None and self._clock() < known[0]:
            raise ModelError(str(known[1]), kind=known[1].kind)
