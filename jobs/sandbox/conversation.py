"""What the simulated models share: reading a chat request, finding the ticket in it, writing the answer."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from jobs.sandbox.constrained import Schema, fit
from jobs.sandbox.serving import Request
from jobs.sandbox.stand_in import triage

# Each message's role and text.
Conversation: TypeAlias = list[tuple[str, str]]
# A schema to fit, any JSON, or prose.
Wanted: TypeAlias = Schema | Literal["json"] | None

CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """A request as it came; header names are lower case, ``body`` is None if there was no JSON object."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any] | None


def parse_object(request: Request) -> dict[str, Any] | None:
    try:
        body = request.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def parse_messages(messages: list[Any]) -> Conversation:
    return [
        (str(one.get("role")), str(one.get("content") or "")) for one in messages if isinstance(one, dict)
    ]


def write_answer(messages: Conversation, wanted: Wanted) -> str:
    """What a model that has read the ticket writes: fitted to a schema, as free JSON, or as prose."""
    answer = triage(find_ticket(messages) or {})
    if isinstance(wanted, Mapping):
        return json.dumps(fit(answer, wanted), ensure_ascii=False)
    if wanted == "json":
        return json.dumps(answer, ensure_ascii=False)
    return f"{answer['customer_summary']} I would give it {answer['priority']} priority."


def find_ticket(messages: Conversation) -> dict[str, Any] | None:
    """The ticket in the newest user message that holds one."""
    for role, text in reversed(messages):
        ticket = _find_ticket_in(text) if role == "user" else None
        if ticket is not None:
            return ticket
    return None


def _find_ticket_in(text: str) -> dict[str, Any] | None:
    decoder = json.JSONDecoder()
    start = text.find("{")
    while start >= 0:
        try:
            found, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict) and {"subject", "body"} <= found.keys():
            return found
        start = text.find("{", start + 1)
    return None
