"""Proposing tickets: the one door into the ledger, which lets each id in once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from models.cursors import move_cursor
from models.database import (
    clock,
    database,
    on_postgres,
    rerun_on_conflict,
    to_text,
    transaction,
)
from models.names import Names
from models.tickets import REOPENED_BY_A_SEARCH, ProcessedTicket, Source, TicketState

t = Names(ProcessedTicket)
REOPENABLE = ", ".join(f"'{reason}'" for reason in REOPENED_BY_A_SEARCH)

PROPOSE = f"""
WITH given AS (
    SELECT ticket_id, created_at FROM unnest(%s::text[], %s::timestamptz[]) AS g(ticket_id, created_at)
), found AS (
    INSERT INTO {t} ({t.ticket_id}, {t.ticket_created_at}, {t.source}, {t.state},
                     {t.processed_at}, {t.created_at}, {t.updated_at})
    SELECT ticket_id, created_at, %s, '{TicketState.FOUND}',
           clock_timestamp(), clock_timestamp(), clock_timestamp()
    FROM given ORDER BY ticket_id COLLATE "C"
    ON CONFLICT ({t.ticket_id}) DO NOTHING
    RETURNING 1
), shut AS (
    SELECT {t.ticket_id} FROM {t} WHERE {t.ticket_id} IN (SELECT ticket_id FROM given)
    AND {t.state} = '{TicketState.SKIPPED}' AND {t.reason} IN ({REOPENABLE})
    ORDER BY {t.ticket_id} COLLATE "C" FOR UPDATE
), reopened AS (
    UPDATE {t} SET {t.state} = '{TicketState.FOUND}', {t.reason} = NULL, {t.provider} = NULL,
           {t.success} = NULL, {t.missing_since_at} = NULL, {t.updated_at} = clock_timestamp()
    WHERE {t.ticket_id} IN (SELECT {t.ticket_id} FROM shut) RETURNING 1
)
SELECT (SELECT count(*) FROM found), (SELECT count(*) FROM reopened)"""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A ticket id that a source showed, with its creation time where the source told it."""

    ticket_id: str
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Proposed:
    """How many ids were new, and how many skipped ones were opened again."""

    found: int
    reopened: int


@rerun_on_conflict
def propose(proposals: Sequence[Proposal], source: Source) -> Proposed:
    """Let the ids that are not known yet into the ledger as found; known ones stay as they are.

    A ticket that was skipped as gone or as of another pipeline opens again (rule 10). Any number of ids,
    repeats included; calling twice is safe.
    """
    unique = {proposal.ticket_id: proposal for proposal in proposals}
    ordered = sorted(unique.values(), key=lambda proposal: proposal.ticket_id.encode())
    if not ordered:
        return Proposed(0, 0)
    return propose_at_once(ordered, source) if on_postgres() else propose_plainly(ordered, source)


def propose_at_once(ordered: Sequence[Proposal], source: Source) -> Proposed:
    ids = [proposal.ticket_id for proposal in ordered]
    times = [proposal.created_at and to_text(proposal.created_at) for proposal in ordered]
    return Proposed(*database.execute_sql(PROPOSE, (ids, times, source.value)).fetchone())


def propose_plainly(ordered: Sequence[Proposal], source: Source) -> Proposed:
    rows = [
        {
            "ticket_id": proposal.ticket_id,
            "ticket_created_at": proposal.created_at,
            "source": source,
            "state": TicketState.FOUND,
            "processed_at": clock(),
            "created_at": clock(),
            "updated_at": clock(),
        }
        for proposal in ordered
    ]
    with transaction():
        found = ProcessedTicket.insert_many(rows).on_conflict_ignore().as_rowcount().execute()
        shut = (
            ProcessedTicket.ticket_id.in_([proposal.ticket_id for proposal in ordered])
            & (ProcessedTicket.state == TicketState.SKIPPED)
            & ProcessedTicket.reason.in_(REOPENED_BY_A_SEARCH)
        )
        reopened = (
            ProcessedTicket.update(
                state=TicketState.FOUND,
                reason=None,
                provider=None,
                success=None,
                missing_since_at=None,
                updated_at=clock(),
            )
            .where(shut)
            .execute()
        )
    return Proposed(found, reopened)


@rerun_on_conflict
def propose_last(
    proposals: Sequence[Proposal], source: Source, owner: str, looked_until_at: datetime
) -> Proposed:
    """Propose the last page of a look and raise the source's cursor, in one transaction.

    Without the lease the cursor stays, and the look is repeated by whoever holds it.
    """
    with transaction():
        proposed = propose(proposals, source)
        move_cursor(source.value, owner, looked_until_at)
        return proposed
