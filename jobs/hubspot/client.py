"""HubSpot's HTTP side: read-only by construction, one place for API versions, timeouts, retries, pace."""

import json
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

import tenacity
import urllib3
from hubspot import Client

from jobs.hubspot.faults import SCOPES, NoSuchResource, Refused, Unreadable, scope_of, translated

PROPERTY = "/crm/v3/properties/{objectType}/{propertyName}"
#: The only calls this product may make: the client library's path -> ours. The version stands here alone.
#: `/crm/v4` ends on 2027-03-30 and v3 in September 2027; the dated paths take and return the same bodies.
READS = {
    ("POST", "/crm/v3/objects/{objectType}/search"): "/crm/v3/objects/{objectType}/search",
    ("POST", "/crm/v3/objects/{objectType}/batch/read"): "/crm/v3/objects/{objectType}/batch/read",
    ("POST", "/crm/v4/associations/{fromObjectType}/{toObjectType}/batch/read"): (
        "/crm/v4/associations/{fromObjectType}/{toObjectType}/batch/read"
    ),
    ("GET", "/account-info/v3/details"): "/account-info/v3/details",
    ("GET", PROPERTY): PROPERTY,
}
TIMEOUT_SECONDS = (5.0, 20.0)  # connect, read
TRIES = 5
LONGEST_WAIT_SECONDS = 10.0
GROWING_PAUSE = tenacity.wait_exponential(multiplier=0.5) + tenacity.wait_random(0, 0.5)
#: HubSpot allows five in a second for all of an account's integrations. A little more than a second, since
#: calls that left far enough apart may arrive closer together.
SEARCHES_AT_ONCE, SEARCH_WINDOW_SECONDS = 4, 1.1

Json = dict[str, Any]
#: Told of each request: the status of its answer, None where there was none, and the seconds it took.
OnAnswer = Callable[[int | None, float], object]
#: One call of a kept api object; the keyword arguments carry the timeout.
Call = Callable[..., Any]


def ignore(_: int | None, __: float) -> None:
    pass


class Pace:
    """At most ``calls`` of this process in any ``window_seconds``; threads queue up fairly enough.

    The first few wait for nobody: a look for new tickets is most often a single page.
    """

    def __init__(self, calls: int, window_seconds: float, sleep: Callable[[float], None]) -> None:
        self._window, self._sleep = window_seconds, sleep
        self._lock, self._turns = threading.Lock(), deque([-math.inf] * calls, maxlen=calls)

    def wait(self) -> None:
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._turns[0] + self._window)
            self._turns.append(turn)
        self._sleep(turn - now)


class HubSpotClient:
    """The read calls of HubSpot's API and nothing else: no method here or below it can write.

    Raises SettingsError where the token is refused, SourceError where HubSpot cannot be asked now. A
    message never holds a body, a header or a token. ``on_answer`` is called in the thread that asked, also
    for what is tried again.
    """

    def __init__(
        self,
        base_url: str,
        access_token: str,
        sleep: Callable[[float], None] = time.sleep,
        timeout_seconds: tuple[float, float] = TIMEOUT_SECONDS,
        on_answer: OnAnswer = ignore,
    ) -> None:
        sdk = Client(
            access_token=access_token,
            host=base_url.rstrip("/"),
            # POST is not retried by urllib3's own rules, so all retries are tenacity's, below.
            retry=urllib3.Retry(0, redirect=False, raise_on_redirect=False, raise_on_status=False),
            api_factory=partial(read_only_api, on_answer=on_answer),
        )
        # Every access of these properties opens a new connection pool: they are read once and kept.
        search_api, batch_api = sdk.crm.objects.search_api, sdk.crm.objects.batch_api
        associations_api = sdk.crm.associations.v4.batch_api
        self._search = search_api.do_search
        self._read = batch_api.read
        self._associations = associations_api.get_page
        self._call_api = batch_api.api_client.call_api
        self._pools = [
            api.api_client.rest_client.pool_manager for api in (search_api, batch_api, associations_api)
        ]
        self._sleep, self._pace = sleep, Pace(SEARCHES_AT_ONCE, SEARCH_WINDOW_SECONDS, sleep)
        self._timeout_seconds = timeout_seconds
        self._ahead: timedelta | None = None
        logging.getLogger("urllib3").setLevel(logging.ERROR)

    def search(self, object_type: str, body: Json) -> Json:
        """One page of a search, at most four a second, tried again on 429, 5xx and lost connections."""
        return self._asked(self._search, object_type, body, paced=True, scopes=scope_of(object_type))

    def batch_read(self, object_type: str, ids: list[str], properties: list[str]) -> Json:
        """Up to 100 objects; ids that HubSpot does not know are missing from ``results``."""
        inputs = [{"id": one} for one in ids]
        body = {"inputs": inputs, "properties": properties}
        return self._asked(self._read, object_type, body, scopes=scope_of(object_type))

    def batch_associations(self, to_type: str, ticket_ids: list[str]) -> Json:
        """Up to 1,000 tickets; those with none are missing from ``results``."""
        return self._asked(
            self._associations, "tickets", to_type, {"inputs": [{"id": one} for one in ticket_ids]}
        )

    def account_details(self) -> Json:
        """``portalId`` and ``uiDomain`` of the token's account; the library has no call for it."""
        return self._asked(self._call_api, "/account-info/v3/details", "GET", auth_settings=["oauth2"])

    def has_property(self, object_type: str, name: str) -> bool:
        """Whether the portal's objects of that type have the property; an archived one is none.

        Reads of objects say nothing of a misspelt name, they leave it out:
        https://developers.hubspot.com/docs/api-reference/crm-properties-v3
        """
        parts = {"objectType": object_type, "propertyName": name}
        scopes = scope_of(object_type)
        try:
            told = self._asked(
                self._call_api, PROPERTY, "GET", parts, auth_settings=["oauth2"], scopes=scopes
            )
        except NoSuchResource:
            return False
        return not told.get("archived")

    def now(self) -> datetime | None:
        """HubSpot's own clock by the last answer's Date header, or None before the first."""
        return None if self._ahead is None else datetime.now(UTC) + self._ahead

    def close(self) -> None:
        """Close the idle connections; the client can be used again."""
        for pool in self._pools:
            pool.clear()

    def _asked(
        self, call: Call, *args: Any, paced: bool = False, scopes: str = SCOPES, **kwargs: Any
    ) -> Json:
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(TRIES),
            wait=wait_as_told,
            retry=tenacity.retry_if_exception(may_pass),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(self._ask_once, call, *args, paced=paced, **kwargs)
        except PermissionError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, its text may hold the token or an answer
            fault = translated(error, scopes)
        # Outside the handler: `from None` only hides the cause, it would still travel as __context__.
        raise fault

    def _ask_once(self, call: Call, *args: Any, paced: bool, **kwargs: Any) -> Json:
        if paced:
            self._pace.wait()
        response = call(*args, _preload_content=False, _request_timeout=self._timeout_seconds, **kwargs)
        self._note_clock(response.headers)
        return parse_object(response.data)

    def _note_clock(self, headers: Mapping[str, str]) -> None:
        told = parse_http_date(headers.get("Date"))
        if told is not None:
            self._ahead = told - datetime.now(UTC)


def read_only_api(package: Any, api_name: str, config: Json, on_answer: OnAnswer = ignore) -> Any:
    """An api object of ``package`` whose transport knows the paths in READS and refuses every other one."""

    class ReadOnlyApiClient(package.ApiClient):  # type: ignore[misc]
        def call_api(self, resource_path: str, method: str, *args: Any, **kwargs: Any) -> Any:
            if (method, resource_path) not in READS:
                raise PermissionError(f"{method} {resource_path} is not a read of this product")
            return super().call_api(READS[method, resource_path], method, *args, **kwargs)

        def request(self, method: str, url: str, **kwargs: Any) -> urllib3.BaseHTTPResponse:
            """Replaces the library's, whose exceptions hold bodies and rest on what urllib3 gives up."""
            body, (connect, read) = kwargs.get("body"), kwargs["_request_timeout"]
            status, started = None, time.monotonic()
            try:
                response: urllib3.BaseHTTPResponse = self.rest_client.pool_manager.request(
                    method,
                    url,
                    headers=kwargs.get("headers"),
                    body=None if body is None else json.dumps(body),
                    timeout=urllib3.Timeout(connect=connect, read=read),
                )
                status = response.status
            finally:
                on_answer(status, time.monotonic() - started)
            if not 200 <= response.status < 300:
                raise Refused(response.status, retry_after_of(response.headers))
            return response

    configuration = package.Configuration()
    configuration.access_token, configuration.host = config["access_token"], config["host"]
    configuration.retries = config["retry"]
    return getattr(package, api_name)(api_client=ReadOnlyApiClient(configuration=configuration))


def parse_object(body: bytes) -> Json:
    """The JSON object in ``body``; raises Unreadable for anything else."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise Unreadable
    return answer


def parse_http_date(value: str | None) -> datetime | None:
    try:
        told = parsedate_to_datetime(value or "")
        return told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """The seconds that ``Retry-After`` names, as a number or a date; None without it and for junk."""
    value = headers.get("Retry-After")
    until = parse_http_date(value)
    if until is not None:
        return max(0.0, (until - (parse_http_date(headers.get("Date")) or datetime.now(UTC))).total_seconds())
    try:
        seconds = float(value or "")
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def may_pass(error: BaseException) -> bool:
    """True for what another try may cure: 429, 5xx, and connections refused, lost or timed out.

    Not where HubSpot asks for a longer pause than a call may wait: asking earlier would not honour it.
    """
    if isinstance(error, Refused):
        soon = (error.retry_after or 0.0) <= LONGEST_WAIT_SECONDS
        return soon and (error.status == 429 or error.status >= 500)
    return isinstance(error, urllib3.exceptions.HTTPError)


def wait_as_told(state: tenacity.RetryCallState) -> float:
    """The seconds HubSpot asks for, at least a growing and jittered pause, at most ten seconds."""
    error = state.outcome.exception() if state.outcome else None
    growing = GROWING_PAUSE(state)
    return min(LONGEST_WAIT_SECONDS, max(growing, getattr(error, "retry_after", None) or 0.0))
