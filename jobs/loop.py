"""A thread of the worker that does one pass after another; a failing pass is tried again, never its end."""

import threading
from collections.abc import Callable

from jobs.job_runner import JobRunner, Work

FAULT_PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0)


class Loop:
    """Runs ``work`` until ``stopping``: after a good pass it calls ``wait``, after faults it pauses."""

    def __init__(
        self,
        name: str,
        work: Work,
        wait: Callable[[], object],
        *,
        runner: JobRunner,
        stopping: threading.Event,
        limit_seconds: float | None = None,
    ) -> None:
        self._name, self._work, self._wait = name, work, wait
        self._runner, self._stopping, self._limit_seconds = runner, stopping, limit_seconds
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.is_well = True

    def start(self) -> None:
        self._thread.start()

    def join(self, seconds: float) -> bool:
        """True if the loop ended within ``seconds``."""
        self._thread.join(max(0.0, seconds))
        return not self._thread.is_alive()

    def _run(self) -> None:
        faults = 0
        while not self._stopping.is_set():
            self.is_well = self._runner.run(
                self._name, self._work, limit_seconds=self._limit_seconds, loop=True
            )
            faults = 0 if self.is_well else faults + 1
            if self._stopping.is_set():
                # What is to end the wait may have been used up by the pass just done.
                return
            if self.is_well:
                self._wait()
            else:
                self._stopping.wait(FAULT_PAUSES[min(faults, len(FAULT_PAUSES)) - 1])
