"""A simulated Groq: chat completions and models under ``/openai/v1``; the base URL is the host alone."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from jobs.sandbox import groq_answers as say
from jobs.sandbox.conversation import (
    CHARACTERS_PER_TOKEN,
    Conversation,
    SeenRequest,
    Wanted,
    parse_messages,
    parse_object,
    write_answer,
)
from jobs.sandbox.faults import GroqError, GroqFaults, failed_page
from jobs.sandbox.rate_limits import Allowance
from jobs.sandbox.serving import Answer, Drop, Outcome, Request, Simulator, json_answer
from jobs.sandbox.strict_schema import find_schema_faults

SANDBOX_GROQ_KEY = "gsk_sandbox-no-secret"
SANDBOX_GROQ_MODELS = ("openai/gpt-oss-120b", "openai/gpt-oss-20b", "llama-3.1-8b-instant")

CHAT = "/openai/v1/chat/completions"
MODELS = "/openai/v1/models"
REQUESTS_PER_DAY, UNLIMITED_TOKENS = 14_400, 1_000_000
DEFAULT_COMPLETION_TOKENS = 8_192
REASONING_TOKENS = {"none": 0, "low": 40, "medium": 150, "high": 600}
STRICT_MODELS = "openai/gpt-oss-"


class SimulatedGroq(Simulator):
    """Answers like a model that has read the ticket: see ``stand_in`` and, for the ticket, ``conversation``.

    Only the ``openai/gpt-oss`` models take ``json_schema``, and they think first: those tokens count against
    ``max_completion_tokens``. ``decommissioned`` models are refused as such. ``tokens_per_minute`` None
    lifts the limits, and nothing is counted; a request that asks for more than a whole minute's is 413, one
    beyond what is left 429. What was used comes back evenly, and the headers tell how far it is.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        models: Sequence[str] = SANDBOX_GROQ_MODELS,
        decommissioned: Sequence[str] = (),
        api_key: str = SANDBOX_GROQ_KEY,
        tokens_per_minute: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(port)
        self.models, self.decommissioned = tuple(models), tuple(decommissioned)
        self.api_key, self.clock = api_key, clock
        self.tokens_per_minute = tokens_per_minute
        self.faults = GroqFaults()
        self.requests_seen: list[SeenRequest] = []
        self._tokens, self._requests = Allowance(60.0), Allowance(86_400.0)
        self._lock = threading.Lock()

    @property
    def chats(self) -> list[dict[str, Any]]:
        """The bodies of all chat requests so far."""
        return [seen.body for seen in self.requests_seen if seen.path == CHAT and seen.body is not None]

    def answer(self, request: Request) -> Outcome:
        body = parse_object(request)
        self.requests_seen.append(SeenRequest(request.method, request.path, request.headers, body))
        faults = self.faults
        outcome = self._faulty(body) or self._route(request, body)
        delay = faults.latency_seconds + faults.hang_seconds
        if isinstance(outcome, Drop):
            return Drop(delay)
        headers = {**self._limits(), **outcome.headers}
        if faults.html:
            outcome = failed_page(outcome.status)
        return replace(outcome, headers=headers, delay_seconds=delay)

    def _faulty(self, body: dict[str, Any] | None) -> Outcome | None:
        if self.faults.drop:
            return Drop()
        return self._failure(self.faults.status, body) if self.faults.status else None

    def _failure(self, fault: int | GroqError | Drop, body: dict[str, Any] | None) -> Outcome:
        if isinstance(fault, Drop):
            return fault
        return say.failure(fault, str((body or {}).get("model")), self.faults.retry_after_seconds)

    def _limits(self) -> dict[str, str]:
        """On every answer; requests are counted by the day and tokens by the minute, as Groq does."""
        with self._lock:
            self._refill()
            return self._requests.headers("requests", REQUESTS_PER_DAY) | self._tokens.headers(
                "tokens", self._token_limit
            )

    @property
    def _token_limit(self) -> int:
        return self.tokens_per_minute or UNLIMITED_TOKENS

    def _refill(self) -> None:
        now = self.clock()
        self._tokens.refill(self._token_limit, now)
        self._requests.refill(REQUESTS_PER_DAY, now)

    def _route(self, request: Request, body: dict[str, Any] | None) -> Outcome:
        if request.headers.get("authorization") != f"Bearer {self.api_key}":
            return say.failure(401, "", 0)
        name = unquote(request.path.removeprefix(f"{MODELS}/"))
        if request.method == "POST" and request.path == CHAT:
            return self._chat(body)
        if request.method == "GET" and request.path == MODELS:
            return json_answer({"object": "list", "data": [say.to_model(model) for model in self.models]})
        if request.method == "GET" and name in self.models:
            return json_answer(say.to_model(name))
        words = f"Unknown request URL: {request.method} {request.path}. Please check the URL for typos."
        return say.error(404, words, "unknown_url")

    def _chat(self, body: dict[str, Any] | None) -> Outcome:
        with self._lock:
            failure = self.faults.fail_next.pop(0) if self.faults.fail_next else None
        if failure is not None:
            return self._failure(failure, body)
        if body is None or not isinstance(body.get("messages"), list) or not body["messages"]:
            return say.error(400, "'messages' : minimum number of items is 1")
        model, messages = str(body.get("model")), parse_messages(body["messages"])
        asked = _tokens("".join(text for _, text in messages))
        refusal = (
            self._unknown(model) or _refused(body) or self._limited(model, asked + (_given_room(body) or 0))
        )
        return refusal or self._complete(body, model, messages, asked)

    def _unknown(self, model: str) -> Answer | None:
        if model in self.decommissioned:
            return say.decommissioned(model)
        return None if model in self.models else say.failure(404, model, 0)

    def _limited(self, model: str, tokens: int) -> Answer | None:
        """Groq counts what the answer may take beforehand."""
        limit = self.tokens_per_minute
        if limit is None:
            return None
        with self._lock:
            self._refill()
            self._requests.used += 1
            if tokens > limit:
                return say.too_large(model, limit, tokens)
            over = self._tokens.used + tokens - limit
            if over > 0:
                return say.too_many_requests(model, over / limit * 60.0)
            self._tokens.used += tokens
        return None

    def _complete(self, body: dict[str, Any], model: str, messages: Conversation, asked: int) -> Answer:
        wanted = _wanted(body)
        content, finish_reason = self._content(messages, wanted), self.faults.finish_reason
        thought = _reasoning_tokens(body, model)
        room = max(0, (_given_room(body) or DEFAULT_COMPLETION_TOKENS) - thought)
        if _tokens(content) > room:
            content, finish_reason = content[: room * CHARACTERS_PER_TOKEN], "length"
            if wanted is not None:
                return say.json_validate_failed(content)
        shown = (
            "The customer says what is wrong." if thought and body.get("include_reasoning", True) else None
        )
        written = say.Written(
            model=model,
            content=content,
            finish_reason=finish_reason,
            reasoning=shown,
            prompt_tokens=asked,
            completion_tokens=thought + _tokens(content),
            reasoning_tokens=thought,
        )
        return json_answer(say.to_completion(written))

    def _content(self, messages: Conversation, wanted: Wanted) -> str:
        if self.faults.empty:
            return ""
        content = write_answer(messages, wanted) if self.faults.content is None else self.faults.content
        return content[: len(content) // 2] if self.faults.finish_reason == "length" else content


def _tokens(text: str) -> int:
    return len(text) // CHARACTERS_PER_TOKEN


def _given_room(body: dict[str, Any]) -> int | None:
    return body.get("max_completion_tokens") or body.get("max_tokens")


def _reasoning_tokens(body: dict[str, Any], model: str) -> int:
    if not model.startswith(STRICT_MODELS):
        return 0
    return REASONING_TOKENS[str(body.get("reasoning_effort") or "medium")]


def _wanted(body: dict[str, Any]) -> Wanted:
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        schema: Wanted = wanted["json_schema"]["schema"]
        return schema
    return "json" if wanted.get("type") == "json_object" else None


def _refused(body: dict[str, Any]) -> Answer | None:
    """The 400 for a request that the model's own abilities or the API's rules forbid."""
    wanted = body.get("response_format") or {}
    if body.get("stream"):
        return say.error(400, "The sandbox does not stream.")
    if str(body.get("reasoning_effort") or "medium") not in REASONING_TOKENS:
        return say.error(400, "`reasoning_effort` must be one of `low`, `medium`, or `high`")
    if wanted.get("type") == "json_schema":
        return _schema_refused(wanted.get("json_schema"), str(body.get("model")))
    if wanted.get("type") == "json_object" and "json" not in str(body["messages"]).lower():
        words = "'messages' must contain the word 'json' in some form, to use 'response_format' of type"
        return say.error(400, f"{words} 'json_object'.")
    return None


def _schema_refused(given: Any, model: str) -> Answer | None:
    if not model.startswith(STRICT_MODELS):
        words = "This model does not support response format `json_schema`. See supported models at"
        return say.error(
            400, f"{words} https://console.groq.com/docs/structured-outputs", param="response_format"
        )
    name = given.get("name") if isinstance(given, dict) else None
    if not name or not isinstance(given.get("schema"), dict):
        return say.error(400, "response_format.json_schema needs a name and a schema")
    faults = list(find_schema_faults(given["schema"])) if given.get("strict") else []
    if faults:
        words = f"invalid JSON schema for response_format: '{name}': {faults[0]}"
        return say.error(400, words, param="response_format")
    return None
