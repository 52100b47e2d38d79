"""The simulated Discord's rate limits, and how a 429 looks."""

import ssl
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from jobs.sandbox.discord import SimulatedDiscord
from jobs.sandbox.faults import GLOBAL_429, HTML_429
from jobs.sandbox.rate_limits import RateLimits

# Loading the certificates that nothing here needs costs 30 ms a client.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
MINIMAL: dict[str, Any] = {"embeds": [{"title": "x"}]}


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def discord(clock: Clock) -> Iterator[SimulatedDiscord]:
    with SimulatedDiscord(clock=clock) as simulator:
        yield simulator
    assert simulator.crashes == []


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(verify=PLAIN, timeout=5, params={"wait": "true"}) as client:
        yield client


def post(discord: SimulatedDiscord, client: httpx.Client, body: Any = MINIMAL) -> httpx.Response:
    return client.post(discord.webhook_url, json=body)


def test_without_limits_no_limit_is_named(discord: SimulatedDiscord, client: httpx.Client) -> None:
    answers = [post(discord, client) for _ in range(40)]
    assert {answer.status_code for answer in answers} == {200}
    assert not [name for name in answers[-1].headers if name.startswith("x-ratelimit")]


def test_a_webhook_takes_five_messages_in_two_seconds(
    discord: SimulatedDiscord, clock: Clock, client: httpx.Client
) -> None:
    discord.rate_limits = RateLimits()
    remaining = [int(post(discord, client).headers["X-RateLimit-Remaining"]) for _ in range(5)]
    assert remaining == [4, 3, 2, 1, 0]
    clock.now += 0.5
    refused = post(discord, client)
    assert refused.status_code == 429
    assert refused.json() == {"message": "You are being rate limited.", "retry_after": 1.5, "global": False}
    named = ("Retry-After", "X-RateLimit-Scope", "X-RateLimit-Limit", "X-RateLimit-Reset-After")
    assert [refused.headers[name] for name in named] == ["2", "user", "5", "1.500"]
    assert float(refused.headers["X-RateLimit-Reset"]) == clock.now + 1.5
    clock.now += 1.5
    assert post(discord, client).status_code == 200
    assert len(discord.messages) == 6


def test_a_refused_message_counts_and_its_answer_names_the_limit(
    discord: SimulatedDiscord, client: httpx.Client
) -> None:
    discord.rate_limits = RateLimits()
    answer = post(discord, client, {})
    assert (answer.status_code, answer.headers["X-RateLimit-Remaining"]) == (400, "4")


def test_a_channel_takes_thirty_messages_a_minute_from_all_its_webhooks(
    discord: SimulatedDiscord, clock: Clock, client: httpx.Client
) -> None:
    discord.rate_limits = RateLimits()
    other = discord.url_of(discord.add_webhook(discord.channel.channel_id))
    for number in range(30):
        clock.now += 1
        assert client.post(other if number % 2 else discord.webhook_url, json=MINIMAL).status_code == 200
    clock.now += 1
    refused = post(discord, client)
    assert (refused.headers["X-RateLimit-Scope"], refused.json()["retry_after"]) == ("shared", 30)
    assert refused.headers["X-RateLimit-Remaining"] != "0"


def test_a_429_can_be_global_or_a_page(discord: SimulatedDiscord, client: httpx.Client) -> None:
    discord.faults.fail_next = [429, GLOBAL_429, HTML_429]
    discord.faults.retry_after_seconds = 2.5
    usual, everywhere, page = (post(discord, client) for _ in range(3))
    assert (usual.json()["retry_after"], usual.json()["global"]) == (2.5, False)
    assert (everywhere.json()["global"], everywhere.headers["X-RateLimit-Global"]) == (True, "true")
    assert everywhere.headers["X-RateLimit-Scope"] == "global"
    assert (page.status_code, page.text[:6], page.headers["Retry-After"]) == (429, "<html>", "3")
    assert discord.messages == []
