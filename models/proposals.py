"""Proposing tickets: the one door into the ledger, which lets each id in once.

The door also knows what the ledger forgot: an id without a row, created before the memory horizon, may have
been told already, and goes in as skipped.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from models.counts import count_settled, count_settled_sql
from models.cursors import Cursor, move_cursor
from models.database import clock, database, on_postgres, read_clock, rerun_on_conflict, transaction
from models.names import Names
from models.tickets import (
    OPEN_STATES,
    REOPENED_BY_A_CREATION,
    REOPENED_BY_A_SEARCH,
    ProcessedTicket,
    SkipReason,
    Source,
    TicketState,
)
from models.utc import to_text

#: A creation event overrides activation and horizon for so long; longer than HubSpot repeats a webhook.
CREATION_COUNTS = timedelta(days=4)
ROWS_AT_ONCE = 500  #: SQLite takes 32,766 values a statement

t, c = Names(ProcessedTicket), Names(Cursor)


def quoted(words: Iterable[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def changes_sql(row: str, shown: str) -> str:
    """Whether a proposal changes a known row: the same of the snapshot's row and of the one it meets."""
    return f"""(
        {row}.{t.state} = '{TicketState.SKIPPED}' AND ({row}.{t.reason} IN ({quoted(REOPENED_BY_A_SEARCH)})
            OR {row}.{t.reason} IN ({quoted(REOPENED_BY_A_CREATION)})
                AND {shown}.{t.creation_event_at} IS NOT NULL)
        OR {row}.{t.state} IN ({quoted((*OPEN_STATES, TicketState.MERGED))})
            AND {row}.{t.creation_event_at} IS NULL AND {shown}.{t.creation_event_at} IS NOT NULL
        OR {row}.{t.state} IN ({quoted(OPEN_STATES)})
            AND {row}.{t.ticket_created_at} IS NULL AND {shown}.{t.ticket_created_at} IS NOT NULL
            AND {shown}.{t.state} = '{TicketState.FOUND}')"""


def unless_reopened(column: str) -> str:
    return f"{column} = CASE WHEN t.{t.state} <> '{TicketState.SKIPPED}' THEN t.{column} END"


# The horizon is read under a lock that excludes whoever raises it, and retention raises it before it deletes.
# So a row that the snapshot does not show was deleted under a horizon that this statement sees, and one that
# is deleted meanwhile comes in under the new horizon. Whoever raises it sees in turn what was let in before.
# What the snapshot cannot show, a row that somebody inserts at the same moment, is met by ON CONFLICT.
PROPOSE = f"""
WITH ledger AS MATERIALIZED (
    SELECT {c.horizon_at} AS horizon, {c.activated_at} AS activation FROM {c}
    WHERE {c.name} = 'ledger' FOR SHARE
), judged AS MATERIALIZED (
    SELECT g.*, coalesce(g.created < horizon, false) AS forgotten,
        CASE WHEN g.event > greatest(activation, clock_timestamp() - interval '{CREATION_COUNTS.days} days')
             AND activation IS NOT NULL THEN g.event END AS counting
    FROM unnest(%s::text[], %s::timestamptz[], %s::timestamptz[]) AS g(ticket, created, event)
    LEFT JOIN ledger ON true
), given AS MATERIALIZED (
    SELECT gen_random_uuid() AS {t.id}, ticket AS {t.ticket_id}, created AS {t.ticket_created_at},
        counting AS {t.creation_event_at},
        CASE WHEN forgotten AND counting IS NULL THEN '{TicketState.SKIPPED}'
             ELSE '{TicketState.FOUND}' END AS {t.state}
    FROM judged
), fresh AS MATERIALIZED (
    SELECT g.*, t.{t.state} AS was FROM given g LEFT JOIN {t} t ON t.{t.ticket_id} = g.{t.ticket_id}
    WHERE t.{t.ticket_id} IS NULL OR {changes_sql("t", "g")}
), written AS (
    INSERT INTO {t} AS t ({t.id}, {t.ticket_id}, {t.ticket_created_at}, {t.creation_event_at}, {t.source},
        {t.state}, {t.reason}, {t.provider}, {t.processed_at}, {t.created_at}, {t.updated_at})
    SELECT {t.id}, {t.ticket_id}, {t.ticket_created_at}, {t.creation_event_at}, %s, {t.state},
        CASE WHEN {t.state} = '{TicketState.SKIPPED}' THEN '{SkipReason.BEYOND_MEMORY}' END,
        CASE WHEN {t.state} = '{TicketState.SKIPPED}' THEN 'none' END,
        clock_timestamp(), clock_timestamp(), clock_timestamp()
    FROM fresh ORDER BY {t.ticket_id} COLLATE "C"
    ON CONFLICT ({t.ticket_id}) DO UPDATE SET
        {t.state} = CASE WHEN t.{t.state} = '{TicketState.SKIPPED}' THEN '{TicketState.FOUND}'
                         ELSE t.{t.state} END,
        {unless_reopened(t.reason)}, {unless_reopened(t.provider)}, {unless_reopened(t.success)},
        {unless_reopened(t.missing_since_at)},
        {t.processed_at} = CASE WHEN t.{t.state} = '{TicketState.SKIPPED}' THEN clock_timestamp()
                                ELSE t.{t.processed_at} END,
        {t.ticket_created_at} = coalesce(t.{t.ticket_created_at},
            CASE WHEN excluded.{t.state} = '{TicketState.FOUND}' THEN excluded.{t.ticket_created_at} END),
        {t.creation_event_at} = coalesce(t.{t.creation_event_at}, excluded.{t.creation_event_at}),
        {t.updated_at} = clock_timestamp()
    WHERE {changes_sql("t", "excluded")}
    RETURNING t.*
), beyond AS (
    SELECT * FROM written WHERE {t.state} = '{TicketState.SKIPPED}'
), counted AS ({count_settled_sql("beyond", many=True)})
SELECT count(*) FILTER (WHERE mine AND {t.state} = '{TicketState.FOUND}'),
       count(*) FILTER (WHERE NOT mine AND NOT was_open AND {t.state} <> '{TicketState.MERGED}'),
       count(*) FILTER (WHERE {t.state} = '{TicketState.SKIPPED}'),
       count(*) FILTER (WHERE {t.state} = '{TicketState.MERGED}')
FROM (SELECT {t.state}, {t.id} IN (SELECT {t.id} FROM fresh) AS mine,
          {t.ticket_id} IN (SELECT {t.ticket_id} FROM fresh WHERE was IN ({quoted(OPEN_STATES)})) AS was_open
      FROM written) AS done"""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A ticket id that a source showed, with its creation time where the source told it.

    ``creation_event_at`` is when HubSpot says that it was created, from a creation webhook alone.
    """

    ticket_id: str
    created_at: datetime | None = None
    creation_event_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Proposed:
    """How many ids were new, how many skipped ones opened again, and how many may be forgotten ones.

    ``late_parts`` are parts of another ticket (rule 11) whose creation event came after the merge.
    """

    found: int
    reopened: int
    beyond_memory: int = 0
    late_parts: int = 0


@rerun_on_conflict
def propose(proposals: Sequence[Proposal], source: Source) -> Proposed:
    """Let the ids that are not known yet into the ledger as found; known ones stay as they are.

    A new id created before the memory horizon is settled as beyond memory. A ticket that was skipped as gone
    or as of another pipeline opens again (rule 10). A creation event after activation and of the last four
    days overrides activation and horizon, is remembered in the row, and opens any skipped one (design §5).
    An open row that has no creation time yet gets one. A merged row stays merged: what it is part of may have
    to be told for its event, which is ``merges.join_late_events``. Any number of ids, repeats included;
    calling twice is safe, and writes nothing where nothing changes.
    """
    ordered = sorted(merged(proposals), key=lambda proposal: proposal.ticket_id.encode())
    if not ordered:
        return Proposed(0, 0)
    return propose_at_once(ordered, source) if on_postgres() else propose_plainly(ordered, source)


def merged(proposals: Iterable[Proposal]) -> Iterable[Proposal]:
    """One proposal an id, with what all of them know."""
    unique: dict[str, Proposal] = {}
    for shown in proposals:
        known = unique.get(shown.ticket_id)
        if known is not None:
            events = [one.creation_event_at for one in (known, shown) if one.creation_event_at]
            created_at = shown.created_at or known.created_at
            shown = Proposal(shown.ticket_id, created_at, max(events, default=None))
        unique[shown.ticket_id] = shown
    return unique.values()


def propose_at_once(ordered: Sequence[Proposal], source: Source) -> Proposed:
    ids = [proposal.ticket_id for proposal in ordered]
    times = [proposal.created_at and to_text(proposal.created_at) for proposal in ordered]
    events = [proposal.creation_event_at and to_text(proposal.creation_event_at) for proposal in ordered]
    return Proposed(*database.execute_sql(PROPOSE, (ids, times, events, source.value)).fetchone())


def propose_plainly(ordered: Sequence[Proposal], source: Source) -> Proposed:
    found = reopened = beyond = late = 0
    with transaction():
        memory = Memory.read()
        for start in range(0, len(ordered), ROWS_AT_ONCE):
            shown = [memory.judge(proposal) for proposal in ordered[start : start + ROWS_AT_ONCE]]
            ids = [one.proposal.ticket_id for one in shown]
            known = {
                row.ticket_id: row
                for row in ProcessedTicket.select().where(ProcessedTicket.ticket_id.in_(ids))
            }
            fresh = [one for one in shown if one.proposal.ticket_id not in known]
            insert_plainly(fresh, source)
            beyond_now = sum(one.forgotten for one in fresh)
            found, beyond = found + len(fresh) - beyond_now, beyond + beyond_now
            seen = [one for one in shown if one.proposal.ticket_id in known]
            changed = [change_plainly(known[one.proposal.ticket_id], one) for one in seen]
            reopened += changed.count(TicketState.FOUND)
            late += changed.count(TicketState.MERGED)
    return Proposed(found, reopened, beyond, late)


@dataclass(frozen=True, slots=True)
class Shown:
    """A proposal with its creation event only where that counts; ``forgotten`` where it is beyond memory."""

    proposal: Proposal
    forgotten: bool


@dataclass(frozen=True, slots=True)
class Memory:
    """What the ledger remembers, as one transaction reads it."""

    horizon_at: datetime | None
    activated_at: datetime | None
    now: datetime
    restored_at: datetime | None = None

    @classmethod
    def read(cls) -> "Memory":
        ledger = Cursor.get_or_none(Cursor.name == "ledger")
        now = read_clock()
        if not ledger:
            return cls(None, None, now)
        return cls(ledger.horizon_at, ledger.activated_at, now, ledger.restored_at)

    def judge(self, proposal: Proposal) -> Shown:
        event, created_at = proposal.creation_event_at, proposal.created_at
        if event and not (self.activated_at and max(self.activated_at, self.now - CREATION_COUNTS) < event):
            event = None
        old = bool(created_at and self.horizon_at and created_at < self.horizon_at)
        return Shown(replace(proposal, creation_event_at=event), old and event is None)


def insert_plainly(fresh: Sequence[Shown], source: Source) -> None:
    rows = [
        {
            "ticket_id": one.proposal.ticket_id,
            "ticket_created_at": one.proposal.created_at,
            "creation_event_at": one.proposal.creation_event_at,
            "source": source,
            "state": TicketState.SKIPPED if one.forgotten else TicketState.FOUND,
            "reason": SkipReason.BEYOND_MEMORY if one.forgotten else None,
            "provider": "none" if one.forgotten else None,
            "processed_at": clock(),
            "created_at": clock(),
            "updated_at": clock(),
        }
        for one in fresh
    ]
    if rows:
        ProcessedTicket.insert_many(rows).as_rowcount().execute()
    settled = [one.proposal.ticket_id for one in fresh if one.forgotten]
    for row in ProcessedTicket.select().where(ProcessedTicket.ticket_id.in_(settled)):
        count_settled(row)


def change_plainly(row: ProcessedTicket, shown: Shown) -> TicketState | None:
    """Write what the proposal tells of a known row; found where that opened it, merged for a late part."""
    event = row.creation_event_at or shown.proposal.creation_event_at
    created_at = row.ticket_created_at or (None if shown.forgotten else shown.proposal.created_at)
    told = {"creation_event_at": event, "ticket_created_at": created_at, "updated_at": clock()}
    mine = ProcessedTicket.ticket_id == row.ticket_id
    if row.state == TicketState.SKIPPED and reopens(row.reason, shown):
        found = {"state": TicketState.FOUND, "processed_at": clock(), "reason": None, "provider": None}
        ProcessedTicket.update(**found, **told, success=None, missing_since_at=None).where(mine).execute()
        return TicketState.FOUND
    is_late = row.state == TicketState.MERGED and event != row.creation_event_at
    changes = (event, created_at) != (row.creation_event_at, row.ticket_created_at)
    if is_late or (row.state in OPEN_STATES and changes):
        ProcessedTicket.update(**told).where(mine).execute()
    return TicketState.MERGED if is_late else None


def reopens(reason: str | None, shown: Shown) -> bool:
    by_a_creation = shown.proposal.creation_event_at is not None and reason in REOPENED_BY_A_CREATION
    return reason in REOPENED_BY_A_SEARCH or by_a_creation


@rerun_on_conflict
def propose_last(
    proposals: Sequence[Proposal],
    source: Source,
    owner: str,
    looked_until_at: datetime,
    looked_from_at: datetime | None = None,
) -> Proposed:
    """Propose the last page of a look and raise the source's cursor, in one transaction.

    Without the lease the cursor stays, and the look is repeated by whoever holds it.
    """
    with transaction():
        proposed = propose(proposals, source)
        move_cursor(source.value, owner, looked_until_at, looked_from_at)
        return proposed
