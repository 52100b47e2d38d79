"""Tickets that HubSpot made one: of such a group one is to be told (rule 11)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.simulation.ending import Ending
from tests.simulation.residuals import POLICY, was_in_doubt, word_of
from tests.simulation.seams import WEBHOOK
from tests.simulation.truth import FOREVER, Send, Truth

#: A ticket is told by what was read of it at most so long before: a read that is kept, and a claim's lease.
READ_BEFORE = 600.0
BOTH_TOLD = "two tickets told before anything showed that HubSpot had merged them"
FORGOTTEN = "a merge of tickets that were told and forgotten"
PART_RESENT = "resend of a ticket that a restore held, one of whose parts had its card"
UNKNOWN_PART = "a new ticket that was merged into an old one before the ledger knew it"
OF_AGE = ("before activation", "beyond memory")


@dataclass(frozen=True, slots=True)
class Group:
    """All that lives on in ``root``, itself included."""

    root: Ending
    members: Mapping[str, Ending]

    def cards_on(self, channel: str) -> list[Send]:
        cards = [card for one in self.members.values() for card in one.cards_on(channel)]
        return sorted(cards, key=lambda card: card.began_at)

    def merged_at(self, one: str, other: str) -> float:
        """When the two became one: the latest of the merges on their ways to where these meet."""
        ways = [self._way(one), self._way(other)]
        meeting = next(step for step in ways[0] if step in ways[1])
        return max((at for way in ways for step, at in way.items() if self._is_before(way, step, meeting)))

    def _way(self, ticket_id: str) -> dict[str, float]:
        """The tickets on the way to the root, each with the time at which it was merged into the next."""
        way: dict[str, float] = {}
        while ticket_id in self.members:
            ticket = self.members[ticket_id].ticket
            way[ticket_id] = ticket.merged_at
            if ticket.merged_into is None:
                break
            ticket_id = ticket.merged_into
        return way

    def _is_before(self, way: dict[str, float], step: str, meeting: str) -> bool:
        order = list(way)
        return order.index(step) < order.index(meeting)


def find_groups(endings: list[Ending]) -> list[Group]:
    """The groups of more than one."""
    by_id = {one.ticket.ticket_id: one for one in endings}

    def root_of(one: Ending) -> str:
        while one.ticket.merged_into is not None:
            one = by_id[one.ticket.merged_into]
        return one.ticket.ticket_id

    members: dict[str, dict[str, Ending]] = {}
    for one in endings:
        members.setdefault(root_of(one), {})[one.ticket.ticket_id] = one
    return [Group(by_id[root], found) for root, found in members.items() if len(found) > 1]


def explain_cards(group: Group, channel: str, truth: Truth, policy: str) -> Iterator[tuple[str, str | None]]:
    """For each card of another ticket than an earlier one's: its ticket, and the residual or None."""
    told: list[Send] = []
    may_resend = policy == "resend" and channel == WEBHOOK
    for card in group.cards_on(channel):
        others = [one for one in told if one.ticket_id != card.ticket_id]
        if others and card.ticket_id not in {one.ticket_id for one in told}:
            why = explain(group, channel, card, others, truth.restored_at)
            if why is None and may_resend and all(was_in_doubt_of(truth, group, one, card) for one in others):
                why, may_resend = POLICY, False  # the one resend of the policy is the group's
            yield card.ticket_id, why
        told.append(card)


def explain(group: Group, channel: str, card: Send, others: list[Send], restored_at: float) -> str | None:
    began_at = card.began_at
    apart = [group.merged_at(card.ticket_id, one.ticket_id) > began_at - READ_BEFORE for one in others]
    if all(apart):
        return BOTH_TOLD
    known = [one for one, was_apart in zip(others, apart, strict=True) if not was_apart]
    forgotten = all(group.members[one.ticket_id].forgotten_at < card.began_at for one in known)
    if forgotten:
        return FORGOTTEN
    if was_resent(group.members[card.ticket_id], began_at, known, restored_at):
        return PART_RESENT
    repeated = [find_word(group.members[one.ticket_id], channel, one, began_at) for one in known]
    return repeated[0] if all(repeated) else None


def was_in_doubt_of(truth: Truth, group: Group, told: Send, card: Send) -> bool:
    sends = group.members[told.ticket_id].sends_on(told.channel)
    return was_in_doubt(truth, sends, card)


def find_word(part: Ending, channel: str, card: Send, until: float) -> str | None:
    """Why a part's card did not count any more: a person said resend, and it became part of another."""
    words = [one for one in part.words if one.resend and card.began_at < one.at <= until]
    return word_of(words[-1], channel, [card]) if words else None


def was_resent(ending: Ending, until: float, told: list[Send], restored_at: float) -> bool:
    """Whether a person brought its card, with the others' cards there since before the restore."""
    if not ending.ticket.created_at < restored_at:
        return False
    lost = all((one.stored_at or FOREVER) < restored_at for one in told)
    return lost and any(one.resend and restored_at < one.looked_at < one.at <= until for one in ending.words)


def judge_group(group: Group, *, is_ours: bool) -> Iterator[str]:
    """A part that was to be told keeps the ticket that it became from being skipped for its age."""
    reason = age_skipped_for(group)
    if reason is None or not is_ours:
        return
    for one in group.members.values():
        was_found = one.row is not None and one.row["ticket_created_at"] is not None
        shown = one.ticket.first_shown_at < one.ticket.merged_at < FOREVER
        if one.is_young and was_found and shown:
            yield f"skipped as {reason}, and its part {one.ticket.ticket_id} was to be told"


def find_unknown_parts(group: Group, *, is_ours: bool) -> list[Ending]:
    """Those that nobody was told of, since the ledger knew nothing of them before they became part."""
    if age_skipped_for(group) is None or not is_ours:
        return []
    parts = [one for one in group.members.values() if one is not group.root and one.is_young]
    return [one for one in parts if one.row is None or one.row["ticket_created_at"] is None]


def age_skipped_for(group: Group) -> str | None:
    """The reason, where it was skipped for its age, and nothing of it was told or is forgotten."""
    row = group.root.row
    if row is None or row["state"] != "skipped" or row["reason"] not in OF_AGE:
        return None
    told = any(one.cards or one.forgotten for one in group.members.values())
    return None if told else str(row["reason"])
