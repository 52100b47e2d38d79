"""The memory horizon (design §5): an id without a row that was created before it may have been forgotten.

It is raised and committed before anything is deleted, and it never falls.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, cast

from peewee import SQL, Case, fn

from models.cursors import Cursor
from models.database import on_postgres, read_clock, rerun_on_conflict, transaction
from models.inbox import WebhookEvent
from models.proposals import CREATION_COUNTS, quoted
from models.tickets import OPEN_STATES, ProcessedTicket, TicketState
from models.utc import NEVER, to_text, to_utc

NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)


class HeldBack(StrEnum):
    """What keeps the memory horizon from rising further; the first two are as it should be."""

    RETENTION = "retention"  #: RETENTION_DAYS
    FOUR_DAYS = "four days"  #: a creation event may come that late
    POLL = "poll"  #: it has not looked further yet, or never
    SWEEP = "sweep"  #: the last one that was completed did not look further, or there was none
    INBOX = "inbox"  #: a webhook that was not drained yet
    OPEN_TICKET = "open ticket"  #: one that was not told yet
    HELD_TICKET = "held ticket"  #: one that waits for a person


@dataclass(frozen=True, slots=True)
class Horizon:
    """Tickets created before ``at`` may be forgotten (None: none may yet), and why it is no later."""

    at: datetime | None
    held_by: HeldBack


@rerun_on_conflict
def read_horizon() -> datetime | None:
    """The stored horizon, None while nothing was forgotten."""
    return stored_horizon()


@rerun_on_conflict
def judge_horizon(retention_days: int, overlap: timedelta, now: datetime) -> Horizon:
    """Where ``raise_horizon`` would put it now; changes nothing."""
    return lifted(find_bounds(retention_days, overlap, now))


@rerun_on_conflict
def raise_horizon(retention_days: int, overlap: timedelta, now: datetime) -> Horizon:
    """Raise the memory horizon as far as nothing speaks against it; it never falls.

    ``now`` is the worker's clock; the earlier of it and the database's counts. Until both poll and sweep have
    looked once it stays where it is. Whoever proposes tickets meanwhile waits, so this is short.
    """
    with transaction():
        lock_ledger()
        horizon = lifted(find_bounds(retention_days, overlap, now))
        Cursor.update(horizon_at=horizon.at).where(Cursor.name == "ledger").execute()
        return horizon


def lock_ledger() -> None:
    """Before the bounds are read: what was proposed under the old horizon is seen by the next statement."""
    if on_postgres():
        list(Cursor.select(Cursor.name).where(Cursor.name == "ledger").for_update())


def lifted(bounds: dict[HeldBack, datetime]) -> Horizon:
    held_by = min(bounds, key=lambda one: bounds[one])
    highest = max(bounds[held_by], stored_horizon() or NEVER)
    return Horizon(None if highest == NEVER else highest, held_by)


def stored_horizon() -> datetime | None:
    ledger = Cursor.get_or_none(Cursor.name == "ledger")
    return cast("datetime | None", ledger.horizon_at) if ledger else None


def find_bounds(retention_days: int, overlap: timedelta, now: datetime) -> dict[HeldBack, datetime]:
    """The times above which the horizon must not rise; NEVER where a source has not looked yet."""
    earliest_now = cast(datetime, to_utc(to_text(min(now, read_clock()))))  # whole milliseconds, as stored
    looked = {row.name: row for row in Cursor.select().where(Cursor.name.in_(["poll", "sweep"]))}
    polled_until = looked["poll"].looked_until_at if "poll" in looked else None
    swept_from = looked["sweep"].looked_from_at if "sweep" in looked else None
    found = {
        HeldBack.INBOX: oldest_event(),
        HeldBack.OPEN_TICKET: oldest_ticket(f"state IN ({quoted(OPEN_STATES)})"),
        HeldBack.HELD_TICKET: oldest_ticket(f"state = '{TicketState.UNCONFIRMED}'"),
    }
    return {
        HeldBack.RETENTION: earliest_now - timedelta(days=retention_days),
        HeldBack.FOUR_DAYS: earliest_now - CREATION_COUNTS,
        HeldBack.POLL: polled_until - overlap if polled_until else NEVER,
        HeldBack.SWEEP: swept_from or NEVER,
        **{name: at for name, at in found.items() if at is not None},
    }


def oldest_event() -> datetime | None:
    """Of the undrained ones, by when it happened, or came where it told no time."""
    timeless = (WebhookEvent.occurred_at == NO_TIME, WebhookEvent.received_at)
    happened_at = Case(None, [timeless], WebhookEvent.occurred_at)
    undrained = WebhookEvent.set_aside_at.is_null()
    return to_utc(WebhookEvent.select(fn.MIN(happened_at)).where(undrained).scalar())


def oldest_ticket(of: str) -> datetime | None:
    """By creation, or four days before it was found where nobody told that; ``of`` is a partial index's text.

    Peewee would give the states as parameters, and SQLite does not see then that the index fits.
    """
    unknown = Case(None, [(ProcessedTicket.ticket_created_at.is_null(), ProcessedTicket.created_at)])
    times = ProcessedTicket.select(fn.MIN(ProcessedTicket.ticket_created_at), fn.MIN(unknown)).where(SQL(of))
    created_at, found_at = map(to_utc, cast(Any, times).tuples().get())
    known = [created_at] if created_at else []
    return min([*known, *([found_at - CREATION_COUNTS] if found_at else [])], default=None)
