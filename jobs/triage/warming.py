"""Loading a model in the background, with the time that loading takes and no ticket has.

Ollama gives a load up when the caller who waits for it hangs up (its server's ``WaitUntilRunning``): tickets
with a limit of seconds would begin the load of a large model again and again, and never see its end.
"""

import logging
import threading
import time
from collections.abc import Callable

from jobs.errors import ModelError

log = logging.getLogger("triage")

LOAD_SECONDS = 300.0
"""Ollama's own limit for a load (OLLAMA_LOAD_TIMEOUT)."""

HEARD_SECONDS = 1800.0
"""A model that answered within the time that it stays loaded needs no second look."""

SECOND_LOOK_SECONDS = 1.0
"""A load that is given up is listed as loaded for a moment."""


class Warming:
    """Of one model; for several threads at once.

    ``load`` returns when the model is loaded, or raises ModelError. ``is_loaded`` asks the server, None where
    it does not say. A ticket waits at most ``patience_seconds`` from a load's beginning.
    """

    def __init__(
        self,
        load: Callable[[], object],
        is_loaded: Callable[[], bool | None],
        patience_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load, self._is_loaded = load, is_loaded
        self._patience_seconds, self._clock = patience_seconds, clock
        self._over = threading.Event()
        self._over.set()
        self._started_at = self._vain_until = self._heard_until = 0.0
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin a load unless one is under way; returns at once."""
        with self._lock:
            if not self._over.is_set():
                return
            self._over, self._started_at = threading.Event(), self._clock()
        try:
            threading.Thread(target=self._run, args=(self._over,), name="warm", daemon=True).start()
        except RuntimeError:  # no more threads: a load that never began must not be waited for
            self._over.set()
            log.warning("model not loaded", extra={"reason": "no thread could be started"})

    def wait(self) -> bool:
        """Whether the model can be asked: at once where no load is under way, else when it ends in time."""
        over = self._over
        return over.wait(max(0.0, self._started_at + self._patience_seconds - self._clock()))

    def heard(self) -> None:
        """The model answered."""
        self._heard_until = self._clock() + HEARD_SECONDS

    def explains_silence(self) -> bool:
        """After a call that ended at its time limit: whether the model was not loaded yet. Then it is now.

        Not where a load just took all its time in vain: what does not end is a hang as well.
        """
        if not self._over.is_set():
            return True
        if self._clock() < self._vain_until or not self._is_absent():
            return False
        self.start()
        return True

    def _is_absent(self) -> bool:
        is_loaded = self._is_loaded()
        if is_loaded and self._clock() >= self._heard_until:
            time.sleep(SECOND_LOOK_SECONDS)
            is_loaded = self._is_loaded()
        return is_loaded is False

    def _run(self, over: threading.Event) -> None:
        try:
            self._load()
            log.info("model loaded", extra={"seconds": round(self._clock() - self._started_at, 1)})
        except ModelError as error:
            if error.kind == "timeout":
                self._vain_until = self._clock() + LOAD_SECONDS
            log.warning("model not loaded", extra={"reason": str(error)})
        finally:
            over.set()
