"""HubSpot's properties turned into a ticket, whatever a portal puts into them."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobs.hubspot.payload import RecordProperty, parse_ticket, parse_time, person_name
from jobs.ticket import Ticket

CREATED = datetime(2026, 11, 23, 10, 0, 0, 123_000, tzinfo=UTC)


def ticket_of(contact: dict[str, Any] | None = None, **properties: Any) -> Ticket:
    records: dict[str, dict[str, Any] | None] = {"ticket": properties, "contact": contact, "company": None}
    tier = RecordProperty("contact", "tier")
    return parse_ticket("7", records, link="https://x.example/7", tier=tier, area=None)


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose local time is not UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-23T10:00:00.123Z",
        "2026-11-23T11:00:00.123+01:00",
        "2026-11-23T10:00:00.123",
        str(round(CREATED.timestamp() * 1000)),
        round(CREATED.timestamp() * 1000),
    ],
)
def test_a_time_is_aware_utc_in_every_spelling(value: object, tokyo: None) -> None:
    told = parse_time(value)
    assert told == CREATED
    assert told is not None
    assert told.tzinfo is UTC


@pytest.mark.parametrize(
    "value", [None, "", "soon", "²", "-5", "9" * 30, "9999-99-99", "9999-12-31T23:59:59-14:00", {}, [], True]
)
def test_what_is_no_time_is_none(value: object) -> None:
    assert parse_time(value) is None


def test_a_ticket_without_a_creation_time_counts_as_new() -> None:
    assert datetime.now(UTC) - ticket_of().created_at < timedelta(seconds=10)


def test_absent_and_empty_properties_become_none() -> None:
    ticket = ticket_of(subject=None, content="", hs_pipeline="", hs_ticket_priority=None)
    assert (ticket.subject, ticket.body) == ("", "")
    assert (ticket.pipeline, ticket.priority, ticket.category) == (None, None, None)
    assert (ticket.customer_name, ticket.company_name, ticket.customer_tier) == (None, None, None)


def test_a_value_that_is_no_text_becomes_text() -> None:
    ticket = ticket_of(subject=42, content=["a"], hs_pipeline=7)
    assert (ticket.subject, ticket.body, ticket.pipeline) == ("42", "['a']", "7")


def test_a_subject_is_plain_text_of_a_thousand_characters() -> None:
    assert ticket_of(subject="<b>Help</b> me").subject == "Help me"
    assert len(ticket_of(subject="x" * 5_000).subject) == 1_000


def test_an_html_mail_keeps_its_markup_for_whoever_judges_what_is_hidden() -> None:
    ticket = ticket_of(content="<p>Help</p><p hidden>x</p>")
    assert (ticket.body, ticket.markup) == ("Help\n\nx", "<p>Help</p><p hidden>x</p>")
    assert ticket_of(content="a < b").markup is None


def test_no_property_carries_what_nothing_can_encode() -> None:
    ticket = ticket_of(
        {"firstname": "A\ud800da", "lastname": "\x00", "tier": "go\x00ld"}, hs_ticket_category="\udfff"
    )
    assert (ticket.customer_name, ticket.customer_tier, ticket.category) == ("Ada", "gold", None)


@pytest.mark.parametrize(
    ("contact", "name"),
    [
        ({"firstname": "Ada", "lastname": "Byron"}, "Ada Byron"),
        ({"firstname": " Ada ", "lastname": " "}, "Ada"),
        ({"lastname": "Byron"}, "Byron"),
        ({"firstname": None, "lastname": ""}, None),
        ({}, None),
    ],
)
def test_a_person_has_the_names_that_are_there(contact: dict[str, Any], name: str | None) -> None:
    assert person_name(contact) == name
