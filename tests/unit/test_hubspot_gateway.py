"""What the product asks of HubSpot, against the simulated portal over real HTTP."""

import inspect
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobs.errors import SettingsError, SourceError
from jobs.hubspot.client import HubSpotClient
from jobs.hubspot.gateway import (
    CHANGED,
    CREATED,
    SEARCH_BODY,
    Account,
    FoundTicket,
    HubSpotGateway,
    epoch_ms,
    parse_account,
    parse_page,
    search_body,
)
from jobs.hubspot.merged import parse_aliases
from jobs.hubspot.payload import RecordProperty
from jobs.sandbox.hubspot import SANDBOX_PORTAL_ID, SANDBOX_TOKEN, SimulatedHubSpot
from jobs.sandbox.portal import Portal
from jobs.sandbox.serving import Outcome, Request

START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
END = START + timedelta(hours=1)
MILLISECOND = timedelta(milliseconds=1)


class Recording(SimulatedHubSpot):
    """The simulated portal, with the bodies it was asked and answers put in its mouth."""

    def __init__(self) -> None:
        super().__init__(search_limit_per_second=None)
        self.bodies: list[str] = []

    def answer(self, request: Request) -> Outcome:
        self.bodies.append(request.body.decode())
        return super().answer(request)

    def empty(self) -> None:
        Portal.__init__(self)
        self.portal_id, self.access_token = SANDBOX_PORTAL_ID, SANDBOX_TOKEN
        self.requests.clear()
        self.bodies.clear()


class Canned(HubSpotClient):
    """Answers every call with one and the same object."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.given = answer

    def _asked(self, *_: Any, **__: Any) -> dict[str, Any]:
        return self.given

    search = batch_read = batch_associations = account_details = _asked


@pytest.fixture(scope="module")
def portals() -> Iterator[Recording]:
    """One server for the module: to stop one takes 50 ms."""
    with Recording() as simulator:
        yield simulator


@pytest.fixture
def portal(portals: Recording) -> Iterator[Recording]:
    portals.empty()
    yield portals
    assert portals.write_attempts == []
    assert portals.crashes == []


@pytest.fixture
def client(portal: Recording) -> Iterator[HubSpotClient]:
    client = HubSpotClient(portal.url, SANDBOX_TOKEN, sleep=lambda _: None)
    yield client
    client.close()


@pytest.fixture
def gateway(client: HubSpotClient) -> HubSpotGateway:
    return HubSpotGateway(client)


def found_ids(gateway: HubSpotGateway, after_id: str = "0", end: datetime = END) -> list[str]:
    return [one.ticket_id for one in gateway.search_created(START, end, after_id).tickets]


def test_the_gateway_has_no_method_that_writes() -> None:
    public = {name for name, _ in inspect.getmembers(HubSpotGateway) if not name.startswith("_")}
    assert public == {
        "now",
        "close",
        "fetch_account",
        "search_created",
        "search_changed",
        "fetch_tickets",
        "fetch_merged",
    }
    client = {name for name, _ in inspect.getmembers(HubSpotClient) if not name.startswith("_")}
    reads = {"search", "batch_read", "batch_associations", "account_details", "has_property"}
    assert client == {"now", "close", *reads}


def test_the_account_is_asked_once_and_makes_the_link(gateway: HubSpotGateway, portal: Recording) -> None:
    portal.portal_id, portal.ui_domain = 4711, "app-eu1.hubspot.com"
    assert gateway.fetch_account() is gateway.fetch_account()
    assert sum(portal.requests.values()) == 1
    ticket_id = portal.add_ticket()
    link = gateway.fetch_tickets([ticket_id])[ticket_id].link
    assert link == f"https://app-eu1.hubspot.com/contacts/4711/record/0-5/{ticket_id}"


@pytest.mark.parametrize(
    "details",
    [
        {},
        {"portalId": 1},
        {"portalId": 1, "uiDomain": None},
        {"portalId": 1, "uiDomain": ""},
        {"portalId": 1, "uiDomain": "app.hubspot.com/evil?x="},
        {"portalId": 1, "uiDomain": "evil@app.hubspot.com"},
        {"portalId": None, "uiDomain": "app.hubspot.com"},
        {"portalId": "1/../2", "uiDomain": "app.hubspot.com"},
        {"portalId": True, "uiDomain": "app.hubspot.com"},
    ],
    ids=str,
)
def test_account_details_that_make_no_link_are_refused(details: dict[str, object]) -> None:
    with pytest.raises(SourceError, match="lack portalId or uiDomain"):
        parse_account(details)


def test_account_details_may_have_the_portal_id_as_text() -> None:
    assert parse_account({"portalId": "7", "uiDomain": "app.hubspot.com"}) == Account("7", "app.hubspot.com")


def test_a_search_finds_what_was_created_from_its_start_up_to_its_end(
    gateway: HubSpotGateway, portal: Recording
) -> None:
    times = {"before": START - MILLISECOND, "first": START, "last": END - MILLISECOND, "after": END}
    ids = {name: portal.add_ticket(name, created_at=moment) for name, moment in times.items()}
    page = gateway.search_created(START, END, "0")
    assert page.tickets == (FoundTicket(ids["first"], START), FoundTicket(ids["last"], END - MILLISECOND))
    assert not page.more


def test_pages_go_on_after_the_last_id(gateway: HubSpotGateway, portal: Recording) -> None:
    made = portal.add_many(450, created_at=START)
    first = gateway.search_created(START, END, "0")
    second = gateway.search_created(START, END, first.last_id)
    third = gateway.search_created(START, END, second.last_id)
    assert [page.more for page in (first, second, third)] == [True, True, False]
    assert [one.ticket_id for page in (first, second, third) for one in page.tickets] == made


@pytest.mark.parametrize(("count", "more"), [(199, False), (200, False), (201, True)])
def test_a_page_that_is_just_full_is_the_last(
    count: int, more: bool, gateway: HubSpotGateway, portal: Recording
) -> None:
    portal.add_many(count, created_at=START)
    page = gateway.search_created(START, END, "0")
    assert (len(page.tickets), page.more) == (min(count, 200), more)


def test_ids_of_any_length_rise_as_numbers(gateway: HubSpotGateway, portal: Recording) -> None:
    for ticket_id in ("9", "10", "100000000000"):
        portal.add_ticket(ticket_id=ticket_id, created_at=START)
    assert found_ids(gateway) == ["9", "10", "100000000000"]
    assert found_ids(gateway, after_id="9") == ["10", "100000000000"]


def test_pipelines_narrow_the_search(client: HubSpotClient, portal: Recording) -> None:
    portal.add_ticket(created_at=START, hs_pipeline="7")
    wanted = [portal.add_ticket(created_at=START, hs_pipeline=one) for one in ("0", "12")]
    assert found_ids(HubSpotGateway(client, pipelines=["0", "12"])) == wanted


def test_more_pipelines_than_a_search_may_hold_are_picked_from_its_answer(
    client: HubSpotClient, portal: Recording
) -> None:
    named = [f"{number:036d}" for number in range(500)]
    portal.add_many(200, created_at=START)
    wanted = portal.add_ticket(created_at=START, hs_pipeline=named[499])
    untold = portal.add_ticket(created_at=START, hs_pipeline=None)
    gateway = HubSpotGateway(client, pipelines=named)
    first = gateway.search_created(START, END, "0")
    assert (first.tickets, first.more) == ((), True)
    assert found_ids(gateway, first.last_id) == [wanted, untold]


@pytest.mark.parametrize("count", [0, 1, 50, 60, 70, 80, 500])
def test_a_search_never_exceeds_hubspots_3000_characters(
    count: int, client: HubSpotClient, portal: Recording
) -> None:
    gateway = HubSpotGateway(client, pipelines=[f"{number:036d}" for number in range(count)])
    for search in (gateway.search_created, gateway.search_changed):
        search(START, END, "9" * 19)
        assert max(map(len, portal.bodies)) <= 3_000
        assert "hs_pipeline" in portal.bodies[-1]


@pytest.mark.parametrize("time_property", [CREATED, CHANGED])
def test_no_pipelines_make_no_filter(time_property: str) -> None:
    body = search_body(time_property, START, END, "0", [])
    filters = body["filterGroups"][0]["filters"]
    assert [one["propertyName"] for one in filters] == [time_property, time_property, "hs_object_id"]
    assert len(json.dumps(body)) < SEARCH_BODY


def test_both_searches_differ_in_nothing_but_the_time_they_ask_for(
    gateway: HubSpotGateway, portal: Recording
) -> None:
    gateway.search_created(START, END, "7")
    gateway.search_changed(START, END, "7")
    created, changed = portal.bodies
    sweep = json.loads(created.replace(f'"propertyName": "{CREATED}"', f'"propertyName": "{CHANGED}"'))
    assert sweep == json.loads(changed)
    assert json.loads(changed)["properties"] == [CREATED, "hs_pipeline", "hs_merged_object_ids"]


def add_changed(portal: Recording, changed_at: datetime, **properties: str | None) -> str:
    """A ticket made a month before START and changed at ``changed_at``, by the portal's clock."""
    ticket_id = portal.add_ticket(created_at=START - timedelta(days=30))
    portal.clock = changed_at.timestamp
    portal.touch(ticket_id, **properties)
    return ticket_id


def test_a_sweep_finds_what_was_last_changed_from_its_start_up_to_its_end(
    gateway: HubSpotGateway, portal: Recording
) -> None:
    times = (START - MILLISECOND, START, END - MILLISECOND, END)
    _, first, last, _ = (add_changed(portal, moment) for moment in times)
    page = gateway.search_changed(START, END, "0")
    month_before = START - timedelta(days=30)
    assert page.tickets == (FoundTicket(first, month_before), FoundTicket(last, month_before))
    assert not page.more


def test_a_sweeps_pages_go_on_after_the_last_id_whatever_changed_when(
    gateway: HubSpotGateway, portal: Recording
) -> None:
    made = [add_changed(portal, END - timedelta(seconds=1 + number)) for number in range(250)]
    first = gateway.search_changed(START, END, "0")
    second = gateway.search_changed(START, END, first.last_id)
    assert (first.more, second.more) == (True, False)
    assert [one.ticket_id for page in (first, second) for one in page.tickets] == made


def test_a_ticket_changed_between_two_pages_is_in_the_next_window(
    gateway: HubSpotGateway, portal: Recording
) -> None:
    made = [add_changed(portal, START) for _ in range(250)]
    first = gateway.search_changed(START, END, "0")
    portal.clock = END.timestamp
    portal.touch(made[249])
    second = gateway.search_changed(START, END, first.last_id)
    assert [one.ticket_id for page in (first, second) for one in page.tickets] == made[:249]
    following = gateway.search_changed(END, END + timedelta(hours=1), "0")
    assert [one.ticket_id for one in following.tickets] == [made[249]]


def test_pipelines_narrow_the_sweep_also_where_they_do_not_fit_its_search(
    client: HubSpotClient, portal: Recording
) -> None:
    for count in (2, 500):
        named = [f"{number:036d}" for number in range(count)]
        gateway = HubSpotGateway(client, pipelines=named)
        wanted = add_changed(portal, START, hs_pipeline=named[-1])
        add_changed(portal, START, hs_pipeline="another")
        assert [one.ticket_id for one in gateway.search_changed(START, END, "0").tickets][-1:] == [wanted]


def test_times_are_milliseconds_without_rounding_up() -> None:
    assert epoch_ms(START + timedelta(microseconds=999_999)) == str(int(START.timestamp()) * 1000 + 999)


def test_a_portal_without_creation_times_still_gives_its_ids() -> None:
    page = parse_page({"results": [{"id": "5"}, {"id": "6", "properties": {"createdate": None}}]})
    assert page.tickets == (FoundTicket("5", None), FoundTicket("6", None))


def test_a_page_that_promises_more_of_nothing_is_the_last() -> None:
    page = parse_page({"results": [], "paging": {"next": {"after": "200"}}})
    assert (page.tickets, page.more) == ((), False)


ODD = [
    {},
    {"status": "error", "message": "a proxy's own JSON"},
    {"results": None},
    {"results": {}},
    {"results": "none"},
    {"results": [None]},
    {"results": ["5"]},
    {"results": [{}]},
    {"results": [{"id": None}]},
    {"results": [{"id": "1/../2"}]},
    {"results": [{"id": "²"}]},
    {"results": [{"id": "1" * 5000}]},
    {"results": [{"id": "5", "properties": []}]},
    {"results": [{"id": "5"}], "paging": []},
]


@pytest.mark.parametrize("answer", ODD, ids=lambda answer: str(answer)[:60])
def test_an_answer_of_another_shape_is_never_taken_for_no_tickets(answer: dict[str, Any]) -> None:
    gateway = HubSpotGateway(Canned(answer))
    with pytest.raises(SourceError, match="HUBSPOT_BASE_URL"):
        gateway.search_created(START, END, "0")


@pytest.mark.parametrize("answer", ODD[:12], ids=lambda answer: str(answer)[:60])
def test_a_read_of_another_shape_is_never_taken_for_missing_tickets(answer: dict[str, Any]) -> None:
    gateway = HubSpotGateway(Canned(answer | {"portalId": 1, "uiDomain": "app.hubspot.com"}))
    with pytest.raises(SourceError, match="shape"):
        gateway.fetch_tickets(["5"])


@pytest.mark.parametrize(
    "link",
    [{"to": [{"toObjectId": "7"}]}, {"from": {"id": "5"}, "to": "7"}],
    ids=str,
)
def test_an_association_of_another_shape_is_one_line(link: dict[str, Any]) -> None:
    class Linking(Canned):
        def batch_associations(self, *_: Any) -> dict[str, Any]:
            return {"results": [link]}

    gateway = HubSpotGateway(
        Linking({"portalId": 1, "uiDomain": "app.hubspot.com", "results": [{"id": "5"}]})
    )
    with pytest.raises(SourceError, match="shape"):
        gateway.fetch_tickets(["5"])


def test_an_association_without_an_id_is_a_ticket_without_a_customer() -> None:
    class Linking(Canned):
        def batch_associations(self, *_: Any) -> dict[str, Any]:
            return {"results": [{"from": {"id": "5"}, "to": [{}]}]}

    gateway = HubSpotGateway(
        Linking({"portalId": 1, "uiDomain": "app.hubspot.com", "results": [{"id": "5"}]})
    )
    assert gateway.fetch_tickets(["5"])["5"].customer_name is None


def test_a_search_that_stands_still_ends() -> None:
    same = {"results": [{"id": "5"}, {"id": "6"}], "paging": {"next": {"after": "2"}}}
    gateway = HubSpotGateway(Canned(same))
    assert gateway.search_created(START, END, "0").more
    with pytest.raises(SourceError, match="again and again"):
        gateway.search_created(START, END, "6")


def test_a_ticket_comes_with_its_customer_and_company(gateway: HubSpotGateway, portal: Recording) -> None:
    contact = portal.add_contact(firstname="Ada", lastname="Byron")
    company = portal.add_company(name="Engines Ltd")
    ticket_id = portal.add_ticket(
        "No steam",
        "<p>It <b>stopped</b>.</p>",
        created_at=START,
        contact=contact,
        company=company,
        hs_pipeline="7",
        hs_ticket_priority="HIGH",
        hs_ticket_category="PRODUCT_ISSUE",
    )
    ticket = gateway.fetch_tickets([ticket_id])[ticket_id]
    assert (ticket.ticket_id, ticket.subject, ticket.body) == (ticket_id, "No steam", "It stopped.")
    assert (ticket.customer_name, ticket.company_name) == ("Ada Byron", "Engines Ltd")
    assert (ticket.pipeline, ticket.priority, ticket.category) == ("7", "HIGH", "PRODUCT_ISSUE")
    assert ticket.created_at == START


def test_a_ticket_without_contact_or_company_is_read_alike(
    gateway: HubSpotGateway, portal: Recording
) -> None:
    alone = portal.add_ticket(None, None)
    other = portal.add_ticket(contact=portal.add_contact(firstname="Ada"))
    tickets = gateway.fetch_tickets([alone, other])
    assert (tickets[alone].subject, tickets[alone].body) == ("", "")
    assert (tickets[alone].customer_name, tickets[alone].company_name) == (None, None)
    assert (tickets[other].customer_name, tickets[other].company_name) == ("Ada", None)


def test_an_associated_record_that_is_gone_leaves_the_ticket_without(
    gateway: HubSpotGateway, portal: Recording
) -> None:
    ticket_id = portal.add_ticket(contact="77", company="78")
    assert gateway.fetch_tickets([ticket_id])[ticket_id].customer_name is None


@pytest.mark.parametrize("record", ["ticket", "contact", "company"])
def test_tier_and_area_come_from_the_record_they_are_set_on(
    record: str, client: HubSpotClient, portal: Recording
) -> None:
    ticket_id = portal.add_ticket(
        contact=portal.add_contact(tier="gold of contact", area="billing of contact"),
        company=portal.add_company(tier="gold of company", area="billing of company"),
        tier="gold of ticket",
        area="billing of ticket",
    )
    gateway = HubSpotGateway(client, tier=RecordProperty(record, "tier"), area=RecordProperty(record, "area"))
    ticket = gateway.fetch_tickets([ticket_id])[ticket_id]
    assert (ticket.customer_tier, ticket.product_area) == (f"gold of {record}", f"billing of {record}")


def test_a_property_is_asked_of_its_own_record_only(client: HubSpotClient, portal: Recording) -> None:
    ticket_id = portal.add_ticket(contact=portal.add_contact(), company=portal.add_company())
    HubSpotGateway(client, tier=RecordProperty("contact", "tier")).fetch_tickets([ticket_id])
    reads = [json.loads(body)["properties"] for body in portal.bodies if '"properties"' in body]
    assert ["tier" in properties for properties in reads] == [False, True, False]


def test_a_property_that_the_portal_lacks_is_none(client: HubSpotClient, portal: Recording) -> None:
    ticket_id = portal.add_ticket()
    gateway = HubSpotGateway(client, tier=RecordProperty("ticket", "no_such"))
    assert gateway.fetch_tickets([ticket_id])[ticket_id].customer_tier is None


def requests_for(gateway: HubSpotGateway, portal: Recording, ids: Sequence[str]) -> int:
    gateway.fetch_account()
    before = sum(portal.requests.values())
    assert set(gateway.fetch_tickets(ids)) == set(ids)
    return sum(portal.requests.values()) - before


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
def test_a_hundred_tickets_cost_at_most_five_requests(
    count: int, gateway: HubSpotGateway, portal: Recording
) -> None:
    ids = []
    for number in range(count):
        contact = portal.add_contact(firstname=str(number))
        ids.append(portal.add_ticket(contact=contact, company=portal.add_company(name=str(number))))
    assert requests_for(gateway, portal, ids) <= 5 * -(-count // 100)


def test_tickets_without_anybody_cost_three_requests_a_hundred_at_most(
    gateway: HubSpotGateway, portal: Recording
) -> None:
    assert requests_for(gateway, portal, portal.add_many(100)) == 3


def test_ids_that_repeat_are_asked_once(gateway: HubSpotGateway, portal: Recording) -> None:
    ticket_id = portal.add_ticket()
    assert set(gateway.fetch_tickets([ticket_id] * 3)) == {ticket_id}
    reads = [body for body in portal.bodies if "inputs" in body]
    assert json.loads(reads[0])["inputs"] == [{"id": ticket_id}]


def test_ids_that_hubspot_does_not_know_are_left_out(gateway: HubSpotGateway, portal: Recording) -> None:
    known, archived = portal.add_ticket(), portal.add_ticket()
    portal.archive(archived)
    assert set(gateway.fetch_tickets(["5", known, archived])) == {known}
    assert gateway.fetch_tickets(["5"]) == {}


def test_an_id_that_is_no_number_does_not_have_the_others_refused(
    gateway: HubSpotGateway, portal: Recording
) -> None:
    known = portal.add_ticket()
    assert set(gateway.fetch_tickets(["x", known, "", "²", "-1"])) == {known}


def test_a_merged_id_gives_the_ticket_that_it_became_with_its_customer_and_the_link_asked_for(
    gateway: HubSpotGateway, portal: Recording
) -> None:
    one, two, other = (portal.add_ticket(name) for name in ("one", "two", "other"))
    portal.associate(two, contact=portal.add_contact(firstname="Ada"))
    became = portal.merge(one, two)
    tickets = gateway.fetch_tickets([one, two, other])
    assert set(tickets) == {one, two, other}
    assert (tickets[other].ticket_id, tickets[other].aliases) == (other, ())
    for asked in (one, two):
        read = tickets[asked]
        assert (read.ticket_id, read.subject, read.aliases) == (became, "one", (one, two))
        assert (read.customer_name, read.link.rpartition("/")[2]) == ("Ada", asked)


def test_a_merged_id_asked_for_beside_what_it_became_is_answered_once_and_given_twice(
    gateway: HubSpotGateway, portal: Recording
) -> None:
    one, two, three = (portal.add_ticket(name) for name in ("one", "two", "three"))
    became = portal.merge(portal.merge(one, two), three)
    tickets = gateway.fetch_tickets([one, became])
    assert {asked: ticket.ticket_id for asked, ticket in tickets.items()} == {one: became, became: became}
    assert len(tickets[became].aliases) == 4, "those of the earlier merge too"


def test_all_parts_of_a_ticket_are_named_in_one_request(gateway: HubSpotGateway, portal: Recording) -> None:
    one, two, three, gone = (portal.add_ticket(name) for name in ("one", "two", "three", "gone"))
    first = portal.merge(one, two)
    became = portal.merge(first, three)
    portal.archive(gone)
    gateway.fetch_account()
    before = len(portal.bodies)
    merged = gateway.fetch_merged([became, gone, "x"])
    assert [*merged] == [became]
    assert set(merged[became].aliases) == {first, one, two, three}
    assert len(portal.bodies) == before + 1
    (asked,) = gateway.fetch_merged([one]).values()
    assert asked == merged[became]
    assert asked.created_at == gateway.fetch_tickets([became])[became].created_at


def test_a_merged_id_whose_ticket_is_in_the_bin_is_left_out(
    gateway: HubSpotGateway, portal: Recording
) -> None:
    one = portal.add_ticket()
    portal.archive(portal.merge(one, portal.add_ticket()))
    assert gateway.fetch_tickets([one]) == {}


def test_a_search_tells_what_became_part_of_a_ticket(gateway: HubSpotGateway, portal: Recording) -> None:
    one, two = (portal.add_ticket(created_at=START) for _ in range(2))
    became = portal.merge(one, two)
    (found,) = gateway.search_created(START, END, "0").tickets
    assert found == FoundTicket(became, START, (one, two))


@pytest.mark.parametrize(
    ("told", "aliases"),
    [
        (None, ()),
        ("", ()),
        (";;", ()),
        ("7", ()),
        ("5", ("5",)),
        (" 5 ; 6;5;x;-1;²;" + "9" * 21, ("5", "6")),
        (5, ("5",)),
        (["5"], ()),
    ],
)
def test_of_merged_ids_only_ids_of_others_count(told: Any, aliases: tuple[str, ...]) -> None:
    assert parse_aliases("7", {"hs_merged_object_ids": told}) == aliases


def test_a_refused_token_is_a_settings_fault(portal: Recording, client: HubSpotClient) -> None:
    portal.access_token = "another"
    with pytest.raises(SettingsError, match="HUBSPOT_ACCESS_TOKEN"):
        HubSpotGateway(client).fetch_account()


def test_hubspots_clock_is_known_after_the_first_answer(gateway: HubSpotGateway) -> None:
    assert gateway.now() is None
    gateway.fetch_account()
    assert gateway.now() is not None
