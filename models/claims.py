"""Claiming: leasing due tickets to one worker, and keeping the lease.

Every transition is one conditional statement that checks state, owner and attempt; zero rows means that
another worker won, and the caller stops (rule 1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from peewee import SQL, Case, Expression, Function, ModelSelect, Node, fn

from models.cursors import Cursor
from models.database import clock, database, on_postgres, rerun_on_conflict, transaction
from models.deliveries import Delivery, DeliveryState
from models.names import Names
from models.tickets import OPEN_STATES, ProcessedTicket, TicketState
from models.utc import to_utc

t, d, c = Names(ProcessedTicket), Names(Delivery), Names(Cursor)
MAYBE_TOLD = (DeliveryState.SENT, DeliveryState.SENDING, DeliveryState.UNCONFIRMED)

CLAIM = f"""
WITH due AS (
    SELECT {t.ticket_id}, {t.state} = '{TicketState.CLAIMED}' AS crashed FROM {t}
    WHERE {t.ticket_id} = ANY(%s) AND (
        {t.state} = '{TicketState.FOUND}'
        OR {t.state} = '{TicketState.RETRY}' AND {t.next_attempt_at} <= clock_timestamp()
        OR {t.state} = '{TicketState.CLAIMED}' AND {t.lease_expires_at} <= clock_timestamp())
    ORDER BY {t.ticket_id} COLLATE "C" FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE {t} AS t SET {t.state} = '{TicketState.CLAIMED}', {t.lease_owner} = %s,
        {t.lease_expires_at} = clock_timestamp() + %s * interval '1 second',
        {t.attempts} = t.{t.attempts} + 1, {t.crashes} = t.{t.crashes} + due.crashed::int,
        {t.updated_at} = clock_timestamp()
    FROM due WHERE t.{t.ticket_id} = due.{t.ticket_id}
    RETURNING t.{t.ticket_id}, t.{t.attempts}, t.{t.crashes}, t.{t.missing_since_at},
              t.{t.ticket_created_at}, t.{t.creation_event_at}, t.{t.source}
)
SELECT c.*, (SELECT {c.restored_at} FROM {c} WHERE {c.name} = 'ledger'),
    EXISTS (SELECT 1 FROM {t} p WHERE p.{t.merged_into} = c.{t.ticket_id}),
    d.{d.channel}, d.{d.state}, d.{d.attempts}, d.{d.decided_at}
FROM claimed c LEFT JOIN {d} d ON d.{d.ticket_id} = c.{t.ticket_id}"""


@dataclass(frozen=True, slots=True)
class KnownDelivery:
    """A delivery as the claimant read it; the write-ahead requires that it still stands so.

    ``decided_at`` is when a person or a look last decided that its card is not there.
    """

    state: DeliveryState
    attempts: int
    decided_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A ticket leased to ``owner`` for its ``attempt``-th try, and what its channels were told (rule 2).

    ``crashes`` counts earlier tries that ended without a word from their worker. ``ticket_created_at`` is
    None where no source told it; ``creation_event_at`` is set where a creation event overrides activation
    and horizon (design §5). ``source`` showed the ticket first. ``restored_at`` is the ledger's restore
    barrier, None where it was never restored. ``has_parts``: others were merged into it.
    """

    ticket_id: str
    owner: str
    attempt: int
    crashes: int
    missing_since_at: datetime | None
    deliveries: dict[str, KnownDelivery]
    ticket_created_at: datetime | None = None
    creation_event_at: datetime | None = None
    source: str | None = None
    restored_at: datetime | None = None
    has_parts: bool = False


@rerun_on_conflict
def find_due(limit: int) -> list[str]:
    """The ids of tickets that may be claimed now, oldest first; somebody else may win them meanwhile."""
    rows = (
        ProcessedTicket.select(ProcessedTicket.ticket_id)
        .where(is_due())
        .order_by(ProcessedTicket.created_at, ProcessedTicket.ticket_id)
        .limit(limit)
    )
    return [row.ticket_id for row in rows]


@rerun_on_conflict
def seconds_until_due() -> float | None:
    """Seconds until the next open ticket may be claimed, 0.0 if one may now, None if none is open."""
    due_at = fn.MIN(
        SQL("CASE state WHEN 'claimed' THEN lease_expires_at WHEN 'retry' THEN next_attempt_at END")
    )
    now = clock()
    with transaction():
        if ProcessedTicket.select().where(is_due()).exists():
            return 0.0
        is_open = ProcessedTicket.state.in_(OPEN_STATES)
        query = ProcessedTicket.select(due_at.alias("due"), now.alias("now")).where(is_open)
        row: dict[str, Any] = cast(Any, query.dicts().get())
        next_at, read_at = to_utc(row["due"]), to_utc(row["now"])
    return None if next_at is None or read_at is None else max(0.0, (next_at - read_at).total_seconds())


@rerun_on_conflict
def claim(ticket_ids: Sequence[str], owner: str, lease_seconds: float) -> list[Claim]:
    """Lease those of ``ticket_ids`` that are due to ``owner``, which must be unique to the process.

    What another worker holds, won or settled is left out. Ask for no more than there are free threads.
    """
    ordered = sorted(set(ticket_ids), key=str.encode)
    if not ordered:
        return []
    return (claim_at_once if on_postgres() else claim_plainly)(ordered, owner, lease_seconds)


def claim_at_once(ordered: list[str], owner: str, lease_seconds: float) -> list[Claim]:
    claims: dict[str, Claim] = {}
    rows = database.execute_sql(CLAIM, (ordered, owner, lease_seconds)).fetchall()
    for ticket_id, attempt, crashes, missing, created, event, source, restored, has_parts, *told in rows:
        one = claims.get(ticket_id)
        if one is None:
            times = to_utc(created), to_utc(event)
            of_row = ticket_id, owner, attempt, crashes, to_utc(missing)
            one = Claim(*of_row, {}, *times, source, to_utc(restored), has_parts)
            claims[ticket_id] = one
        channel, state, attempts, decided = told
        if channel is not None:
            one.deliveries[channel] = KnownDelivery(DeliveryState(state), attempts, to_utc(decided))
    return list(claims.values())


def claim_plainly(ordered: list[str], owner: str, lease_seconds: float) -> list[Claim]:
    with transaction():
        due = ProcessedTicket.select().where(ProcessedTicket.ticket_id.in_(ordered), is_due())
        rows = list(lock_rows(due, skip_locked=True))
        for row in rows:
            ProcessedTicket.update(
                state=TicketState.CLAIMED,
                lease_owner=owner,
                lease_expires_at=clock(lease_seconds),
                attempts=ProcessedTicket.attempts + 1,
                crashes=ProcessedTicket.crashes + int(row.state == TicketState.CLAIMED),
                updated_at=clock(),
            ).where(ProcessedTicket.ticket_id == row.ticket_id).execute()
        return read_claims([row.ticket_id for row in rows], owner)


def read_claims(ticket_ids: list[str], owner: str) -> list[Claim]:
    restored_at = Cursor.select(Cursor.restored_at).where(Cursor.name == "ledger").alias("restored_at")
    part = ProcessedTicket.alias("part")
    of_this = part.merged_into == ProcessedTicket.ticket_id
    has_parts = fn.EXISTS(part.select(SQL("1")).where(of_this)).alias("has_parts")
    claims = {
        row.ticket_id: Claim(
            row.ticket_id,
            owner,
            row.attempts,
            row.crashes,
            row.missing_since_at,
            {},
            row.ticket_created_at,
            row.creation_event_at,
            row.source,
            to_utc(cast(Any, row).restored_at),
            bool(cast(Any, row).has_parts),
        )
        for row in ProcessedTicket.select(ProcessedTicket, restored_at, has_parts).where(
            ProcessedTicket.ticket_id.in_(ticket_ids)
        )
    }
    for told in Delivery.select().where(Delivery.ticket_id.in_(ticket_ids)):
        known = KnownDelivery(DeliveryState(told.state), told.attempts, told.decided_at)
        claims[told.ticket_id].deliveries[told.channel] = known
    return list(claims.values())


@rerun_on_conflict
def renew_leases(ticket_ids: Sequence[str], owner: str, lease_seconds: float) -> int:
    """Extend the unexpired leases of ``owner``, never shortening one; a lease that ran out stays lost."""
    ordered = sorted(ticket_ids, key=str.encode)
    held = (
        ProcessedTicket.ticket_id.in_(ordered)
        & (ProcessedTicket.state == TicketState.CLAIMED)
        & (ProcessedTicket.lease_owner == owner)
        & (ProcessedTicket.lease_expires_at > clock())
        & (ProcessedTicket.lease_expires_at < clock(lease_seconds))
    )
    with transaction():
        kept = [row.ticket_id for row in lock_rows(ProcessedTicket.select().where(held))]
        if not kept:
            return 0
        extended = ProcessedTicket.update(lease_expires_at=clock(lease_seconds))
        return int(extended.where(ProcessedTicket.ticket_id.in_(kept)).execute())


def not_told_yet() -> dict[str, object]:
    """The columns of a ticket that goes back to ``retry``: no owner, and no verdict that nobody was told.

    One that a channel was or may have been told stays, for a late ``sent`` may settle the ticket by it.
    """
    told = has_delivery(may_be_told())
    return {
        "state": TicketState.RETRY,
        "lease_owner": None,
        "lease_expires_at": None,
        "provider": Case(None, [(told, ProcessedTicket.provider)], None),
        "success": Case(None, [(told, ProcessedTicket.success)], None),
        "updated_at": clock(),
    }


def may_be_told() -> Expression:
    return Delivery.state.in_(MAYBE_TOLD)


def has_delivery(such: Node) -> Function:
    """Whether the row's ticket has ``such`` a delivery."""
    of_this = Delivery.ticket_id == ProcessedTicket.ticket_id
    return fn.EXISTS(Delivery.select(SQL("1")).where(of_this, such))


def is_mine(taken: Claim) -> Expression:
    return (
        (ProcessedTicket.ticket_id == taken.ticket_id)
        & (ProcessedTicket.state == TicketState.CLAIMED)
        & (ProcessedTicket.lease_owner == taken.owner)
        & (ProcessedTicket.attempts == taken.attempt)
    )


def is_due() -> Expression:
    now = clock()
    return (
        (ProcessedTicket.state == TicketState.FOUND)
        | ((ProcessedTicket.state == TicketState.RETRY) & (ProcessedTicket.next_attempt_at <= now))
        | ((ProcessedTicket.state == TicketState.CLAIMED) & (ProcessedTicket.lease_expires_at <= now))
    )


def lock_rows(
    query: "ModelSelect[ProcessedTicket]", *, skip_locked: bool = False
) -> "ModelSelect[ProcessedTicket]":
    """The rows of ``query``, locked in byte order of their id; SQLite's transaction holds the one lock."""
    if not on_postgres():
        return query.order_by(ProcessedTicket.ticket_id)
    in_byte_order = query.order_by(SQL('"t1"."ticket_id" COLLATE "C"'))
    return in_byte_order.for_update(skip_locked=skip_locked)
