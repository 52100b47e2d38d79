"""The ledger's table: one row per ticket, whose unique ``ticket_id`` lets each ticket in once."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, cast

from peewee import SQL, BooleanField, CharField, FloatField, IntegerField, UUIDField

from models.database import BaseModel, database, on_postgres, rerun_on_conflict
from models.names import Names
from models.utc import NEVER, UtcDateTimeField


class TicketState(StrEnum):
    """Where a ticket stands; the picture is in docs/states.md."""

    FOUND = "found"  #: a source showed it, nobody has taken it yet
    CLAIMED = "claimed"  #: a worker holds its lease and is handling it
    RETRY = "retry"  #: not told yet, due again at ``next_attempt_at``
    NOTIFIED = "notified"  #: told on every configured channel; settled
    UNCONFIRMED = "unconfirmed"  #: nobody can tell whether it was sent; held for a look or a person
    SKIPPED = "skipped"  #: never to be told, for the ``reason`` in the row; settled
    MERGED = "merged"  #: part of the ticket in ``merged_into``; settled


OPEN_STATES = (TicketState.FOUND, TicketState.CLAIMED, TicketState.RETRY)


class Source(StrEnum):
    """What showed the ticket first."""

    POLL = "poll"
    WEBHOOK = "webhook"
    SWEEP = "sweep"
    RECONCILE = "reconcile"


class SkipReason(StrEnum):
    """Why a ticket is never told, unless a source shows it again."""

    GONE = "gone"  #: HubSpot answered 404 for a day
    OTHER_PIPELINE = "other pipeline"  #: not in HUBSPOT_PIPELINES
    BEFORE_ACTIVATION = "before activation"  #: older than this ledger
    BEYOND_MEMORY = "beyond memory"  #: older than what the ledger still remembers


REOPENED_BY_A_SEARCH = (SkipReason.GONE, SkipReason.OTHER_PIPELINE)
REOPENED_BY_A_CREATION = (SkipReason.BEFORE_ACTIVATION, SkipReason.BEYOND_MEMORY)
SETTLED_STATES = (TicketState.NOTIFIED, TicketState.SKIPPED, TicketState.MERGED)
# A literal, since SQLite cannot see behind a parameter that a partial index will do.
IS_HELD = SQL(f"state = '{TicketState.UNCONFIRMED}'")


def utc_now() -> datetime:
    return datetime.now(UTC)


class ProcessedTicket(BaseModel):
    """The original's columns first, as they are; then what the ledger's rules need."""

    id = UUIDField(primary_key=True, default=uuid.uuid4)
    ticket_id = CharField(max_length=255, unique=True)
    processed_at = UtcDateTimeField(default=utc_now, index=True)
    provider = CharField(max_length=50, null=True, index=True)
    success = BooleanField(null=True)
    created_at = UtcDateTimeField(default=utc_now)
    updated_at = UtcDateTimeField(default=utc_now)

    state = CharField(max_length=20, default=TicketState.NOTIFIED)
    source = CharField(max_length=20, null=True)
    ticket_created_at = UtcDateTimeField(null=True)
    attempts = IntegerField(default=0)
    crashes = IntegerField(default=0)
    next_attempt_at = UtcDateTimeField(null=True)
    lease_owner = CharField(max_length=100, null=True)
    lease_expires_at = UtcDateTimeField(null=True)
    last_error = CharField(max_length=100, null=True)
    reason = CharField(max_length=50, null=True)
    missing_since_at = UtcDateTimeField(null=True)
    creation_event_at = UtcDateTimeField(null=True)
    priority = CharField(max_length=20, null=True)
    handling_mode = CharField(max_length=50, null=True)
    confidence = FloatField(null=True)
    model = CharField(max_length=100, null=True)
    triage_ms = IntegerField(null=True)
    triage_attempts = IntegerField(null=True)
    merged_into = CharField(max_length=255, null=True)

    class Meta:
        table_name = "processed_tickets"


ProcessedTicket.add_index(
    ProcessedTicket.index(
        ProcessedTicket.created_at,
        ProcessedTicket.ticket_id,
        name="processed_tickets_open",
        where=SQL("state IN ('found', 'claimed', 'retry')"),
    )
)
ProcessedTicket.add_index(
    ProcessedTicket.index(
        ProcessedTicket.ticket_id,
        name="processed_tickets_held",
        where=SQL("state = 'unconfirmed'"),
    )
)
ProcessedTicket.add_index(
    ProcessedTicket.index(
        ProcessedTicket.merged_into,
        name="processed_tickets_merged_into",
        where=SQL("merged_into IS NOT NULL"),
    )
)


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """Where one ticket stands."""

    ticket_id: str
    state: TicketState
    attempts: int
    provider: str | None
    merged_into: str | None


t = Names(ProcessedTicket)
LOOK_UP = f"""
SELECT {t.ticket_id}, {t.state}, {t.attempts}, {t.provider}, {t.merged_into}
FROM {t} WHERE {t.ticket_id} = %s"""


@rerun_on_conflict
def look_up_ticket(ticket_id: str) -> LedgerEntry | None:
    """The ledger's entry of one ticket, or None where no source has shown it."""
    statement = LOOK_UP if on_postgres() else LOOK_UP.replace("%s", "?")
    row = database.execute_sql(statement, (ticket_id,)).fetchone()
    return LedgerEntry(row[0], TicketState(row[1]), *row[2:]) if row else None


@rerun_on_conflict
def known_ids(ticket_ids: Sequence[str]) -> set[str]:
    """Those of ``ticket_ids`` that the ledger has a row of."""
    rows = ProcessedTicket.select(ProcessedTicket.ticket_id).where(
        ProcessedTicket.ticket_id.in_(list(ticket_ids))
    )
    return {row.ticket_id for row in rows}


@rerun_on_conflict
def read_joined(ticket_ids: Iterable[str]) -> dict[str, dict[str, datetime]]:
    """What was merged into each of these, and into that, and when it became part of it.

    That is when the last merge on its way there was. Reads once for each step of the longest chain.
    """
    asked = [*dict.fromkeys(ticket_ids)]
    merged: dict[str, list[tuple[str, datetime]]] = {}
    into = {*asked}
    reached = {*asked}
    row = ProcessedTicket
    while into:
        query = row.select(row.merged_into, row.ticket_id, row.processed_at).order_by(row.ticket_id)
        found = list(cast(Any, query.where(row.merged_into.in_([*into])).tuples()))
        for target, part, at in found:
            merged.setdefault(target, []).append((part, at))
        into = {part for _, part, _ in found} - reached
        reached |= into
    return {one: descend(one, merged) for one in asked}


def descend(ticket_id: str, merged: Mapping[str, Sequence[tuple[str, datetime]]]) -> dict[str, datetime]:
    joined_at: dict[str, datetime] = {}
    waiting = [(ticket_id, NEVER)]
    for target, since in waiting:
        parts = [(part, max(at, since)) for part, at in merged.get(target, ()) if part not in joined_at]
        joined_at.update(parts)
        waiting += parts
    return joined_at


def list_parts(ticket_id: str) -> list[str]:
    """What was merged into the ticket, and into that."""
    return [*read_joined([ticket_id])[ticket_id]]


@rerun_on_conflict
def list_tickets(state: TicketState | None, limit: int | None = 100) -> list[ProcessedTicket]:
    """The newest rows, of one state or of all; without a limit, every one."""
    rows = ProcessedTicket.select().order_by(ProcessedTicket.processed_at.desc()).limit(limit)
    return list(rows if state is None else rows.where(ProcessedTicket.state == state))
