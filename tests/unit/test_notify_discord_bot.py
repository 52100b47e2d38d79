"""The bot over real HTTP: what it posts, each refusal's setting, and what it sees of a channel."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import jobs.notify.discord_history
from jobs.notify.card import Card, build_minimal_card
from jobs.notify.channel import LookingChannel
from jobs.notify.discord import DiscordWebhook
from jobs.notify.discord_bot import DiscordBot
from jobs.notify.discord_history import LONG_AGO
from jobs.notify.outcome import NotSent, Sent, Unknown
from jobs.notify.view import KnownCard, View
from jobs.sandbox.discord import SimulatedDiscord
from jobs.sandbox.faults import DROP_AFTER, DROP_BEFORE, DiscordFaults
from jobs.sandbox.guild import Message
from jobs.sandbox.rate_limits import RateLimits
from jobs.verdict import Priority

LINK = "https://app.hubspot.com/contacts/1/record/0-5/{}"
CRITICAL = Priority.CRITICAL


class Clock:
    """Discord's, which a test turns; ours is the real one. No two messages have one millisecond."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> float:
        self.ahead += timedelta(milliseconds=2)
        return (ours() + self.ahead).timestamp()


def ours() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def discord(clock: Clock) -> Iterator[SimulatedDiscord]:
    with SimulatedDiscord(clock=clock) as simulator:
        yield simulator
    assert simulator.crashes == []


@pytest.fixture
def bot(discord: SimulatedDiscord) -> Iterator[DiscordBot]:
    channel = make_bot(discord)
    yield channel
    channel.close()


def make_bot(discord: SimulatedDiscord, **changes: str) -> DiscordBot:
    known = {"token": discord.bot.token, "channel_id": discord.channel.channel_id}
    return DiscordBot(discord.api_url, **{**known, **changes})


def card(number: int = 7, priority: Priority = Priority.HIGH) -> Card:
    return build_minimal_card(str(number), LINK.format(number), priority)


def tell(bot: DiscordBot, number: int) -> KnownCard:
    told = bot.send(card(number))
    assert isinstance(told, Sent)
    return KnownCard(str(told.message_id), LINK.format(number))


def look(bot: DiscordBot, *known: KnownCard, minutes: float = 10, place: str = "") -> View:
    return bot.look(place or bot.place, ours() - timedelta(minutes=minutes), ours, known)


# --- Sending


def test_a_card_goes_to_the_channel_with_a_nonce_that_is_enforced(
    bot: DiscordBot, discord: SimulatedDiscord
) -> None:
    told = bot.send(card(priority=CRITICAL))
    (message,) = discord.messages
    assert told == Sent(message.message_id, discord.channel.channel_id)
    (request,) = discord.requests_seen
    assert request.path == f"/api/v10/channels/{discord.channel.channel_id}/messages"
    assert request.headers["authorization"] == f"Bot {discord.bot.token}"
    assert request.headers["user-agent"].startswith("DiscordBot (")
    body = request.json()
    assert (body["nonce"], body["enforce_nonce"]) == (bot.nonce_of("7", LINK.format(7)), True)
    assert (body["content"], body["allowed_mentions"]) == ("@here", {"parse": ["everyone"]})
    assert body["embeds"][0]["url"] == LINK.format(7)


def test_a_nonce_is_the_cards_and_the_bots_and_nothing_elses(discord: SimulatedDiscord) -> None:
    one, again = make_bot(discord, token="MTEw.aa.bb"), make_bot(discord, token="MTEw.cc.dd")
    elsewhere, other = make_bot(discord, channel_id="1"), make_bot(discord, token="MTEx.aa.bb")
    nonce = one.nonce_of("7", LINK.format(7))
    assert len(nonce) == 25
    assert again.nonce_of("7", LINK.format(7)) == nonce
    assert make_bot(discord).nonce_of("1", "x") == elsewhere.nonce_of("1", "x")
    assert len({nonce, other.nonce_of("7", LINK.format(7)), one.nonce_of("8", LINK.format(8))}) == 3


def test_the_same_card_again_is_the_first_message(bot: DiscordBot, discord: SimulatedDiscord) -> None:
    first = bot.send(card())
    assert bot.send(card()) == first
    assert len(discord.messages) == 1


def test_tickets_without_a_link_are_not_taken_for_one(bot: DiscordBot, discord: SimulatedDiscord) -> None:
    for number in (7, 8):
        bot.send(replace(card(number), url=""))
    assert len(discord.messages) == 2


def test_the_nonce_of_a_deleted_card_is_no_fault_of_a_setting(
    bot: DiscordBot, discord: SimulatedDiscord
) -> None:
    discord.remove_message(tell(bot, 7).message_id)
    assert bot.send(card()) == NotSent("http_404")


def test_words_have_no_embed_no_mention_and_no_nonce(bot: DiscordBot, discord: SimulatedDiscord) -> None:
    bot.announce("Held: <https://app.hubspot.com/x>")
    body = discord.requests_seen[0].json()
    assert body["allowed_mentions"] == {"parse": []}
    assert body.keys().isdisjoint({"embeds", "nonce", "enforce_nonce"})


@pytest.mark.parametrize("fault", [500, 502, DROP_BEFORE, DROP_AFTER])
def test_what_proves_nothing_is_unknown(bot: DiscordBot, discord: SimulatedDiscord, fault: Any) -> None:
    discord.faults = DiscordFaults(fail_next=[fault])
    assert isinstance(bot.send(card()), Unknown)


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"token": "another"}, "DISCORD_BOT_TOKEN: "),
        ({"channel_id": "12345"}, "DISCORD_CHANNEL_ID: "),
        ({"api_url": "/elsewhere"}, "DISCORD_API_URL: "),
        ({"api_url": "http://ü..x"}, "DISCORD_API_URL: "),
    ],
)
def test_a_refusal_names_the_setting_and_no_secret(
    discord: SimulatedDiscord, changes: dict[str, str], setting: str
) -> None:
    address = changes.pop("api_url", discord.api_url)
    address = discord.url + address if address.startswith("/") else address
    known = {"token": discord.bot.token, "channel_id": discord.channel.channel_id} | changes
    channel = DiscordBot(address, **known)
    told = channel.send(card())
    assert isinstance(told, NotSent)
    assert str(told.fault).startswith(setting)
    assert channel.probe().fault == told.fault
    assert str(look(channel, KnownCard("1", "x")).blind).startswith(setting)
    assert known["token"] not in repr(told)
    channel.close()


def test_a_missing_permission_names_the_channel(bot: DiscordBot, discord: SimulatedDiscord) -> None:
    discord.bot.permissions.discard("SEND_MESSAGES")
    told = bot.send(card())
    assert isinstance(told, NotSent)
    assert "Send Messages" in str(told.fault)


def test_the_hash_follows_token_channel_and_address(discord: SimulatedDiscord) -> None:
    bots = [
        make_bot(discord),
        make_bot(discord, token="x"),
        make_bot(discord, channel_id="1"),
        DiscordBot("https://x.test", discord.bot.token, discord.channel.channel_id),
    ]
    assert len({one.key_hash for one in bots}) == 4


def test_only_the_bot_can_look(bot: DiscordBot) -> None:
    assert isinstance(bot, LookingChannel)
    assert not isinstance(DiscordWebhook("https://discord.test/api/webhooks/1/t"), LookingChannel)


@pytest.mark.parametrize(("allowed", "shown"), [(True, True), (False, False)])
def test_whether_history_shows_is_known_once_there_is_a_message(
    bot: DiscordBot, discord: SimulatedDiscord, allowed: bool, shown: bool
) -> None:
    assert bot.shows_history() is None
    tell(bot, 1)
    if not allowed:
        discord.bot.permissions.discard("READ_MESSAGE_HISTORY")
    assert bot.shows_history() is shown
    discord.faults.down = True
    assert bot.shows_history() is None


# --- Looking


def fill(discord: SimulatedDiscord, count: int, author: Any = None) -> list[Message]:
    channel_id = discord.channel.channel_id
    return [discord.store(channel_id, author or discord.webhook, {"content": "x"}) for _ in range(count)]


def test_a_look_sees_its_own_cards_by_their_link(bot: DiscordBot) -> None:
    first, second = tell(bot, 1), tell(bot, 2)
    view = look(bot, first)
    assert view.cards == {first.link: first.message_id, second.link: second.message_id}
    assert (view.blind, view.complete_since) == (None, LONG_AGO)


def test_of_two_cards_with_one_link_the_first_counts(bot: DiscordBot, discord: SimulatedDiscord) -> None:
    first = tell(bot, 1)
    embed = {"title": "again", "url": first.link}
    discord.store(discord.channel.channel_id, discord.bot, {"embeds": [embed]})
    assert look(bot, first).cards[first.link] == first.message_id


@pytest.mark.parametrize("author", ["webhook", "another bot"])
def test_what_another_wrote_is_no_card_of_ours(
    bot: DiscordBot, discord: SimulatedDiscord, author: str
) -> None:
    known = tell(bot, 1)
    foreign: Any = discord.webhook if author == "webhook" else discord.add_bot()
    embed = {"title": "x", "url": LINK.format(2)}
    discord.store(discord.channel.channel_id, foreign, {"embeds": [embed]})
    view = look(bot, known)
    assert view.cards == {known.link: known.message_id}
    assert view.others == {LINK.format(2)}


def test_a_card_whose_embed_was_removed_is_not_seen_and_proves_nothing(
    bot: DiscordBot, discord: SimulatedDiscord
) -> None:
    known = tell(bot, 1)
    discord.strip_embeds(known.message_id)
    view = look(bot, known)
    assert (view.cards, view.complete_since) == ({}, None)
    assert "Read Message History" in str(view.blind)


def test_without_history_nothing_is_seen_though_the_list_is_no_error(
    bot: DiscordBot, discord: SimulatedDiscord
) -> None:
    known = tell(bot, 1)
    discord.bot.permissions.discard("READ_MESSAGE_HISTORY")
    view = look(bot, known)
    assert discord.statuses[200] == 3  # the card, who the bot is, and the empty list
    assert (view.cards, view.complete_since, view.settings_fault) == ({}, None, True)
    assert "Read Message History" in str(view.blind)


def test_without_an_earlier_card_nothing_is_proved(bot: DiscordBot, discord: SimulatedDiscord) -> None:
    fill(discord, 3)
    view = look(bot)
    assert (view.complete_since, view.settings_fault) == (None, False)
    assert "no earlier card" in str(view.blind)


def test_a_permission_that_comes_after_the_empty_list_proves_nothing(discord: SimulatedDiscord) -> None:
    class Late(SimulatedDiscord):
        def read(self, request: Any, name: str, parts: tuple[str, ...]) -> Any:
            if name == "message":
                self.bot.permissions.add("READ_MESSAGE_HISTORY")
            return super().read(request, name, parts)

    with Late() as late:
        bot = make_bot(late)
        known = tell(bot, 1)
        late.bot.permissions.discard("READ_MESSAGE_HISTORY")
        view = look(bot, known)
        bot.close()
    assert (view.complete_since, "Read Message History" in str(view.blind)) == (None, True)


def test_deleted_cards_are_passed_over_for_one_that_is_there(
    bot: DiscordBot, discord: SimulatedDiscord
) -> None:
    known = [tell(bot, number) for number in range(5)]
    for one in known[:4]:
        discord.remove_message(one.message_id)
    assert look(bot, *known).complete_since == LONG_AGO
    discord.remove_message(known[4].message_id)
    assert look(bot, *known).complete_since is None


def test_a_long_list_is_read_page_by_page_back_to_its_time(
    bot: DiscordBot, discord: SimulatedDiscord, clock: Clock
) -> None:
    clock.ahead = timedelta(minutes=-30)
    lost_in_time = tell(bot, 1)
    clock.ahead = timedelta(minutes=-20)
    fill(discord, 30)
    clock.ahead = timedelta(0)
    early = tell(bot, 2)
    fill(discord, 250)
    late = tell(bot, 3)
    view = look(bot, late, minutes=10)
    assert {early.link, late.link} <= view.cards.keys()
    since = ours() - timedelta(minutes=10)
    assert view.complete_since is not None
    assert since - timedelta(minutes=30) < view.complete_since <= since
    assert discord.requests["GET", "messages"] == 3
    assert lost_in_time.link in look(bot, late, minutes=40).cards


def test_a_list_that_is_too_long_is_complete_as_far_as_it_was_read(
    bot: DiscordBot, discord: SimulatedDiscord, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs.notify.discord_history, "MOST_PAGES", 2)
    clock.ahead = timedelta(minutes=-20)
    old = tell(bot, 1)
    fill(discord, 100)
    clock.ahead = timedelta(minutes=-5)
    fill(discord, 150)
    clock.ahead = timedelta(0)
    known = tell(bot, 2)
    view = look(bot, known, minutes=60)
    assert old.link not in view.cards
    assert view.complete_since is not None
    assert timedelta(minutes=15) < ours() - view.complete_since < timedelta(minutes=25)


def test_one_millisecond_with_more_than_a_page_hides_what_is_older(
    bot: DiscordBot, discord: SimulatedDiscord, clock: Clock
) -> None:
    stopped = ours().timestamp()
    discord.clock = lambda: stopped
    hidden = tell(bot, 1)
    fill(discord, 120)
    view = look(bot, tell(bot, 2))
    assert (hidden.link in view.cards, view.blind) == (False, None)
    assert view.complete_since != LONG_AGO


@pytest.mark.parametrize("minutes", [-45, 45])
def test_a_clock_that_differs_is_allowed_for(
    bot: DiscordBot, discord: SimulatedDiscord, clock: Clock, minutes: int
) -> None:
    """Cards 1 and 2 are of 30 and 20 minutes ago, whatever Discord's clock says; so is what is complete."""
    clock.ahead = timedelta(minutes=minutes - 30)
    fill(discord, 98)
    early = tell(bot, 1)
    clock.ahead = timedelta(minutes=minutes - 20)
    known = tell(bot, 2)
    fill(discord, 99)
    clock.ahead = timedelta(minutes=minutes)
    assert early.link not in look(bot, known, minutes=10).cards
    view = look(bot, known, minutes=25)
    assert {early.link, known.link} <= view.cards.keys()
    assert view.complete_since is not None
    assert abs(ours() - view.complete_since - timedelta(minutes=30)) < timedelta(seconds=5)


@pytest.mark.parametrize("fault", [{"get_status": 500}, {"down": True}, {"get_status": 500, "html": True}])
def test_a_discord_that_fails_is_not_seen(
    bot: DiscordBot, discord: SimulatedDiscord, fault: dict[str, Any]
) -> None:
    known = tell(bot, 1)
    discord.faults = DiscordFaults(**fault)
    view = look(bot, known)
    assert (view.complete_since, view.settings_fault) == (None, False)
    assert "cannot be reached" in str(view.blind)


def test_a_discord_that_is_not_there_is_not_seen(bot: DiscordBot, discord: SimulatedDiscord) -> None:
    known = tell(bot, 1)
    discord.stop()
    assert "ConnectError" in str(look(bot, known).blind)
    discord.start()


def test_a_former_channel_that_is_closed_is_no_fault_of_todays_setting(
    bot: DiscordBot, discord: SimulatedDiscord
) -> None:
    view = look(bot, tell(bot, 1), place="4711")
    assert (view.settings_fault, "no longer DISCORD_CHANNEL_ID" in str(view.blind)) == (False, True)


def test_who_the_bot_is_is_asked_once(bot: DiscordBot, discord: SimulatedDiscord) -> None:
    known = tell(bot, 1)
    for _ in range(3):
        look(bot, known)
    assert discord.requests["GET", "me"] == 1


Body = Callable[[Any], object]
BROKEN: dict[str, Body] = {
    "no list": lambda _: {"messages": []},
    "no objects": lambda _: ["x"],
    "no ids": lambda body: [{**one, "id": "x"} for one in body],
    "no authors": lambda body: [{**one, "author": None} for one in body],
    "embeds that are none": lambda body: [{**one, "embeds": "x"} for one in body],
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_a_list_that_cannot_be_read_shows_no_card_and_raises_nothing(change: Body) -> None:
    class Odd(SimulatedDiscord):
        def read(self, request: Any, name: str, parts: tuple[str, ...]) -> Any:
            answer = super().read(request, name, parts)
            if name != "messages":
                return answer
            return replace(answer, body=json.dumps(change(json.loads(answer.body))).encode())

    with Odd() as odd:
        bot = make_bot(odd)
        view = look(bot, tell(bot, 1))
        bot.close()
        assert odd.crashes == []
    assert view.cards == {}


def test_a_rate_limit_on_reads_is_waited_out(bot: DiscordBot, discord: SimulatedDiscord) -> None:
    class Limited(SimulatedDiscord):
        refusals = 1

        def read(self, request: Any, name: str, parts: tuple[str, ...]) -> Any:
            if name == "messages" and self.refusals:
                self.refusals -= 1
                answer = RateLimits(count=0).take("k", "c", self.clock())
                assert answer is not None
                return answer
            return super().read(request, name, parts)

    with Limited() as limited:
        channel = make_bot(limited)
        view = look(channel, tell(channel, 1))
        channel.close()
    assert view.blind is None
