"""A simulated HubSpot account over HTTP: the reads that the product makes, in HubSpot's shapes.

Checked against the published OpenAPI documents in ``tests/unit/test_sandbox_hubspot_spec.py``.
"""

import re
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import unquote

from jobs.sandbox.faults import HubSpotFaults, failed_page
from jobs.sandbox.payloads import (
    batch,
    error_answer,
    forbidden,
    not_associated,
    not_found,
    parse_inputs,
    to_link,
    to_object,
    to_property,
    too_many_requests,
    unauthorised,
)
from jobs.sandbox.portal import Portal, Record
from jobs.sandbox.search import MAX_BODY, Refused, parse_properties, parse_search
from jobs.sandbox.serving import Answer, Drop, Outcome, Request, Simulator, http_date, json_answer

SANDBOX_PORTAL_ID = 99_000_001
SANDBOX_UI_DOMAIN = "app.sandbox.invalid"
SANDBOX_TOKEN = "sandbox-no-secret"  # noqa: S105
MAX_READ, MAX_ASSOCIATIONS = 100, 1_000

_DATED = r"20\d\d-(?:03|09)"
_ROUTES = {
    "account": re.compile(rf"/account-info/(?:v3|{_DATED})/details"),
    "search": re.compile(rf"/crm/(?:v3/objects|objects/{_DATED})/(?:tickets|0-5)/search"),
    "read": re.compile(rf"/crm/(?:v3/objects|objects/{_DATED})/(tickets|contacts|companies)/batch/read"),
    "associations": re.compile(
        rf"/crm/(?:v4/associations|associations/{_DATED})/tickets/(contacts|companies)/batch/read"
    ),
    "property": re.compile(
        rf"/crm/(?:v3/properties|properties/{_DATED})/(tickets|contacts|companies)/([^/]+)"
    ),
}
_GETS = ("account", "property")


class SimulatedHubSpot(Simulator, Portal):
    """One account: fill it with the methods of Portal, make it fail through ``faults``.

    ``requests`` counts by (method, path), ``searches`` the searches that were let through;
    ``write_attempts`` lists whatever was no read. ``search_limit_per_second`` None lifts HubSpot's limit.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        portal_id: int = SANDBOX_PORTAL_ID,
        ui_domain: str = SANDBOX_UI_DOMAIN,
        access_token: str = SANDBOX_TOKEN,
        search_limit_per_second: int | None = 5,
        clock: Callable[[], float] = time.time,
    ) -> None:
        Simulator.__init__(self, port)
        Portal.__init__(self, clock)
        self.portal_id, self.ui_domain, self.access_token = portal_id, ui_domain, access_token
        self.search_limit_per_second = search_limit_per_second
        self.faults = HubSpotFaults()
        self.requests: Counter[tuple[str, str]] = Counter()
        self.write_attempts: list[str] = []
        self.searches = 0
        self._search_times: deque[float] = deque()

    def answer(self, request: Request) -> Outcome:
        with self.lock:
            self.requests[request.method, request.path] += 1
            outcome = self._faulty() or self._route(request)
            return self._dressed(outcome)

    def _faulty(self) -> Outcome | None:
        if self.faults.down:
            return error_answer(503, "SERVICE_UNAVAILABLE", "The service is not available")
        if self.faults.always_429:
            return too_many_requests("TEN_SECONDLY_ROLLING")
        if not self.faults.fail_next:
            return None
        failure = self.faults.fail_next.pop(0)
        if isinstance(failure, Drop):
            return failure
        if failure == HTTPStatus.TOO_MANY_REQUESTS:
            return too_many_requests("SECONDLY")
        return error_answer(failure, "INTERNAL_ERROR", "A simulated failure")

    def _dressed(self, outcome: Outcome) -> Outcome:
        delay = outcome.delay_seconds + self.faults.latency_seconds
        if isinstance(outcome, Drop):
            return Drop(delay)
        page = self.faults.html_errors and outcome.status >= HTTPStatus.BAD_REQUEST
        answer = failed_page(outcome.status) if page else outcome
        date = http_date(self.clock() + self.faults.wrong_date_offset_seconds)
        return replace(answer, delay_seconds=delay, headers={"Date": date, **answer.headers})

    def _route(self, request: Request) -> Answer:
        for name, pattern in _ROUTES.items():
            if (match := pattern.fullmatch(request.path)) is not None:
                if request.method != ("GET" if name in _GETS else "POST"):
                    break
                return self._authorised(name, request, *match.groups())
        if request.method in ("GET", "HEAD"):
            return error_answer(404, "OBJECT_NOT_FOUND", "There is no such resource")
        self.write_attempts.append(f"{request.method} {request.path}")
        return error_answer(405, "METHOD_NOT_ALLOWED", "The sandbox has nothing that writes")

    def _authorised(self, name: str, request: Request, *parts: str) -> Answer:
        if request.headers.get("authorization") != f"Bearer {self.access_token}":
            return unauthorised()
        if self.faults.forbidden.intersection(parts or ("tickets",) * (name == "search")):
            return forbidden()
        try:
            match name:
                case "search":
                    return self._answer_search(request)
                case "read":
                    return self._answer_read(request, *parts)
                case "associations":
                    return self._answer_associations(request, *parts)
                case "property":
                    return self._answer_property(*parts)
                case _:
                    return self._answer_account()
        except Refused as refusal:
            return error_answer(400, "VALIDATION_ERROR", str(refusal))
        except ValueError:
            return error_answer(400, "VALIDATION_ERROR", "Invalid input JSON")

    def _answer_account(self) -> Answer:
        return json_answer(
            {
                "portalId": self.portal_id,
                "accountType": "SANDBOX",
                "timeZone": "Europe/Dublin",
                "companyCurrency": "EUR",
                "additionalCurrencies": [],
                "utcOffset": "+00:00",
                "utcOffsetMilliseconds": 0,
                "uiDomain": self.ui_domain,
                "dataHostingLocation": "eu1",
            }
        )

    def _answer_property(self, kind: str, name: str) -> Answer:
        if unquote(name) not in self.collections[kind].known:
            return error_answer(404, "OBJECT_NOT_FOUND", "There is no such property")
        return json_answer(to_property(kind, unquote(name)))

    def _answer_search(self, request: Request) -> Answer:
        if not self._search_allowed():
            return too_many_requests("SECONDLY")
        if len(request.body.decode(errors="replace")) > MAX_BODY:
            raise Refused(f"the body of a search may have {MAX_BODY} characters")
        tickets = self.collections["tickets"]
        search = parse_search(request.json(), tickets.known)
        self.searches += 1
        matches = search.run(self._searchable())
        page = search.page(matches)
        results = [to_object(tickets, record, search.properties) for record in page]
        end = search.after + len(page)
        paging = {"paging": {"next": {"after": str(end)}}} if end < len(matches) else {}
        return json_answer({"total": len(matches), "results": results, **paging})

    def _search_allowed(self) -> bool:
        """A window of one second for the whole account; what was refused does not count."""
        now = time.monotonic()
        while self._search_times and now - self._search_times[0] >= 1:
            self._search_times.popleft()
        limit = self.search_limit_per_second
        allowed = limit is None or len(self._search_times) < limit
        if allowed:
            self._search_times.append(now)
        return allowed

    def _searchable(self) -> list[Record]:
        records = list(self.visible_tickets(self.faults.index_lag_seconds))
        hidden = self.faults.hidden((record.record_id for record in records), self.searches)
        return [record for record in records if record.record_id not in hidden] if hidden else records

    def _answer_read(self, request: Request, kind: str) -> Answer:
        body = request.json()
        wanted, properties = parse_inputs(body, MAX_READ), parse_properties(body)
        collection = self.collections[kind]
        found: dict[int, Record] = {}
        missing = []
        for one in wanted:
            record = collection.find(self.resolve(one) if kind == "tickets" else one)
            if record is None or record.archived:
                missing.append(str(one))
            else:
                found[record.record_id] = record
        results = [to_object(collection, record, properties) for record in found.values()]
        return batch(results, [not_found(kind, missing)] if missing else [])

    def _answer_associations(self, request: Request, kind: str) -> Answer:
        results, errors = [], []
        for one in parse_inputs(request.json(), MAX_ASSOCIATIONS):
            # HubSpot knows associations by the id of what came of a merge alone.
            others = [] if one in self.aliases else self.associated(one, kind)
            if others:
                results.append({"from": {"id": str(one)}, "to": [to_link(other, kind) for other in others]})
            else:
                errors.append(not_associated(one, kind))
        return batch(results, errors)
