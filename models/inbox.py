"""The webhook inbox: ids and times of received events until the drain moves them to the ledger."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol, cast

from peewee import CharField, IntegerField

from models.database import BaseModel, clock, database, on_postgres, rerun_on_conflict, transaction
from models.names import Names
from models.tickets import utc_now
from models.utc import UtcDateTimeField

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
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


class EventLike(Protocol):
    """An event on its way into the inbox; ``merged_ids`` are the tickets that became part of its object."""

    @property
    def portal_id(self) -> str: ...
    @property
    def event_type(self) -> str: ...
    @property
    def object_id(self) -> str: ...
    @property
    def event_id(self) -> str: ...
    @property
    def occurred_at(self) -> datetime | None: ...
    @property
    def merged_ids(self) -> tuple[str, ...]: ...


Column = Sequence[str]

TEXTS = ("portal_id", "event_type", "object_id", "event_id", "merged_ids")
MOST = [getattr(WebhookEvent, name).max_length for name in TEXTS]
KEY = ("portal_id", "event_type", "object_id", "event_id", "occurred_at")
e = Names(WebhookEvent)

STORE = f"""
INSERT INTO {e} ({", ".join(getattr(e, name) for name in TEXTS)},
                 {e.occurred_at}, {e.received_at}, {e.attempts})
SELECT portal_id, event_type, object_id, event_id, nullif(merged_ids, ''),
       timestamptz 'epoch' + milliseconds * interval '1 millisecond', clock_timestamp(), 0
FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[])
     WITH ORDINALITY AS g({", ".join(TEXTS)}, milliseconds, place)
ORDER BY place
ON CONFLICT ({", ".join(getattr(e, name) for name in KEY)}) DO NOTHING"""


@rerun_on_conflict
def store_events(events: Iterable[EventLike]) -> int:
    """Commit the events that the inbox does not hold yet, all or none; how many those were.

    Any number of events, repeats included; calling twice is safe. Raises StoreUnreachable when the
    connection is lost, and ValueError, before anything is stored, for a value that no column can hold.
    """
    # In the order of their key, so that two writers never wait for each other.
    rows = sorted({key_of(event): MERGED_SEPARATOR.join(event.merged_ids) for event in events}.items())
    if not rows:
        return 0
    *texts, milliseconds = zip(*(key for key, _ in rows), strict=True)
    texts.append(tuple(merged for _, merged in rows))
    require_room(texts)
    return store_at_once(texts, milliseconds) if on_postgres() else store_plainly(texts, milliseconds)


def key_of(event: EventLike) -> tuple[str, str, str, str, int]:
    """The time is in whole ms since the epoch, which costs a quarter of its text."""
    milliseconds = ((event.occurred_at or EPOCH) - EPOCH) // MILLISECOND
    return (event.portal_id, event.event_type, event.object_id, event.event_id, milliseconds)


def require_room(texts: Sequence[Column]) -> None:
    """The database would refuse the statement, and with it the events of others."""
    for name, most, column in zip(TEXTS, MOST, texts, strict=True):
        if max(map(len, column)) > most or not "".join(column).isprintable():
            raise ValueError(f"{name} of an event does not fit its column")


def store_at_once(texts: Sequence[Column], milliseconds: Sequence[int]) -> int:
    arrays = [*map(array_literal, texts), "{" + ",".join(map(str, milliseconds)) + "}"]
    return cast(int, database.execute_sql(STORE, arrays).rowcount)


def array_literal(column: Column) -> str:
    """PostgreSQL's own text of an array: the driver's ARRAY[...] takes the server twice as long to read."""
    joined = '","'.join(column)
    if joined.count('"') > 2 * (len(column) - 1) or "\\" in joined:
        joined = '","'.join(value.replace("\\", "\\\\").replace('"', '\\"') for value in column)
    return '{"' + joined + '"}'


def store_plainly(texts: Sequence[Column], milliseconds: Sequence[int]) -> int:
    named = [
        {
            **dict(zip(TEXTS, row, strict=True)),
            "merged_ids": row[-1] or None,
            "occurred_at": EPOCH + since_epoch * MILLISECOND,
            "received_at": clock(),
        }
        for since_epoch, *row in zip(milliseconds, *texts, strict=True)
    ]
    new = 0
    with transaction():
        for start in range(0, len(named), ROWS_AT_ONCE):
            some = WebhookEvent.insert_many(named[start : start + ROWS_AT_ONCE])
            new += some.on_conflict_ignore().as_rowcount().execute()
    return new
