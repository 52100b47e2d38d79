"""Stories of claims and sends that are rare by chance; each of their steps is compared as any other."""

from collections.abc import Callable
from functools import partial

from models.tickets import SkipReason, Source
from tests.store.ledger_model import DAY, Verdict
from tests.store.ledger_rules import LedgerMachine
from tests.store.ledger_world import CREATED, Sight

BOTH = ("console", "discord")
VERDICT = Verdict("local", "low", 400, 0.0)
ANSWERS = ("sent", "not sent", "unknown", "refused")
Story = Callable[[LedgerMachine], None]


def begun() -> LedgerMachine:
    """A ledger that knows all tickets, each claimed by one worker."""
    machine = LedgerMachine()
    machine.start(opened=True, seen=[Sight(one, dated=False, event=None) for one in CREATED], resends=False)
    machine.claim(list(CREATED), "one", 60.0)
    return machine


def send(machine: LedgerMachine, which: int, *outcomes: str) -> None:
    """Of the ``which``-th last claim: the first channel is written ahead, and what came of it is recorded."""
    machine.write_ahead(which, machine.configured[0], VERDICT, 60.0, on_trial=True)
    answer(machine, 0, *outcomes)


def answer(machine: LedgerMachine, which: int, *outcomes: str) -> None:
    """What came of the ``which``-th last send."""
    machine.outcome([(which, outcome) for outcome in outcomes], "5xx", 60.0)


def finish(
    machine: LedgerMachine,
    which: int,
    how: str,
    reason: SkipReason = SkipReason.GONE,
    delay: float = 0.0,
) -> None:
    machine.finish([(which, how)], reason, delay, "5xx")


def overtaken(machine: LedgerMachine) -> None:
    """By another claim of the same worker, and then of another: the old one can do nothing."""
    for owner in ("one", "two"):
        machine.let_pass(60.0)
        send(machine, 0)  # its lease ran out
        machine.claim(list(CREATED), owner, 60.0)
        for end in ("conclude", "abandon", "abandon delivery", "skip", "hold", "release"):
            finish(machine, len(CREATED), end)
        send(machine, len(CREATED))


def kept(machine: LedgerMachine) -> None:
    """A lease is renewed by its owner, while it lasts, and never shortened."""
    machine.let_pass(60.0)
    machine.keep_house("one", "renew", list(CREATED), 300.0)
    machine.claim(list(CREATED), "one", 300.0)
    for owner, seconds in (("one", 60.0), ("two", 300.0), ("one", 300.0)):
        machine.let_pass(30.0)
        machine.keep_house(owner, "renew", list(CREATED), seconds)


def not_to_be_sent(machine: LedgerMachine) -> None:
    """The delivery is not as its claimant read it, or its channel is paused."""
    send(machine, 0, "not sent")
    send(machine, 0)
    machine.switch("console", "unknown")
    machine.write_ahead(1, "console", VERDICT, 60.0, on_trial=False)
    assert len(machine.sends) == 1


def sent_after_all(machine: LedgerMachine) -> None:
    """Skipped while it was being sent, shown again, and then the answer comes."""
    send(machine, 0)
    finish(machine, 0, "skip")
    machine.propose([Sight(machine.sends[0][0], dated=True, event=None)], Source.POLL)
    answer(machine, 0, "sent")


def skipped_and_sent_after_all(machine: LedgerMachine) -> None:
    """That does not make it a ticket that is to be told."""
    send(machine, 0)
    finish(machine, 0, "skip")
    answer(machine, 0, "sent")


def a_channel_less_in_doubt(machine: LedgerMachine) -> None:
    """What may have been sent there still counts."""
    send(machine, 0, "unknown")
    machine.configure(("discord",), 1, [], lost=False)
    send(machine, 0, "sent")
    finish(machine, 0, "conclude")


def a_channel_less(machine: LedgerMachine) -> None:
    """The one that is left was told: the end of the claim settles."""
    for which, end in enumerate(["conclude", "abandon", "hold"]):
        machine.configure(BOTH, 1, [], lost=False)
        send(machine, which, "sent")
        machine.configure(("console",), 1, [], lost=False)
        finish(machine, which, end)


def given_up(machine: LedgerMachine) -> None:
    """Before the first byte, with another channel in doubt or not, or configured no more."""
    for which, end in enumerate(["abandon", "abandon delivery"]):
        send(machine, which)
        finish(machine, which, end)
    send(machine, 2, "unknown")
    finish(machine, 2, "abandon")


def too_old(machine: LedgerMachine) -> None:
    """Unless a creation event says otherwise meanwhile."""
    machine.propose([Sight("9", dated=True, event="creation")], Source.WEBHOOK)
    for which in range(4):
        finish(machine, which, "skip", SkipReason.BEFORE_ACTIVATION)
    machine.claim(["9"], "one", 60.0)
    finish(machine, 0, "skip", SkipReason.OTHER_PIPELINE)
    machine.night(9 * DAY + 90, [], 7, 0.0, 100)
    machine.propose([Sight("9", dated=True, event=None)], Source.SWEEP)


def forgotten_whatever_was_sent(machine: LedgerMachine) -> None:
    for which, outcome in enumerate(["not sent", "crash", "unknown", "refused"]):
        send(machine, which, outcome)
        finish(machine, which, "skip")
    machine.night(9 * DAY + 90, [], 7, 0.0, 100)
    assert not machine.cards


def shown_again_long_after(machine: LedgerMachine) -> None:
    """It was told and forgotten, and counts its claims from 1 again: the first worker is still not meant."""
    send(machine, 0, "sent")
    for which in (1, 2, 3):
        finish(machine, which, "skip")
    machine.night(9 * DAY + 90, [], 7, 0.0, 100)
    assert not machine.tickets
    machine.propose([Sight(machine.sends[0][0], dated=False, event=None)], Source.SWEEP)
    machine.claim([machine.sends[0][0]], "two", 60.0)
    send(machine, 1)
    finish(machine, 1, "conclude")


def answered_twice(machine: LedgerMachine, first: str) -> None:
    for which, second in enumerate(ANSWERS):
        send(machine, which, first, second)


def answered_late(machine: LedgerMachine, second: str) -> None:
    """Of the first send, while the next one is under way or over."""
    for which, late in enumerate(ANSWERS):
        send(machine, 2 * which, "not sent")
        machine.send_minimal_card(2 * which, "console", VERDICT)
        answer(machine, 0, second)
        answer(machine, 1, late)


STORIES: list[Story] = [
    overtaken,
    kept,
    not_to_be_sent,
    sent_after_all,
    skipped_and_sent_after_all,
    a_channel_less_in_doubt,
    a_channel_less,
    given_up,
    too_old,
    forgotten_whatever_was_sent,
    shown_again_long_after,
    *(partial(answered_twice, first=first) for first in ANSWERS),
    *(partial(answered_late, second=second) for second in ("crash", *ANSWERS)),
]
