"""Retention: forgetting what lies behind the memory horizon (design §5).

Nothing here takes long: rows go in pages, each a transaction of its own, so that claims and sends go on
beside it.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from peewee import SQL, Expression, Field, Model, ModelSelect, Node, fn

from models.claims import has_delivery, lock_rows, may_be_told
from models.counts import HourlyCount
from models.database import clock, database, on_postgres, read_clock, rerun_on_conflict, transaction
from models.deliveries import Delivery
from models.horizon import stored_horizon
from models.inbox import WebhookEvent
from models.names import Names
from models.proposals import CREATION_COUNTS, quoted
from models.tickets import OPEN_STATES, SETTLED_STATES, ProcessedTicket, TicketState
from models.utc import to_text

LEAST_DAYS = CREATION_COUNTS.days  #: a creation event may still come for so long
COUNTS_DAYS = 400
ANALYZED = ("processed_tickets", "deliveries", "webhook_inbox", "hourly_counts")
SAMPLE = 3  #: of 300 rows each: PostgreSQL's own 100 takes far longer than a statement here may

t = Names(ProcessedTicket)
#: What open and held tickets were made of; literal states, for the partial indexes.
PARTS_OF_UNTOLD = f"""(
    WITH RECURSIVE parts(ticket_id) AS (
        SELECT {t.ticket_id} FROM {t} WHERE {t.state} IN ({quoted(OPEN_STATES)})
        UNION SELECT {t.ticket_id} FROM {t} WHERE {t.state} = '{TicketState.UNCONFIRMED}'
        UNION SELECT p.{t.ticket_id} FROM {t} p JOIN parts ON p.{t.merged_into} = parts.ticket_id)
    SELECT ticket_id FROM parts)"""


@dataclass(frozen=True, slots=True)
class Page:
    """What one step over the ledger came to; ``last_id`` is where the next begins, None after the last."""

    tickets: int = 0
    deliveries: int = 0
    last_id: str | None = None


@rerun_on_conflict
def list_old(retention_days: int, most: int) -> list[str] | None:
    """The tickets that were found or settled before the retention, by id; None where they are over ``most``.

    By an index, so that a night that has little to forget need not walk over the whole ledger; no index
    serves a clock that moves within the statement.
    """
    old = ProcessedTicket.processed_at < read_clock() - timedelta(seconds=kept_seconds(retention_days))
    ids = ProcessedTicket.select(ProcessedTicket.ticket_id).where(old).order_by(ProcessedTicket.processed_at)
    found = [ticket_id for (ticket_id,) in cast(Any, ids.limit(most + 1).tuples())]
    return None if len(found) > most else sorted(found)


@rerun_on_conflict
def forget_batch(
    retention_days: int, limit: int, after: str = "", among: Sequence[str] | None = None
) -> Page:
    """Forget what may be forgotten among the next ``limit`` tickets by id, with their deliveries.

    Of the whole ledger, or of ``among``, which is sorted.
    Settled, settled longer ago than the retention and four days, and created before the stored horizon; open
    and held ones never, one that nobody was told of not before what was merged into it, and a part that has
    a card, or may have, or had its one resend, not while what it became is open or held. Call it with the
    page's ``last_id`` until that is None. Rows that others have locked stay for the next night. Any number of
    callers at once is safe.
    """
    with transaction():
        horizon_at = stored_horizon()
        if horizon_at is None:
            return Page()
        page, last_id = next_page(limit, after, among)
        old = ProcessedTicket.select(ProcessedTicket.ticket_id).where(
            page, is_forgettable(retention_days, horizon_at)
        )
        ids = [row.ticket_id for row in lock_rows(old, skip_locked=True)]
        if not ids:
            return Page(last_id=last_id)
        deliveries = Delivery.delete().where(is_among(Delivery.ticket_id, ids)).execute()
        tickets = ProcessedTicket.delete().where(is_among(ProcessedTicket.ticket_id, ids)).execute()
        return Page(tickets, deliveries, last_id)


def is_among(column: Field, ids: list[str]) -> Node:
    """One parameter instead of a thousand: half of a page's time went into writing them down."""
    if on_postgres():
        return SQL(f'"{column.column_name}" = ANY(%s)', (ids,))
    return cast(Node, column.in_(ids))


@rerun_on_conflict
def count_batch(
    retention_days: int, horizon_at: datetime, limit: int, after: str = "", among: Sequence[str] | None = None
) -> Page:
    """What ``forget_batch`` would forget under ``horizon_at``; changes nothing."""
    page, last_id = next_page(limit, after, among)
    old = ProcessedTicket.select(ProcessedTicket.ticket_id).where(
        page, is_forgettable(retention_days, horizon_at)
    )
    deliveries = Delivery.select().where(Delivery.ticket_id.in_(old)).count()
    return Page(old.count(), deliveries, last_id)


def next_page(limit: int, after: str, among: Sequence[str] | None) -> tuple[Any, str | None]:
    """The condition of the next ``limit`` ids, and the last of them, None where these are the rest.

    By id and not by time: ids are unique, so a page is never longer than it should be, and old rows that must
    stay are passed once a night instead of once a page.
    """
    if among is not None:
        rest = among[bisect_right(among, after) :]
        last = rest[limit - 1] if rest[limit:] else None
        return is_among(ProcessedTicket.ticket_id, list(rest[:limit])), last
    beyond = ProcessedTicket.ticket_id > after
    ids = ProcessedTicket.select(ProcessedTicket.ticket_id).where(beyond).order_by(ProcessedTicket.ticket_id)
    last = cast("str | None", ids.limit(1).offset(limit - 1).scalar())
    return (beyond if last is None else beyond & (ProcessedTicket.ticket_id <= last)), last


def is_forgettable(retention_days: int, horizon_at: datetime) -> Expression:
    created_at = fn.COALESCE(ProcessedTicket.ticket_created_at, ProcessedTicket.created_at)
    return cast(
        Expression,
        ProcessedTicket.state.in_(SETTLED_STATES)
        & (ProcessedTicket.processed_at < clock(-kept_seconds(retention_days)))
        & (created_at < to_text(horizon_at))
        & ((ProcessedTicket.state == TicketState.NOTIFIED) | is_named_by_none())
        & ((ProcessedTicket.state != TicketState.MERGED) | ~is_asked_for()),
    )


def is_asked_for() -> Expression:
    """A look for what it is part of must find its card, and the policy's one resend is the group's."""
    of_the_group = may_be_told() | Delivery.resent_at.is_null(False)
    return has_delivery(of_the_group) & ProcessedTicket.ticket_id.in_(SQL(PARTS_OF_UNTOLD))


def is_named_by_none() -> Expression:
    """No other row was merged into it: one whose target is gone counts as told (rule 11).

    The names are read once in a statement, and only where it meets a row that was not told.
    """
    named = SQL("(SELECT merged_into FROM processed_tickets WHERE merged_into IS NOT NULL)")
    return ProcessedTicket.ticket_id.not_in(named)


def kept_seconds(retention_days: int) -> float:
    return max(retention_days, LEAST_DAYS) * 86_400.0


@rerun_on_conflict
def prune_inbox(retention_days: int, limit: int, *, dry_run: bool = False) -> int:
    """Delete events that were set aside longer ago than the retention."""
    cut = read_clock() - timedelta(seconds=kept_seconds(retention_days))
    # received_at comes before set_aside_at, and has the index.
    old = (WebhookEvent.received_at < cut) & (WebhookEvent.set_aside_at < cut)
    query = WebhookEvent.select().where(old).order_by(WebhookEvent.received_at)
    return delete_some(WebhookEvent, query, limit, dry_run)


@rerun_on_conflict
def prune_counts(limit: int, *, dry_run: bool = False) -> int:
    """Delete hourly counts of more than 400 days ago."""
    cut = read_clock() - timedelta(days=COUNTS_DAYS)
    old = HourlyCount.select().where(HourlyCount.hour < cut).order_by(HourlyCount.hour)
    return delete_some(HourlyCount, old, limit, dry_run)


def delete_some(model: type[Model], old: "ModelSelect[Any]", limit: int, dry_run: bool) -> int:
    """Delete at most ``limit`` rows that nobody else holds; how many, or in a dry run how many in all."""
    if dry_run:
        return int(old.count())
    key = cast(Field, model._meta.primary_key)
    with transaction():
        chosen = old.limit(limit)
        ids = [row._pk for row in (chosen.for_update(skip_locked=True) if on_postgres() else chosen)]
        return int(model.delete().where(key.in_(ids)).execute()) if ids else 0


@rerun_on_conflict
def refresh_statistics(table: str) -> None:
    """Tell the planner how full ``table`` is by now; left out where another session does so."""
    if not on_postgres():
        database.execute_sql("PRAGMA analysis_limit = 400")
        database.execute_sql("PRAGMA optimize")
        return
    with transaction():
        database.execute_sql(f"SET LOCAL default_statistics_target = {SAMPLE}")
        database.execute_sql(f'ANALYZE (SKIP_LOCKED) "{table}"')
