"""The drain: moves received events from the webhook inbox to the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import psycopg2
from peewee import DataError, Expression, Field, IntegrityError, InternalError

from models.cursors import Cursor, read_known_ledger
from models.database import clock, on_postgres, rerun_on_conflict, transaction
from models.inbox import MERGED_SEPARATOR, EventType, WebhookEvent
from models.merges import Joined, Merge, join_late_events, join_parts
from models.proposals import Proposal, propose
from models.tickets import Source

row_key = cast(Field, WebhookEvent._meta.primary_key)
KINDS = frozenset(map(str, EventType))
DRAIN_BATCH = 1_000
MOST_ATTEMPTS = 5
NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)  #: how the inbox writes that an event told no time
# What a row's own values bring about. Lost connections and missing tables are no row's fault, and are raised.
# Peewee wraps most of the driver's errors, but not every class below them.
ROW_FAULTS = (
    DataError,
    IntegrityError,
    InternalError,
    psycopg2.DataError,
    psycopg2.IntegrityError,
    psycopg2.InternalError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Drained:
    """What became of inbox rows, and of the tickets they named.

    Rows: ``moved`` are in the ledger and gone from the inbox; ``dropped`` are of an unknown kind or another
    portal, and gone; ``failed`` stay for another try, except the ``set_aside`` ones among them. Tickets:
    ``found`` new, ``reopened``, ``beyond_memory``, and ``merged`` into another that is told for them.
    """

    moved: int = 0
    found: int = 0
    reopened: int = 0
    dropped: int = 0
    failed: int = 0
    set_aside: int = 0
    beyond_memory: int = 0
    merged: int = 0

    @property
    def handled(self) -> int:
        """How many rows wait no longer, the failed ones left out."""
        return self.moved + self.dropped


def add(one: Drained, other: Drained) -> Drained:
    names = Drained.__dataclass_fields__
    return Drained(**{name: getattr(one, name) + getattr(other, name) for name in names})


@dataclass(frozen=True, slots=True)
class Row:
    """What the drain reads of an inbox row."""

    row_id: int
    portal_id: str
    event_type: str
    object_id: str
    occurred_at: datetime
    merged_ids: str | None = None


@dataclass(slots=True)
class Sorted:
    """Rows by what is to be done with them: the ids of rows, one proposal a ticket, and merges."""

    proposals: dict[str, Proposal] = field(default_factory=dict)
    merges: list[Merge] = field(default_factory=list)
    moved: list[int] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)


def drain_events(limit: int = DRAIN_BATCH) -> Drained:
    """Move up to ``limit`` of the oldest rows to the ledger, in one transaction; any number at once is safe.

    Where that fails for a reason of a row, they are moved one by one. A row that failed is tried again by
    calls that find no fresh one, and set aside at its fifth failure. Nothing is moved before the ledger was
    activated. Raises StoreError. At most a few thousand rows fit into a statement of SQLite.
    """
    if not waits():
        return Drained()
    ledger = read_known_ledger()
    if ledger is None or ledger.activated_at is None:
        return Drained()
    fresh = WebhookEvent.attempts == 0
    try:
        drained = move_rows(fresh, limit, ledger)
    except ROW_FAULTS:
        return move_one_by_one(list_ids(fresh, limit), ledger)
    if drained.handled:
        return drained
    return move_one_by_one(list_ids(WebhookEvent.attempts > 0, limit), ledger)


def move_one_by_one(row_ids: Sequence[int], ledger: Cursor) -> Drained:
    drained = Drained()
    for row_id in row_ids:
        try:
            moved = move_rows(row_key == row_id, 1, ledger)
        except ROW_FAULTS as error:
            moved = note_failure(row_id, type(error).__name__)
        drained = add(drained, moved)
    return drained


@rerun_on_conflict
def move_rows(wanted: Expression, limit: int, ledger: Cursor) -> Drained:
    with transaction():
        rows = take_rows(wanted, limit)
        if not rows:
            return Drained()
        done = sort_rows(rows, ledger)
        proposed = propose(list(done.proposals.values()), Source.WEBHOOK)
        joined = [join_parts(one, Source.WEBHOOK) for one in done.merges]
        joined += join_late(done) if proposed.late_parts else []
        delete_rows([*done.moved, *done.dropped])
    return Drained(
        moved=len(done.moved),
        found=proposed.found,
        reopened=proposed.reopened + sum(one.reopened for one in joined),
        dropped=len(done.dropped),
        beyond_memory=proposed.beyond_memory,
        merged=sum(len(one.merged) for one in joined),
    )


def join_late(done: Sorted) -> list[Joined]:
    told = [one.ticket_id for one in done.proposals.values() if one.creation_event_at]
    return join_late_events(told, Source.WEBHOOK)


def take_rows(wanted: Expression, limit: int) -> list[Row]:
    """The oldest rows that nobody else moves at this moment, locked until the transaction ends."""
    query = WebhookEvent.select(
        row_key,
        WebhookEvent.portal_id,
        WebhookEvent.event_type,
        WebhookEvent.object_id,
        WebhookEvent.occurred_at,
        WebhookEvent.merged_ids,
    )
    oldest = query.where(wanted, is_waiting()).order_by(row_key).limit(limit)
    locked = oldest.for_update(skip_locked=True) if on_postgres() else oldest
    return [Row(*one) for one in cast(Any, locked.tuples())]


def sort_rows(rows: Sequence[Row], ledger: Cursor) -> Sorted:
    """What to do with each row; a ledger that knows no portal yet takes rows of any."""
    done, portal_id = Sorted(), ledger.portal_id
    for row in rows:
        foreign = bool(portal_id and row.portal_id) and row.portal_id != portal_id
        if foreign or row.event_type not in KINDS:
            done.dropped.append(row.row_id)
            continue
        done.moved.append(row.row_id)
        if row.event_type == EventType.MERGE:
            done.merges.append(merge_of(row))
        done.proposals[row.object_id] = proposal_of(row, done.proposals.get(row.object_id), ledger)
    return done


def proposal_of(row: Row, known: Proposal | None, ledger: Cursor) -> Proposal:
    """``known`` is what an earlier row said of the same ticket: a repeat does not take its time away.

    An event from before the activation overrides nothing, and tells the age that a merge would hide: not
    beyond the horizon, where a ticket that is younger than its event would be settled unread.
    """
    event_at = creation_time(row)
    is_old = event_at is not None and ledger.activated_at >= event_at >= (ledger.horizon_at or NO_TIME)
    times = (event_at, known.creation_event_at if known else None)
    ages = (event_at if is_old else None, known.created_at if known else None)
    return Proposal(
        row.object_id,
        created_at=min(filter(None, ages), default=None),
        creation_event_at=max(filter(None, times), default=None),
    )


def merge_of(row: Row) -> Merge:
    parts = tuple(filter(None, (row.merged_ids or "").split(MERGED_SEPARATOR)))
    return Merge(row.object_id, parts, event_at=None if row.occurred_at == NO_TIME else row.occurred_at)


def creation_time(row: Row) -> datetime | None:
    """When a creation event says that it occurred; None of other kinds, and where it told no time."""
    if row.event_type != EventType.CREATION or row.occurred_at == NO_TIME:
        return None
    return row.occurred_at


def delete_rows(row_ids: Sequence[int]) -> None:
    if row_ids:
        WebhookEvent.delete().where(row_key.in_(row_ids)).execute()


@rerun_on_conflict
def note_failure(row_id: int, error: str) -> Drained:
    """Count a failed try of one row; at the fifth it is set aside. Nothing where it is gone meanwhile."""
    with transaction():
        counted = WebhookEvent.update(attempts=WebhookEvent.attempts + 1, last_error=error[:100])
        if not counted.where(row_key == row_id, is_waiting()).execute():
            return Drained()
        spent = (row_key == row_id) & (WebhookEvent.attempts >= MOST_ATTEMPTS)
        set_aside = WebhookEvent.update(set_aside_at=clock()).where(spent).execute()
    return Drained(failed=1, set_aside=set_aside)


def is_waiting() -> Expression:
    return WebhookEvent.set_aside_at.is_null()


def is_set_aside() -> Expression:
    """Failed five times."""
    return WebhookEvent.set_aside_at.is_null(False)


@rerun_on_conflict
def waits() -> bool:
    return bool(WebhookEvent.select().where(is_waiting()).exists())


@rerun_on_conflict
def list_ids(wanted: Expression, limit: int) -> list[int]:
    rows = WebhookEvent.select(row_key).where(wanted, is_waiting()).order_by(row_key).limit(limit)
    return [row_id for (row_id,) in cast(Any, rows.tuples())]


@rerun_on_conflict
def list_set_aside(limit: int = 100) -> list[WebhookEvent]:
    """The newest rows that failed five times, with ``last_error``."""
    return list(
        WebhookEvent.select().where(is_set_aside()).order_by(WebhookEvent.set_aside_at.desc()).limit(limit)
    )
