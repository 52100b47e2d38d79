"""Rule 11 decided: of the tickets that HubSpot made one, which was told, or is the one to tell. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from models.claims import MAYBE_TOLD
from models.tickets import OPEN_STATES, REOPENED_BY_A_CREATION, REOPENED_BY_A_SEARCH, TicketState


@dataclass(frozen=True, slots=True)
class Part:
    """One ticket of the group: its row, and the states of its deliveries.

    ``came_back``: others were merged into it before its row was made, so it had one that was forgotten.
    """

    ticket_id: str
    state: TicketState
    deliveries: tuple[str, ...] = ()
    merged_into: str | None = None
    reason: str | None = None
    created_at: datetime | None = None
    creation_event_at: datetime | None = None
    came_back: bool = False

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES

    @property
    def may_come_back(self) -> bool:
        """Written ahead once, then gone or elsewhere: HubSpot shows it again as what it became."""
        begun = bool(self.deliveries)
        return begun and self.state is TicketState.SKIPPED and self.reason in REOPENED_BY_A_SEARCH

    @property
    def skipped_for_age(self) -> bool:
        return self.state is TicketState.SKIPPED and self.reason in REOPENED_BY_A_CREATION


@dataclass(frozen=True, slots=True)
class Known:
    """What is known beside the rows: ``event_at`` is when a webhook, young enough to count, tells the merge.

    ``since`` is the later of activation and memory horizon, ``now`` the database's time. ``beyond_memory``:
    the new ticket, which has its oldest part's age, is older than what the ledger remembers.
    """

    now: datetime
    since: datetime | None = None
    event_at: datetime | None = None
    beyond_memory: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """``merged`` become part of ``survivor``, which ``opens`` where it was merged or skipped and is told now.

    ``event_at`` is what its row is to remember as a creation event, which overrides its age.
    """

    survivor: str
    merged: tuple[str, ...] = ()
    opens: bool = False
    event_at: datetime | None = None


Group = Mapping[str, Part]  #: by id; a ``merged_into`` that is not in it has no row any more


def decide(group: Group, new_id: str, known: Known) -> Decision:
    """The survivor, what becomes part of it, and whether it opens; what needs no change is not named."""
    survivor = choose_survivor(group, new_id)
    absorbed = [
        part for part in group.values() if part is not survivor and (part.is_open or part.may_come_back)
    ]
    event_at = find_event(group, new_id, survivor, absorbed, known)
    revived = survivor.state is TicketState.MERGED and not is_forgotten(group, survivor)
    young_again = survivor.skipped_for_age and bool(event_at or survivor.creation_event_at)
    # Beyond memory a part may have been told and forgotten, on the channel that this one was not told on.
    shown_again = survivor.may_come_back and (bool(absorbed) or not known.beyond_memory)
    merged = tuple(sorted((part.ticket_id for part in absorbed), key=str.encode))
    return Decision(survivor.ticket_id, merged, revived or young_again or shown_again, event_at)


def choose_survivor(group: Group, new_id: str) -> Part:
    """The told one, else what ``new_id`` is part of by now, which is itself at first.

    Of several told ones the first of those that need least: told everywhere; held; told and forgotten;
    open; told although merged before, by a ``sent`` that came late. Then the lowest id.
    """
    told = [part for part in group.values() if is_told(group, part)]
    if not told:
        return root_of(group, new_id)
    return min(told, key=lambda part: (rank(group, part), part.ticket_id.encode()))


def is_told(group: Group, part: Part) -> bool:
    """Merged alone is no evidence: what it was merged into is in the group too, or is forgotten."""
    if part.came_back or any(state in MAYBE_TOLD for state in part.deliveries):
        return True
    match part.state:
        case TicketState.NOTIFIED:
            return True  # also without deliveries: adopted
        case TicketState.UNCONFIRMED:
            return not part.deliveries  # held by no word of a channel, so nobody knows
        case TicketState.MERGED:
            return is_forgotten(group, part)
    return False


def is_forgotten(group: Group, part: Part) -> bool:
    """Retention keeps a skipped row for as long as another names it, so what is gone was told."""
    return part.state is TicketState.MERGED and part.merged_into not in group


def rank(group: Group, part: Part) -> int:
    match part.state:
        case TicketState.NOTIFIED:
            return 0
        case TicketState.UNCONFIRMED:
            return 1  # sends nothing by itself, where an open one goes on to its other channels
    if part.came_back or is_forgotten(group, part):
        return 2
    return 4 if part.state is TicketState.MERGED else 3


def root_of(group: Group, ticket_id: str) -> Part:
    """Where ``merged_into`` leads to from there. It cannot run in a circle, and would end if it did."""
    part = group[ticket_id]
    for _ in group:
        into = group.get(part.merged_into or "") if part.state is TicketState.MERGED else None
        if into is None:
            break
        part = into
    return part


def find_event(
    group: Group, new_id: str, survivor: Part, absorbed: Sequence[Part], known: Known
) -> datetime | None:
    """Why a survivor that HubSpot gives an older part's age is to be told all the same; None where not.

    A part was to be told: by its creation event, or since it was open and not too old. Or a webhook tells of
    a merge of parts that were not all skipped for their age.
    """
    if survivor.creation_event_at is not None or is_told(group, survivor):
        return None
    others = [part for part in group.values() if part is not survivor]
    events = [part.creation_event_at for part in others if part.creation_event_at is not None]
    young = [part for part in absorbed if not part.creation_event_at and is_to_be_told(part, known)]
    events += [part.created_at or known.now for part in young]
    if known.event_at is not None and not are_judged(group, new_id):
        events.append(known.event_at)
    return max(events, default=None)


def is_to_be_told(part: Part, known: Known) -> bool:
    """A part that its own age does not forbid; one that was written ahead had passed that.

    Once gone it speaks for nobody in a merge that reaches beyond memory: what it became may have been told.
    HubSpot gives the age of no part once it is one. Where a webhook without a time was all that showed it, it
    may be one that was told and forgotten, unless all the merge's parts are of the time that is remembered.
    """
    if part.deliveries:
        return part.is_open or not known.beyond_memory
    if part.created_at is None:
        return not known.beyond_memory
    return known.since is None or part.created_at >= known.since


def are_judged(group: Group, new_id: str) -> bool:
    """Whether every part of ``new_id`` was skipped for its age, by a row that was there before."""
    roots = [root_of(group, one) for one in group if one != new_id]
    return bool(roots) and all(root.skipped_for_age and root.ticket_id != new_id for root in roots)
