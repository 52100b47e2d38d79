"""The judge tells what nature takes from what the product loses, by its cause."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from models.database import connection, transaction
from models.inbox import EventType, WebhookEvent
from tests.simulation.absence import judge_absence
from tests.simulation.checks import is_skipped_for_age, refute_reason
from tests.simulation.clock import DAY, HOUR, to_text
from tests.simulation.ending import Ending, Row, Settled, read_endings
from tests.simulation.groups import PART_RESENT, Group, explain_cards, find_unknown_parts, judge_group
from tests.simulation.ledger import ledgers
from tests.simulation.residuals import POLICY, WRONG_RESEND, explain_doubles
from tests.simulation.seams import BOT, WEBHOOK
from tests.simulation.told import is_told
from tests.simulation.truth import Send, TrueTicket, Word
from tests.simulation.world import World


@pytest.fixture
def world() -> Iterator[World]:
    """One that nobody lives through: a ledger, and the truth as a test tells it."""
    with ledgers() as made, made.new() as outside:
        made_up = World(1, outside)
        made_up.shape = replace(made_up.shape, pipelines=(), channels=(BOT,))
        made_up.truth.activated_at = made_up.time.now - HOUR
        yield made_up


def add_ticket(world: World, ticket_id: str, parts: tuple[str, ...] = (), age: float = 0.0) -> TrueTicket:
    now = world.time.now
    ticket = TrueTicket(ticket_id, now - age, now, now, [(now, "0")], parts=parts)
    world.truth.tickets[ticket_id] = ticket
    for part in parts:
        world.truth.tickets[part].merged_into = ticket_id
        world.truth.tickets[part].merged_at = now
    return ticket


def ending_of(world: World, ticket_id: str) -> Ending:
    (found,) = [one for one in read_endings(world.truth, world.outside) if one.ticket.ticket_id == ticket_id]
    return found


def absence(world: World, ticket_id: str) -> list[str]:
    return list(judge_absence(world, ending_of(world, ticket_id)))


def test_a_page_that_was_stored_and_left_no_row_is_a_loss_whatever_became_of_the_ticket(world: World) -> None:
    add_ticket(world, "1")
    world.truth.show(["1"], to="poll")
    world.truth.keep_page(of="poll")
    world.truth.cut_off_page(of="poll")
    add_ticket(world, "2", parts=("1",))
    assert absence(world, "1") == ["lost: a search showed it, and the ledger never knew it"]


def test_a_page_that_was_cut_off_must_come_again_while_the_ticket_is_there(world: World) -> None:
    add_ticket(world, "1", age=30 * DAY)
    world.truth.show(["1"], to="poll")
    world.truth.cut_off_page(of="sweep")
    assert absence(world, "1") == ["lost: a search showed it, and the ledger never knew it"]
    world.truth.cut_off_page(of="poll")
    assert absence(world, "1") == ["lost: the look that showed it was cut off, and none showed it again"]
    add_ticket(world, "2", parts=("1",))
    assert absence(world, "1") == []


def test_another_look_that_was_stored_counts_beside_one_that_was_cut_off(world: World) -> None:
    add_ticket(world, "1")
    for look in ("poll", "sweep"):
        world.truth.show(["1"], to=look)
    world.truth.cut_off_page(of="poll")
    world.truth.keep_page(of="sweep")
    add_ticket(world, "2", parts=("1",))
    assert absence(world, "1") == ["lost: a search showed it, and the ledger never knew it"]


def skipped_row(created_at: float | None) -> Row:
    text = None if created_at is None else to_text(created_at)
    return {"state": "skipped", "reason": "beyond memory", "ticket_created_at": text}


def group_of(world: World, part_row: Row | None) -> Group:
    add_ticket(world, "1")
    part = world.truth.tickets["1"]
    part.first_shown_at = world.time.now - 1
    add_ticket(world, "2", parts=("1",), age=30 * DAY)
    members = {one: ending_of(world, one) for one in ("1", "2")}
    members["1"] = replace(members["1"], row=part_row)
    members["2"] = replace(members["2"], row=skipped_row(None))
    return Group(members["2"], members)


def test_a_part_that_the_ledger_never_knew_is_a_residual_and_one_that_it_found_is_a_loss(
    world: World,
) -> None:
    unknown = group_of(world, None)
    assert [one.ticket.ticket_id for one in find_unknown_parts(unknown, is_ours=True)] == ["1"]
    assert list(judge_group(unknown, is_ours=True)) == []
    found = group_of(world, skipped_row(world.time.now) | {"state": "merged"})
    assert find_unknown_parts(found, is_ours=True) == []
    assert list(judge_group(found, is_ours=True)) == [
        "skipped as beyond memory, and its part 1 was to be told"
    ]


def drain(world: World, ticket_id: str, occurred_at: float) -> None:
    event = {"portal_id": "1", "event_type": EventType.CREATION, "object_id": ticket_id}
    with connection(), transaction():
        WebhookEvent.create(**event, occurred_at=datetime.fromtimestamp(occurred_at, UTC))
        WebhookEvent.delete().execute()


def test_a_restore_takes_away_the_events_that_were_drained_since_the_backup(world: World) -> None:
    add_ticket(world, "1")
    add_ticket(world, "2")
    now = datetime.now(UTC).timestamp()
    world.truth.activated_at = now - DAY
    drain(world, "1", now - 1)
    world.outside.back_up()
    drain(world, "2", now - 1)
    world.outside.restore()
    before, since = ending_of(world, "1"), ending_of(world, "2")
    assert (before.counts, before.event_is_known, before.event_is_lost) == (True, True, False)
    assert (since.counts, since.event_is_known, since.event_is_lost) == (True, False, True)
    drain(world, "2", now - 1)
    assert ending_of(world, "2").event_is_known


def test_an_event_of_a_row_that_was_forgotten_is_not_known(world: World) -> None:
    add_ticket(world, "1")
    now = datetime.now(UTC).timestamp()
    world.truth.activated_at = now - DAY
    drain(world, "1", now - 1)
    ending = ending_of(world, "1")
    assert ending.event_is_known
    forgotten = replace(ending, forgotten=[Settled("skipped", "other pipeline", now, at=now + DAY)])
    assert (forgotten.counts, forgotten.event_is_known, forgotten.event_is_lost) == (True, False, False)


def test_the_card_of_a_part_counts_on_its_channel(world: World) -> None:
    add_ticket(world, "1")
    now = world.time.now
    world.truth.sends["1"] = [Send("1", BOT, "worker-1", now, "sent", now, now, stored_at=now)]
    add_ticket(world, "2", parts=("1",), age=DAY)
    settled = Settled("notified", None, settled_at=now + DAY)
    assert is_told(world, ending_of(world, "2"), settled)
    assert not is_told(world, ending_of(world, "2"))
    early = replace(settled, settled_at=now - DAY)
    assert not is_told(world, ending_of(world, "2"), early)
    world.shape = replace(world.shape, channels=(WEBHOOK,))
    assert not is_told(world, ending_of(world, "2"), settled)


def test_a_resend_beside_a_parts_card_is_a_persons_only_where_a_restore_held_the_ticket(world: World) -> None:
    now = world.time.now
    add_ticket(world, "1")
    add_ticket(world, "2", parts=("1",), age=DAY)
    for one, at in (("1", now + 1), ("2", now + 3 * HOUR)):
        world.truth.sends[one] = [Send(one, BOT, "worker-1", at, "sent", at, at, stored_at=at)]

    def why(restored_at: float, word_at: float) -> list[tuple[str, str | None]]:
        world.truth.words["2"] = [
            Word(word_at - 1, word_at, "2", resend=True, channels_with_card=frozenset())
        ]
        members = {one: ending_of(world, one) for one in ("1", "2")}
        # Merged so long before its send that a read which came earlier is no excuse.
        members["1"].ticket.merged_at = now - HOUR
        world.truth.restored_at = restored_at
        return list(explain_cards(Group(members["2"], members), BOT, world.truth, "hold"))

    assert why(restored_at=now + HOUR, word_at=now + 2 * HOUR) == [("2", PART_RESENT)]
    assert why(restored_at=0.0, word_at=now + 2 * HOUR) == [("2", None)]
    assert why(restored_at=now + HOUR, word_at=now + 4 * HOUR) == [("2", None)]
    assert why(restored_at=now, word_at=now + 2 * HOUR) == [("2", None)]


def test_a_resend_of_a_part_may_be_sent_as_what_it_became_part_of(world: World) -> None:
    now = world.time.now
    add_ticket(world, "1")
    add_ticket(world, "2", parts=("1",), age=DAY)
    for one, at in (("1", now + 1), ("2", now + 3 * HOUR)):
        world.truth.sends[one] = [Send(one, BOT, "worker-1", at, "sent", at, at, stored_at=at)]

    def why(word_at: float, *, resend: bool = True, there: tuple[str, ...] = (BOT,)) -> str | None:
        world.truth.words["1"] = [Word(word_at - 1, word_at, "1", resend, frozenset(there))]
        members = {one: ending_of(world, one) for one in ("1", "2")}
        members["1"].ticket.merged_at = now + HOUR
        ((_, residual),) = explain_cards(Group(members["2"], members), BOT, world.truth, "hold")
        return residual

    assert why(now + HOUR) == WRONG_RESEND
    assert why(now + 4 * HOUR) is None
    assert why(now + HOUR, resend=False) is None
    assert why(now + HOUR, there=()) is None


def test_the_policys_one_resend_may_be_sent_as_what_the_ticket_became_part_of(world: World) -> None:
    now = world.time.now
    add_ticket(world, "1")
    add_ticket(world, "2", parts=("1",), age=DAY)
    for one, at, answer in (("1", now + 1, "unknown"), ("2", now + 3 * HOUR, "sent")):
        world.truth.sends[one] = [Send(one, WEBHOOK, "worker-1", at, answer, at, at, stored_at=at)]
    members = {one: ending_of(world, one) for one in ("1", "2")}
    members["1"].ticket.merged_at = now + HOUR

    def why(channel: str, policy: str) -> list[tuple[str, str | None]]:
        return list(explain_cards(Group(members["2"], members), channel, world.truth, policy))

    assert why(WEBHOOK, "resend") == [("2", POLICY)]
    assert why(WEBHOOK, "hold") == [("2", None)]
    members["1"].sends[0].answer = "sent"
    members["1"].sends[0].answered_at = now + 1
    assert why(WEBHOOK, "resend") == [("2", None)]


def test_a_ticket_that_a_person_confirmed_and_that_was_forgotten_is_not_untold(world: World) -> None:
    add_ticket(world, "1")
    ending = replace(ending_of(world, "1"), row={"reason": "beyond memory"})
    assert is_skipped_for_age(ending)
    assert not is_skipped_for_age(replace(ending, forgotten=[Settled("notified", None, 0.0)]))
    assert is_skipped_for_age(replace(ending, forgotten=[Settled("skipped", "beyond memory", 0.0)]))


def test_the_card_of_another_part_counts_for_what_became_part_of_the_same_ticket(world: World) -> None:
    now = world.time.now
    add_ticket(world, "1")
    add_ticket(world, "2", age=DAY)
    add_ticket(world, "3", parts=("1", "2"), age=DAY)
    for one in ("1", "2"):
        world.truth.tickets[one].merged_into, world.truth.tickets[one].merged_at = "3", now + HOUR
    world.truth.sends["1"] = [Send("1", BOT, "worker-1", now, "sent", now, now, stored_at=now)]
    world.truth.restored_at = now + HOUR
    assert is_told(world, ending_of(world, "2"), Settled("notified", None, settled_at=now + DAY))
    world.truth.tickets["2"].merged_at = now + 2 * DAY
    assert not is_told(world, ending_of(world, "2"), Settled("notified", None, settled_at=now + DAY))


def test_what_a_restore_undid_was_shown_to_another_ledger(world: World) -> None:
    """3 days old, and beyond the memory of four as the restored ledger is shown it."""
    now = world.time.now
    ticket = add_ticket(world, "1", age=3 * DAY)
    world.truth.activated_at = now - 9 * DAY
    ticket.shown_at = [now, now + 2 * DAY]
    world.truth.horizons = [(now + DAY, now - 2 * DAY)]
    skipped = Settled("skipped", "beyond memory", settled_at=now + 2 * DAY)
    assert refute_reason(world, ending_of(world, "1"), skipped) == "it was shown while it was remembered"
    world.truth.backed_up_at, world.truth.restored_at = now - HOUR, now + HOUR
    assert refute_reason(world, ending_of(world, "1"), skipped) is None
    assert refute_reason(world, ending_of(world, "1"), replace(skipped, settled_at=now + 1)) is not None


def test_the_policys_one_resend_comes_again_where_a_restore_forgot_it(world: World) -> None:
    now = world.time.now
    add_ticket(world, "1")
    world.truth.sends["1"] = [
        Send("1", WEBHOOK, "worker-1", at, "unknown", at, at, stored_at=at)
        for at in (now, now + HOUR, now + 3 * HOUR)
    ]

    def why() -> list[str | None]:
        return list(explain_doubles(world.truth, ending_of(world, "1"), WEBHOOK, "resend"))

    assert why() == [POLICY, None]
    world.truth.backed_up_at, world.truth.restored_at = now + 1, now + 2 * HOUR
    assert why() == [POLICY, POLICY]
    world.truth.backed_up_at = now + HOUR + 1
    assert why() == [POLICY, None]
