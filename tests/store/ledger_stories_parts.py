"""Stories of merges of tickets that were told on different channels: each channel has one card of them."""

from functools import partial

from models.tickets import Source
from models.tickets import TicketState as T
from tests.store.ledger_rules import LedgerMachine
from tests.store.ledger_stories import BOTH, VERDICT, Story, answer, finish
from tests.store.ledger_stories_held import merge
from tests.store.ledger_stories_restored import work
from tests.store.ledger_world import Sight

OF_20, OF_10 = 1, 3  #: how many claims of ``begun`` come after these tickets'


def told_apart(machine: LedgerMachine, mine: str | None, theirs: str, end: str = "conclude") -> None:
    """10 is told on one channel and comes to ``mine`` on the other, where 20 comes to ``theirs``."""
    machine.configure(BOTH, 0, [], lost=False)
    tell(machine, OF_10, "console", "sent")
    if mine is not None:
        tell(machine, OF_10, "discord", mine)
    finish(machine, OF_10, end)
    tell(machine, OF_20, "discord", theirs)


def tell(machine: LedgerMachine, which: int, channel: str, outcome: str) -> None:
    machine.write_ahead(which, channel, VERDICT, 60.0, on_trial=True)
    answer(machine, 0, outcome)


def told_there_as_a_part(machine: LedgerMachine, mine: str | None) -> None:
    told_apart(machine, mine, "sent")
    merge(machine, "9")
    assert machine.cards["10", "discord"]["state"] == "sent"
    work(machine)
    assert machine.tickets["10"]["state"] == T.NOTIFIED


def in_doubt_there_as_a_part(machine: LedgerMachine, mine: str | None) -> None:
    """Its worker may be alive, so its lease is waited for; then a person decides."""
    told_apart(machine, mine, "crash")
    merge(machine, "9")
    assert machine.tickets["10"]["next_attempt_at"] == machine.tickets["20"]["lease_expires_at"]
    for _ in range(2):
        work(machine)
    assert machine.tickets["10"]["state"] == T.UNCONFIRMED
    machine.decide(0, again=True)
    work(machine)
    assert machine.tickets["10"]["state"] == T.NOTIFIED


def decided_before_the_part_came(machine: LedgerMachine) -> None:
    told_apart(machine, "unknown", "crash")
    machine.decide(0, again=True)
    merge(machine, "9")
    for _ in range(2):
        work(machine)
    assert machine.tickets["10"]["state"] == T.UNCONFIRMED


def claimed_as_the_part_came(machine: LedgerMachine) -> None:
    """Whoever had claimed it to tell it does not."""
    told_apart(machine, "not sent", "sent")
    machine.let_pass(60.0)
    machine.claim(["10"], "two", 60.0)
    merge(machine, "9")
    machine.write_ahead(0, "discord", VERDICT, 60.0, on_trial=True)
    assert len(machine.sends) == 3
    assert machine.tickets["10"]["state"] == T.RETRY


def on_its_way_as_what_was_gone_became_it(machine: LedgerMachine, shown: bool) -> None:
    """10 is gone, and maybe shown again; 20 is being told on the channel that 10 was not told on."""
    told_apart(machine, None, "crash", end="skip")
    if shown:
        machine.propose([Sight("10", dated=True, event=None)], Source.POLL)
    assert machine.tickets["10"]["state"] == (T.FOUND if shown else T.SKIPPED)
    merge(machine, "9")
    assert machine.tickets["10"]["state"] == T.RETRY
    assert machine.tickets["10"]["next_attempt_at"] == machine.tickets["20"]["lease_expires_at"]


PARTS_STORIES: list[Story] = [
    *(partial(told_there_as_a_part, mine=mine) for mine in (None, "not sent", "unknown", "refused")),
    *(partial(in_doubt_there_as_a_part, mine=mine) for mine in (None, "not sent")),
    decided_before_the_part_came,
    claimed_as_the_part_came,
    *(partial(on_its_way_as_what_was_gone_became_it, shown=shown) for shown in (False, True)),
]
