"""Looks for a merged ticket's card: it may be one of its parts' (rules 5 and 11)."""

import operator
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from jobs.notify.card import build_minimal_card
from jobs.notify.discord_bot import DiscordBot
from jobs.notify.outcome import Sent
from jobs.sandbox.discord import SimulatedDiscord
from jobs.verdict import Priority
from models.database import connection
from models.deliveries import Delivery
from models.held import Release, resend_ticket
from models.looks import find_doubts
from models.merges import Joined, Merge, join_parts
from models.releases import skip_ticket
from models.sends import conclude_claim, record_sent, record_unknown
from models.tickets import SkipReason, Source, TicketState
from models.write_ahead import begin_delivery
from tests.fakes.memory import ago, forget, look
from tests.store.conftest import CREATED, VERDICT, Ledger
from tests.store.test_looks import BOT, World, link_of

BOTH = [BOT, "other"]


@pytest.fixture
def world(ledger: Ledger) -> Iterator[World]:
    """Ticket 9 was told long ago, so that a look can see."""
    with SimulatedDiscord() as discord:
        made = World(ledger, discord)
        discord.clock = lambda: time.time() - 7200
        made.tell("9")
        discord.clock = time.time
        yield made
        made.bot.close()


def sent_ago(ticket_id: str, seconds: float) -> None:
    then = datetime.now(UTC) - timedelta(seconds=seconds)
    edit(ticket_id, sending_at=then, first_sending_at=then)


def edit(ticket_id: str, **columns: object) -> None:
    of_bot = (Delivery.ticket_id == ticket_id) & (Delivery.channel == BOT)
    with connection():
        Delivery.update(**columns).where(of_bot).execute()


def leave_open(world: World, ticket_id: str, seconds: float) -> None:
    """In doubt on the bot's channel, where its card is, and not told on the other."""
    taken = world.begin(ticket_id)
    world.show(ticket_id)
    record_unknown(ticket_id, BOT, 1, "timeout")
    assert conclude_claim(taken, BOTH, 30, "timeout") is TicketState.RETRY
    sent_ago(ticket_id, seconds)


def leave_held(world: World, ticket_id: str, seconds: float) -> None:
    """In doubt on the bot's channel, where no card is, and told on the other."""
    taken = world.begin(ticket_id)
    record_unknown(ticket_id, BOT, 1, "timeout")
    assert begin_delivery(taken, "other", VERDICT, 60) == 1
    record_sent(ticket_id, "other", BOTH, "m", "there")
    assert conclude_claim(taken, BOTH, 30, "timeout") is TicketState.UNCONFIRMED
    sent_ago(ticket_id, seconds)


def leave_for_later(world: World, ticket_id: str) -> None:
    """Told on the other channel, and not on the bot's."""
    world.ledger.find(ticket_id)
    taken = world.ledger.claim(ticket_id)
    assert begin_delivery(taken, "other", VERDICT, 60) == 1
    record_sent(ticket_id, "other", BOTH, "m", "there")
    assert conclude_claim(taken, BOTH, 30, "paused") is TicketState.RETRY


def claim_and_hold(world: World, ticket_id: str) -> None:
    world.edit_ticket(ticket_id, next_attempt_at=CREATED)
    assert conclude_claim(world.ledger.claim(ticket_id), BOTH, 30, "crashed") is TicketState.UNCONFIRMED


def let_days_pass(world: World) -> None:
    """In which the bot cannot look, and retention comes; 2 is the older one."""
    world.edit_ticket("1", ticket_created_at=ago(20), created_at=ago(20))
    for one in ("2", "3"):
        world.edit_ticket(one, ticket_created_at=ago(30), created_at=ago(20), processed_at=ago(10))
    assert forget() == ["1", "2", "9"]


def join() -> Joined:
    joined = join_parts(Merge("3", ("1", "2")), Source.WEBHOOK)
    assert joined.survivor == "1"
    return joined


def test_a_look_goes_back_to_the_parts_send(world: World) -> None:
    world.discord.clock = lambda: time.time() - 3600
    leave_open(world, "2", seconds=3600)
    for second in range(150):  # more than a page
        world.discord.clock = partial(operator.add, time.time() - 1800, second)
        world.discord.store(world.bot.place, world.discord.bot, {"content": "people talk"})
    world.discord.clock = time.time
    leave_held(world, "1", seconds=120)
    join()
    assert find_doubts(BOT)[0].parts == ("2", "3")
    world.lookout.look_where_due()
    assert world.state("1") == ("notified", "sent")


def test_a_look_waits_for_a_parts_card_that_is_on_its_way(world: World) -> None:
    leave_held(world, "1", seconds=600)
    world.begin("2")
    join()
    world.lookout.look_where_due()
    assert world.state("1") == ("unconfirmed", "unconfirmed")
    world.show("2")
    world.lookout.look(world.bot)
    assert world.state("1") == ("notified", "sent")


def test_a_parts_card_of_another_bot_waits_for_a_person(world: World) -> None:
    former_bot = world.discord.add_bot()
    former = DiscordBot(world.discord.api_url, former_bot.token, world.discord.channel.channel_id)
    world.ledger.find("2")
    taken = world.ledger.claim("2")
    nonce = former.nonce_of("2", link_of("2"))
    assert begin_delivery(taken, BOT, VERDICT, 60, nonce=nonce, place=former.place) == 1
    former.send(build_minimal_card("2", link_of("2"), Priority.LOW))
    former.close()
    record_unknown("2", BOT, 1, "timeout")
    conclude_claim(taken, BOTH, 30, "timeout")
    sent_ago("2", 600)
    leave_for_later(world, "1")
    join()
    claim_and_hold(world, "1")
    world.lookout.look_where_due()
    assert world.state("1") == ("unconfirmed", "unconfirmed")


def test_a_parts_send_that_a_person_decided_of_blinds_no_look(world: World) -> None:
    """2's card may be in another place; a person looked there, and 1's own is not to be seen."""
    taken = world.begin("2")
    record_unknown("2", BOT, 1, "timeout")
    assert conclude_claim(taken, BOTH, 30, "timeout") is TicketState.RETRY
    sent_ago("2", 600)
    edit("2", place=world.discord.add_channel().channel_id)
    leave_for_later(world, "1")
    join()
    claim_and_hold(world, "1")
    assert resend_ticket("1") is Release.DONE
    taken = world.ledger.claim("1")
    nonce = world.bot.nonce_of("1", link_of("1"))
    attempt = begin_delivery(taken, BOT, VERDICT, 60, nonce=nonce, place=world.bot.place)
    assert attempt is not None
    record_unknown("1", BOT, attempt, "timeout")
    assert conclude_claim(taken, BOTH, 30, "timeout") is TicketState.UNCONFIRMED
    sent_ago("1", 120)
    world.lookout.look_where_due()
    assert world.state("1") == ("retry", "pending")


def test_a_parts_card_in_another_place_waits_for_a_person(world: World) -> None:
    """DISCORD_CHANNEL_ID was changed between the two sends."""
    elsewhere = world.discord.add_channel()
    moved = DiscordBot(world.discord.api_url, world.discord.bot.token, elsewhere.channel_id)
    sent = moved.send(build_minimal_card("8", link_of("8"), Priority.LOW))
    moved.close()
    assert isinstance(sent, Sent)
    world.begin("8")
    record_sent("8", BOT, [BOT], sent.message_id, elsewhere.channel_id)
    leave_held(world, "1", seconds=600)
    edit("1", place=elsewhere.channel_id)
    leave_open(world, "2", seconds=600)
    join()
    world.lookout.look_where_due()
    assert world.state("1") == ("unconfirmed", "unconfirmed")


@pytest.mark.parametrize("arrived", [True, False], ids=["told after all", "in doubt"])
def test_a_part_with_a_card_is_remembered_while_its_ticket_is_held(world: World, arrived: bool) -> None:
    look()
    leave_open(world, "2", seconds=600)
    leave_for_later(world, "1")
    join()
    claim_and_hold(world, "1")
    if arrived:
        record_sent("2", BOT, BOTH, None, world.bot.place)
    let_days_pass(world)
    world.lookout.look_where_due()
    assert world.state("1") == ("notified", "sent")


def test_a_look_decides_of_a_gone_part_in_doubt(world: World) -> None:
    leave_open(world, "2", seconds=600)
    world.edit_ticket("2", next_attempt_at=CREATED)
    assert skip_ticket(world.ledger.claim("2"), SkipReason.GONE, None)
    leave_for_later(world, "1")
    join()
    claim_and_hold(world, "1")
    world.lookout.look_where_due()
    assert world.state("1") == ("notified", "sent")
