"""HubSpot's HTTP side, over real sockets: what is retried, what is told, and what must never be."""

import re
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from jobs.errors import SettingsError, SourceError, TriageError
from jobs.hubspot.client import (
    LONGEST_WAIT_SECONDS,
    PROPERTY,
    READS,
    TRIES,
    HubSpotClient,
    Pace,
    parse_http_date,
    retry_after_of,
)
from jobs.sandbox.faults import HubSpotFaults
from jobs.sandbox.hubspot import SANDBOX_TOKEN, SimulatedHubSpot
from jobs.sandbox.serving import Answer, Drop, Outcome, Request, Simulator, html_answer, json_answer

TOKEN = "pat-planted-token"
PLANTED = ("planted-token", "planted-body", "planted-header")
HEADERS = {"X-Secret": "planted-header", "Set-Cookie": "planted-header"}
SEARCH: dict[str, Any] = {"limit": 1}
CALLS: dict[str, Callable[[HubSpotClient], object]] = {
    "search": lambda client: client.search("tickets", SEARCH),
    "read": lambda client: client.batch_read("tickets", ["1"], ["subject"]),
    "associations": lambda client: client.batch_associations("contacts", ["1"]),
    "account": lambda client: client.account_details(),
    "property": lambda client: client.has_property("tickets", "subject"),
}
every_call = pytest.mark.parametrize("ask", CALLS.values(), ids=CALLS.keys())


class Scripted(Simulator):
    """Gives its outcomes in turn, the last one for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: list[Outcome] = []
        self.asked: list[Request] = []

    def answer(self, request: Request) -> Outcome:
        self.asked.append(request)
        return self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]


@pytest.fixture(scope="module")
def portals() -> Iterator[SimulatedHubSpot]:
    """One server for the module: to stop one takes 50 ms."""
    with SimulatedHubSpot() as simulator:
        simulator.add_ticket(ticket_id="1")
        yield simulator


@pytest.fixture
def portal(portals: SimulatedHubSpot) -> Iterator[SimulatedHubSpot]:
    portals.requests.clear()
    portals._search_times.clear()
    portals.faults, portals.search_limit_per_second = HubSpotFaults(), None
    portals.connections = portals.searches = 0
    yield portals
    assert portals.write_attempts == []
    assert portals.crashes == []


@pytest.fixture(scope="module")
def vendors() -> Iterator[Scripted]:
    with Scripted() as simulator:
        yield simulator


@pytest.fixture
def vendor(vendors: Scripted) -> Scripted:
    vendors.outcomes, vendors.asked, vendors.connections = [], [], 0
    return vendors


@pytest.fixture
def sleeps() -> list[float]:
    return []


@pytest.fixture
def client_of(sleeps: list[float]) -> Iterator[Callable[..., HubSpotClient]]:
    made: list[HubSpotClient] = []

    def make(url: str, token: str = TOKEN, **options: Any) -> HubSpotClient:
        made.append(HubSpotClient(url, token, **{"sleep": sleeps.append, **options}))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(portal: SimulatedHubSpot, client_of: Callable[..., HubSpotClient]) -> HubSpotClient:
    return client_of(portal.url, SANDBOX_TOKEN)


@pytest.fixture
def scripted(vendor: Scripted, client_of: Callable[..., HubSpotClient]) -> HubSpotClient:
    return client_of(vendor.url)


def test_it_makes_the_five_reads_and_no_other_call(client: HubSpotClient, portal: SimulatedHubSpot) -> None:
    for ask in CALLS.values():
        ask(client)
    assert set(portal.requests) == {
        ("POST", "/crm/v3/objects/tickets/search"),
        ("POST", "/crm/v3/objects/tickets/batch/read"),
        ("POST", "/crm/v4/associations/tickets/contacts/batch/read"),
        ("GET", "/account-info/v3/details"),
        ("GET", "/crm/v3/properties/tickets/subject"),
    }


def test_the_paths_it_knows_are_reads() -> None:
    posts = [path for method, path in READS if method == "POST"]
    assert all(path.endswith(("/search", "/batch/read")) for path in posts)
    assert [path for method, path in READS if method != "POST"] == ["/account-info/v3/details", PROPERTY]
    assert {method for method, _ in READS} == {"GET", "POST"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/crm/v3/objects/{objectType}"),
        ("PATCH", "/crm/v3/objects/{objectType}/{objectId}"),
        ("POST", "/crm/v3/objects/{objectType}/batch/update"),
        ("POST", "/crm/v3/objects/{objectType}/merge"),
        ("DELETE", "/crm/v3/objects/{objectType}/batch/read"),
        ("PUT", "/crm/v3/objects/{objectType}/search"),
        ("POST", "/account-info/v3/details"),
        ("GET", "/owners/v2/owners"),
    ],
)
def test_no_other_call_leaves_the_machine(
    method: str, path: str, client: HubSpotClient, portal: SimulatedHubSpot
) -> None:
    with pytest.raises(PermissionError):
        client._asked(client._call_api, path, method, {"objectType": "tickets", "objectId": "1"})
    assert not portal.requests


def test_the_librarys_own_writes_are_refused_too(client: HubSpotClient, portal: SimulatedHubSpot) -> None:
    batch_api = client._read.__self__
    for write in (batch_api.create, batch_api.update, batch_api.archive, batch_api.upsert):
        with pytest.raises(PermissionError):
            write("tickets", {"inputs": []})
    assert not portal.requests


def test_an_object_type_cannot_lead_to_another_path(vendor: Scripted, scripted: HubSpotClient) -> None:
    vendor.outcomes = [json_answer({"results": []})]
    scripted.search("tickets/../contacts", SEARCH)
    assert vendor.asked[0].path == "/crm/v3/objects/tickets%2F..%2Fcontacts/search"


def test_a_property_is_there_or_not(client: HubSpotClient, portal: SimulatedHubSpot) -> None:
    assert client.has_property("tickets", "subject")
    assert not client.has_property("tickets", "subjekt")
    assert not client.has_property("companies", "../tickets/subject")


def test_an_archived_property_is_none(vendor: Scripted, scripted: HubSpotClient) -> None:
    vendor.outcomes = [json_answer({"name": "tier", "archived": True})]
    assert not scripted.has_property("companies", "tier")
    assert vendor.asked[0].path == "/crm/v3/properties/companies/tier"


@pytest.mark.parametrize(
    ("object_type", "scope"),
    [("tickets", "tickets"), ("contacts", "crm.objects.contacts.read")],
)
def test_a_missing_scope_is_named(
    client: HubSpotClient, portal: SimulatedHubSpot, object_type: str, scope: str
) -> None:
    portal.faults.forbidden = frozenset([object_type])
    with pytest.raises(SettingsError, match=rf"\(403\); give its key the scopes {scope}$"):
        client.batch_read(object_type, ["1"], [])
    with pytest.raises(SettingsError, match=rf"scopes {scope}$"):
        client.has_property(object_type, "createdate")


def test_every_request_is_noted_with_its_status_and_its_time(
    portal: SimulatedHubSpot, client_of: Callable[..., HubSpotClient]
) -> None:
    noted: list[int | None] = []

    def note(status: int | None, seconds: float) -> None:
        assert 0 < seconds < 60
        noted.append(status)

    client = client_of(portal.url, SANDBOX_TOKEN, on_answer=note)
    portal.faults.fail_next = [429, Drop(), 503]
    client.search("tickets", SEARCH)
    assert noted == [429, None, 503, 200]
    with pytest.raises(SettingsError):
        client_of(portal.url, "wrong", on_answer=note).account_details()
    assert noted[4:] == [401]


def test_connections_are_reused(client: HubSpotClient, portal: SimulatedHubSpot) -> None:
    for _ in range(5):
        for ask in CALLS.values():
            ask(client)
    assert portal.connections == 3


def test_connections_are_reused_after_errors_too(
    vendor: Scripted, scripted: HubSpotClient, sleeps: list[float]
) -> None:
    vendor.outcomes = [html_answer("planted-body", 503)]
    for _ in range(3):
        with pytest.raises(SourceError):
            scripted.account_details()
    assert vendor.connections == 1


@every_call
def test_passing_faults_are_tried_again(
    ask: Callable[[HubSpotClient], object], client: HubSpotClient, portal: SimulatedHubSpot
) -> None:
    portal.faults.fail_next = [429, 503, Drop(), 500]
    assert ask(client)
    assert sum(portal.requests.values()) == 5


@every_call
@pytest.mark.parametrize("fault", [429, 500, 502, 503, 521, Drop()], ids=str)
def test_lasting_faults_end_after_the_tries(
    ask: Callable[[HubSpotClient], object],
    fault: int | Drop,
    client: HubSpotClient,
    portal: SimulatedHubSpot,
    sleeps: list[float],
) -> None:
    portal.faults.fail_next = [fault] * 50
    with pytest.raises(SourceError):
        ask(client)
    assert sum(portal.requests.values()) == TRIES
    assert all(seconds <= LONGEST_WAIT_SECONDS + 0.5 for seconds in sleeps)


@every_call
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 415, 302])
def test_what_another_try_cannot_cure_is_asked_once(
    ask: Callable[[HubSpotClient], object], status: int, client: HubSpotClient, portal: SimulatedHubSpot
) -> None:
    portal.faults.fail_next = [status]
    if ask is CALLS["property"] and status == 404:
        assert not ask(client)
        return
    with pytest.raises(TriageError):
        ask(client)
    assert sum(portal.requests.values()) == 1


def test_the_pauses_grow(client: HubSpotClient, portal: SimulatedHubSpot, sleeps: list[float]) -> None:
    portal.faults.down = True
    with pytest.raises(SourceError):
        client.account_details()
    assert len(sleeps) == TRIES - 1
    assert sleeps == sorted(sleeps)
    assert sleeps[0] >= 0.5


def test_retry_after_is_honoured(vendor: Scripted, scripted: HubSpotClient, sleeps: list[float]) -> None:
    soon = format_datetime(datetime(2026, 11, 23, 10, 0, 9, tzinfo=UTC), usegmt=True)
    now = format_datetime(datetime(2026, 11, 23, 10, 0, 0, tzinfo=UTC), usegmt=True)
    vendor.outcomes = [
        json_answer({}, 429, {"Retry-After": "7"}),
        json_answer({}, 503, {"Retry-After": soon, "Date": now}),
        json_answer({"portalId": 1}),
    ]
    assert scripted.account_details() == {"portalId": 1}
    assert sleeps == [7.0, 9.0]


@pytest.mark.parametrize("junk", ["", "soon", "-5", "nan", "inf", "1e999", "Wed, 99 Foo 2026", "7 s", "\xff"])
def test_a_retry_after_of_junk_is_no_fault(
    junk: str, vendor: Scripted, scripted: HubSpotClient, sleeps: list[float]
) -> None:
    vendor.outcomes = [json_answer({}, 429, {"Retry-After": junk}), json_answer({"portalId": 1})]
    assert scripted.account_details() == {"portalId": 1}
    assert [0.5 <= seconds <= 1.5 for seconds in sleeps] == [True]


def test_a_pause_longer_than_a_call_may_wait_is_left_to_the_next_run(
    vendor: Scripted, scripted: HubSpotClient, sleeps: list[float]
) -> None:
    vendor.outcomes = [json_answer({}, 429, {"Retry-After": "3600"})]
    with pytest.raises(SourceError) as raised:
        scripted.account_details()
    assert raised.value.retry_after == 3600
    assert (len(vendor.asked), sleeps) == (1, [])


def test_a_retry_after_in_the_past_means_now() -> None:
    headers = {"Retry-After": "Mon, 23 Nov 2026 10:00:00 GMT", "Date": "Mon, 23 Nov 2026 10:00:05 GMT"}
    assert retry_after_of(headers) == 0


@pytest.mark.parametrize(
    "junk", [None, "", "yesterday", "Mon, 01 Jan 99999 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -1400"]
)
def test_a_date_header_of_junk_is_no_date(junk: str | None) -> None:
    assert parse_http_date(junk) is None


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose local time is not UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


def test_a_date_header_without_a_zone_is_utc(tokyo: None) -> None:
    told = parse_http_date("Mon, 23 Nov 2026 10:00:00 -0000")
    assert told == datetime(2026, 11, 23, 10, tzinfo=UTC)


@pytest.mark.parametrize("offset", [-3600, 0, 3600])
def test_hubspots_clock_is_read_from_its_answers(
    offset: float, client: HubSpotClient, portal: SimulatedHubSpot
) -> None:
    assert client.now() is None
    portal.faults.wrong_date_offset_seconds = offset
    client.account_details()
    told = client.now()
    assert told is not None
    assert abs(told - datetime.now(UTC) - timedelta(seconds=offset)) < timedelta(seconds=3)


def test_an_answer_with_a_date_of_junk_is_taken(vendor: Scripted, scripted: HubSpotClient) -> None:
    vendor.outcomes = [json_answer({"portalId": 1}, headers={"Date": "Fri, 31 Dec 9999 23:59:59 -1400"})]
    assert scripted.account_details() == {"portalId": 1}
    assert scripted.now() is None


@every_call
def test_a_hanging_hubspot_ends(
    ask: Callable[[HubSpotClient], object], vendor: Scripted, client_of: Callable[..., HubSpotClient]
) -> None:
    vendor.outcomes = [Answer(delay_seconds=30)]
    client = client_of(vendor.url, timeout_seconds=(1.0, 0.03))
    started = time.monotonic()
    with pytest.raises(SourceError, match=r"could not be reached \(ReadTimeoutError\)"):
        ask(client)
    assert time.monotonic() - started < 5
    assert len(vendor.asked) == TRIES


def test_several_threads_together_stay_below_hubspots_five_searches_a_second(
    portal: SimulatedHubSpot, client_of: Callable[..., HubSpotClient]
) -> None:
    portal.search_limit_per_second = 5
    client = client_of(portal.url, SANDBOX_TOKEN, sleep=time.sleep)
    started = time.monotonic()
    threads = [threading.Thread(target=client.search, args=("tickets", SEARCH)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - started >= 1.0
    assert portal.searches == sum(portal.requests.values()) == 8, "none was refused and asked again"


def test_the_pace_gives_every_thread_a_turn_of_its_own() -> None:
    turns: list[float] = []
    pace = Pace(1, 100.0, turns.append)
    threads = [threading.Thread(target=pace.wait) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [round(seconds / 100) for seconds in sorted(turns)] == list(range(8))


def test_a_poll_of_a_few_pages_waits_for_nothing_and_no_second_sees_more_than_four() -> None:
    turns: list[float] = []
    pace = Pace(4, 100.0, turns.append)
    for _ in range(11):
        pace.wait()
    assert [round(seconds / 100) for seconds in turns] == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2]


def test_a_search_that_is_tried_again_keeps_the_pace_too(
    client: HubSpotClient, portal: SimulatedHubSpot, sleeps: list[float]
) -> None:
    portal.faults.fail_next = [500, 500]
    client.search("tickets", SEARCH)
    assert len(sleeps) == 3 + 2, "one turn for each try and a pause after each failure"


def whole_chain(error: BaseException | None) -> str:
    """Whatever a traceback, a debugger or an error reporter could show of it."""
    seen: list[str] = []
    while error is not None:
        seen += [*traceback.format_exception(error), repr(error), repr(vars(error))]
        error = error.__cause__ or error.__context__
    return "\n".join(seen)


def fault_of(ask: Callable[[], object]) -> TriageError:
    with pytest.raises(TriageError) as raised:
        ask()
    shown = whole_chain(raised.value)
    assert [marker for marker in PLANTED if marker in shown] == []
    assert raised.value.__context__ is None
    assert "\n" not in str(raised.value)
    return raised.value


@every_call
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_a_settings_fault(
    ask: Callable[[HubSpotClient], object], status: int, vendor: Scripted, scripted: HubSpotClient
) -> None:
    vendor.outcomes = [json_answer({"message": "planted-body"}, status, HEADERS)]
    fault = fault_of(lambda: ask(scripted))
    assert isinstance(fault, SettingsError)
    assert "HUBSPOT_ACCESS_TOKEN" in str(fault)


def test_a_token_that_no_header_can_carry_is_a_settings_fault(
    vendor: Scripted, client_of: Callable[..., HubSpotClient]
) -> None:
    for token in (f"{TOKEN}\nX-Other: 1", f"{TOKEN}\u20ac"):
        fault = fault_of(client_of(vendor.url, token).account_details)
        assert isinstance(fault, SettingsError)
        assert "HUBSPOT_ACCESS_TOKEN" in str(fault)
    assert vendor.asked == []


ANSWERS = {
    "a page with 200": html_answer("<html>planted-body</html>"),
    "a page with 502": html_answer("<html>planted-body</html>", 502),
    "an error that is not UTF-8": Answer(502, b"\xff\xfe planted-body \xe4", "text/html", HEADERS),
    "a refusal that is not UTF-8": Answer(400, b"\xff\xfe planted-body \xe4", "text/html", HEADERS),
    "an error with an empty body": Answer(500),
    "JSON with an error": json_answer({"message": "planted-body"}, 400, HEADERS),
    "an empty body": Answer(),
    "half of a JSON object": Answer(body=b'{"planted-body": '),
    "a JSON list": json_answer(["planted-body"]),
    "JSON null": json_answer(None),
    "text that is not UTF-8": Answer(body=b'{"a": "\xff planted-body"}'),
    "JSON nested too deeply": Answer(body=b'{"planted-body":' + b"[" * 100_000),
    "a number too long to read": Answer(body=b'{"planted-body":' + b"9" * 100_000 + b"}"),
    "a redirect": Answer(302, b"planted-body", headers={"Location": "http://127.0.0.1:9/planted-body"}),
    "a redirect to itself": Answer(307, headers={"Location": "/crm/v3/objects/tickets/search"}),
    "a connection lost in the body": Answer(body=b'{"planted-body": 1}', body_bytes_sent=5),
    "a body that is not gzip": Answer(body=b"planted-body", headers={"Content-Encoding": "gzip"}),
    "a dropped connection": Drop(),
    "a status that nobody knows": Answer(299 + 400, b"planted-body"),
}


@every_call
@pytest.mark.parametrize("outcome", ANSWERS.values(), ids=ANSWERS.keys())
def test_every_odd_answer_is_one_clear_line_with_no_secret_behind_it(
    ask: Callable[[HubSpotClient], object], outcome: Outcome, vendor: Scripted, scripted: HubSpotClient
) -> None:
    vendor.outcomes = [outcome]
    fault = fault_of(lambda: ask(scripted))
    assert isinstance(fault, SourceError)
    assert str(fault).startswith("HubSpot"), "one of the faults that are known"


def test_a_redirect_is_not_followed(vendor: Scripted, scripted: HubSpotClient) -> None:
    with Scripted() as elsewhere:
        elsewhere.outcomes = [json_answer({"portalId": 1})]
        vendor.outcomes = [Answer(302, headers={"Location": f"{elsewhere.url}/account-info/v3/details"})]
        fault = fault_of(scripted.account_details)
        assert elsewhere.asked == []
    assert "HUBSPOT_BASE_URL" in str(fault)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("https://127.0.0.1:{port}", "SSLError"),
        ("http://no-such-host.invalid", "NameResolutionError"),
        ("http://127.0.0.1:1", "NewConnectionError"),
        ("http://bad..host", "LocationParseError"),
    ],
)
def test_an_address_that_does_not_answer_is_one_clear_line(
    address: str, reason: str, vendor: Scripted, client_of: Callable[..., HubSpotClient]
) -> None:
    fault = fault_of(client_of(address.format(port=vendor.port)).account_details)
    assert re.search(rf"could not be reached \({reason}\).*HUBSPOT_BASE_URL", str(fault))


def test_whatever_the_library_itself_raises_is_one_line(
    client: HubSpotClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> object:
        raise AttributeError("planted-body")

    monkeypatch.setattr(client, "_read", broken)
    fault = fault_of(lambda: client.batch_read("tickets", ["1"], []))
    assert "AttributeError" in str(fault)


def test_ending_the_process_is_not_taken_for_a_fault(
    client: HubSpotClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(client, "_read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        client.batch_read("tickets", ["1"], [])


def test_a_closed_client_can_be_used_again(client: HubSpotClient) -> None:
    assert client.account_details()
    client.close()
    assert client.account_details()
