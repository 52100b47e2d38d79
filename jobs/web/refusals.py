"""What a failed authentication costs: it is counted, logged within bounds, and in a flood slowed down."""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

log = logging.getLogger("triage")

PERIOD_SECONDS = 1.0
MOST_LINES_A_PERIOD = 5
PROMPT_ANSWERS_A_PERIOD = 20
# A sender who waits for each answer gets no more than four a second on each connection. Only so many wait at
# once: those beyond are answered at once, since held connections would in the end keep good ones out.
SLOWED_SECONDS = 0.25
MOST_SLOWED = 128


class Refusals:
    """Belongs to one event loop.

    ``report`` gets the number of refusals since it was called last, at most once a second, by way of
    ``run_aside``: it may write to the database.
    """

    def __init__(
        self, report: Callable[[int], None], run_aside: Callable[[Callable[[], None]], None]
    ) -> None:
        self.report = report
        self.run_aside = run_aside
        self.in_period = 0
        self.unreported = 0
        self.reporting = threading.Lock()
        self.slowed = 0

    async def note(self, scope: Mapping[str, Any], reason: str, request_id: str) -> None:
        """Returns when the answer may be sent."""
        if not self.in_period:
            asyncio.get_running_loop().call_later(PERIOD_SECONDS, self.end_period)
        self.in_period += 1
        if self.in_period <= MOST_LINES_A_PERIOD:
            fields = {"reason": reason, "request_id": request_id, **source_of(scope)}
            log.warning("webhook refused", extra=fields)
        if self.in_period > PROMPT_ANSWERS_A_PERIOD and self.slowed < MOST_SLOWED:
            self.slowed += 1
            try:
                await asyncio.sleep(SLOWED_SECONDS)
            finally:
                self.slowed -= 1

    def end_period(self) -> None:
        if self.in_period > MOST_LINES_A_PERIOD:
            log.warning("webhooks refused", extra={"number": self.in_period})
        number, self.in_period = self.in_period, 0
        if number:
            self.run_aside(lambda: self.report_with_others(number))

    def report_with_others(self, number: int) -> None:
        """In a thread aside. What could not be reported is reported with the next."""
        with self.reporting:
            self.unreported += number
            self.report(self.unreported)
            self.unreported = 0


def source_of(scope: Mapping[str, Any]) -> dict[str, str]:
    """The peer's address, and the last hop that the proxy before us wrote, which a peer may have made up."""
    client = scope.get("client")
    source = {"source": client[0].removeprefix("::ffff:") if client else "unknown"}
    forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    last_hop = forwarded[-1].rpartition(b",")[2].strip().decode("latin-1") if forwarded else ""
    if last_hop and last_hop.isascii() and last_hop.isprintable():
        source["forwarded_for"] = last_hop[:64]
    return source
