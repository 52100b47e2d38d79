"""What the simulated Discord answers, and what the bot posts, has the shape of Discord's OpenAPI document."""

import json
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from jobs.notify.card import build_minimal_card
from jobs.notify.discord_bot import DiscordBot
from jobs.sandbox.discord import SimulatedDiscord
from jobs.sandbox.rate_limits import RateLimits
from jobs.verdict import Priority

# Loading the certificates that nothing here needs costs 30 ms a client.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
SPEC = Path(__file__).resolve().parents[2] / "../shared/specs/discord-v10.json"
TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": type(None),
}
# The document calls the codes within an error tree integers; Discord's are words: BASE_TYPE_MAX_LENGTH.
REALLY_TEXT = re.compile(r"\._errors\[\d+\]\.code$")
WEBHOOK, CHANNEL = "/webhooks/{webhook_id}/{webhook_token}", "/channels/{channel_id}"
CARD: dict[str, Any] = {
    "content": "@here <@&5>",
    "allowed_mentions": {"parse": ["everyone"], "roles": ["5"]},
    "embeds": [
        {
            "title": "x",
            "url": "https://example.invalid/1",
            "color": 0xFF0000,
            "timestamp": "2026-11-23T10:00:00+00:00",
            "fields": [{"name": "n", "value": "v"}],
            "footer": {"text": "f"},
            "author": {"name": "a"},
        }
    ],
}

pytestmark = pytest.mark.skipif(not SPEC.exists(), reason="../shared/specs/discord-v10.json is absent")


class Document:
    def __init__(self) -> None:
        self.content = json.loads(SPEC.read_text())

    def schema(self, path: str, method: str, status: int) -> dict[str, Any]:
        answers = self.content["paths"][path][method.lower()]["responses"]
        answer = answers.get(str(status)) or answers["4XX"]
        if "$ref" in answer:
            answer = self.content["components"]["responses"][answer["$ref"].rsplit("/", 1)[1]]
        found: dict[str, Any] = answer["content"]["application/json"]["schema"]
        return found

    def faults(self, value: Any, schema: dict[str, Any], where: str = "$") -> Iterator[str]:
        """What is wrong with the value, place by place; unknown keys are wrong too."""
        schema = self._merged(schema)
        if "oneOf" in schema and "const" not in schema["oneOf"][0]:
            tries = [list(self.faults(value, one, where)) for one in schema["oneOf"]]
            yield from min(tries, key=len)
            return
        values = [one["const"] for one in schema.get("oneOf", ())] or schema.get("enum", ())
        kinds = schema.get("type", "object")
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if not any(isinstance(value, TYPES[kind]) for kind in kinds):
            yield f"{where} is none of {kinds}"
        elif values and value not in values:
            yield f"{where} is none of its values"
        elif isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
            yield f"{where} does not match its pattern"
        elif isinstance(value, list):
            for number, item in enumerate(value):
                yield from self.faults(item, schema["items"], f"{where}[{number}]")
        elif isinstance(value, dict):
            yield from self._faults_of_members(value, schema, where)

    def _faults_of_members(self, value: dict[str, Any], schema: dict[str, Any], where: str) -> Iterator[str]:
        known, more = schema.get("properties", {}), schema.get("additionalProperties")
        yield from (f"{where}.{name} is missing" for name in schema.get("required", []) if name not in value)
        for name, member in value.items():
            part = known.get(name, more)
            if not isinstance(part, dict):
                yield f"{where}.{name} is unknown"
            elif not REALLY_TEXT.search(f"{where}.{name}"):
                yield from self.faults(member, part, f"{where}.{name}")

    def _merged(self, schema: dict[str, Any]) -> dict[str, Any]:
        """References followed, and the parts of ``allOf`` made one."""
        while "$ref" in schema:
            schema = self.content["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        merged = {name: part for name, part in schema.items() if name != "allOf"}
        for part in map(self._merged, schema.get("allOf", ())):
            merged["properties"] = {**part.get("properties", {}), **merged.get("properties", {})}
            merged["required"] = [*part.get("required", []), *merged.get("required", [])]
        return merged


@pytest.fixture(scope="module")
def document() -> Document:
    return Document()


@pytest.fixture
def discord() -> Iterator[SimulatedDiscord]:
    with SimulatedDiscord() as simulator:
        yield simulator
    assert simulator.crashes == []


def ask(discord: SimulatedDiscord, method: str, path: str, body: Any = None) -> httpx.Response:
    """``path`` as in the document, with the simulator's own ids filled in."""
    last = discord.messages[-1].message_id if discord.messages else "1"
    path = path.format(
        webhook_id=discord.webhook.webhook_id,
        webhook_token=discord.webhook.token,
        channel_id=discord.channel.channel_id,
        message_id=last,
    )
    headers = {"Authorization": f"Bot {discord.bot.token}"}
    with httpx.Client(verify=PLAIN, headers=headers) as client:
        return client.request(method, discord.api_url + path, params={"wait": "true"}, json=body)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", WEBHOOK, CARD),
        ("POST", WEBHOOK, {"content": "only words", "username": "Somebody"}),
        ("GET", WEBHOOK, None),
        ("POST", f"{CHANNEL}/messages", {**CARD, "nonce": "n", "enforce_nonce": True}),
        ("GET", f"{CHANNEL}/messages", None),
        ("GET", f"{CHANNEL}/messages/{{message_id}}", None),
        ("GET", CHANNEL, None),
        ("GET", "/users/@me", None),
    ],
)
def test_an_answer_has_the_documented_shape(
    discord: SimulatedDiscord, document: Document, method: str, path: str, body: Any
) -> None:
    ask(discord, "POST", WEBHOOK, CARD)
    answer = ask(discord, method, path, body)
    assert answer.status_code == 200
    assert list(document.faults(answer.json(), document.schema(path, method, 200))) == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", WEBHOOK, {"embeds": [{"title": "x" * 257, "fields": [{"name": " "}]}]}, 400),
        ("POST", WEBHOOK, {"content": "x", "allowed_mentions": {"parse": ["all"]}}, 400),
        ("POST", WEBHOOK, {}, 400),
        ("POST", WEBHOOK, [], 400),
        ("GET", f"{CHANNEL}/messages/{{message_id}}", None, 404),
    ],
)
def test_an_error_has_the_documented_shape(
    discord: SimulatedDiscord, document: Document, method: str, path: str, body: Any, status: int
) -> None:
    answer = ask(discord, method, path, body)
    assert answer.status_code == status
    assert list(document.faults(answer.json(), document.schema(path, method, status))) == []


@pytest.mark.parametrize("status", [401, 403, 404, 500])
@pytest.mark.parametrize("path", [WEBHOOK, f"{CHANNEL}/messages"])
def test_a_simulated_failure_has_the_documented_shape(
    discord: SimulatedDiscord, document: Document, path: str, status: int
) -> None:
    discord.faults.status = status
    answer = ask(discord, "POST", path, CARD)
    assert answer.status_code == status
    assert list(document.faults(answer.json(), {"$ref": "#/components/schemas/ErrorResponse"})) == []


def test_a_429_has_the_documented_shape_and_headers(discord: SimulatedDiscord, document: Document) -> None:
    discord.rate_limits = RateLimits(count=1)
    ask(discord, "POST", WEBHOOK, CARD)
    answer = ask(discord, "POST", WEBHOOK, CARD)
    assert answer.status_code == 429
    faults = list(document.faults(answer.json(), document.schema(WEBHOOK, "POST", 429)))
    # Required here, optional in https://docs.discord.com/developers/topics/rate-limits and absent in life.
    assert faults == ["$.code is missing"]
    assert {name.lower() for name in document.content["components"]["headers"]} <= set(answer.headers)


@pytest.mark.parametrize("ping", ["here", "123", "none"])
def test_what_the_bot_posts_is_what_the_document_allows(
    discord: SimulatedDiscord, document: Document, ping: str
) -> None:
    bot = DiscordBot(discord.api_url, discord.bot.token, discord.channel.channel_id, ping)
    bot.send(build_minimal_card("7", "https://example.invalid/7", Priority.CRITICAL))
    bot.announce("Held: <https://example.invalid/7>")
    bot.close()
    schema = document.content["components"]["schemas"]["MessageCreateRequest"]
    for request in discord.requests_seen:
        assert list(document.faults(request.json(), schema)) == []
    longest = [one["maxLength"] for one in schema["properties"]["nonce"]["oneOf"] if "maxLength" in one]
    assert [len(discord.requests_seen[0].json()["nonce"])] == longest


def test_the_limits_are_the_documented_ones(discord: SimulatedDiscord, document: Document) -> None:
    schemas = document.content["components"]["schemas"]
    embed, field = schemas["RichEmbed"]["properties"], schemas["RichEmbedField"]["properties"]
    for at_limit, status in ((0, 200), (1, 400)):
        texts = {name: "x" * (field[name]["maxLength"] + at_limit) for name in ("name", "value")}
        body = {"embeds": [{"title": "x" * (embed["title"]["maxLength"] + at_limit), "fields": [texts]}]}
        assert ask(discord, "POST", WEBHOOK, body).status_code == status
