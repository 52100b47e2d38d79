"""How a world ended for one ticket: the ledger's rows, those it forgot, and what truth says of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.simulation.clock import DAY
from tests.simulation.ledger import Outside
from tests.simulation.truth import FOREVER, Send, TrueTicket, Truth, Word

EVENT_COUNTS = 4 * DAY
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Settled:
    """A row as it stands, or as retention deleted it ``at`` that time; ``settled_at`` is the ledger's."""

    state: str
    reason: str | None
    settled_at: float
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Ending:
    """``row`` is None where the ledger has none (now).

    ``drained`` are creation events: when each occurred and was drained, and whether a restore took that away,
    since the backup is older.
    """

    ticket: TrueTicket
    row: Row | None
    deliveries: list[Row]
    forgotten: list[Settled]
    drained: list[tuple[float, float, bool]]
    sends: list[Send]
    words: list[Word]
    doubted: list[float]
    activated_at: float

    def sends_on(self, channel: str) -> list[Send]:
        return [send for send in self.sends if send.channel == channel]

    def cards_on(self, channel: str) -> list[Send]:
        """In the order in which their sends began."""
        return [send for send in self.sends_on(channel) if send.stored_at is not None]

    @property
    def cards(self) -> list[Send]:
        return [send for send in self.sends if send.stored_at is not None]

    @property
    def forgotten_at(self) -> float:
        return min((one.at for one in self.forgotten), default=FOREVER)

    @property
    def is_young(self) -> bool:
        return self.ticket.created_at >= self.activated_at

    @property
    def counts(self) -> bool:
        """Whether a creation event overrode activation and horizon (design §5)."""
        return bool(self._counting())

    @property
    def event_is_known(self) -> bool:
        """And its row, if it had one that retention deleted, came after that."""
        forgotten_at = max((one.at for one in self.forgotten), default=0.0)
        return any(at > forgotten_at and not lost for at, lost in self._counting())

    @property
    def event_is_lost(self) -> bool:
        """Such an event is in no ledger any more: HubSpot had its 200, and repeats nothing."""
        return self.counts and all(lost for _, lost in self._counting())

    def _counting(self) -> list[tuple[float, bool]]:
        return [
            (at, lost)
            for occurred, at, lost in self.drained
            if occurred > max(self.activated_at, at - EVENT_COUNTS)
        ]


def read_endings(truth: Truth, outside: Outside) -> list[Ending]:
    rows = {row["ticket_id"]: row for row in outside.rows("SELECT * FROM processed_tickets")}
    deliveries = by_ticket(outside.rows("SELECT * FROM deliveries"))
    forgotten = by_ticket(outside.rows("SELECT * FROM sim_forgotten ORDER BY at"))
    drained = by_ticket(outside.rows("SELECT * FROM sim_drained WHERE event_type = 'creation'"))
    return [
        Ending(
            ticket,
            rows.get(one),
            deliveries.get(one, []),
            [settled_of(row, seconds(row["at"])) for row in forgotten.get(one, [])],
            [
                (seconds(row["occurred_at"]), seconds(row["at"]), bool(row["lost"]))
                for row in drained.get(one, [])
            ],
            truth.sends.get(one, []),
            truth.words.get(one, []),
            truth.doubted.get(one, []),
            truth.activated_at,
        )
        for one, ticket in truth.tickets.items()
    ]


def settled_of(row: Row, at: float = 0.0) -> Settled:
    return Settled(row["state"], row["reason"], seconds(row["processed_at"]), at)


def by_ticket(rows: list[Row]) -> dict[str, list[Row]]:
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row["ticket_id"], []).append(row)
    return grouped


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
