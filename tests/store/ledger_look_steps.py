"""The steps of looks, of workers that ask HubSpot first, and of restores, on the ledger and on its model."""

from collections.abc import Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass

import pytest

from models import barrier, looks
from models.claims import Claim
from models.errors import BarrierRefused, LedgerUnused
from models.looks import Doubt
from models.tickets import Source
from tests.store import ledger_mirror as mirror
from tests.store import ledger_model_looks as model_looks
from tests.store.ledger_held_steps import HeldSteps
from tests.store.ledger_model import Lease, Ledger
from tests.store.ledger_model_merges import Merged
from tests.store.ledger_model_sends import PLACE
from tests.store.ledger_world import CREATED


@dataclass(frozen=True)
class Backup:
    rows: mirror.Saved
    model: Ledger


class LookSteps(HeldSteps):
    """``seen`` is what the last look on each channel was to look for; it may decide long after."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, list[Doubt]] = {}
        self.backup: Backup | None = None

    # -- looks ------------------------------------------------------------------------------------------

    def see_doubts(self, channel: str) -> None:
        self.seen[channel] = looks.find_doubts(channel)
        doubts = {one.ticket_id: self.modelled(one) for one in self.seen[channel]}
        self.agree("looks.find_doubts", doubts, model_looks.find_doubts(self.model, channel))
        sent = dict(looks.list_sent(channel, PLACE, len(CREATED)))
        self.agree("looks.list_sent", sent, model_looks.list_sent(self.model, channel, PLACE))

    def modelled(self, doubt: Doubt) -> model_looks.Doubt:
        seconds = mirror.GRID * (doubt.seconds // mirror.GRID)
        times = self.time.told(doubt.first_at), seconds
        assert len(doubt.parts) == len({*doubt.parts})
        return model_looks.Doubt(doubt.attempt, doubt.place, doubt.nonce, *times, frozenset(doubt.parts))

    def decide_doubts(self, channel: str, found: bool, delay: float) -> None:
        """A look decides each card that it was to look for, and says the same once more.

        What is known to be there it finds; of the others ``found`` says whether they are.
        """
        for one in self.seen[channel] * 2:
            if found or self.truth.is_there((one.ticket_id, *one.parts), channel):
                self.record((one.ticket_id, channel, one.attempt), "found", "", 0.0)
            else:
                self.find_absent(one, channel, delay)

    def find_absent(self, doubt: Doubt, channel: str, delay: float) -> None:
        decided = doubt.ticket_id, channel, doubt.attempt, delay, doubt.parts
        expected = model_looks.decide_absent(self.model, *decided)
        if self.agree("looks.decide_absent", looks.decide_absent(*decided), expected):
            self.truth.release((doubt.ticket_id, *doubt.parts), [channel])

    # -- merges -----------------------------------------------------------------------------------------

    def ask_hubspot(self, claim: Claim, lease: Lease) -> set[str] | None:
        """What the claimed ticket is one with; None where another of these is told, or was (rule 11)."""
        group = self.truth.group_of(claim.ticket_id)
        newest, *parts = sorted(group, key=CREATED.__getitem__, reverse=True)
        if parts:
            merge = Merged(newest, tuple(parts), min(CREATED[one] for one in group))
            joined = self.join_parts(merge, Source(lease.source or Source.POLL))
            if joined.survivor != claim.ticket_id:
                return None
            if joined.released:
                return None
        return group

    # -- restores ---------------------------------------------------------------------------------------

    def raise_barrier(self, restored: float) -> None:
        expected = model_looks.raise_barrier(self.model, restored)
        with nullcontext() if expected is not None else pytest.raises((BarrierRefused, LedgerUnused)):
            raised = barrier.raise_barrier(self.time.stored(restored)).raised
            assert raised == expected
        self.agree("barrier.raise_barrier", None, None)

    def hold_behind_barrier(self, claim: Claim, lease: Lease, looking: Sequence[str]) -> bool:
        """As a worker does before it tells anybody; the channels of ``looking`` can look."""
        doubtful = self.behind_barrier(claim, lease, self.untold(lease))
        if doubtful:
            places = {one: PLACE if one in looking else None for one in doubtful}
            self.hold_restored(claim, lease, places)
        return bool(doubtful)

    def back_up(self) -> None:
        self.backup = Backup(mirror.save_tables(), deepcopy(self.model))

    def go_back(self) -> None:
        """To the backup, behind a barrier; the workers of before are gone, what they sent is not."""
        backup = self.backup
        assert backup is not None
        mirror.restore_tables(backup.rows, self.model.now - backup.model.now)
        self.model, now = deepcopy(backup.model), self.model.now
        self.model.now = now
        self.tickets, self.cards = mirror.read_tickets(self.time), mirror.read_cards(self.time)
        self.claims, self.sends, self.seen, self.went_back = [], [], {}, True
        self.agree("restore", None, None)
        self.raise_barrier(now)
