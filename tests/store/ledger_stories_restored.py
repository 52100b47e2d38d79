"""Stories of restored backups, of looks that take long, and of merges that come before or after them."""

from models.tickets import SkipReason, Source
from models.tickets import TicketState as T
from tests.store.ledger_model import DAY
from tests.store.ledger_rules import LedgerMachine
from tests.store.ledger_stories import VERDICT, Story, answer, finish, send
from tests.store.ledger_stories_held import merge
from tests.store.ledger_world import CREATED, Sight


def tell_after_a_backup(machine: LedgerMachine) -> None:
    machine.keep_house("one", "end", ["9"], 60.0)
    machine.make_backup()
    machine.claim(["20"], "one", 60.0)
    send(machine, 0, "sent")


def told_after_the_backup(machine: LedgerMachine) -> None:
    """Held, whatever became of it; a look finds what is there, and the others are told."""
    machine.keep_house("one", "end", ["9"], 60.0)
    machine.make_backup()
    work(machine, "sent", "unknown", "crash", "not sent")
    machine.restore_backup()
    work(machine)
    assert states(machine) == {T.UNCONFIRMED}
    machine.look_in_channel("console", found=False, delay=0.0)
    assert states(machine) == {T.NOTIFIED, T.RETRY}
    work(machine)
    assert states(machine) == {T.NOTIFIED}


def told_as_a_part_after_the_backup(machine: LedgerMachine) -> None:
    """The look asks for that one's card, too."""
    tell_after_a_backup(machine)
    merge(machine, "100")
    machine.restore_backup()
    work(machine)
    assert machine.tickets["20"]["merged_into"] == "100"
    work(machine)
    machine.look_in_channel("console", found=False, delay=0.0)
    assert machine.tickets["100"]["state"] == T.NOTIFIED


def told_as_a_part_of_a_part(machine: LedgerMachine) -> None:
    tell_after_a_backup(machine)
    machine.restore_backup()
    merge(machine, "100")
    merge(machine, "10")
    work(machine)
    machine.look_in_channel("console", found=False, delay=0.0)
    assert machine.tickets["10"]["state"] == T.NOTIFIED


def hold_after_a_restore(machine: LedgerMachine) -> None:
    tell_after_a_backup(machine)
    machine.restore_backup()
    machine.claim(["100"], "two", 60.0)
    finish(machine, 0, "hold")


def claim_what_a_look_decided(machine: LedgerMachine) -> None:
    hold_after_a_restore(machine)
    machine.look_in_channel("console", found=False, delay=0.0)
    machine.claim(["100"], "two", 60.0)


def a_part_that_the_look_did_not_know(machine: LedgerMachine) -> None:
    hold_after_a_restore(machine)
    machine.begin_to_look("console")
    merge(machine, "100")
    machine.end_to_look(0, found=False, delay=0.0)
    assert machine.tickets["100"]["state"] == T.UNCONFIRMED
    machine.look_in_channel("console", found=False, delay=0.0)
    assert machine.tickets["100"]["state"] == T.NOTIFIED


def a_part_that_the_decision_did_not_know(machine: LedgerMachine) -> None:
    """Whoever had claimed it to tell it does not."""
    claim_what_a_look_decided(machine)
    merge(machine, "100")
    machine.write_ahead(0, "console", VERDICT, 60.0, on_trial=True)
    assert not machine.sends
    work(machine)
    assert machine.tickets["100"]["state"] == T.UNCONFIRMED
    machine.look_in_channel("console", found=False, delay=0.0)
    assert machine.tickets["100"]["state"] == T.NOTIFIED


def a_part_that_came_while_a_card_was_sent(machine: LedgerMachine) -> None:
    """It was not, and the part's card is there."""
    claim_what_a_look_decided(machine)
    machine.write_ahead(0, "console", VERDICT, 60.0, on_trial=True)
    merge(machine, "100")
    answer(machine, 1, "not sent")
    work(machine)
    assert machine.tickets["100"]["state"] == T.UNCONFIRMED


def a_part_of_what_came_into_doubt_since(machine: LedgerMachine) -> None:
    claim_what_a_look_decided(machine)
    send(machine, 0, "unknown")
    finish(machine, 0, "conclude")
    merge(machine, "100")
    machine.look_in_channel("console", found=False, delay=0.0)
    assert machine.tickets["100"]["state"] == T.NOTIFIED


def in_doubt_at_the_backup(machine: LedgerMachine) -> None:
    """Its parts are asked for, too; the card of another ticket is not its own."""
    send(machine, 2, "unknown")
    finish(machine, 2, "conclude")
    send(machine, 0, "unknown")
    finish(machine, 0, "conclude")
    merge(machine, "100")
    machine.make_backup()
    machine.begin_to_look("console")
    machine.restore_backup()
    machine.begin_to_look("console")
    machine.end_to_look(0, found=False, delay=60.0)
    machine.begin_to_look("console")


def restored_again(machine: LedgerMachine) -> None:
    """What was decided before is in doubt again; the barrier does not fall."""
    for _ in range(2):
        machine.let_pass(60.0)
        machine.restore(0.0)
        machine.restore(600.0)
        work(machine)
        assert states(machine) == {T.UNCONFIRMED}
        machine.look_in_channel("console", found=False, delay=0.0)
    work(machine)
    assert states(machine) == {T.NOTIFIED}


def restored_before_it_was_created(machine: LedgerMachine) -> None:
    """It is told; older ones are held."""
    machine.let_pass(60.0)
    machine.restore(600.0)
    work(machine)
    told = {one for one, row in machine.tickets.items() if row["state"] == T.NOTIFIED}
    assert told == {"9"}


def looked_for_from_the_first_send(machine: LedgerMachine) -> None:
    """Whichever of them it was that arrived."""
    send(machine, 0, "not sent")
    finish(machine, 0, "conclude")
    machine.let_pass(60.0)
    machine.claim(["9"], "two", 60.0)
    send(machine, 0, "unknown")
    finish(machine, 0, "conclude")
    machine.let_pass(60.0)
    machine.begin_to_look("console")
    (doubt,) = machine.seen["console"]
    assert (machine.time.told(doubt.first_at), int(doubt.seconds) // 10) == (0.0, 6)


def looked_for_too_late(machine: LedgerMachine) -> None:
    """A person decided meanwhile, and it was sent again: that look does not mean this send."""
    send(machine, 0, "unknown")
    finish(machine, 0, "conclude")
    machine.begin_to_look("console")
    machine.decide(0, again=True)
    machine.end_to_look(0, found=False, delay=0.0)
    machine.claim(["9"], "two", 60.0)
    send(machine, 0, "unknown")
    machine.end_to_look(0, found=False, delay=0.0)
    finish(machine, 0, "conclude")
    machine.end_to_look(0, found=False, delay=0.0)
    assert machine.tickets["9"]["state"] == T.UNCONFIRMED


def one_with_what_is_being_sent(machine: LedgerMachine) -> None:
    """Its worker asks HubSpot, and tells nobody."""
    send(machine, 1)
    machine.truth.merge(["20", "9"])
    machine.let_pass(60.0)
    work(machine)
    assert machine.tickets["9"]["merged_into"] == "20"


def the_lower_of_two_in_doubt(machine: LedgerMachine) -> None:
    for which in (1, 3):
        send(machine, which, "unknown")
        finish(machine, which, "conclude")
    merge(machine, "9")
    assert machine.tickets["9"]["merged_into"] == "10"


def the_gap_is_the_evidence(machine: LedgerMachine) -> None:
    """Told and forgotten, while what became part of it stays: its row does not come back by a merge."""
    forget_told(machine)
    merge(machine, "10")
    assert "20" not in machine.tickets
    assert machine.tickets["10"]["merged_into"] == "100"


def back_in_its_gap(machine: LedgerMachine) -> None:
    """The same, but then it is shown again."""
    forget_told(machine)
    machine.propose([Sight("20", dated=False, event=None)], Source.WEBHOOK)
    merge(machine, "10")
    assert machine.tickets["10"]["merged_into"] == "20"


def forget_told(machine: LedgerMachine) -> None:
    """20 was told first, and 100 merged into it much later."""
    send(machine, 1, "sent")
    for _ in range(5):
        machine.let_pass(DAY + 90)
    merge(machine, "100")
    machine.night(5 * DAY + 90, [], 7, 0.0, 100)
    assert "20" not in machine.tickets


def work(machine: LedgerMachine, *cards: str) -> None:
    """By a worker with all that is due, and with what was left to one that is gone."""
    machine.let_pass(60.0)
    machine.work("two", VERDICT, list(cards) or ["sent"], "conclude", SkipReason.GONE)


def states(machine: LedgerMachine) -> set[str]:
    return {machine.tickets[one]["state"] for one in CREATED}


RESTORED_STORIES: list[Story] = [
    told_after_the_backup,
    told_as_a_part_after_the_backup,
    told_as_a_part_of_a_part,
    a_part_that_the_look_did_not_know,
    a_part_that_the_decision_did_not_know,
    a_part_that_came_while_a_card_was_sent,
    a_part_of_what_came_into_doubt_since,
    in_doubt_at_the_backup,
    restored_again,
    restored_before_it_was_created,
    looked_for_from_the_first_send,
    looked_for_too_late,
    one_with_what_is_being_sent,
    the_lower_of_two_in_doubt,
    the_gap_is_the_evidence,
    back_in_its_gap,
]
