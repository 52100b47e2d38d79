"""Merges (rule 11): HubSpot makes one ticket of several, and of those one is told.

Whoever reads a ticket before it is told sees what it was merged with and comes here first, so two that are
one are never both told; what sources do here earlier spares the work.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from peewee import SQL, Case, Expression, fn

from models.barrier import RESTORED, RESTORED_UNSEEN, doubt_survivor
from models.claims import has_delivery, lock_rows, may_be_told, not_told_yet
from models.counts import count_settled
from models.database import clock, rerun_on_conflict, transaction
from models.deliveries import Delivery, DeliveryState
from models.part_cards import DoubtOfParts, take_over_cards
from models.proposals import Memory, Proposal, propose
from models.sends import TELLABLE_STATES
from models.survivors import Decision, Known, Part, decide, is_told
from models.tickets import OPEN_STATES, REOPENED_BY_A_SEARCH, ProcessedTicket, Source, TicketState
from models.utc import to_utc


@dataclass(frozen=True, slots=True)
class Merge:
    """HubSpot made ``new_id`` of ``parts``, those of earlier merges among them where it says so.

    ``created_at`` is the new ticket's, of a search or a read; ``event_at`` is when it happened, of a webhook.
    """

    new_id: str
    parts: tuple[str, ...]
    created_at: datetime | None = None
    event_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """``merged`` were open and are part of ``survivor`` now; ``reopened`` counts a survivor that opened.

    ``released``: the survivor was claimed, and whoever claims it next sees what the merge brought.
    """

    survivor: str
    merged: tuple[str, ...] = ()
    reopened: int = 0
    released: bool = False


@rerun_on_conflict
def join_parts(merge: Merge, source: Source) -> Joined:
    """Leave one ticket of the merge to be told, or to have been told; the other open ones become part of it.

    1. The rows there are are locked, and those that are missing go in: the new ticket as any that ``source``
       shows, its parts as merged into it.
    2. All rows are locked, in byte order, with those that they were merged into before; then the deliveries
       are read. A write-ahead needs a claimed row, so it comes before that and counts, or finds none.
    3. ``survivors.decide``, and its decision is written, in the same transaction.
    4. What the parts were told on each channel counts for the survivor; after a restore all else is in doubt.

    Any number at once, in any order of merges, repeats included: what changes nothing writes nothing.
    """
    with transaction():
        inserted = insert_missing(merge, source)
        rows = read_group({merge.new_id, *merge.parts}, lock=True)
        memory = Memory.read()
        event_at = memory.judge(Proposal(merge.new_id, None, merge.event_at)).proposal.creation_event_at
        since = max(filter(None, (memory.activated_at, memory.horizon_at)), default=None)
        made_at = merge.created_at or rows[merge.new_id].ticket_created_at
        beyond_memory = bool(made_at and memory.horizon_at and made_at < memory.horizon_at)
        known = Known(memory.now, since, event_at, beyond_memory)
        parts = read_parts(rows)
        decision = decide(parts, merge.new_id, known)
        in_flight = DeliveryState.SENDING in parts[decision.survivor].deliveries
        survivor = rows[decision.survivor]
        carry_out(decision, survivor, in_flight=in_flight)
        due_at = None
        is_open = decision.opens or survivor.state in TELLABLE_STATES
        if is_open and not parts[decision.survivor].came_back:  # then it was told everywhere
            held = survivor.state == TicketState.UNCONFIRMED
            doubt = doubt_of_parts(memory, made_at)
            due_at = take_over_cards(survivor.ticket_id, rows.keys(), memory.now, doubt, held=held)
        if memory.restored_at is not None:
            grew = inserted or bool(decision.merged)
            doubt_survivor(survivor.ticket_id, {merge.new_id, *merge.parts}, grew=grew)
            if grew and survivor.state == TicketState.CLAIMED:
                # The next claim reads how old the ticket is by now, which is as old as its oldest part.
                due_at = due_at or memory.now
        released = due_at is not None and make_due(survivor, due_at, memory.now, in_flight=in_flight)
        return Joined(decision.survivor, decision.merged, int(decision.opens), released)


@rerun_on_conflict
def join_shown(merges: Sequence[Merge], source: Source) -> list[Joined]:
    """The same for what a search shows, of which most was settled long ago: one query finds what was not.

    That is what is open, what is held although a part's card arrived, and what was written ahead and then
    gone or elsewhere.
    """
    ids = {one for merge in merges for one in (merge.new_id, *merge.parts)}
    unsettled = ProcessedTicket.state.in_(OPEN_STATES) | is_held_in_vain() | may_come_back()
    rows = ProcessedTicket.select(ProcessedTicket.ticket_id)
    found = {row.ticket_id for row in rows.where(ProcessedTicket.ticket_id.in_(ids), unsettled)}
    return [join_parts(one, source) for one in merges if not found.isdisjoint((one.new_id, *one.parts))]


def is_held_in_vain() -> Expression:
    """Its part's ``sent`` came later than the merge, so nobody has counted it yet."""
    part = ProcessedTicket.alias("part")
    cards = Delivery.select(SQL("1")).join(part, on=(part.ticket_id == Delivery.ticket_id))
    of_part = (part.merged_into == ProcessedTicket.ticket_id) & (Delivery.state == DeliveryState.SENT)
    return (ProcessedTicket.state == TicketState.UNCONFIRMED) & fn.EXISTS(cards.where(of_part))


def may_come_back() -> Expression:
    """As ``Part.may_come_back``."""
    skipped = ProcessedTicket.state == TicketState.SKIPPED
    return skipped & ProcessedTicket.reason.in_(REOPENED_BY_A_SEARCH) & has_delivery(SQL("1 = 1"))


@rerun_on_conflict
def find_told(merges: Sequence[Merge]) -> set[str]:
    """Those of the new tickets, none of which has a row, that a part was or may have been told for."""
    groups = {one.new_id: read_parts(read_group({*one.parts}, lock=False)) for one in merges}
    return {
        new_id for new_id, group in groups.items() if any(is_told(group, part) for part in group.values())
    }


@rerun_on_conflict
def join_late_events(ticket_ids: Collection[str], source: Source) -> list[Joined]:
    """Parts whose creation event came after the merge: what they are part of may have to be told for it."""
    late = (
        ProcessedTicket.ticket_id.in_(ticket_ids)
        & (ProcessedTicket.state == TicketState.MERGED)
        & ProcessedTicket.creation_event_at.is_null(False)
    )
    rows = list(ProcessedTicket.select(ProcessedTicket.ticket_id).where(late))
    return [join_parts(Merge(row.ticket_id, ()), source) for row in rows]


def insert_missing(merge: Merge, source: Source) -> bool:
    """An id without a row that others were merged into was told and forgotten: its gap is the evidence.

    Whether any part went in. Locked at once: retention may forget a skipped ticket while no row names it yet.
    """
    known = read_group({merge.new_id, *merge.parts}, lock=True)
    if merge.new_id not in known or known[merge.new_id].state == TicketState.SKIPPED:
        propose([Proposal(merge.new_id, merge.created_at)], source)
    remembered = known.keys() | {row.merged_into for row in known.values()}
    missing = sorted({*merge.parts} - remembered - {merge.new_id}, key=str.encode)
    if not missing:
        return False
    settled = {**merged_into(merge.new_id), "provider": "none", "source": source, "created_at": clock()}
    rows = [{"ticket_id": one, **settled} for one in missing]
    new = ProcessedTicket.insert_many(rows).on_conflict_ignore().returning(ProcessedTicket.ticket_id)
    inserted = [row.ticket_id for row in new.execute()]
    count_merged(inserted)
    return bool(inserted)


def read_group(ticket_ids: set[str], *, lock: bool) -> dict[str, ProcessedTicket]:
    """The rows of ``ticket_ids`` and of all that they were merged into."""
    ids, reached = set(ticket_ids), set[str]()
    rows: dict[str, ProcessedTicket] = {}
    while ids != reached:
        reached = set(ids)
        query = ProcessedTicket.select().where(ProcessedTicket.ticket_id.in_(reached))
        rows = {row.ticket_id: row for row in (lock_rows(query) if lock else query)}
        ids |= {row.merged_into for row in rows.values() if row.merged_into is not None}
    return rows


def read_parts(rows: dict[str, ProcessedTicket]) -> dict[str, Part]:
    """The rows with the states of their deliveries, as ``survivors`` takes them."""
    deliveries: dict[str, list[str]] = {one: [] for one in rows}
    for told in Delivery.select(Delivery.ticket_id, Delivery.state).where(Delivery.ticket_id.in_(list(rows))):
        deliveries[told.ticket_id].append(told.state)
    joined_at = first_joined(list(rows))
    return {
        one: Part(
            one,
            TicketState(row.state),
            tuple(deliveries[one]),
            row.merged_into,
            row.reason,
            row.ticket_created_at,
            row.creation_event_at,
            one in joined_at and joined_at[one] < row.created_at,
        )
        for one, row in rows.items()
    }


def first_joined(ticket_ids: Sequence[str]) -> dict[str, datetime]:
    """When the first of those that are merged into each was: of all, whether this merge names them or not."""
    at = fn.MIN(ProcessedTicket.processed_at)
    parts = ProcessedTicket.select(ProcessedTicket.merged_into, at)
    found = parts.where(ProcessedTicket.merged_into.in_(ticket_ids)).group_by(ProcessedTicket.merged_into)
    return {into: cast(datetime, to_utc(joined_at)) for into, joined_at in cast(Any, found.tuples())}


def carry_out(decision: Decision, survivor: ProcessedTicket, *, in_flight: bool) -> None:
    if decision.merged:
        settle_merged(decision.merged, decision.survivor)
    changes: dict[str, object] = {}
    if decision.event_at is not None:
        changes["creation_event_at"] = decision.event_at
    if decision.opens:
        changes |= found_again(survivor, in_flight=in_flight)
    if changes:
        changed = ProcessedTicket.update(**changes, updated_at=clock())
        changed.where(ProcessedTicket.ticket_id == survivor.ticket_id).execute()


def doubt_of_parts(memory: Memory, made_at: datetime | None) -> DoubtOfParts:
    """After a restore a survivor of before it may have been told itself; a look is to see both."""
    if memory.restored_at is None or (made_at is not None and made_at >= memory.restored_at):
        return DoubtOfParts()
    return DoubtOfParts(RESTORED_UNSEEN if made_at is None else RESTORED, made_at)


def make_due(survivor: ProcessedTicket, due_at: datetime, now: datetime, *, in_flight: bool) -> bool:
    """Not before ``due_at``; whether that ends a claim, whose worker cannot know what the merge brought."""
    claimed, held = survivor.state == TicketState.CLAIMED, survivor.state == TicketState.UNCONFIRMED
    lease_ends_at = survivor.lease_expires_at if in_flight else None
    due_at = max(filter(None, (due_at, survivor.next_attempt_at, lease_ends_at)))
    waits = survivor.state == TicketState.RETRY and survivor.next_attempt_at == due_at
    if claimed or held or (due_at > now and not waits):
        due = {**not_told_yet(), "next_attempt_at": due_at, "last_error": "merged", "reason": None}
        ProcessedTicket.update(**due).where(ProcessedTicket.ticket_id == survivor.ticket_id).execute()
    return claimed


def settle_merged(ticket_ids: Sequence[str], survivor_id: str) -> None:
    """A verdict whose card may have left stays, for a late ``sent`` may bring the ticket back by it.

    So does the time up to which the worker of a card that is on its way may tell what became of it: its
    lease, or where it was merged and opened before, when it is due.
    """
    told, in_flight = has_delivery(may_be_told()), has_delivery(Delivery.state == DeliveryState.SENDING)
    awaited_until = fn.COALESCE(ProcessedTicket.lease_expires_at, ProcessedTicket.next_attempt_at)
    settled = {
        **merged_into(survivor_id),
        "provider": fn.COALESCE(Case(None, [(told, ProcessedTicket.provider)]), "none"),
        "success": Case(None, [(told, ProcessedTicket.success)], None),
        "lease_owner": None,
        "lease_expires_at": Case(None, [(in_flight, awaited_until)], None),
        "next_attempt_at": None,
        "last_error": None,
        "missing_since_at": None,
    }
    ProcessedTicket.update(**settled).where(ProcessedTicket.ticket_id.in_(ticket_ids)).execute()
    count_merged(ticket_ids)


def merged_into(survivor_id: str) -> dict[str, object]:
    return {
        "state": TicketState.MERGED,
        "merged_into": survivor_id,
        "processed_at": clock(),
        "updated_at": clock(),
    }


def found_again(survivor: ProcessedTicket, *, in_flight: bool) -> dict[str, object]:
    """Whatever it was settled as is over; one that was skipped is to be told, or to be told further.

    Nobody takes one whose card is on its way before the lease of its worker is over, as if it were claimed.
    """
    waits = in_flight and survivor.lease_expires_at is not None
    opened: dict[str, object] = {
        "state": TicketState.RETRY if waits else TicketState.FOUND,
        "next_attempt_at": survivor.lease_expires_at if waits else None,
        "lease_expires_at": None,
        "merged_into": None,
        "reason": None,
        "processed_at": clock(),
    }
    if survivor.state == TicketState.SKIPPED:
        opened |= {"provider": None, "success": None, "missing_since_at": None}
    return opened


def count_merged(ticket_ids: Iterable[str]) -> None:
    """In the order of their counts' keys, so that two never wait for each other."""
    rows = ProcessedTicket.select().where(ProcessedTicket.ticket_id.in_(list(ticket_ids)))
    for row in sorted(rows, key=lambda row: (row.source or "", row.provider or "", row.priority or "")):
        count_settled(row)
