"""What the product logs while a world runs: read for faults of its own code, and put into the trace."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from tests.simulation.trace import Trace

#: Exceptions that the product may log in a world with faults; any other is its own mistake.
EXPECTED = {"StoreUnreachable", "SourceError", "SettingsError", "ModelBroke"}
log = logging.getLogger("triage")


class Listener(logging.Handler):
    def __init__(self, trace: Trace, offences: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._trace, self._offences = trace, offences

    def emit(self, record: logging.LogRecord) -> None:
        raised = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
        if self._trace.kept:
            fields = {name: getattr(record, name, None) for name in ("ticket_id", "job", "reason")}
            told = " ".join(f"{name}={value}" for name, value in fields.items() if value)
            self._trace.remark("log", f"{record.getMessage()} {told} {raised}")
        if raised and raised not in EXPECTED:
            self._offences.append(f"the product logged {raised}: {record.getMessage()}")


@contextmanager
def listening(trace: Trace, offences: list[str]) -> Iterator[None]:
    kept = log.handlers, log.propagate, log.level
    log.handlers, log.propagate = [Listener(trace, offences)], False
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.handlers, log.propagate = kept[0], kept[1]
        log.setLevel(kept[2])
