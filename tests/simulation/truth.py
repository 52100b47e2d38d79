"""What really happened: what the ledger cannot know, and what it is judged by."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from tests.simulation.clock import Time

FOREVER = float("inf")


@dataclass(slots=True)
class TrueTicket:
    """Times are true epoch seconds, but ``created_at`` and the events' own, which are HubSpot's.

    ``sure_from`` is when search began to show it at every look. ``pipelines`` and ``away`` (in the bin, not
    readable) are spans by their start. ``missed_at`` and ``read_at`` are HubSpot's 404s and answers to reads.
    ``shown_at`` are the searches that showed it, but for those ``cut_off_at`` before anything was stored.
    """

    ticket_id: str
    created_at: float
    made_at: float
    sure_from: float
    pipelines: list[tuple[float, str]]
    away: list[tuple[float, float]] = field(default_factory=list)
    parts: tuple[str, ...] = ()
    merged_into: str | None = None
    merged_at: float = FOREVER
    first_shown_at: float = FOREVER
    shown_at: list[float] = field(default_factory=list)
    cut_off_at: list[float] = field(default_factory=list)
    offered: list["Accepted"] = field(default_factory=list)
    accepted: list["Accepted"] = field(default_factory=list)
    missed_at: list[float] = field(default_factory=list)
    read_at: list[float] = field(default_factory=list)

    @property
    def is_away(self) -> bool:
        return bool(self.away) and self.away[-1][1] == FOREVER


@dataclass(frozen=True, slots=True)
class Accepted:
    """A webhook that reached a receiver, or had its 200; ``occurred_at`` is 0 where it told no time."""

    at: float
    creation: bool
    occurred_at: float


@dataclass(slots=True)
class Send:
    """One request with a card. ``answer`` is what the product was told, None where it died before.

    ``first_byte_at`` is when it left, ``stored_at`` when the message appeared, if it did. One with words
    has no ``ticket_id``, and ``names`` the held tickets that they are about.
    """

    ticket_id: str
    channel: str
    process: str
    began_at: float
    answer: str | None = None
    answered_at: float = FOREVER
    first_byte_at: float = FOREVER
    stored_at: float | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Word:
    """What a person said of a held ticket, and what the channel showed as they looked, before."""

    looked_at: float
    at: float
    ticket_id: str
    resend: bool
    channels_with_card: frozenset[str]


@dataclass(slots=True)
class Truth:
    time: Time
    activated_at: float = FOREVER
    #: When an older ledger took the place of the last one, and when that older one was copied.
    restored_at: float = 0.0
    backed_up_at: float = 0.0
    #: The restore's moment by the database's clock, at the latest.
    barrier_at: float = 0.0
    tickets: dict[str, TrueTicket] = field(default_factory=dict)
    sends: dict[str, list[Send]] = field(default_factory=dict)
    #: Of messages with words.
    notices: list[Send] = field(default_factory=list)
    words: dict[str, list[Word]] = field(default_factory=dict)
    #: Tickets that a process had in hand, written ahead and not settled, as it died.
    doubted: dict[str, list[float]] = field(default_factory=dict)
    #: Spans in which a process could not write what it knew: dead, frozen, or without the database.
    unable: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    #: The memory horizon as it rose.
    horizons: list[tuple[float, float]] = field(default_factory=list)
    #: What no code of the product may do, seen while it did.
    offences: list[str] = field(default_factory=list)
    #: The last page that a search showed to each who looks, until a COMMIT of theirs.
    pages: dict[Hashable, list[tuple[TrueTicket, float]]] = field(default_factory=dict)

    def show(self, ticket_ids: Iterable[str], to: Hashable) -> None:
        """One page, to one line of work of a process."""
        now = self.time.now
        page = [(self.tickets[one], now) for one in ticket_ids if one in self.tickets]
        for ticket, _ in page:
            ticket.first_shown_at = min(ticket.first_shown_at, now)
            ticket.shown_at.append(now)
        self.pages[to] = page

    def keep_page(self, of: Hashable) -> None:
        """A COMMIT of theirs came through."""
        self.pages.pop(of, None)

    def cut_off_page(self, of: Hashable) -> None:
        """They died, or lost a statement, before a COMMIT: nobody can know what they had been shown."""
        for ticket, at in self.pages.pop(of, ()):
            ticket.shown_at.remove(at)
            ticket.cut_off_at.append(at)

    def note_send(self, send: Send) -> None:
        if send.ticket_id:
            self.sends.setdefault(send.ticket_id, []).append(send)
        else:
            self.notices.append(send)

    def was_undone(self, moment: float) -> bool:
        """Whether the ledger that was written then is gone: a restore brought back one from before."""
        return self.backed_up_at <= moment < self.restored_at

    def disable(self, process: str, until: float) -> None:
        self.unable.setdefault(process, []).append((self.time.now, until))

    def was_unable(self, process: str, start: float, end: float) -> bool:
        return any(since <= end and until >= start for since, until in self.unable.get(process, ()))

    def told_channels(self, ticket_id: str) -> frozenset[str]:
        """Where a card of the ticket is by now."""
        sends = self.sends.get(ticket_id, ())
        return frozenset(send.channel for send in sends if send.stored_at is not None)

    def horizon_at(self, moment: float) -> float:
        """The highest horizon that was stored up to ``moment``."""
        return max((horizon for at, horizon in self.horizons if at <= moment), default=0.0)
