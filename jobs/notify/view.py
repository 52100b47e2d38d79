"""What one look at a channel saw: cards of our own, how far back it read, and whether it can see at all."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class KnownCard:
    """A card that the ledger knows as sent: ``message_id`` should show an embed whose URL is ``link``."""

    message_id: str
    link: str


@dataclass(frozen=True, slots=True)
class View:
    """``cards`` are the ids of this bot's own messages by the URL of their embed; ``others`` are URLs that
    other bots and webhooks wrote.

    Every message since ``complete_since`` was read, by the clock of whoever asked; None where nothing is
    known to be complete. ``blind`` is one line that says why the look cannot tell that a card is not there,
    None where it can; ``settings_fault`` that the line names a setting to mend.
    """

    cards: Mapping[str, str] = field(default_factory=dict)
    complete_since: datetime | None = None
    blind: str | None = None
    settings_fault: bool = False
    others: frozenset[str] = frozenset()
