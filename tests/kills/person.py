"""The person who looks into the channel for each held ticket and says ``confirm`` or ``resend``."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from jobs.sandbox.discord import SimulatedDiscord
from models import held
from models.errors import StoreError
from models.held import Release
from models.tickets import TicketState, list_tickets

MOST_AT_ONCE = 1_000
LOOK_EVERY_SECONDS = 5.0
#: What left a worker before it was stopped or killed has arrived by then.
ARRIVED_SECONDS = 1.0


def count_cards(discord: SimulatedDiscord) -> Counter[str]:
    """How many cards each ticket has, by the link that the embed carries."""
    urls = (str(embed.get("url")) for message in discord.messages for embed in message.embeds)
    return Counter(url.rpartition("/")[2] for url in urls)


@dataclass
class Person:
    """``is_stopped`` tells whether a worker is stopped now, or was just now.

    ``resent`` has each ticket that was sent again because the channel showed no card, and ``early`` those of
    them that were judged while a stopped worker may still have had the card in hand: the residual double.
    """

    discord: SimulatedDiscord
    is_stopped: Callable[[], bool]
    confirmed: set[str] = field(default_factory=set)
    resent: Counter[str] = field(default_factory=Counter)
    early: set[str] = field(default_factory=set)

    def work(self, over: threading.Event) -> None:
        """Look every few seconds until ``over``."""
        while not over.wait(LOOK_EVERY_SECONDS):
            try:
                self.look()
            except StoreError:
                continue

    def look(self) -> int:
        """Decide on every ticket that is held now; how many there were."""
        stopped = self.is_stopped()
        waiting = [row.ticket_id for row in list_tickets(TicketState.UNCONFIRMED, MOST_AT_ONCE)]
        cards = count_cards(self.discord)
        for ticket_id in waiting:
            if cards[ticket_id]:
                self._confirm(ticket_id)
            else:
                self._resend(ticket_id, stopped=stopped)
        return len(waiting)

    def _confirm(self, ticket_id: str) -> None:
        if held.confirm_ticket(ticket_id) is Release.DONE:
            self.confirmed.add(ticket_id)

    def _resend(self, ticket_id: str, *, stopped: bool) -> None:
        if held.resend_ticket(ticket_id) is Release.DONE:
            self.resent[ticket_id] += 1
            if stopped:
                self.early.add(ticket_id)


def stopped_lately(stopped_until: list[float]) -> bool:
    return any(time.monotonic() - until < ARRIVED_SECONDS for until in stopped_until)
