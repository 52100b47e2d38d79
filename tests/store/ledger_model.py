"""A plain model of the ledger: dicts, and what the rules of design §4 and §5 demand of each function.

Written from the design and the docstrings. Each function has the name of the one it models, takes the
same values, changes the dicts and returns what the ledger must return. Times are seconds of the model's own
clock, ``now``, which moves only where a test moves it. One caller at a time: races have tests of their own.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from models.deliveries import DeliveryState as D
from models.tickets import SkipReason
from models.tickets import TicketState as T

DAY = 86_400.0
FOUR_DAYS = 4 * DAY  #: a creation event overrides activation and horizon for so long
OPEN = (T.FOUND, T.CLAIMED, T.RETRY)
SETTLED = (T.NOTIFIED, T.SKIPPED, T.MERGED)
OPEN_AGAIN_WHEN_SHOWN = (SkipReason.GONE, SkipReason.OTHER_PIPELINE)
IN_DOUBT = (D.SENDING, D.UNCONFIRMED)
MAYBE_TOLD = (D.SENT, *IN_DOUBT)
HELD = (D.SENDING, D.UNCONFIRMED, D.REFUSED)


@dataclass
class Ticket:
    """A row of ``processed_tickets``; the names are its columns."""

    source: str
    created_at: float
    processed_at: float
    state: str = T.FOUND
    ticket_created_at: float | None = None
    creation_event_at: float | None = None
    attempts: int = 0
    crashes: int = 0
    next_attempt_at: float | None = None
    lease_owner: str | None = None
    lease_expires_at: float | None = None
    last_error: str | None = None
    reason: str | None = None
    missing_since_at: float | None = None
    provider: str | None = None
    success: bool | None = None
    priority: str | None = None
    triage_ms: int | None = None
    merged_into: str | None = None


@dataclass
class Card:
    """A row of ``deliveries``; the names are its columns."""

    state: str = D.SENDING
    attempts: int = 1
    first_sending_at: float | None = None
    sending_at: float | None = None
    sent_at: float | None = None
    message_id: str | None = None
    place: str | None = None
    last_error: str | None = None
    resent_at: float | None = None
    notice_at: float | None = None
    decided_at: float | None = None
    nonce: str | None = None


class Known(NamedTuple):
    """A delivery as a claimant read it."""

    state: str
    attempts: int
    decided_at: float | None = None


@dataclass(frozen=True)
class Shown:
    """What a source shows of a ticket."""

    ticket_id: str
    created: float | None = None
    event: float | None = None


@dataclass(frozen=True)
class Lease:
    """A claim, and each channel's delivery as its owner read it."""

    ticket_id: str
    owner: str
    attempt: int
    crashes: int
    known: Mapping[str, Known]
    missing_since: float | None = None
    created: float | None = None
    event: float | None = None
    source: str | None = None
    restored: float | None = None
    has_parts: bool = False


@dataclass(frozen=True)
class Verdict:
    provider: str
    priority: str
    triage_ms: int
    created: float

    @property
    def success(self) -> bool:
        return self.provider != "rules"


#: From a part to the ticket that is told for it: each on it, and how often that became a part.
Way = list[tuple[str, int]]


@dataclass
class Ledger:
    """Everything the tables hold. ``counts`` are by source, provider, priority and state.

    ``joins`` is how often each ticket became a part, ``knew`` the parts that each decision knew.
    """

    now: float = 0.0
    tickets: dict[str, Ticket] = field(default_factory=dict)
    cards: dict[tuple[str, str], Card] = field(default_factory=dict)
    portal: str | None = None
    activated: float | None = None
    horizon: float | None = None
    restored: float | None = None
    looked: dict[str, tuple[float | None, float]] = field(default_factory=dict)
    leases: dict[str, tuple[str, float]] = field(default_factory=dict)
    pauses: dict[tuple[str, str], tuple[str, int, float]] = field(default_factory=dict)
    inbox: list["Event"] = field(default_factory=list)
    counts: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    joins: Counter[str] = field(default_factory=Counter)
    knew: dict[tuple[str, str], dict[str, Way]] = field(default_factory=dict)

    def cards_of(self, ticket_id: str) -> dict[str, Card]:
        return {channel: card for (one, channel), card in self.cards.items() if one == ticket_id}


@dataclass(frozen=True)
class Event:
    """A received webhook event; the first five are its key. A merge names the tickets that became one."""

    portal: str
    kind: str
    ticket_id: str
    event_id: str
    occurred: float | None
    received: float = 0.0
    parts: tuple[str, ...] = ()


def claim(ledger: Ledger, ids: Iterable[str], owner: str, seconds: float) -> list[Lease]:
    """In byte order of the ids, with what the channels were told (rules 1 and 2)."""
    due = [one for one in sorted(set(ids)) if is_due(ledger, ledger.tickets.get(one))]
    return [claim_one(ledger, one, owner, seconds) for one in due]


def is_due(ledger: Ledger, ticket: Ticket | None) -> bool:
    if ticket is None:
        return False
    if ticket.state == T.RETRY:
        return has_come(ledger, ticket.next_attempt_at)
    return ticket.state == T.FOUND or (
        ticket.state == T.CLAIMED and has_come(ledger, ticket.lease_expires_at)
    )


def has_come(ledger: Ledger, at: float | None) -> bool:
    return at is not None and at <= ledger.now


def claim_one(ledger: Ledger, ticket_id: str, owner: str, seconds: float) -> Lease:
    ticket = ledger.tickets[ticket_id]
    ticket.crashes += ticket.state == T.CLAIMED
    ticket.attempts += 1
    ticket.state, ticket.lease_owner, ticket.lease_expires_at = T.CLAIMED, owner, ledger.now + seconds
    cards = ledger.cards_of(ticket_id).items()
    known = {name: Known(card.state, card.attempts, card.decided_at) for name, card in cards}
    times = ticket.missing_since_at, ticket.ticket_created_at, ticket.creation_event_at
    has_parts = any(one.merged_into == ticket_id for one in ledger.tickets.values())
    of_row = ticket_id, owner, ticket.attempts, ticket.crashes
    return Lease(*of_row, known, *times, ticket.source, ledger.restored, has_parts)


def renew_leases(ledger: Ledger, ids: Iterable[str], owner: str, seconds: float) -> int:
    """A lease that ran out stays lost, and none is shortened."""
    renewed = 0
    for one in set(ids) & set(ledger.tickets):
        ticket, until = ledger.tickets[one], ledger.now + seconds
        mine = ticket.state == T.CLAIMED and ticket.lease_owner == owner
        if mine and ticket.lease_expires_at is not None and ledger.now < ticket.lease_expires_at <= until:
            ticket.lease_expires_at = until
            renewed += 1
    return renewed


def mine(ledger: Ledger, lease: Lease) -> Ticket | None:
    """The ticket while this very claim stands, be it expired: nobody else took it (rule 1)."""
    ticket = ledger.tickets.get(lease.ticket_id)
    if ticket is None or ticket.state != T.CLAIMED:
        return None
    return ticket if (ticket.lease_owner, ticket.attempts) == (lease.owner, lease.attempt) else None


def give_back(ledger: Ledger, ticket_id: str, delay: float, error: str | None = None) -> None:
    """To ``retry``. A verdict that nobody was told goes; one that a late ``sent`` may need stays."""
    ticket = ledger.tickets[ticket_id]
    ticket.state, ticket.lease_owner, ticket.lease_expires_at = T.RETRY, None, None
    ticket.next_attempt_at, ticket.last_error = ledger.now + delay, error or ticket.last_error
    if not any(card.state in MAYBE_TOLD for card in ledger.cards_of(ticket_id).values()):
        ticket.provider = ticket.success = None


def settle_skipped(ledger: Ledger, ticket: Ticket, reason: str) -> None:
    ticket.reason, ticket.provider, ticket.success = reason, "none", None
    settle(ledger, ticket, T.SKIPPED)


def settle_notified(ledger: Ledger, ticket: Ticket) -> None:
    ticket.reason, ticket.provider = None, ticket.provider or "none"
    settle(ledger, ticket, T.NOTIFIED)


def settle(ledger: Ledger, ticket: Ticket, state: str) -> None:
    ticket.state, ticket.processed_at = state, ledger.now
    ticket.lease_owner = ticket.lease_expires_at = None
    ledger.counts[ticket.source, ticket.provider or "", ticket.priority or "", state] += 1
