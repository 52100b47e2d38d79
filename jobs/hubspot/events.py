"""From a webhook's body to the events we keep: ids, kinds and times, nothing else of it.

An app sends an array of at most 100 events (https://developers.hubspot.com/docs/api/webhooks), a workflow
one object with the ticket's properties.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple, NoReturn

WEBHOOK_PATH = "/webhook/hubspot"  #: what HubSpot calls, behind PUBLIC_URL
TICKET_TYPE = "0-5"
MOST_EVENTS = 100
MOST_ID_DIGITS = 20
TOO_LARGE_ID = 10**MOST_ID_DIGITS
MOST_EVENT_ID = 64
MOST_MERGED = 100
MOST_DETAILS = 10
LATEST_MS = 4_102_444_800_000  # the year 2100


class Kind(StrEnum):
    CREATION = "creation"
    MERGE = "merge"
    WORKFLOW = "workflow"


KINDS = {
    "ticket.creation": Kind.CREATION,
    "object.creation": Kind.CREATION,
    "ticket.merge": Kind.MERGE,
    "object.merge": Kind.MERGE,
}


class ParsedEvent(NamedTuple):
    """``portal_id`` is '' and ``occurred_at`` None where nobody tells them.

    Ids are 1 to 20 digits, ``event_id`` at most 64 printable characters or ''. It is of the shape that the
    inbox takes; a tuple, since a hundred of them come in one request.
    """

    portal_id: str
    event_type: Kind
    object_id: str
    event_id: str = ""
    occurred_at: datetime | None = None
    merged_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Received:
    """What a body brings. ``single_id`` is the ticket of a body that is one object and not an array."""

    events: tuple[ParsedEvent, ...]
    ignored: int
    single_id: str | None = None


class InvalidJson(ValueError):
    """The body is not JSON."""


class InvalidEvents(ValueError):
    """The body is JSON with nothing in it that we could use; ``details`` quote nothing of it."""

    def __init__(self, details: list[dict[str, str | int]]) -> None:
        super().__init__("no usable event")
        self.details = details


class Unusable(Exception):
    """One event of a kind that we keep has no usable id."""


def parse_body(body: bytes, portal_id: str | None = None) -> Received:
    """Take the events of tickets out of ``body``; those of another portal than ``portal_id`` are ignored.

    Raises InvalidJson, or InvalidEvents where nothing is usable: of an array, one broken event does not
    take the others with it and counts as ignored.
    """
    match load_json(body):
        case list() as given if len(given) > MOST_EVENTS:
            raise InvalidEvents([detail("events", f"must be at most {MOST_EVENTS}")])
        case list() as given:
            return parse_events(given, portal_id)
        case {"subscriptionType": str()} as given:
            received = parse_events([given], portal_id)
            return Received(received.events, received.ignored, usable_id(given.get("objectId")))
        case dict() as given:
            return parse_workflow(given, portal_id)
    raise InvalidEvents([detail("body", "must be an array of events, or one object")])


def refuse_constant(_: str) -> NoReturn:
    raise ValueError  # NaN and Infinity are Python's, not JSON's


decode = json.JSONDecoder(parse_constant=refuse_constant).decode


def load_json(body: bytes) -> Any:
    try:
        return decode(body.decode())
    except (ValueError, RecursionError):  # also an integer of more than 4,300 digits
        raise InvalidJson("the body is not JSON in UTF-8") from None


def detail(field: str, problem: str, **more: int) -> dict[str, str | int]:
    return {"field": field, "problem": problem, **more}


def parse_events(given: list[Any], portal_id: str | None) -> Received:
    events: list[ParsedEvent] = []
    unusable: list[dict[str, str | int]] = []
    for index, one in enumerate(given):
        try:
            event = parse_event(one, portal_id)
        except Unusable:
            unusable.append(detail("objectId", f"must be 1 to {MOST_ID_DIGITS} digits", index=index))
        else:
            if event is not None and is_ours(event, portal_id):
                events.append(event)
    if unusable and not events:
        raise InvalidEvents(unusable[:MOST_DETAILS])
    return Received(tuple(events), len(given) - len(events))


def parse_event(given: Any, portal_id: str | None) -> ParsedEvent | None:
    """None for an event of a kind, or of an object, that we do not keep; raises Unusable."""
    if not isinstance(given, dict) or "subscriptionType" not in given:
        raise Unusable
    kind = kind_of(given)
    if kind is None:
        return None
    is_merge = kind is Kind.MERGE
    object_id = merged_into(given) if is_merge else usable_id(given.get("objectId"))
    if object_id is None:
        raise Unusable
    return ParsedEvent(
        usable_id(given.get("portalId")) or portal_id or "",
        kind,
        object_id,
        usable_event_id(given.get("eventId")),
        usable_time(given.get("occurredAt")),
        merged_ids(given, object_id) if is_merge else (),
    )


def kind_of(given: dict[str, Any]) -> Kind | None:
    name = given["subscriptionType"]
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None or name.startswith("ticket.") or given.get("objectTypeId") == TICKET_TYPE:
        return kind
    return None


def parse_workflow(given: dict[str, Any], portal_id: str | None) -> Received:
    """The ticket's id stands in one of four places, by the workflow's kind and how its body was made up."""
    object_id = next(filter(None, map(usable_id, places_of_id(given))), None)
    if object_id is None:
        raise InvalidEvents([detail("hs_object_id", f"must be 1 to {MOST_ID_DIGITS} digits")])
    event = ParsedEvent(usable_id(given.get("portalId")) or portal_id or "", Kind.WORKFLOW, object_id)
    kept = is_of_ticket(given) and is_ours(event, portal_id)
    return Received((event,), 0, object_id) if kept else Received((), 1, object_id)


def places_of_id(given: dict[str, Any]) -> Iterator[object]:
    properties = given.get("properties")
    nested = properties.get("hs_object_id") if isinstance(properties, dict) else None
    for place in (given.get("hs_object_id"), given.get("objectId"), nested):
        yield place.get("value") if isinstance(place, dict) else place


def is_of_ticket(given: dict[str, Any]) -> bool:
    """A workflow of contacts or deals sends objects of the same shape, with their own ids."""
    told = (given.get("objectType"), given.get("objectTypeId"))
    return all(one.upper() in ("TICKET", TICKET_TYPE) for one in told if isinstance(one, str))


def is_ours(event: ParsedEvent, portal_id: str | None) -> bool:
    return not portal_id or event.portal_id == portal_id


def usable_id(given: object) -> str | None:
    """A HubSpot id of a number or of text; None for anything else, also for a number with leading zeros."""
    if type(given) is int:  # not True
        return str(given) if 0 < given < TOO_LARGE_ID else None
    if not isinstance(given, str) or not 0 < len(given) <= MOST_ID_DIGITS:
        return None
    return given if given.isascii() and given.isdigit() and given[0] != "0" else None


def usable_event_id(given: object) -> str:
    if type(given) is int:
        return str(given) if -TOO_LARGE_ID < given < TOO_LARGE_ID else ""
    if not isinstance(given, str) or len(given) > MOST_EVENT_ID:
        return ""
    return given if given.isascii() and given.isprintable() else ""


def usable_time(given: object) -> datetime | None:
    """An aware UTC time of ms since the epoch, exactly."""
    milliseconds = int(given) if isinstance(given, str) and usable_id(given) else given
    if not isinstance(milliseconds, int) or not 0 < milliseconds < LATEST_MS:
        return None
    # Exact up to the year 2100, and half the price of adding a timedelta.
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def merged_into(given: dict[str, Any]) -> str | None:
    """The ticket that is left; only where HubSpot made a new one does it tell that one's id."""
    places = (given.get("newObjectId"), given.get("objectId"), given.get("primaryObjectId"))
    return next(filter(None, map(usable_id, places)), None)


def merged_ids(given: dict[str, Any], object_id: str) -> tuple[str, ...]:
    """The tickets that are no more, each once."""
    others = given.get("mergedObjectIds")
    told = [given.get("primaryObjectId"), *(others if isinstance(others, list) else ())]
    ids = (usable_id(one) for one in told[: MOST_MERGED + 1])
    return tuple(dict.fromkeys(one for one in ids if one and one != object_id))
