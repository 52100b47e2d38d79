"""The simulated HubSpot's search, over HTTP."""

import json
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from jobs.sandbox.hubspot import SimulatedHubSpot

# Loading the certificates that nothing here needs costs 30 ms a client.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
PATH = "/crm/v3/objects/tickets/search"


@pytest.fixture
def hubspot() -> Iterator[SimulatedHubSpot]:
    with SimulatedHubSpot(search_limit_per_second=None) as simulator:
        yield simulator
    assert simulator.crashes == []


def ask(hubspot: SimulatedHubSpot, body: dict[str, Any], path: str = PATH) -> httpx.Response:
    headers = {"Authorization": f"Bearer {hubspot.access_token}"}
    with httpx.Client(verify=PLAIN, base_url=hubspot.url, headers=headers) as client:
        return client.post(path, json=body)


def found(hubspot: SimulatedHubSpot, *filters: dict[str, Any], **rest: Any) -> list[str]:
    answer = ask(hubspot, {"filterGroups": [{"filters": list(filters)}], "limit": 200, **rest})
    assert answer.status_code == 200, answer.text
    return [result["id"] for result in answer.json()["results"]]


def where(name: str, operator: str, **values: Any) -> dict[str, Any]:
    return {"propertyName": name, "operator": operator, **values}


def milliseconds(moment: datetime) -> str:
    return str(int(moment.timestamp() * 1000))


def fill(hubspot: SimulatedHubSpot) -> None:
    """Tickets 9, 10 and 100, a minute apart; only the last is of pipeline 7 and has an owner."""
    for minutes, ticket_id in enumerate(("9", "10", "100")):
        late = ticket_id == "100"
        hubspot.add_ticket(
            f"Ticket {ticket_id}",
            "text",
            ticket_id=ticket_id,
            created_at=NOON + timedelta(minutes=minutes),
            hs_pipeline="7" if late else "0",
            hubspot_owner_id="5" if late else None,
        )


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (where("hs_object_id", "GT", value="9"), ["10", "100"]),
        (where("hs_object_id", "GTE", value="10"), ["10", "100"]),
        (where("hs_object_id", "EQ", value="10"), ["10"]),
        (where("createdate", "LT", value=milliseconds(NOON + timedelta(minutes=1))), ["9"]),
        (where("createdate", "LTE", value=milliseconds(NOON + timedelta(minutes=1))), ["9", "10"]),
        (where("createdate", "BETWEEN", value=milliseconds(NOON), highValue=milliseconds(NOON)), ["9"]),
        (where("hs_pipeline", "NEQ", value="7"), ["9", "10"]),
        (where("hs_pipeline", "IN", values=["7", "8"]), ["100"]),
        (where("hs_pipeline", "NOT_IN", values=["7"]), ["9", "10"]),
        (where("hubspot_owner_id", "HAS_PROPERTY"), ["100"]),
        (where("hubspot_owner_id", "NOT_HAS_PROPERTY"), ["9", "10"]),
        (where("hubspot_owner_id", "LT", value="40"), ["100"]),
        (where("hs_pipelin", "EQ", value="0"), []),
    ],
)
def test_every_operator_finds_what_hubspot_finds(
    hubspot: SimulatedHubSpot, one: dict[str, Any], expected: list[str]
) -> None:
    fill(hubspot)
    assert found(hubspot, one) == expected


def test_filters_of_a_group_all_apply_and_groups_are_alternatives(hubspot: SimulatedHubSpot) -> None:
    fill(hubspot)
    nine, hundred = where("hs_object_id", "EQ", value="9"), where("hs_object_id", "EQ", value="100")
    assert found(hubspot, nine, hundred) == []
    answer = ask(
        hubspot, {"filterGroups": [{"filters": [nine]}, {"filters": [hundred]}, {"filters": [nine]}]}
    )
    assert [one["id"] for one in answer.json()["results"]] == ["9", "100"]


@pytest.mark.parametrize(
    ("sorts", "expected"),
    [
        ([{"propertyName": "hs_object_id", "direction": "ASCENDING"}], ["9", "10", "100"]),
        ([{"propertyName": "hs_object_id", "direction": "DESCENDING"}], ["100", "10", "9"]),
        (["-createdate"], ["100", "10", "9"]),
        (["hubspot_owner_id"], ["9", "10", "100"]),
    ],
)
def test_one_sort_decides_the_order_with_ids_as_numbers(
    hubspot: SimulatedHubSpot, sorts: list[Any], expected: list[str]
) -> None:
    fill(hubspot)
    assert found(hubspot, sorts=sorts) == expected


@pytest.mark.parametrize(
    "body",
    [
        {"limit": 201},
        {"limit": 0},
        {"after": "next"},
        {"after": "9801", "limit": 200},
        {"sorts": ["createdate", "hs_object_id"]},
        {"filterGroups": [{"filters": []}] * 6},
        {"filterGroups": [{"filters": [where("subject", "HAS_PROPERTY")] * 7}]},
        {"filterGroups": [{"filters": [where("subject", "LIKE", value="x")]}]},
        {"filterGroups": [{"filters": [where("createdate", "GT", value="yesterday")]}]},
        {"filterGroups": [{"filters": [where("createdate", "GT")]}]},
        {"filterGroups": [{"filters": [where("subject", "IN", values=[])]}]},
        {"properties": ["x" * 3_000]},
        {"properties": [{}]},
    ],
)
def test_what_hubspot_refuses_is_refused_with_400(hubspot: SimulatedHubSpot, body: dict[str, Any]) -> None:
    answer = ask(hubspot, body)
    assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR")


def test_a_body_of_3000_characters_is_let_through(hubspot: SimulatedHubSpot) -> None:
    body: dict[str, Any] = {"properties": [""]}
    room = 3_000 - len(json.dumps(body, separators=(",", ":")))
    assert ask(hubspot, {"properties": ["x" * room]}).status_code == 200
    assert ask(hubspot, {"properties": ["x" * (room + 1)]}).status_code == 400


def test_pages_go_on_until_there_is_no_more(hubspot: SimulatedHubSpot) -> None:
    ids = hubspot.add_many(5, created_at=NOON)
    seen, after = [], "0"
    while after:
        page = ask(hubspot, {"limit": 2, "after": after, "sorts": ["hs_object_id"]}).json()
        assert page["total"] == 5
        seen += [result["id"] for result in page["results"]]
        after = page.get("paging", {}).get("next", {}).get("after", "")
    assert seen == ids


def test_an_import_of_one_millisecond_is_walked_by_id_beyond_10000(hubspot: SimulatedHubSpot) -> None:
    ids = hubspot.add_many(10_400, created_at=NOON)
    window = where("createdate", "BETWEEN", value=milliseconds(NOON), highValue=milliseconds(NOON))
    seen: list[str] = []
    while page := found(
        hubspot, window, where("hs_object_id", "GT", value=seen[-1] if seen else "0"), sorts=["hs_object_id"]
    ):
        seen += page
    assert seen == ids


def test_unrequested_and_misspelt_properties_are_silently_absent(hubspot: SimulatedHubSpot) -> None:
    fill(hubspot)
    result = ask(hubspot, {"properties": ["subject", "hubspot_owner_id", "sujet"], "sorts": ["hs_object_id"]})
    properties = result.json()["results"][0]["properties"]
    assert properties.pop("hs_lastmodifieddate")
    assert properties == {
        "createdate": "2026-11-23T12:00:00.000Z",
        "hs_object_id": "9",
        "hubspot_owner_id": None,
        "subject": "Ticket 9",
    }


def test_archived_and_merged_tickets_leave_the_search(hubspot: SimulatedHubSpot) -> None:
    fill(hubspot)
    hubspot.archive("9")
    survivor = hubspot.merge("10", "100")
    assert found(hubspot) == [survivor]


def test_a_touched_ticket_is_found_by_its_last_change(hubspot: SimulatedHubSpot) -> None:
    ids = hubspot.add_many(2)
    later = where("hs_lastmodifieddate", "GT", value=milliseconds(datetime.now(UTC) + timedelta(hours=1)))
    hubspot.clock = lambda: (datetime.now(UTC) + timedelta(hours=2)).timestamp()
    hubspot.touch(ids[1])
    assert found(hubspot, later) == [ids[1]]


def test_a_window_of_changes_has_its_start_and_not_its_end(hubspot: SimulatedHubSpot) -> None:
    start, end = NOON, NOON + timedelta(hours=1)
    ids = []
    for moment in (start - timedelta(milliseconds=1), start, end - timedelta(milliseconds=1), end):
        ids.append(hubspot.add_ticket(created_at=NOON - timedelta(days=9)))
        hubspot.clock = moment.timestamp
        hubspot.touch(ids[-1], subject="changed")
    changed = (
        where("hs_lastmodifieddate", "GTE", value=milliseconds(start)),
        where("hs_lastmodifieddate", "LT", value=milliseconds(end)),
    )
    assert found(hubspot, *changed) == ids[1:3]
    assert found(hubspot, *changed, where("hs_object_id", "GT", value=ids[1])) == ids[2:3]


def test_a_new_ticket_counts_as_changed_when_it_was_made(hubspot: SimulatedHubSpot) -> None:
    hubspot.clock = NOON.timestamp
    back_dated = hubspot.add_ticket(created_at=NOON - timedelta(days=400))
    since_noon = where("hs_lastmodifieddate", "GTE", value=milliseconds(NOON))
    assert found(hubspot, since_noon) == [back_dated]


def test_the_sixth_search_within_a_second_is_refused_as_hubspot_does(hubspot: SimulatedHubSpot) -> None:
    hubspot.search_limit_per_second = 5
    answers = [ask(hubspot, {}) for _ in range(6)]
    assert [one.status_code for one in answers] == [200] * 5 + [429]
    refused = answers[5].json()
    assert (refused["errorType"], refused["policyName"]) == ("RATE_LIMIT", "SECONDLY")
    assert hubspot.searches == 5


def test_the_dated_path_takes_and_returns_the_same(hubspot: SimulatedHubSpot) -> None:
    fill(hubspot)
    dated = ask(hubspot, {"sorts": ["hs_object_id"]}, "/crm/objects/2026-09/tickets/search")
    assert dated.json() == ask(hubspot, {"sorts": ["hs_object_id"]}).json()


def test_the_index_shows_a_ticket_only_after_its_lag(hubspot: SimulatedHubSpot) -> None:
    hubspot.faults.index_lag_seconds = 30
    now = datetime.now(UTC).timestamp()
    (ticket_id,) = hubspot.add_many(1, created_at=NOON)
    assert found(hubspot) == []
    hubspot.clock = lambda: now + 60
    assert found(hubspot) == [ticket_id]


def test_flapping_ids_are_missed_at_every_other_search(hubspot: SimulatedHubSpot) -> None:
    ids = hubspot.add_many(2)
    hubspot.faults.flapping = frozenset(ids[:1])
    assert [len(found(hubspot)) for _ in range(4)] == [1, 2, 1, 2]


def test_flapping_by_chance_misses_some_and_repeats_with_its_seed(hubspot: SimulatedHubSpot) -> None:
    hubspot.add_many(100)
    hubspot.faults.flapping = 0.5
    first, second = found(hubspot), found(hubspot)
    assert first != second
    assert 20 < len(first) < 80
