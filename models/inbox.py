"""The webhook inbox: ids and times of received events until the drain moves them to the ledger."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import cast

from peewee import CharField, IntegerField

from models.database import (
    BaseModel,
    UtcDateTimeField,
    clock,
    database,
    on_postgres,
    rerun_on_conflict,
    to_text,
    transaction,
)
from models.names import Names
from models.tickets import utc_now

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MERGED_SEPARATOR = ";"  # as HubSpot writes hs_merged_object_ids
ROWS_AT_ONCE = 500  # SQLite takes so many parameters in one statement


class EventType(StrEnum):
    """What the inbox keeps; every other kind is dropped at the door."""

    CREATION = "creation"  #: an app's event: a ticket was created
    MERGE = "merge"  #: an app's event: tickets became one, whose id is the object's
    WORKFLOW = "workflow"  #: a workflow sent a ticket, new or old


class WebhookEvent(BaseModel):
    """One received event, never its text. No event id is '', no time is the epoch: both are in the key."""

    portal_id = CharField(max_length=32)
    event_type = CharField(max_length=64)
    object_id = CharField(max_length=255)
    event_id = CharField(max_length=64, default="")
    occurred_at = UtcDateTimeField()
    merged_ids = CharField(max_length=4000, null=True)
    received_at = UtcDateTimeField(default=utc_now, index=True)
    attempts = IntegerField(default=0)
    last_error = CharField(max_length=100, null=True)
    set_aside_at = UtcDateTimeField(null=True)

    class Meta:
        table_name = "webhook_inbox"
        indexes = ((("portal_id", "event_type", "object_id", "event_id", "occurred_at"), True),)


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """An event on its way into the inbox; ``merged_ids`` are the tickets that became part of its object."""

    portal_id: str
    event_type: str
    object_id: str
    event_id: str = ""
    occurred_at: datetime | None = None
    merged_ids: tuple[str, ...] = ()


Row = tuple[str, str, str, str, str, str | None]  # the columns of COLUMNS, the time as text

COLUMNS = ("portal_id", "event_type", "object_id", "event_id", "occurred_at", "merged_ids")
KEY = COLUMNS[:5]
e = Names(WebhookEvent)

STORE = f"""
INSERT INTO {e} ({", ".join(getattr(e, name) for name in COLUMNS)}, {e.received_at}, {e.attempts})
SELECT portal_id, event_type, object_id, event_id, occurred_at, merged_ids, clock_timestamp(), 0
FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::text[])
     AS g({", ".join(COLUMNS)})
ORDER BY portal_id COLLATE "C", event_type COLLATE "C", object_id COLLATE "C",
         event_id COLLATE "C", occurred_at
ON CONFLICT ({", ".join(getattr(e, name) for name in KEY)}) DO NOTHING"""


@rerun_on_conflict
def store_events(events: Iterable[ReceivedEvent]) -> int:
    """Commit the events that the inbox does not hold yet, all or none; how many those were.

    Any number of events, repeats included; calling twice is safe. Raises StoreUnreachable when the
    connection is lost, and ValueError, before anything is stored, for a value that no column can hold.
    """
    rows = sorted({row[:5]: row for row in map(row_of, events)}.values(), key=lambda row: row[:5])
    if not rows:
        return 0
    return store_at_once(rows) if on_postgres() else store_plainly(rows)


def row_of(event: ReceivedEvent) -> Row:
    merged = MERGED_SEPARATOR.join(event.merged_ids) or None
    row = (
        event.portal_id,
        event.event_type,
        event.object_id,
        event.event_id,
        to_text(event.occurred_at or EPOCH),
        merged,
    )
    require_room(row)
    return row


def require_room(row: Row) -> None:
    """PostgreSQL would refuse the statement, and with it the events of others."""
    for name, value in zip(COLUMNS, row, strict=True):
        if value is not None and (len(value) > MOST[name] or not value.isprintable()):
            raise ValueError(f"{name} of an event does not fit its column")


MOST = {name: getattr(getattr(WebhookEvent, name), "max_length", 64) for name in COLUMNS}


def store_at_once(rows: Sequence[Row]) -> int:
    columns = [list(column) for column in zip(*rows, strict=True)]
    return cast(int, database.execute_sql(STORE, columns).rowcount)


def store_plainly(rows: Sequence[Row]) -> int:
    new = 0
    with transaction():
        for start in range(0, len(rows), ROWS_AT_ONCE):
            named = [
                dict(zip(COLUMNS, row, strict=True), received_at=clock())
                for row in rows[start : start + ROWS_AT_ONCE]
            ]
            new += WebhookEvent.insert_many(named).on_conflict_ignore().as_rowcount().execute()
    return new


def merged_ids_of(event: WebhookEvent) -> tuple[str, ...]:
    """The tickets that a merge event made part of ``object_id``; empty for the other kinds."""
    return tuple(event.merged_ids.split(MERGED_SEPARATOR)) if event.merged_ids else ()
