"""What is so outside of the ledger, whatever a restore makes of it: cards in channels, merges in HubSpot."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

Key = tuple[str, str]  #: a ticket and a channel


@dataclass
class Truth:
    """``in_doubt`` are the cards that are or may be in their channel, each with its last attempt.

    ``arrived`` of them are there for certain; ``groups`` are the tickets that HubSpot made one.
    """

    in_doubt: dict[Key, int] = field(default_factory=dict)
    arrived: set[Key] = field(default_factory=set)
    groups: list[set[str]] = field(default_factory=list)

    def begin(self, key: Key, attempt: int, group: Collection[str] = ()) -> None:
        """A send begins: no earlier one is in doubt (P1), nor was a part of its merge told there (rule 11).

        ``group`` is what its worker knows that it is one with.
        """
        assert key not in self.in_doubt, f"{key} may be told twice"
        told = {one for one, channel in self.in_doubt if channel == key[1]} & {*group}
        assert not told, f"{key} is one with {told}, which may have been told there"
        self.in_doubt[key] = attempt

    def arrive(self, key: Key, attempt: int) -> None:
        self.in_doubt.setdefault(key, attempt)
        self.arrived.add(key)

    def clear(self, key: Key, attempt: int) -> None:
        """That send may be followed by another: it told nobody for certain, or the policy said so."""
        if self.in_doubt.get(key) == attempt:
            del self.in_doubt[key]
            self.arrived.discard(key)

    def release(self, ticket_ids: Collection[str], channels: Collection[str]) -> None:
        """A person, or a look that can see, says that none of their cards is there."""
        gone = {(one, channel) for one in ticket_ids for channel in channels}
        self.in_doubt = {key: attempt for key, attempt in self.in_doubt.items() if key not in gone}
        self.arrived -= gone

    def is_there(self, ticket_ids: Iterable[str], channel: str) -> bool:
        return any((one, channel) in self.arrived for one in ticket_ids)

    def merge(self, ticket_ids: Iterable[str]) -> None:
        joined = {*ticket_ids}
        joined = joined.union(*(group for group in self.groups if group & joined))
        self.groups = [group for group in self.groups if not group & joined] + [joined]

    def group_of(self, ticket_id: str) -> set[str]:
        return next((group for group in self.groups if ticket_id in group), {ticket_id})
