"""The simulated portal, watched: what its searches asked for, and something to do before an answer."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from jobs.sandbox.faults import HubSpotFaults
from jobs.sandbox.hubspot import SANDBOX_TOKEN, SimulatedHubSpot
from jobs.sandbox.portal import Portal as Records
from jobs.sandbox.serving import Outcome, Request


class Portal(SimulatedHubSpot):
    """``asked`` has each search's window by operator, ``properties`` what they searched by.

    ``before_search`` is given the search's number; what it returns is the answer, None leaves it as it is.
    """

    def __init__(self) -> None:
        super().__init__(search_limit_per_second=None)
        self.asked: list[dict[str, str]] = []
        self.properties: set[str] = set()
        self.before_search: Callable[[int], Outcome | None] = lambda _: None

    def answer(self, request: Request) -> Outcome:
        if request.path.endswith("/search"):
            filters = json.loads(request.body)["filterGroups"][0]["filters"]
            self.asked.append({one["operator"]: one.get("value", "") for one in filters[:2]})
            self.properties.add(filters[0]["propertyName"])
            outcome = self.before_search(len(self.asked))
            if outcome is not None:
                return outcome
        return super().answer(request)

    def empty(self) -> None:
        Records.__init__(self)
        self.faults, self.access_token, self.searches = HubSpotFaults(), SANDBOX_TOKEN, 0
        self.before_search = lambda _: None
        self.requests.clear()
        self.asked.clear()
        self.properties.clear()

    def add_changed(self, ago: timedelta, count: int = 1, **properties: str | None) -> list[str]:
        """Tickets created a year ago and last changed ``ago``."""
        made = self.add_many(count, created_at=datetime.now(UTC) - timedelta(days=365))
        self.clock = lambda: (datetime.now(UTC) - ago).timestamp()
        for one in made:
            self.touch(one, **properties)
        self.clock = lambda: datetime.now(UTC).timestamp()
        return made


def to_milliseconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
