"""HubSpot in this process: the sandbox's portal, whose index lags and flaps, and a client that asks it."""

import json
import random
from datetime import datetime
from typing import Any

from jobs.hubspot.faults import Refused, Unreadable, translated
from jobs.sandbox.hubspot import SANDBOX_PORTAL_ID, SANDBOX_TOKEN, SimulatedHubSpot
from jobs.sandbox.portal import Collection, Record
from jobs.sandbox.serving import Answer, Request
from tests.simulation.clock import MachineClock, utc
from tests.simulation.effects import Effects
from tests.simulation.truth import Truth

Json = dict[str, Any]
HEADERS = {"authorization": f"Bearer {SANDBOX_TOKEN}"}
TRIES = 5


class LateReads(Collection):
    """Tickets that a read answers with 404 for a while after they were created."""

    def __init__(self) -> None:
        super().__init__("tickets")
        self.unreadable: set[int] = set()

    def find(self, record_id: int) -> Record | None:
        return None if record_id in self.unreadable else super().find(record_id)


class WorldPortal(SimulatedHubSpot):
    """``unindexed`` tickets are in no search yet, ``flapping`` ones are missing in some."""

    def __init__(
        self,
        clock: MachineClock,
        rng: random.Random,
        portal_id: int = SANDBOX_PORTAL_ID,
        last_id: int | None = None,
    ) -> None:
        super().__init__(search_limit_per_second=None, clock=clock.seconds, portal_id=portal_id)
        self._last_id = last_id or self._last_id
        self._rng = rng
        self.reads = LateReads()
        self.collections["tickets"] = self.reads
        self.unindexed: set[int] = set()
        self.flapping: set[int] = set()

    def record(self, ticket_id: str) -> Record:
        """Also of one that nobody may read yet."""
        found = Collection.find(self.reads, int(ticket_id))
        assert found is not None
        return found

    def change(self, ticket_id: str, **properties: str) -> None:
        """Nothing where it was merged meanwhile."""
        if int(ticket_id) in self.aliases:
            return
        record = self.record(ticket_id)
        record.modified_ms = int(self.clock() * 1000)
        record.properties.update(properties)
        self.reads.known.update(properties)

    def _searchable(self) -> list[Record]:
        hidden = self.unindexed
        if self.flapping:
            hidden = hidden | {one for one in sorted(self.flapping) if self._rng.random() < 0.5}
        records = self.reads.records
        return [one for one in records if not one.archived and one.record_id not in hidden]


class Weather:
    """How HubSpot answers at the moment: ``failing`` is the chance of a fault, ``down`` is one for all."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.failing = 0.0
        self.down = False

    def draw_fault(self) -> int | None:
        """A status, 0 for a lost connection, or None."""
        if self.down:
            return 503
        if self.failing and self.rng.random() < self.failing:
            return self.rng.choice((0, 429, 500, 502, 503))
        return None


class WorldClient:
    """Stands for HubSpotClient: the same calls, without HTTP, pools and the vendor's library."""

    def __init__(
        self, portal: WorldPortal, weather: Weather, effects: Effects, truth: Truth, clock: MachineClock
    ) -> None:
        self._portal, self._weather, self._effects, self._truth = portal, weather, effects, truth
        self._clock = clock
        self._ahead: float | None = None

    def search(self, object_type: str, body: Json) -> Json:
        answer = self._ask("POST", f"/crm/v3/objects/{object_type}/search", body)
        self._truth.show((one["id"] for one in answer["results"]), self._effects.scheduler.current)
        return answer

    def batch_read(self, object_type: str, ids: list[str], properties: list[str]) -> Json:
        body = {"inputs": [{"id": one} for one in ids], "properties": properties}
        answer = self._ask("POST", f"/crm/v3/objects/{object_type}/batch/read", body)
        if object_type == "tickets":
            self._note_reads(ids, {one["id"] for one in answer["results"]})
        return answer

    def _note_reads(self, ids: list[str], found: set[str]) -> None:
        for one in ids:
            ticket = self._truth.tickets.get(one)
            if ticket is not None:
                is_there = str(self._portal.resolve(int(one))) in found
                (ticket.read_at if is_there else ticket.missed_at).append(self._truth.time.now)

    def batch_associations(self, to_type: str, ticket_ids: list[str]) -> Json:
        """Nobody is associated with these tickets; who the customer is changes nothing here."""
        return {"results": []}

    def account_details(self) -> Json:
        return self._ask("GET", "/account-info/v3/details")

    def now(self) -> datetime | None:
        return None if self._ahead is None else utc(self._clock.seconds() + self._ahead)

    def close(self) -> None:
        """Nothing is open."""

    def _ask(self, method: str, path: str, body: Json | None = None) -> Json:
        """As HubSpotClient: 429, 5xx and lost connections are tried again, with growing pauses."""
        for tried in range(TRIES):
            try:
                return self._ask_once(method, path, body)
            except (Refused, ConnectionError) as error:
                fault: Exception = error
                status = error.status if isinstance(error, Refused) else 503
                if status != 429 and status < 500:
                    break
            self._effects.scheduler.sleep(0.5 * 2**tried)
        raise translated(fault)

    def _ask_once(self, method: str, path: str, body: Json | None) -> Json:
        scheduler, rng = self._effects.scheduler, self._weather.rng
        self._effects.pass_point("HubSpot", method, path)
        scheduler.sleep(rng.uniform(0.02, 0.3))
        status = self._weather.draw_fault()
        answer = self._answer(Request(method, path, "", HEADERS, json.dumps(body).encode()))
        self._effects.pass_point("HubSpot answers")
        scheduler.sleep(rng.uniform(0.0, 0.1))
        if status == 0:
            raise ConnectionError
        if status is not None:
            raise Refused(status, None)
        if not 200 <= answer.status < 300:
            raise Refused(answer.status, None)
        return self._parsed(answer)

    def _answer(self, request: Request) -> Answer:
        answer = self._portal.answer(request)
        assert isinstance(answer, Answer)
        return answer

    def _parsed(self, answer: Answer) -> Json:
        self._ahead = int(self._portal.clock()) - self._clock.seconds()
        told = json.loads(answer.body)
        if not isinstance(told, dict):
            raise Unreadable
        return told
