"""What every channel can do; to add one, write this class in a file beside this one."""

from contextlib import AbstractContextManager
from typing import Protocol

from jobs.notify.card import Card
from jobs.notify.outcome import Outcome, Probe


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
        """A look that sends nothing."""
        ...

    def close(self) -> None: ...
