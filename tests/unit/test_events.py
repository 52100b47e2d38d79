"""What is taken from a webhook's body, and that no body does more harm than a 400."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.hubspot.events import (
    LATEST_MS,
    InvalidEvents,
    InvalidJson,
    Kind,
    ParsedEvent,
    Received,
    parse_body,
    usable_time,
)
from models.inbox import EventType

AT = datetime(2026, 11, 23, 10, 0, 0, 123000, tzinfo=UTC)
AT_MS = 1_795_428_000_123
PORTAL = "62515"


def event(**other: Any) -> dict[str, Any]:
    """As HubSpot's documentation shows it."""
    return {
        "eventId": 3816279340,
        "subscriptionId": 25,
        "portalId": 62515,
        "appId": 1160452,
        "occurredAt": AT_MS,
        "subscriptionType": "ticket.creation",
        "attemptNumber": 0,
        "objectId": 6481,
        "changeSource": "CRM",
        "changeFlag": "NEW",
    } | other


def parse(value: object, portal_id: str | None = PORTAL) -> Received:
    return parse_body(json.dumps(value).encode(), portal_id)


def kept(kind: Kind, object_id: str, *merged: str) -> ParsedEvent:
    return ParsedEvent(PORTAL, kind, object_id, "3816279340", AT, merged)


def test_the_kinds_are_the_inboxs_event_types() -> None:
    assert [*map(str, Kind)] == [*map(str, EventType)]


@pytest.mark.parametrize(
    "given",
    [event(), event(subscriptionType="object.creation", objectTypeId="0-5"), event(objectId="6481")],
)
def test_a_created_ticket(given: dict[str, Any]) -> None:
    assert parse([given]) == Received((kept(Kind.CREATION, "6481"),), 0)


def test_a_merge_brings_the_new_ticket_and_those_that_are_no_more() -> None:
    ids = {"newObjectId": 30, "primaryObjectId": 10, "mergedObjectIds": [20, "21", 20, None, "x", 30]}
    expected = Received((kept(Kind.MERGE, "30", "10", "20", "21"),), 0)
    assert parse([event(subscriptionType="ticket.merge", **ids)]) == expected
    assert parse([event(subscriptionType="object.merge", objectTypeId="0-5", **ids)]) == expected


def test_a_merge_without_a_new_id_is_of_the_object() -> None:
    given = event(subscriptionType="ticket.merge", primaryObjectId=6481, mergedObjectIds=[20])
    assert parse([given]) == Received((kept(Kind.MERGE, "6481", "20"),), 0)


@pytest.mark.parametrize(
    "other",
    [
        {"subscriptionType": "ticket.propertyChange"},
        {"subscriptionType": "contact.creation"},
        {"subscriptionType": "object.creation", "objectTypeId": "0-1"},
        {"subscriptionType": "object.merge"},
        {"subscriptionType": "ticket.deletion", "objectId": None},
        {"subscriptionType": 7},
        {"portalId": 62516},
    ],
)
def test_other_kinds_objects_and_portals_are_ignored_and_counted(other: dict[str, Any]) -> None:
    assert parse([event(**other), event()]) == Received((kept(Kind.CREATION, "6481"),), 1)
    assert parse([event(**other)]) == Received((), 1)


def test_while_the_portal_is_unknown_every_portal_is_taken() -> None:
    (taken,) = parse([event(portalId=7)], portal_id=None).events
    assert taken.portal_id == "7"


def test_an_event_that_names_no_portal_is_of_ours() -> None:
    assert parse([event(portalId=None)]) == Received((kept(Kind.CREATION, "6481"),), 0)


@pytest.mark.parametrize(
    "given",
    [
        {"hs_object_id": "6481"},
        {"hs_object_id": 6481},
        {"hs_object_id": {"value": "6481"}},
        {"objectId": 6481, "objectType": "TICKET", "portalId": 62515},
        {"properties": {"hs_object_id": "6481"}},
        {"properties": {"hs_object_id": {"value": "6481", "versions": []}}},
        {"hs_object_id": "", "properties": {"hs_object_id": 6481}},
    ],
)
def test_a_workflow_sends_one_ticket_whose_id_stands_in_one_of_four_places(given: dict[str, Any]) -> None:
    expected = ParsedEvent(PORTAL, Kind.WORKFLOW, "6481")
    assert parse(given | {"subject": "Help"}) == Received((expected,), 0, "6481")


@pytest.mark.parametrize("other", [{"portalId": 1}, {"objectType": "CONTACT"}, {"objectTypeId": "0-3"}])
def test_a_workflow_of_another_portal_or_object_is_ignored(other: dict[str, Any]) -> None:
    assert parse({"objectId": 6481} | other) == Received((), 1, "6481")


def test_one_event_without_an_array_is_taken_as_an_array_of_one() -> None:
    assert parse(event()) == Received((kept(Kind.CREATION, "6481"),), 0, "6481")


def test_one_broken_event_does_not_take_the_others_with_it() -> None:
    assert parse([event(), event(objectId=None), 7]) == Received((kept(Kind.CREATION, "6481"),), 2)


def test_no_events_are_none() -> None:
    assert parse([]) == Received((), 0)


@pytest.mark.parametrize(
    "bad", [None, 0, -1, "", "x", "0", "007", "1" * 21, 10**20, 1.5, True, "٣", "1\0", [], {}]
)
def test_without_a_usable_id_the_details_say_where_and_quote_nothing(bad: object) -> None:
    with pytest.raises(InvalidEvents) as raised:
        parse([event(objectId=bad)])
    assert raised.value.details == [{"field": "objectId", "problem": "must be 1 to 20 digits", "index": 0}]
    with pytest.raises(InvalidEvents) as raised:
        parse({"hs_object_id": bad, "subject": "a secret"})
    assert raised.value.details == [{"field": "hs_object_id", "problem": "must be 1 to 20 digits"}]


def test_more_than_a_hundred_events_are_refused() -> None:
    assert len(parse([event()] * 100).events) == 100
    with pytest.raises(InvalidEvents):
        parse([event()] * 101)


@pytest.mark.parametrize("bad", ["null", "7", '"x"', "true", "1.5"])
def test_other_json_is_refused(bad: str) -> None:
    with pytest.raises(InvalidEvents):
        parse_body(bad.encode())


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"{",
        b"[1,]",
        b"\xff\xfe[\x00]\x00",
        b'\xef\xbb\xbf{"hs_object_id": 1}',
        b'{"hs_object_id": "\xe9"}',
        b'{"hs_object_id": NaN}',
        b"[Infinity]",
        b'{"hs_object_id": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"hs_object_id": 1}\0',
    ],
)
def test_what_is_not_json_in_utf_8_is_refused(bad: bytes) -> None:
    with pytest.raises(InvalidJson):
        parse_body(bad)


@pytest.mark.parametrize("bad", ["\ud800", "a\0b", "é", "x" * 65, None, [], 10**30, 1.5])
def test_an_event_id_that_no_column_holds_is_left_out(bad: object) -> None:
    (taken,) = parse([event(eventId=bad)]).events
    assert taken.event_id == ""


@pytest.mark.parametrize("bad", [None, 0, -1, 10**18, 1.5, "x", [], "yesterday"])
def test_a_time_that_is_none_is_left_out(bad: object) -> None:
    (taken,) = parse([event(occurredAt=bad)]).events
    assert taken.occurred_at is None


@given(milliseconds=st.integers(1, LATEST_MS - 1))
def test_a_time_is_exact_to_the_millisecond(milliseconds: int) -> None:
    time = usable_time(milliseconds)
    assert time == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


def test_a_time_may_be_text() -> None:
    (taken,) = parse([event(occurredAt=str(AT_MS))]).events
    assert taken.occurred_at == AT


def test_of_a_key_that_comes_twice_the_last_counts() -> None:
    assert parse_body(b'{"hs_object_id": 1, "hs_object_id": 2}').single_id == "2"


NAMES = [*event(), "newObjectId", "mergedObjectIds", "primaryObjectId"]
keys = st.text() | st.sampled_from([*NAMES, "hs_object_id", "properties", "value", "objectType"])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(keys, inner),
    max_leaves=15,
)
near = st.dictionaries(st.sampled_from(NAMES), anything).map(lambda other: event(**other))


def fits(body: bytes) -> bool:
    """Whatever comes, the result fits the inbox's columns, or the error is one of the two."""
    try:
        received = parse_body(body, PORTAL)
    except (InvalidJson, InvalidEvents) as error:
        return len(getattr(error, "details", [])) <= 10
    for one in received.events:
        assert one.object_id.isascii()
        assert one.object_id.isdigit()
        assert max(len(one.object_id), len(one.portal_id)) <= 20
        assert len(one.event_id) <= 64
        assert len(";".join(one.merged_ids)) <= 4000
    return True


@given(body=st.binary())
def test_any_bytes(body: bytes) -> None:
    assert fits(body)


@given(value=anything | st.lists(near) | near)
def test_any_json(value: object) -> None:
    assert fits(json.dumps(value).encode())
