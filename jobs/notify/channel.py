"""What every channel can do; to add one, write this class in a file beside this one."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol, runtime_checkable

from jobs.notify.card import Card
from jobs.notify.outcome import Outcome, Probe
from jobs.notify.view import KnownCard, View


class Channel(Protocol):
    """Where cards go. Used by several threads at once; nothing here raises for what the other side does.

    ``name`` is the ledger's, ``key_hash`` names the address without showing it ("" where there is none).
    """

    @property
    def name(self) -> str: ...
    @property
    def key_hash(self) -> str: ...

    def render(self, text: str) -> str:
        """Foreign text with this channel's markup escaped; given to ``build_card``."""
        ...

    def turn(self, longest_seconds: float) -> AbstractContextManager[float]:
        """Wait for a turn; gives 0.0, or the seconds still to wait: then do not send."""
        ...

    def send(self, card: Card) -> Outcome:
        """One card, once. Strict about NotSent: no connection was made, or a 4xx; else Unknown."""
        ...

    def announce(self, text: str) -> Outcome:
        """A message of the program's own words."""
        ...

    def probe(self) -> Probe:
        """A GET that sends nothing."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class LookingChannel(Channel, Protocol):
    """A channel that can look whether a card arrived (rule 5). ``place`` is where its cards go by now."""

    @property
    def place(self) -> str: ...

    def nonce_of(self, ticket_id: str, link: str) -> str:
        """What makes two sends of one card one message: the same for the same sender and link, always.

        Of a ticket whose link is none ("") the id stands for it.
        """
        ...

    def look(
        self, place: str, since: datetime, clock: Callable[[], datetime], known: Sequence[KnownCard]
    ) -> View:
        """Read ``place`` back to ``since``, which is ``clock``'s time, and some of ``known`` by their id."""
        ...
