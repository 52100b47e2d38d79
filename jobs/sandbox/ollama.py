"""A simulated Ollama: chats, loading, and what it lists, as in its published specification."""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from jobs.sandbox.conversation import (
    CHARACTERS_PER_TOKEN,
    Conversation,
    SeenRequest,
    parse_messages,
    parse_object,
    write_answer,
)
from jobs.sandbox.faults import ModelFaults, failed_page
from jobs.sandbox.serving import Answer, Drop, Outcome, Request, Simulator, json_answer

SANDBOX_MODEL = "llama3.2"
DEFAULT_NUM_CTX = 4_096


class SimulatedOllama(Simulator):
    """Answers like a small model that has read the ticket: see ``stand_in``.

    The ticket is the first JSON object with ``subject`` and ``body`` in the last user message that has one. A
    prompt longer than ``options.num_ctx`` loses its head without a word. ``required_headers`` must all be
    there, for a bearer token (else 401) or Cloudflare Access (else its 403 page). ``write`` is the model: the
    conversation and the wanted format to its words.

    A model is loaded by the first request for it, is listed by ``/api/ps`` from then on, and stays in
    ``loaded`` until a test takes it out. A load whose caller hangs up is given up, as by Ollama.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        models: Sequence[str] = (SANDBOX_MODEL,),
        required_headers: Mapping[str, str] | None = None,
        write: Callable[[Conversation, Any], str] = write_answer,
    ) -> None:
        super().__init__(port)
        self._write = write
        self.models = tuple(models)
        self.required_headers = {name.lower(): value for name, value in (required_headers or {}).items()}
        self.faults = ModelFaults()
        self.requests_seen: list[SeenRequest] = []
        self.loaded: set[str] = set()
        self._loads: dict[str, tuple[Request, float]] = {}
        self._lock = threading.Lock()

    @property
    def chats(self) -> list[dict[str, Any]]:
        """The bodies of all chat requests so far."""
        return [
            seen.body for seen in self.requests_seen if seen.path == "/api/chat" and seen.body is not None
        ]

    def answer(self, request: Request) -> Outcome:
        body = parse_object(request)
        self.requests_seen.append(SeenRequest(request.method, request.path, request.headers, body))
        faults = self.faults
        outcome = self._faulty() or self._refused(request) or self._route(request, body)
        return replace(outcome, delay_seconds=faults.latency_seconds + faults.hang_seconds)

    def _faulty(self) -> Outcome | None:
        if self.faults.drop:
            return Drop()
        if self.faults.html:
            return failed_page(self.faults.status or 200)
        return _error(self.faults.status, "simulated failure") if self.faults.status else None

    def _refused(self, request: Request) -> Answer | None:
        for name, value in self.required_headers.items():
            if request.headers.get(name) != value:
                return _error(401, "unauthorized") if name == "authorization" else failed_page(403)
        return None

    def _route(self, request: Request, body: dict[str, Any] | None) -> Outcome:
        match request.method, request.path:
            case "GET", "/api/version":
                return json_answer({"version": "0.12.6"})
            case "GET", "/api/tags":
                return json_answer({"models": [_to_summary(name) for name in self.models]})
            case "GET", "/api/ps":
                with self._lock:
                    running = sorted({*self.loaded, *self._loads})
                return json_answer({"models": [_to_running(name) for name in running]})
            case "POST", "/api/generate":
                return self._generate(request, body)
            case "POST", "/api/chat":
                return self._chat(request, body)
            case _:
                return Answer(404, b"404 page not found", "text/plain")

    def _generate(self, request: Request, body: dict[str, Any] | None) -> Outcome:
        """Only without a prompt, which loads the model."""
        if body is None or body.get("prompt"):
            return _error(400, "the sandbox only loads models here")
        model = str(body.get("model"))
        answer = {"model": model, "created_at": _now(), "response": "", "done": True, "done_reason": "load"}
        return self._not_loaded(request, model) or json_answer(answer)

    def _not_loaded(self, request: Request, model: str) -> Outcome | None:
        """Waits until the model is loaded; an outcome where it is not there or the caller hung up."""
        name = _full(model)
        if name not in {_full(one) for one in self.models}:
            return _error(404, f"model '{model}' not found")
        while not self._load_on(request, name):
            if self.stopping.wait(0.01) or request.hung_up():
                with self._lock:
                    if name in self._loads and self._loads[name][0] is request:
                        del self._loads[name]
                return Drop()
        return None

    def _load_on(self, request: Request, name: str) -> bool:
        """Whether it is loaded now; the first to ask loads it, and one of the others where that one left."""
        now = time.monotonic()
        with self._lock:
            if name in self.loaded:
                return True
            loader, began_at = self._loads.setdefault(name, (request, now))
            if loader is not request or now - began_at < self.faults.load_seconds:
                return False
            del self._loads[name]
            self.loaded.add(name)
            return True

    def _chat(self, request: Request, body: dict[str, Any] | None) -> Outcome:
        failure = self._next_failure()
        if failure is not None:
            return failure if isinstance(failure, Drop) else _error(failure, "simulated failure")
        if body is None or not isinstance(body.get("messages"), list):
            return _error(400, "invalid request body")
        model = str(body.get("model"))
        missing = self._not_loaded(request, model)
        if missing is not None:
            return missing
        self.stopping.wait(self.faults.chat_seconds)
        messages = _within_context(parse_messages(body["messages"]), body.get("options") or {})
        content = self._content(messages, body.get("format"))
        final = _to_final(model, content, messages, self.faults.done_reason)
        return _stream(final) if body.get("stream", True) else json_answer(final)

    def _next_failure(self) -> int | Drop | None:
        with self._lock:
            return self.faults.fail_next.pop(0) if self.faults.fail_next else None

    def _content(self, messages: Conversation, wanted: Any) -> str:
        if self.faults.empty:
            return ""
        if self.faults.content is not None:
            return self.faults.content
        content = self._write(messages, wanted)
        return content[: len(content) // 2] if self.faults.done_reason == "length" else content


def _within_context(messages: Conversation, options: Mapping[str, Any]) -> Conversation:
    """The end of the conversation, as much as the model's context holds."""
    room = int(options.get("num_ctx") or DEFAULT_NUM_CTX) * CHARACTERS_PER_TOKEN
    kept: Conversation = []
    for role, text in reversed(messages):
        if room <= 0:
            break
        kept.append((role, text[-room:]))
        room -= len(text)
    return kept[::-1]


def _error(status: int, message: str) -> Answer:
    return json_answer({"error": message}, status)


def _full(name: str) -> str:
    return name if ":" in name else f"{name}:latest"


def _to_summary(name: str) -> dict[str, Any]:
    details = {"format": "gguf", "family": "llama", "families": ["llama"]}
    return {
        "name": _full(name),
        "model": _full(name),
        "modified_at": "2026-11-01T09:00:00Z",
        "size": 2_019_393_189,
        "digest": "0" * 64,
        "details": details | {"parameter_size": "3.2B", "quantization_level": "Q4_K_M"},
    }


def _to_running(name: str) -> dict[str, Any]:
    shared = {key: value for key, value in _to_summary(name).items() if key != "modified_at"}
    return shared | {"expires_at": _now(minutes=30), "size_vram": 2_019_393_189, "context_length": 8_192}


def _now(minutes: int = 0) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


def _to_final(model: str, content: str, messages: Conversation, done_reason: str) -> dict[str, Any]:
    """Durations are in nanoseconds and believable, not measured."""
    read = sum(len(text) for _, text in messages) // CHARACTERS_PER_TOKEN
    written = max(1, len(content) // CHARACTERS_PER_TOKEN)
    return {
        "model": model,
        "created_at": _now(),
        "message": {"role": "assistant", "content": content},
        "done": True,
        "done_reason": done_reason,
        "total_duration": 20_000_000 + read * 500_000 + written * 10_000_000,
        "load_duration": 20_000_000,
        "prompt_eval_count": read,
        "prompt_eval_duration": read * 500_000,
        "eval_count": written,
        "eval_duration": written * 10_000_000,
    }


def _stream(final: dict[str, Any]) -> Answer:
    """Lines of JSON: pieces of the content, then the same end as without streaming, with no content."""
    content = final["message"]["content"]
    pieces = [content[start : start + 40] for start in range(0, len(content), 40)]
    events: list[dict[str, Any]] = [
        {
            "model": final["model"],
            "created_at": _now(),
            "message": {"role": "assistant", "content": p},
            "done": False,
        }
        for p in pieces
    ]
    events.append(final | {"message": {"role": "assistant", "content": ""}})
    lines = "".join(json.dumps(event) + "\n" for event in events)
    return Answer(200, lines.encode(), "application/x-ndjson")
