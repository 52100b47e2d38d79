"""The real ledger beside its plain model: each step is taken on both, and then everything is compared."""

from collections import Counter
from collections.abc import Collection
from typing import Any, TypeVar

from hypothesis import reject
from hypothesis.stateful import RuleBasedStateMachine

from models.claims import Claim
from models.database import connection
from models.deliveries import DeliveryState as D
from models.tickets import TicketState as T
from tests.store import ledger_mirror as mirror
from tests.store.ledger_mirror import Rows
from tests.store.ledger_model import SETTLED, Lease, Ledger, mine
from tests.store.ledger_model_sends import written_attempt
from tests.store.ledger_moves import DELIVERY_MOVES, TICKET_MOVES
from tests.store.ledger_truth import Truth

R = TypeVar("R")
CHANNELS = ("console", "discord")
#: How often each move was seen: kind of row, state before and after, function.
SEEN: Counter[tuple[str, str | None, str | None, str]] = Counter()
COUNTED: Counter[str] = Counter()
KNOWN = {
    (kind, *one)
    for kind, table in (("ticket", TICKET_MOVES), ("delivery", DELIVERY_MOVES))
    for move in table
    for one in move.each()
}


class ComparedLedger(RuleBasedStateMachine):
    """``claims`` and ``sends`` are all that were ever given out: a worker may come back with an old one."""

    def __init__(self) -> None:
        super().__init__()
        mirror.empty_tables()
        self.time = mirror.Timeline.start()
        self.model = Ledger()
        self.claims: list[tuple[Claim, Lease]] = []
        self.sends: list[tuple[str, str, int]] = []
        self.truth = Truth()
        self.configured: tuple[str, ...] = ("console",)
        self.resends = False  #: UNCONFIRMED_POLICY
        self.went_back = False  #: to a backup: what was told after it stands nowhere
        self.tickets: Rows = {}
        self.cards: Rows = {}
        COUNTED["examples"] += 1

    def agree(self, made_by: str, answered: R, expected: object) -> R:
        """After a step: both answered the same and hold the same; what changed is a move that we know.

        Returns the answer.
        """
        COUNTED["steps"] += 1
        if self.time.is_late():
            reject()
        assert answered == expected, f"{made_by} answered {answered}, the model {expected}"
        with connection():
            tickets, cards = mirror.read_tickets(self.time), mirror.read_cards(self.time)
            around = mirror.read_surroundings(self.time)
        note_moves("ticket", made_by, self.tickets, tickets)
        note_moves("delivery", made_by, self.cards, cards)
        self.check(made_by, tickets, cards)
        same(
            mirror.without_leftovers(tickets),
            mirror.without_leftovers(mirror.modelled_rows(self.model.tickets)),
        )
        same(cards, mirror.modelled_rows(self.model.cards))
        same(around, mirror.modelled_surroundings(self.model))
        self.truth.release(self.tickets.keys() - tickets.keys(), CHANNELS)  # forgotten
        self.tickets, self.cards = tickets, cards
        return answered

    def taken(self, which: int) -> tuple[Claim, Lease]:
        """The ``which``-th last claim."""
        return self.claims[-1 - which % len(self.claims)]

    def check(self, made_by: str, tickets: Rows, cards: Rows) -> None:
        """What must hold of any ledger, whatever the model says."""
        for one, row in tickets.items():
            assert (row["lease_owner"] is not None) == (row["state"] == T.CLAIMED), (
                f"{one} has a lease: {row}"
            )
            assert row["state"] not in SETTLED or row["provider"], f"{one} was settled by nobody: {row}"
            assert not leads_to_itself(tickets, one), f"{one} is part of itself"
            assert row["attempts"] >= self.tickets.get(one, row)["attempts"]
        for key, card in cards.items():
            assert key[0] in tickets, f"{key} has no ticket"
            before = self.cards.get(key)
            began = card["attempts"] - (before["attempts"] if before else 0)
            assert began in (0, made_by == "write_ahead.begin_delivery"), f"{key} began {began} sends"
            assert before is None or before["state"] != D.SENT or card["state"] == D.SENT, f"{key} was sent"

    def licensed(self, lease: Lease, channel: str, attempt: int, group: Collection[str]) -> None:
        """A send was begun: the claim stood, unexpired, and nobody may have been told (P1, rule 3)."""
        row, key = self.tickets[lease.ticket_id], (lease.ticket_id, channel)
        assert (row["state"], row["lease_owner"], row["attempts"]) == (T.CLAIMED, lease.owner, lease.attempt)
        assert row["lease_expires_at"] > self.model.now
        self.truth.begin(key, attempt, group)
        self.sends.append((*key, attempt))

    def cleared_by(self, lease: Lease, channel: str) -> None:
        """Its worker is about to give up what this claim wrote ahead, while the claim stands."""
        if mine(self.model, lease) is not None:
            self.truth.clear((lease.ticket_id, channel), written_attempt(lease, channel))


def leads_to_itself(tickets: Rows, ticket_id: str) -> bool:
    into = tickets[ticket_id]["merged_into"]
    for _ in tickets:
        if into == ticket_id:
            return True
        into = tickets[into]["merged_into"] if into in tickets else None
    return False


def same(real: Any, modelled: Any) -> None:
    """The smallest part that differs, not two whole ledgers."""
    for key in {**real, **modelled} if real != modelled else ():
        ours, theirs = real.get(key), modelled.get(key)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            ours, theirs = (
                dict(side.items() - other.items()) for side, other in ((ours, theirs), (theirs, ours))
            )
        assert ours == theirs, f"{key}: the ledger has {ours}, the model {theirs}"


def note_moves(kind: str, made_by: str, before: Rows, after: Rows) -> None:
    for key in {**before, **after}:
        old, new = before.get(key), after.get(key)
        was, became = old and old["state"], new and new["state"]
        claimed_again = old and new and old["attempts"] != new["attempts"]
        if was != became or claimed_again:
            moves = [(kind, was, became, one) for one in made_by.split()]
            seen = next((one for one in moves if one in KNOWN), None)
            assert seen is not None, f"{kind} {key}: {made_by} moved it from {was} to {became}"
            SEEN[seen] += 1
