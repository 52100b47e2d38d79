"""Stories of what is held, looked for, restored or merged, which are rare by chance."""

from models.tickets import SkipReason, Source
from models.tickets import TicketState as T
from tests.store.ledger_model import DAY
from tests.store.ledger_rules import LedgerMachine
from tests.store.ledger_stories import BOTH, VERDICT, Story, answer, finish, send
from tests.store.ledger_world import CREATED, Sight


def held_and_confirmed(machine: LedgerMachine) -> None:
    hold_three(machine)
    for _ in range(3):
        machine.decide(0, again=False)


def held_and_sent_again(machine: LedgerMachine) -> None:
    hold_three(machine)
    for _ in range(3):
        machine.decide(0, again=True)
    answer(machine, 0, "sent")
    machine.keep_house("one", "end", ["9"], 60.0)


def one_of_two_sent_again(machine: LedgerMachine) -> None:
    """The channel that was told is not told again."""
    machine.configure(BOTH, 1, [], lost=False)
    send(machine, 0, "sent")
    machine.write_ahead(0, "discord", VERDICT, 60.0, on_trial=True)
    answer(machine, 0, "unknown")
    finish(machine, 0, "conclude")
    machine.decide(0, again=True)


def told_and_asked_about(machine: LedgerMachine) -> None:
    """Nobody holds it, so nobody releases it."""
    send(machine, 0, "sent")
    machine.decide(list(CREATED).index(machine.sends[0][0]), again=True)
    machine.decide(list(CREATED).index(machine.sends[0][0]), again=False)


def held_until_the_answer_came(machine: LedgerMachine) -> None:
    for which, told in enumerate(["sent", "not sent"]):
        send(machine, which, "unknown")
        finish(machine, which, "conclude")
        answer(machine, 0, told)


def sent_again_by_policy(machine: LedgerMachine) -> None:
    """Once."""
    machine.resends = True
    send(machine, 0, "unknown")
    finish(machine, 0, "conclude")
    machine.claim(list(CREATED), "two", 60.0)
    send(machine, 0, "unknown")
    finish(machine, 0, "conclude")


def old_and_not_forgotten(machine: LedgerMachine) -> None:
    """Created before the horizon and told all the same, for a creation event: kept until they are settled."""
    for which in range(4):
        finish(machine, which, "skip")
    machine.night(9 * DAY + 90, [], 7, 0.0, 100)
    machine.propose([Sight(one, dated=True, event=40.0) for one in CREATED], Source.WEBHOOK)
    machine.claim(["9", "10", "100"], "two", 60.0)
    send(machine, 0, "unknown")
    finish(machine, 0, "conclude")
    finish(machine, 1, "release")
    machine.night(9 * DAY + 90, [], 1, 0.0, 100)
    assert len(machine.tickets) == len(CREATED)


def kept_for_four_days(machine: LedgerMachine) -> None:
    """However short the retention is: a creation event may still come."""
    for which in range(4):
        finish(machine, which, "skip")
    machine.night(9 * DAY + 90, [], 1, 0.0, 100)
    machine.propose([Sight("20", dated=True, event=None)], Source.SWEEP)
    machine.night(DAY + 90, [], 1, 0.0, 100)
    assert machine.tickets


def looked_for(machine: LedgerMachine) -> None:
    for which in range(2):
        send(machine, which, "unknown")
        finish(machine, which, "conclude")
    machine.look_in_channel("console", found=False, delay=0.0)
    machine.claim(list(CREATED), "two", 60.0)
    send(machine, 0, "unknown")
    finish(machine, 0, "conclude")
    machine.look_in_channel("console", found=True, delay=0.0)


def looked_for_while_another_channel_is_told(machine: LedgerMachine) -> None:
    """The look began while nobody had the ticket; now a worker has it, and keeps it."""
    machine.configure(BOTH, 0, [], lost=False)
    send(machine, 0, "unknown")
    machine.write_ahead(0, "discord", VERDICT, 60.0, on_trial=True)
    answer(machine, 0, "unknown")
    finish(machine, 0, "conclude")
    machine.begin_to_look("console")
    answer(machine, 0, "not sent")
    machine.end_to_look(0, found=False, delay=0.0)
    machine.let_pass(60.0)
    machine.claim(["9"], "two", 60.0)
    machine.end_to_look(0, found=False, delay=0.0)
    assert machine.tickets["9"]["state"] == T.CLAIMED


def restored(machine: LedgerMachine) -> None:
    """Held whether a send was begun or not; due again where another channel may be told."""
    machine.restore(0.0)
    send(machine, 0, "not sent")
    for which in range(2):
        finish(machine, which, "hold", delay=60.0)
    machine.configure(BOTH, 0, [], lost=False)
    finish(machine, 2, "hold", delay=60.0)
    finish(machine, 3, "hold")
    machine.configure(BOTH, 0, None, lost=True)


def merged(machine: LedgerMachine) -> None:
    """While it was worked on or waited, and forgotten after what it is part of was told; then again."""
    finish(machine, 2, "release", delay=60.0)
    merge(machine, "9")
    send(machine, 0, "sent")
    machine.night(9 * DAY + 90, [], 7, 0.0, 100)
    assert not machine.tickets
    machine.propose([Sight("20", dated=False, event=None)], Source.SWEEP)
    merge(machine, "9")


def merged_into_one_too_old(machine: LedgerMachine) -> None:
    finish(machine, 0, "skip", SkipReason.BEFORE_ACTIVATION)
    merge(machine, "9")


def skipped_and_shown_as_one_with_the_told(machine: LedgerMachine) -> None:
    finish(machine, 0, "skip", SkipReason.OTHER_PIPELINE)
    send(machine, 1, "sent")
    merge(machine, "9")
    assert machine.tickets["9"]["merged_into"] == "20"


def merged_and_sent_after_all(machine: LedgerMachine) -> None:
    send(machine, 1, "not sent")
    merge(machine, "10")
    answer(machine, 0, "sent")
    merge(machine, "10")


def merged_when_two_were_told(machine: LedgerMachine) -> None:
    """The one that is told everywhere stays, though the other, which is on its way, has the lower id."""
    send(machine, 0, "sent")
    send(machine, 3)
    merge(machine, "9")
    assert machine.tickets["10"]["merged_into"] == "9"


def merged_while_all_were_on_their_way(machine: LedgerMachine) -> None:
    """The one that stays was not sent, so another opens again and waits for its own send."""
    for which in range(len(CREATED)):
        send(machine, which, "crash")
    merge(machine, "9")
    answer(machine, 0, "not sent")
    merge(machine, "9")


def merge(machine: LedgerMachine, new_id: str) -> None:
    machine.merge(new_id, few=False, dated=False, event=None, source=Source.SWEEP)


def hold_three(machine: LedgerMachine) -> None:
    for which, outcome in enumerate(["crash", "unknown", "refused"]):
        send(machine, which, outcome)
        finish(machine, which, "conclude")


HELD_STORIES: list[Story] = [
    held_and_confirmed,
    held_and_sent_again,
    one_of_two_sent_again,
    told_and_asked_about,
    held_until_the_answer_came,
    sent_again_by_policy,
    old_and_not_forgotten,
    kept_for_four_days,
    looked_for,
    looked_for_while_another_channel_is_told,
    restored,
    merged,
    merged_into_one_too_old,
    skipped_and_shown_as_one_with_the_told,
    merged_and_sent_after_all,
    merged_when_two_were_told,
    merged_while_all_were_on_their_way,
]
