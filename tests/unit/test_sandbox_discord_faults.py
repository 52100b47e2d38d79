"""The simulated Discord's faults and limits: what the sender is told, what the channel then holds."""

import ssl
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from jobs.sandbox.discord import SimulatedDiscord
from jobs.sandbox.faults import (
    DROP_AFTER,
    DROP_BEFORE,
    ERROR_AFTER,
    GLOBAL_429,
    HTML_429,
    TRUNCATED,
    DiscordFaults,
    Fault,
)
from jobs.sandbox.rate_limits import RateLimits

# Loading the certificates that nothing here needs costs 30 ms a client.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
CARD: dict[str, Any] = {"embeds": [{"title": "x", "fields": [{"name": "n", "value": "v"}]}]}
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


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500, 502, 503, 504])
def test_a_status_fails_every_message_and_no_read(
    discord: SimulatedDiscord, client: httpx.Client, status: int
) -> None:
    discord.faults.status = status
    assert [post(discord, client).status_code for _ in range(2)] == [status, status]
    assert client.get(discord.webhook_url).status_code == 200
    assert discord.messages == []


def test_failures_are_used_up_in_their_order(discord: SimulatedDiscord, client: httpx.Client) -> None:
    discord.faults.fail_next = [500, ERROR_AFTER, Fault(504, stored=True, html=True)]
    assert [post(discord, client).status_code for _ in range(4)] == [500, 502, 504, 200]
    assert len(discord.messages) == 3


@pytest.mark.parametrize(("fault", "stored"), [(DROP_BEFORE, 0), (DROP_AFTER, 1)])
def test_a_dropped_connection_may_hide_a_stored_message(
    discord: SimulatedDiscord, client: httpx.Client, fault: Fault, stored: int
) -> None:
    discord.faults.fail_next = [fault]
    with pytest.raises(httpx.RemoteProtocolError):
        post(discord, client)
    assert (len(discord.messages), discord.statuses[0]) == (stored, 1)


def test_a_truncated_answer_has_a_status_line_but_not_its_body(
    discord: SimulatedDiscord, client: httpx.Client
) -> None:
    discord.faults.fail_next = [TRUNCATED]
    with client.stream("POST", discord.webhook_url, json=MINIMAL) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            answer.read()
    assert len(discord.messages) == 1


def test_what_discord_refuses_stays_refused_under_a_fault(
    discord: SimulatedDiscord, client: httpx.Client
) -> None:
    discord.faults.fail_next = [DROP_AFTER]
    assert post(discord, client, {}).json()["code"] == 50006
    assert discord.messages == []


@pytest.mark.parametrize("body", [b"{", b"", b'{"content": "  "}', b"[1]"])
def test_a_body_that_is_no_message_is_400(
    discord: SimulatedDiscord, client: httpx.Client, body: bytes
) -> None:
    answer = client.post(discord.webhook_url, content=body)
    assert (answer.status_code, answer.json()["code"] in (50006, 50035, 50109)) == (400, True)


def test_without_wait_a_message_that_was_not_saved_gives_no_error(discord: SimulatedDiscord) -> None:
    discord.faults.status = 500
    assert httpx.post(discord.webhook_url, json=MINIMAL).status_code == 204
    assert discord.messages == []


def test_delays_pass_before_and_after_the_storing(discord: SimulatedDiscord, client: httpx.Client) -> None:
    discord.faults.fail_next = [Fault(200, stored=True, delay_after_seconds=60)]
    with pytest.raises(httpx.ReadTimeout):
        client.post(discord.webhook_url, json=MINIMAL, timeout=0.2)
    assert len(discord.messages) == 1
    discord.faults.delay_before_seconds = 0.4
    with pytest.raises(httpx.ReadTimeout):
        client.post(discord.webhook_url, json=MINIMAL, timeout=0.1)
    assert len(discord.messages) == 1
    time.sleep(0.6)
    assert len(discord.messages) == 2


def test_a_message_that_was_delayed_when_discord_stopped_is_never_stored(
    discord: SimulatedDiscord, client: httpx.Client
) -> None:
    discord.faults.delay_before_seconds = 60
    with pytest.raises(httpx.ReadTimeout):
        client.post(discord.webhook_url, json=MINIMAL, timeout=0.1)
    discord.stop()
    assert discord.messages == []


def test_down_fails_reads_too_and_html_makes_errors_pages(
    discord: SimulatedDiscord, client: httpx.Client
) -> None:
    discord.faults.down, discord.faults.html = True, True
    for answer in (post(discord, client), client.get(discord.webhook_url)):
        assert (answer.status_code, answer.text[:6]) == (503, "<html>")
    discord.faults = DiscordFaults(get_status=500)
    assert (post(discord, client).status_code, client.get(discord.webhook_url).status_code) == (200, 500)


def test_a_card_with_fields_can_be_refused_and_the_minimal_one_taken(
    discord: SimulatedDiscord, client: httpx.Client
) -> None:
    discord.faults.refuse_first_embed = 1.0
    answers = [post(discord, client, body) for body in (CARD, MINIMAL, {"content": "x"})]
    assert [answer.status_code for answer in answers] == [400, 200, 200]
    assert answers[0].json()["code"] == 50035


def test_chaos_of_the_same_seed_is_the_same() -> None:
    chances: dict[int | Fault, float] = {500: 0.2, DROP_AFTER: 0.3, ERROR_AFTER: 0.1}
    runs = []
    for seed in (7, 7, 8):
        faults = DiscordFaults(chances=dict(chances), seed=seed)
        runs.append([faults.take() for _ in range(500)])
    assert runs[0] == runs[1] != runs[2]
    shares = {fault: runs[0].count(fault) / 500 for fault in (Fault(500), DROP_AFTER, ERROR_AFTER, None)}
    assert shares == pytest.approx({Fault(500): 0.2, DROP_AFTER: 0.3, ERROR_AFTER: 0.1, None: 0.4}, abs=0.06)


def test_the_date_header_is_that_of_discords_clock(
    discord: SimulatedDiscord, clock: Clock, client: httpx.Client
) -> None:
    said = parsedate_to_datetime(post(discord, client).headers["Date"])
    assert said.timestamp() == clock.now == discord.messages[0].created_at.timestamp()


def test_an_idle_connection_is_closed_and_a_new_one_serves(
    discord: SimulatedDiscord, client: httpx.Client
) -> None:
    discord.idle_close_seconds = 0.1
    assert post(discord, client).status_code == 200
    time.sleep(0.3)
    assert post(discord, client).status_code == 200
    assert discord.connections == 2


def test_a_request_that_crosses_with_the_closing_is_lost_unread(
    discord: SimulatedDiscord, client: httpx.Client
) -> None:
    discord.idle_lost_seconds = 0.1
    assert [post(discord, client).status_code for _ in range(2)] == [200, 200]
    time.sleep(0.2)
    with pytest.raises(httpx.TransportError):
        post(discord, client)
    assert post(discord, client).status_code == 200
    assert len(discord.messages) == 3


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
