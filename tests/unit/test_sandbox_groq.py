"""The simulated Groq through Groq's own SDK: its shapes, its strict mode, its limits and its faults."""

import json
import re
import ssl
from collections.abc import Iterator
from typing import Any

import groq
import httpx
import pytest

from jobs.sandbox.__main__ import describe
from jobs.sandbox.faults import GroqError
from jobs.sandbox.groq import SANDBOX_GROQ_MODELS, SimulatedGroq
from jobs.sandbox.rate_limits import to_duration
from jobs.sandbox.serving import Drop
from jobs.sandbox.world import sandbox_world

# Loading the certificates that nothing here needs costs 30 ms a client.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "priority": {"$ref": "#/$defs/Priority"},
        "reply_draft": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["priority", "reply_draft"],
    "additionalProperties": False,
    "$defs": {"Priority": {"type": "string", "enum": ["low", "medium", "high", "critical"]}},
}


@pytest.fixture
def simulator() -> Iterator[SimulatedGroq]:
    with SimulatedGroq() as simulator:
        yield simulator
    assert simulator.crashes == []


@pytest.fixture
def client(simulator: SimulatedGroq) -> Iterator[groq.Groq]:
    http = httpx.Client(verify=PLAIN)
    with groq.Groq(
        api_key=simulator.api_key, base_url=simulator.url, max_retries=0, timeout=5, http_client=http
    ) as client:
        yield client


def strict(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "triage", "strict": True, "schema": schema}}


def ask(client: groq.Groq, body: str = "The site is down for everyone", **more: Any) -> Any:
    ticket = json.dumps({"subject": "Help", "body": body})
    chat: dict[str, Any] = {
        "model": SANDBOX_GROQ_MODELS[0],
        "messages": [{"role": "system", "content": "Rules"}, {"role": "user", "content": ticket}],
        "response_format": strict(SCHEMA),
        "reasoning_effort": "low",
        "max_completion_tokens": 2_000,
    }
    return client.chat.completions.create(**chat | more)


def error_of(client: groq.Groq, **more: Any) -> tuple[int, str | None]:
    with pytest.raises(groq.APIStatusError) as caught:
        ask(client, **more)
    body: Any = caught.value.body
    return caught.value.status_code, body["error"].get("code")


def test_a_chat_answers_by_the_schema_with_usage_and_request_id(client: groq.Groq) -> None:
    answer = ask(client)
    (choice,) = answer.choices
    content = json.loads(choice.message.content)
    assert (list(content), content["priority"]) == (["priority", "reply_draft"], "critical")
    assert (choice.finish_reason, choice.message.role) == ("stop", "assistant")
    usage = answer.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.completion_tokens > usage.completion_tokens_details.reasoning_tokens > 0
    assert answer.x_groq.id.startswith("req_")


def test_the_same_ticket_gets_the_same_answer_as_from_the_local_model(client: groq.Groq) -> None:
    prose = ask(client, "How do I print?", response_format=None).choices[0].message.content
    assert prose.endswith("I would give it low priority.")


def test_json_mode_needs_the_word_json(client: groq.Groq) -> None:
    wanted = {"type": "json_object"}
    assert error_of(client, response_format=wanted) == (400, None)
    answer = ask(client, "As json please: how do I print?", response_format=wanted)
    assert json.loads(answer.choices[0].message.content)["priority"] == "low"


@pytest.mark.parametrize(
    "schema",
    [
        {**SCHEMA, "additionalProperties": True},
        {**SCHEMA, "required": ["priority"]},
        {**SCHEMA, "properties": {**SCHEMA["properties"], "invented": {"type": "string"}}},
        {**SCHEMA, "$defs": {"Priority": {"type": "object", "properties": {}}}},
        {**SCHEMA, "$defs": {"Priority": {"anyOf": [{"type": "object", "additionalProperties": True}]}}},
    ],
)
def test_strict_mode_refuses_a_schema_that_leaves_something_open(client: groq.Groq, schema: Any) -> None:
    with pytest.raises(groq.BadRequestError, match="invalid JSON schema"):
        ask(client, response_format=strict(schema))
    loose = {"type": "json_schema", "json_schema": {"name": "triage", "schema": SCHEMA}}
    assert ask(client, response_format=loose).choices


def test_other_models_do_not_take_a_schema(client: groq.Groq) -> None:
    with pytest.raises(groq.BadRequestError, match="does not support response format"):
        ask(client, model="llama-3.1-8b-instant")
    answer = ask(client, model="llama-3.1-8b-instant", response_format=None)
    assert answer.usage.completion_tokens_details.reasoning_tokens == 0


def test_thinking_counts_against_the_room_for_the_answer(client: groq.Groq) -> None:
    assert error_of(client, max_completion_tokens=45) == (400, "json_validate_failed")
    cut = ask(client, max_completion_tokens=45, response_format=None).choices[0]
    assert (cut.finish_reason, len(cut.message.content)) == ("length", 20)
    assert ask(client, max_completion_tokens=45, reasoning_effort="none", response_format=None).choices


def test_the_models_are_listed(client: groq.Groq) -> None:
    assert [model.id for model in client.models.list().data] == list(SANDBOX_GROQ_MODELS)
    assert client.models.retrieve(SANDBOX_GROQ_MODELS[0]).owned_by == "OpenAI"
    with pytest.raises(groq.NotFoundError):
        client.models.retrieve("unicorn")


def test_a_wrong_key_is_401(simulator: SimulatedGroq, client: groq.Groq) -> None:
    simulator.api_key = "gsk_another"
    assert error_of(client) == (401, "invalid_api_key")
    with pytest.raises(groq.AuthenticationError):
        client.models.list()


def test_an_unknown_and_a_retired_model_are_told_apart(simulator: SimulatedGroq, client: groq.Groq) -> None:
    assert error_of(client, model="unicorn") == (404, "model_not_found")
    simulator.decommissioned = (SANDBOX_GROQ_MODELS[0],)
    assert error_of(client) == (400, "model_decommissioned")


def test_a_minutes_tokens_run_out_and_come_back(simulator: SimulatedGroq, client: groq.Groq) -> None:
    now = [0.0]
    simulator.clock, simulator.tokens_per_minute = lambda: now[0], 5_000
    assert error_of(client, max_completion_tokens=5_001) == (413, "rate_limit_exceeded")
    answer = client.chat.completions.with_raw_response.create(
        model=SANDBOX_GROQ_MODELS[0],
        messages=[{"role": "user", "content": "x" * 400}],
        max_completion_tokens=4_000,
    )
    limits = {name: value for name, value in answer.headers.items() if name.startswith("x-ratelimit")}
    assert limits == {
        "x-ratelimit-limit-requests": "14400",
        "x-ratelimit-remaining-requests": "14398",
        "x-ratelimit-reset-requests": "12s",
        "x-ratelimit-limit-tokens": "5000",
        "x-ratelimit-remaining-tokens": "900",
        "x-ratelimit-reset-tokens": "49.2s",
    }
    with pytest.raises(groq.RateLimitError) as caught:
        ask(client, max_completion_tokens=1_500)
    wait_seconds = int(caught.value.response.headers["retry-after"])
    assert 7 < wait_seconds < 12
    now[0] += wait_seconds
    assert ask(client, max_completion_tokens=1_500).choices


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0, "0ms"), (0.547, "547ms"), (7.66, "7.66s"), (60, "1m0s"), (179.56, "2m59.56s")],
)
def test_times_are_written_as_groq_writes_them(seconds: float, written: str) -> None:
    assert to_duration(seconds) == written


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (401, (401, "invalid_api_key")),
        (404, (404, "model_not_found")),
        (413, (413, "rate_limit_exceeded")),
        (429, (429, "rate_limit_exceeded")),
        (400, (400, None)),
        (500, (500, None)),
        (503, (503, None)),
        (GroqError.MODEL_DECOMMISSIONED, (400, "model_decommissioned")),
        (GroqError.JSON_VALIDATE_FAILED, (400, "json_validate_failed")),
    ],
)
def test_a_fault_looks_as_groq_has_it(
    simulator: SimulatedGroq, client: groq.Groq, fault: int | GroqError, expected: tuple[int, str | None]
) -> None:
    simulator.faults.fail_next = [fault]
    assert error_of(client) == expected
    assert ask(client).choices
    simulator.faults.status = fault
    assert error_of(client) == error_of(client) == expected


def test_a_simulated_429_names_the_wait(simulator: SimulatedGroq, client: groq.Groq) -> None:
    simulator.faults.status, simulator.faults.retry_after_seconds = 429, 6.2
    with pytest.raises(groq.RateLimitError, match=r"try again in 6\.2s") as caught:
        ask(client)
    assert caught.value.response.headers["retry-after"] == "7"


def test_a_sick_model_says_nothing_or_garbage_or_half_of_it(
    simulator: SimulatedGroq, client: groq.Groq
) -> None:
    simulator.faults.content = "not json"
    assert ask(client).choices[0].message.content == "not json"
    simulator.faults.content, simulator.faults.finish_reason = None, "length"
    cut = ask(client).choices[0]
    assert cut.finish_reason == "length"
    with pytest.raises(json.JSONDecodeError):
        json.loads(cut.message.content)
    simulator.faults.empty = True
    assert ask(client).choices[0].message.content == ""


def test_a_broken_connection_a_page_and_a_slow_answer(simulator: SimulatedGroq, client: groq.Groq) -> None:
    simulator.faults.fail_next = [Drop()]
    with pytest.raises(groq.APIConnectionError):
        ask(client)
    simulator.faults.html = True
    page = httpx.post(f"{simulator.url}/openai/v1/chat/completions")
    assert (page.status_code, page.text[:6]) == (401, "<html>")
    simulator.faults.hang_seconds = 60
    with pytest.raises(groq.APITimeoutError):
        ask(client, timeout=0.1)


def test_requests_are_recorded(simulator: SimulatedGroq, client: groq.Groq) -> None:
    client.models.list()
    ask(client)
    assert [seen.method for seen in simulator.requests_seen] == ["GET", "POST"]
    assert simulator.chats[0]["response_format"]["json_schema"]["strict"] is True


def test_the_world_serves_discord_and_groq_and_names_them_in_its_settings() -> None:
    with sandbox_world() as world:
        settings = world.settings
        assert httpx.get(settings["DISCORD_WEBHOOK_URL"]).json()["id"] == world.discord.webhook.webhook_id
        assert settings["DISCORD_API_URL"] == world.discord.api_url
        key = {"Authorization": f"Bearer {settings['GROQ_API_KEY']}"}
        models = httpx.get(f"{settings['GROQ_BASE_URL']}/openai/v1/models", headers=key).json()["data"]
        assert settings["GROQ_MODEL"] in [model["id"] for model in models]
        assert settings["CLOUD_TRIAGE"] == "off"
        lines = describe(world).splitlines()
    assert all(line.startswith("#") or re.match(r"[A-Z_]+=", line) for line in lines)
    assert any(world.discord.bot.token in line for line in lines)
