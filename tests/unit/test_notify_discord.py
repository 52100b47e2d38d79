"""The webhook channel over real HTTP: each answer in its class, and a payload that Discord takes."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from jobs.notify.card import Card, build_card, build_minimal_card
from jobs.notify.discord import DiscordWebhook
from jobs.notify.discord_message import build_message
from jobs.notify.outcome import NotSent, Outcome, Sent, Unknown
from jobs.sandbox.serving import Answer, Drop, Request, Simulator, html_answer, json_answer
from jobs.ticket import Ticket
from jobs.verdict import AsanaType, HandlingMode, InternalAction, Priority, Provider, Verdict

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TICKET = Ticket("7", "Export *fails*", "Body", NOW, "https://app.hubspot.com/contacts/1/record/0-5/7")
VERDICT = Verdict(
    priority=Priority.CRITICAL,
    handling_mode=HandlingMode.REPLY_ONLY,
    recommended_internal_action=InternalAction.NONE,
    asana_ticket_type_if_needed=AsanaType.NONE,
    customer_summary="The export_fails since `today` @everyone",
    reply_draft=None,
    questions_for_customer=(),
    internal_notes=(),
    confidence=0.9,
    provider=Provider.LOCAL,
    model="llama3.2",
)
STORED = {"id": "111", "channel_id": "222"}
Answering = Callable[[Request], Answer | Drop]


class Scripted(Simulator):
    """Answers what the test says, and keeps what was asked."""

    def __init__(self) -> None:
        super().__init__(0)
        self.answering: Answering = lambda _: json_answer(STORED)
        self.seen: list[Request] = []

    def answer(self, request: Request) -> Answer | Drop:
        self.seen.append(request)
        return self.answering(request)


@pytest.fixture
def discord() -> Iterator[Scripted]:
    with Scripted() as simulator:
        yield simulator
    assert simulator.crashes == []


@pytest.fixture
def channel(discord: Scripted) -> Iterator[DiscordWebhook]:
    webhook = DiscordWebhook(f"{discord.url}/api/webhooks/1/secret-token")
    yield webhook
    webhook.close()


def card(channel: DiscordWebhook, **changes: Any) -> Card:
    return build_card(TICKET, replace(VERDICT, **changes), told_at=NOW, render=channel.render)


def test_a_card_is_one_message_with_wait_and_one_embed(channel: DiscordWebhook, discord: Scripted) -> None:
    assert channel.send(card(channel)) == Sent("111", "222")
    (request,) = discord.seen
    assert (request.method, request.path) == ("POST", "/api/webhooks/1/secret-token")
    assert request.query == "wait=true"
    message = request.json()
    (embed,) = message["embeds"]
    assert embed["url"] == TICKET.link
    assert embed["title"] == r"[CRITICAL] Ticket #7: Export \*fails\*"
    assert embed["color"] == 0xFF0000
    assert r"export\_fails" in embed["description"]
    assert "@everyone" not in str(embed)


@pytest.mark.parametrize(
    ("ping", "content", "mentions"),
    [
        ("here", "@here", {"parse": ["everyone"]}),
        ("123", "<@&123>", {"parse": [], "roles": ["123"]}),
        ("none", None, {"parse": []}),
    ],
)
def test_only_a_critical_pings_and_only_whom_the_settings_name(
    channel: DiscordWebhook, ping: str, content: str | None, mentions: dict[str, Any]
) -> None:
    message = build_message(card(channel), ping)
    assert (message.get("content"), message["allowed_mentions"]) == (content, mentions)
    quiet = build_message(card(channel, priority=Priority.HIGH), ping)
    assert (quiet.get("content"), quiet["allowed_mentions"]) == (None, {"parse": []})


def test_the_minimal_card_is_id_priority_and_link(channel: DiscordWebhook, discord: Scripted) -> None:
    channel.send(build_minimal_card("7", TICKET.link, Priority.HIGH))
    (embed,) = discord.seen[0].json()["embeds"]
    assert (embed["title"], embed["url"], embed["fields"]) == ("[HIGH] Ticket #7", TICKET.link, [])


SENT, NOT_SENT, UNKNOWN = Sent, NotSent, Unknown
ANSWERS: list[tuple[str, Answer | Drop, type[Outcome]]] = [
    ("200", json_answer(STORED), SENT),
    ("204", Answer(status=204), SENT),
    ("a 200 whose body is no JSON", html_answer("<html>ok</html>"), SENT),
    ("a 200 that breaks off", replace(json_answer(STORED), body_bytes_sent=5), SENT),
    ("400", json_answer({"code": 50035}, 400), NOT_SENT),
    ("401", json_answer({}, 401), NOT_SENT),
    ("403", json_answer({}, 403), NOT_SENT),
    ("404", json_answer({"code": 10015}, 404), NOT_SENT),
    ("429", json_answer({"retry_after": 1.25}, 429), NOT_SENT),
    ("a 429 page", html_answer("<html>slow down</html>", 429), NOT_SENT),
    ("500", json_answer({}, 500), UNKNOWN),
    ("502", html_answer("<html>bad gateway</html>", 502), UNKNOWN),
    ("504", json_answer({}, 504), UNKNOWN),
    ("302", Answer(status=302, headers={"Location": "/elsewhere"}), UNKNOWN),
    ("a dropped connection", Drop(), UNKNOWN),
]


@pytest.mark.parametrize(("answer", "outcome"), [one[1:] for one in ANSWERS], ids=[one[0] for one in ANSWERS])
def test_every_answer_has_its_class(
    channel: DiscordWebhook, discord: Scripted, answer: Answer | Drop, outcome: type
) -> None:
    discord.answering = lambda _: answer
    assert isinstance(channel.send(card(channel)), outcome)
    assert len(discord.seen) == 1


def test_no_connection_is_certainly_not_sent() -> None:
    channel = DiscordWebhook("http://127.0.0.1:1/api/webhooks/1/secret-token")
    assert isinstance(channel.send(card(channel)), NotSent)
    assert not channel.probe().answers
    channel.close()


def test_no_tls_where_tls_was_asked_is_certainly_not_sent(discord: Scripted) -> None:
    channel = DiscordWebhook(discord.url.replace("http://", "https://") + "/api/webhooks/1/secret-token")
    assert isinstance(channel.send(card(channel)), NotSent)
    assert discord.seen == []
    channel.close()


def test_a_silent_answer_is_unknown(
    channel: DiscordWebhook, discord: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.notify.discord_api.ANSWER_SECONDS", 0.2)
    discord.answering = lambda _: Answer(delay_seconds=2)
    assert channel.send(card(channel)) == Unknown("ReadTimeout")


def test_a_429_says_when_and_a_400_that_the_card_is_refused(
    channel: DiscordWebhook, discord: Scripted
) -> None:
    discord.answering = lambda _: json_answer({"retry_after": 1.25, "global": True}, 429)
    assert channel.send(card(channel)) == NotSent("http_429", retry_after=1.25)
    discord.answering = lambda _: json_answer({}, 400)
    assert channel.send(card(channel)) == NotSent("http_400", refused=True)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_settings_fault_names_the_setting_and_never_the_url(
    channel: DiscordWebhook, discord: Scripted, status: int
) -> None:
    discord.answering = lambda _: json_answer({}, status)
    outcome = channel.send(card(channel))
    assert isinstance(outcome, NotSent)
    assert outcome.fault is not None
    assert outcome.fault.startswith("DISCORD_WEBHOOK_URL: ")
    assert "secret-token" not in repr(outcome)
    assert channel.probe().fault == outcome.fault


def test_a_probe_looks_and_sends_nothing(channel: DiscordWebhook, discord: Scripted) -> None:
    assert channel.probe().answers
    assert [request.method for request in discord.seen] == ["GET"]
    discord.answering = lambda _: json_answer({}, 503)
    assert not channel.probe().answers


def test_a_connection_that_the_other_side_closed_is_mistaken_for_nothing(
    channel: DiscordWebhook, discord: Scripted
) -> None:
    for _ in range(5):
        assert isinstance(channel.send(card(channel)), Sent)
        discord.stop()
        discord.start()
    assert len(discord.seen) == 5


def test_a_webhooks_own_query_stays(discord: Scripted) -> None:
    channel = DiscordWebhook(f"{discord.url}/api/webhooks/1/t?thread_id=5")
    channel.send(card(channel))
    assert sorted(discord.seen[0].query.split("&")) == ["thread_id=5", "wait=true"]
    channel.close()


def test_a_url_that_cannot_be_called_is_a_settings_fault() -> None:
    channel = DiscordWebhook("http://ü..x/api/webhooks/1/t")
    outcome = channel.send(card(channel))
    assert isinstance(outcome, NotSent)
    assert outcome.fault is not None


def test_check_messages_are_words_alone(channel: DiscordWebhook, discord: Scripted) -> None:
    assert isinstance(channel.announce("Held: https://app.hubspot.com/x"), Sent)
    message = discord.seen[0].json()
    assert "embeds" not in message
    assert message["allowed_mentions"] == {"parse": []}


def test_the_hash_tells_webhooks_apart_and_shows_none() -> None:
    one, other = DiscordWebhook("https://a.test/1/t"), DiscordWebhook("https://a.test/2/t")
    assert one.key_hash != other.key_hash
    assert len(one.key_hash) == 64
