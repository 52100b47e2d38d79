"""The simulated Discord over HTTP: what a webhook and a bot may do, and who is pinged."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from jobs.sandbox.discord import SimulatedDiscord
from jobs.sandbox.guild import created_at

# Loading the certificates that nothing here needs costs 30 ms a client.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
LINK = "https://app.sandbox.invalid/contacts/1/record/0-5/77"
CARD: dict[str, Any] = {"embeds": [{"title": "[LOW] Ticket #77: x", "url": LINK}]}


@pytest.fixture
def discord() -> Iterator[SimulatedDiscord]:
    with SimulatedDiscord() as simulator:
        yield simulator
    assert simulator.crashes == []


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(verify=PLAIN, timeout=5) as client:
        yield client


@pytest.fixture
def bot(discord: SimulatedDiscord) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bot {discord.bot.token}"}
    with httpx.Client(verify=PLAIN, timeout=5, base_url=discord.api_url, headers=headers) as client:
        yield client


def messages_path(discord: SimulatedDiscord) -> str:
    return f"/channels/{discord.channel.channel_id}/messages"


def test_a_webhook_that_waits_gets_the_stored_message(
    discord: SimulatedDiscord, client: httpx.Client
) -> None:
    answer = client.post(discord.webhook_url, params={"wait": "true"}, json=CARD | {"content": " hi "})
    (stored,) = discord.messages
    told = answer.json()
    assert (answer.status_code, told["id"], told["content"]) == (200, stored.message_id, "hi")
    assert (told["channel_id"], told["webhook_id"]) == (
        discord.channel.channel_id,
        discord.webhook.webhook_id,
    )
    assert (told["author"]["bot"], told["embeds"][0]["url"]) == (True, LINK)
    assert abs(created_at(told["id"]) - datetime.now(UTC)).total_seconds() < 5


def test_a_webhook_that_does_not_wait_gets_204(discord: SimulatedDiscord, client: httpx.Client) -> None:
    assert client.post(discord.webhook_url, json=CARD).status_code == 204
    assert len(discord.messages) == 1


def test_both_the_versioned_and_the_plain_address_work(
    discord: SimulatedDiscord, client: httpx.Client
) -> None:
    versioned = discord.webhook_url.replace("/api/", "/api/v10/")
    assert client.post(versioned, json=CARD).status_code == 204
    assert client.get(versioned).json()["id"] == discord.webhook.webhook_id
    assert client.get(discord.webhook_url).json()["channel_id"] == discord.channel.channel_id
    assert discord.requests == {("POST", "webhook"): 1, ("GET", "webhook"): 2}


@pytest.mark.parametrize(
    ("old", "new", "status", "code"),
    [
        ("no-secret", "wrong", 401, 50027),
        ("/webhooks/11", "/webhooks/22", 404, 10015),
        ("/webhooks/11", "/webhooks/x", 400, 50035),
        ("/webhooks/", "/nothing/", 404, 0),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_wrong_webhook_address_is_refused_in_discords_words(
    discord: SimulatedDiscord, client: httpx.Client, method: str, old: str, new: str, status: int, code: int
) -> None:
    answer = client.request(method, discord.webhook_url.replace(old, new), json=CARD)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert discord.messages == []
    assert discord.statuses == {status: 1}


def test_a_removed_webhook_is_unknown(discord: SimulatedDiscord, client: httpx.Client) -> None:
    discord.remove_webhook(discord.webhook.webhook_id)
    assert client.get(discord.webhook_url).json() == {"message": "Unknown Webhook", "code": 10015}


def test_a_second_webhook_posts_to_its_own_channel(discord: SimulatedDiscord, client: httpx.Client) -> None:
    other = discord.add_channel("critical")
    client.post(discord.url_of(discord.add_webhook(other.channel_id)), json=CARD)
    assert [len(discord.messages_in(one)) for one in discord.channels] == [0, 1]


def test_a_card_is_found_by_the_tickets_link_and_by_its_id(
    discord: SimulatedDiscord, client: httpx.Client
) -> None:
    for embed in ({"title": "#77: x"}, {"title": "y", "url": LINK}, {"title": "#775", "url": LINK + "5"}):
        client.post(discord.webhook_url, json={"embeds": [embed]})
    assert [len(discord.cards_for(one)) for one in ("77", "775", "7", LINK)] == [2, 1, 0, 1]


@pytest.mark.parametrize(
    ("content", "allowed", "everyone", "roles"),
    [
        ("@here", {"parse": ["everyone"]}, True, ()),
        ("@everyone", None, True, ()),
        ("@here <@&5>", {"parse": []}, False, ()),
        ("<@&5> <@&6>", {"parse": [], "roles": ["5"]}, False, ("5",)),
        ("<@&5>", {"parse": ["roles"]}, False, ("5",)),
        ("nobody@hereford", {"parse": ["everyone"]}, False, ()),
    ],
)
def test_only_what_is_allowed_pings(
    discord: SimulatedDiscord,
    client: httpx.Client,
    content: str,
    allowed: dict[str, Any] | None,
    everyone: bool,
    roles: tuple[str, ...],
) -> None:
    body = CARD | {"content": content, "allowed_mentions": allowed}
    told = client.post(discord.webhook_url, params={"wait": "true"}, json=body).json()
    (message,) = discord.messages
    assert (message.pings_everyone, message.pinged_roles) == (everyone, roles)
    assert (told["mention_everyone"], tuple(told["mention_roles"])) == (everyone, roles)
    assert message.pinged == (everyone or bool(roles))
    assert message.allowed_mentions == allowed


def test_a_mention_within_an_embed_pings_nobody(discord: SimulatedDiscord, client: httpx.Client) -> None:
    client.post(discord.webhook_url, json={"embeds": [{"description": "@everyone <@&5>"}]})
    assert not discord.messages[0].pinged


def test_the_same_nonce_gives_the_first_message_until_the_window_ends() -> None:
    now = [1_800_000_000.0]
    with SimulatedDiscord(clock=lambda: now[0], nonce_window_seconds=60) as discord:
        url, headers = discord.api_url + messages_path(discord), {"Authorization": f"Bot {discord.bot.token}"}

        def post(**more: Any) -> str:
            return str(httpx.post(url, headers=headers, json=CARD | {"nonce": "n1"} | more).json()["id"])

        first = post(enforce_nonce=True)
        assert post(enforce_nonce=True) == first
        now[0] += 59
        assert post(enforce_nonce=True) == first
        now[0] += 2
        assert post(enforce_nonce=True) != first
        assert post() != post()


def test_a_bot_reads_a_channel_newest_first_and_page_by_page(
    discord: SimulatedDiscord, bot: httpx.Client
) -> None:
    path = messages_path(discord)
    ids = [bot.post(path, json={"content": str(n)}).json()["id"] for n in range(7)]

    def listed(**query: Any) -> list[str]:
        return [one["id"] for one in bot.get(path, params=query).json()]

    assert listed() == ids[::-1]
    assert listed(limit=2) == [ids[6], ids[5]]
    assert listed(limit=2, before=ids[5]) == [ids[4], ids[3]]
    assert listed(limit=2, after=ids[1]) == [ids[3], ids[2]]
    assert listed(limit=3, around=ids[3]) == [ids[4], ids[3], ids[2]]
    assert listed(after=ids[6]) == []


def test_a_bot_reads_one_message_its_channel_and_itself(discord: SimulatedDiscord, bot: httpx.Client) -> None:
    path = messages_path(discord)
    sent = bot.post(path, json=CARD | {"nonce": 5}).json()
    assert bot.get(f"{path}/{sent['id']}").json() == sent
    assert (sent["nonce"], sent["author"]["id"]) == (5, discord.bot.user_id)
    assert bot.get(f"{path}/1").json()["code"] == 10008
    assert bot.get(path.removesuffix("/messages")).json()["last_message_id"] == sent["id"]
    assert bot.get("/users/@me").json()["id"] == discord.bot.user_id
    assert bot.delete(f"{path}/{sent['id']}").status_code == 405


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "101"}, {"limit": "x"}, {"before": "y"}, {"after": "-1"}]
)
def test_a_page_that_cannot_be_is_400(
    discord: SimulatedDiscord, bot: httpx.Client, query: dict[str, str]
) -> None:
    assert bot.get(messages_path(discord), params=query).json()["code"] == 50035


@pytest.mark.parametrize(
    ("lacking", "method", "status", "code"),
    [
        ("VIEW_CHANNEL", "GET", 403, 50001),
        ("VIEW_CHANNEL", "POST", 403, 50001),
        ("SEND_MESSAGES", "POST", 403, 50013),
        ("EMBED_LINKS", "POST", 403, 50013),
    ],
)
def test_a_bot_without_a_permission_is_refused(
    discord: SimulatedDiscord, bot: httpx.Client, lacking: str, method: str, status: int, code: int
) -> None:
    discord.bot.permissions.remove(lacking)
    answer = bot.request(method, messages_path(discord), json=CARD)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_without_read_message_history_a_channel_looks_empty(
    discord: SimulatedDiscord, bot: httpx.Client
) -> None:
    path = messages_path(discord)
    sent = bot.post(path, json=CARD).json()
    discord.bot.permissions.remove("READ_MESSAGE_HISTORY")
    assert (bot.get(path).status_code, bot.get(path).json()) == (200, [])
    assert bot.get(f"{path}/{sent['id']}").status_code == 403


def test_without_the_content_intent_a_bot_sees_only_its_own_embeds(
    discord: SimulatedDiscord, bot: httpx.Client, client: httpx.Client
) -> None:
    discord.bot.message_content = False
    bot.post(messages_path(discord), json=CARD)
    client.post(discord.webhook_url, json=CARD)
    assert [len(one["embeds"]) for one in bot.get(messages_path(discord)).json()] == [0, 1]


def test_a_wrong_bot_token_or_channel_is_refused(discord: SimulatedDiscord, bot: httpx.Client) -> None:
    wrong = bot.get("/users/@me", headers={"Authorization": f"Bearer {discord.bot.token}"})
    assert (wrong.status_code, wrong.json()) == (401, {"message": "401: Unauthorized", "code": 0})
    assert bot.post("/channels/404/messages", json=CARD).json()["code"] == 10003
