"""The local model, asked through Ollama's native chat."""

import threading
import time
from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING

from jobs.errors import ModelError
from jobs.outgoing import client_options
from jobs.triage import calls
from jobs.triage.answer import ANSWER_SCHEMA
from jobs.triage.prompt import ANSWER_TOKENS, Message, fit
from jobs.triage.slots import LONE_SECONDS, Slots
from jobs.triage.warming import LOAD_SECONDS, Warming
from jobs.verdict import Provider

if TYPE_CHECKING:
    import ollama

NUM_CTX = 8192
KEEP_ALIVE = "30m"
"""The model stays loaded that long after a call; with Ollama's 5 minutes rare tickets pay a cold start."""

LOOK_SECONDS = 2.0
"""A server that runs lists its models in milliseconds."""

_REDIRECTS = "LOCAL_LLM_URL redirects, maybe to a login; check it and CF_ACCESS_CLIENT_*"
_LINES = {
    "timeout": "Ollama took over {seconds} s; is {model} small enough for it?",
    "loading": "{model} is still being loaded by Ollama; until then tickets are told without it",
    "unreachable": "Ollama cannot be reached; is it running at LOCAL_LLM_URL?",
    "not_json": "what answers at LOCAL_LLM_URL does not speak Ollama's chat; check the URL",
    "refused_credential": (
        "Ollama's server refuses the credential; check LOCAL_LLM_TOKEN and CF_ACCESS_CLIENT_*"
    ),
    "model_missing": (
        "no model {model} at LOCAL_LLM_URL: `ollama pull {model}` there, or check the URL's path"
    ),
    "limited": "what stands before Ollama limits the calls (status 429)",
    "too_large": "what stands before Ollama refuses a call of this size (status 413)",
    "busy": "Ollama is busy: its queue is full",
    "cut_answer": f"Ollama's answer was cut at {ANSWER_TOKENS} tokens",
    "empty_answer": "Ollama's answer is empty; a model that thinks although told not to cannot be used",
    "": "Ollama answered with status {status}",
} | {f"http_{status}": _REDIRECTS for status in (301, 302, 303, 307, 308)}


class OllamaModel:
    """One model of one server; may be asked by several threads at once. Nothing is sent before ``ask``.

    ``url`` is the server's, without ``/api``; ``slots`` None is no limit of calls at once. A ticket waits
    for a load ``patience_seconds`` from its beginning. Raises SettingsError where the URL or a secret cannot
    be used.
    """

    provider = Provider.LOCAL

    def __init__(
        self,
        *,
        url: str,
        model: str,
        token: str | None = None,
        cf_access_id: str | None = None,
        cf_access_secret: str | None = None,
        num_ctx: int = NUM_CTX,
        timeout_seconds: float = 10.0,
        on_usage: calls.OnUsage = lambda _: None,
        slots: Slots | None = None,
        patience_seconds: float = LONE_SECONDS,
    ) -> None:
        self.model = model
        self._take_slot = slots.take if slots else nullcontext
        self._warming = Warming(self._load, self._is_loaded, patience_seconds)
        self.budget_chars = fit(num_ctx)
        example = "http://localhost:11434"
        self._url = calls.check_url("LOCAL_LLM_URL", url, example=example, instead="LOCAL_LLM_TOKEN")
        self._secrets = {
            "Authorization": calls.bearer(calls.check_header("LOCAL_LLM_TOKEN", token)),
            "CF-Access-Client-Id": calls.check_header("CF_ACCESS_CLIENT_ID", cf_access_id),
            "CF-Access-Client-Secret": calls.check_header("CF_ACCESS_CLIENT_SECRET", cf_access_secret),
        }
        self._options = {"temperature": 0.2, "num_ctx": num_ctx, "num_predict": ANSWER_TOKENS}
        self._timeout_seconds, self._on_usage = timeout_seconds, on_usage
        self._words = {"model": model, "seconds": f"{timeout_seconds:g}"}
        self._clients: dict[float, ollama.Client] = {}
        self._opening = threading.Lock()

    def ask(self, messages: list[Message]) -> str:
        """The model's words, never empty. Raises ModelError, at the latest ``timeout_seconds`` after it has
        its slot, and what a look for the reason takes; ``crowded`` where it gets none, ``loading`` where the
        model is not in memory yet.
        """
        if not self._warming.wait():
            raise self._describe("loading", asked=False)
        with self._take_slot():
            return self._ask(messages)

    def warm(self) -> None:
        """Begin to load the model, which its first call would wait for. Returns at once."""
        self._warming.start()

    def _ask(self, messages: list[Message]) -> str:
        started = time.monotonic()
        try:
            answer = self._open(self._timeout_seconds).chat(
                self.model,
                [asdict(message) for message in messages],
                stream=False,
                think=False,
                format=ANSWER_SCHEMA,
                options=self._options,
                keep_alive=KEEP_ALIVE,
            )
        except Exception as exc:  # noqa: BLE001 - a stranger's bytes can raise anything
            error = self._explain(exc)
        else:
            self._warming.heard()
            return self._read(answer, time.monotonic() - started)
        # Outside the handler: an error raised inside it would carry the vendor's, and that one the body.
        raise error

    def check_present(self) -> None:
        """Raises ModelError where the server cannot be asked or has not pulled the model."""
        try:
            is_there = self._is_among(self._open(self._timeout_seconds).list())
        except Exception as exc:  # noqa: BLE001 - a stranger's bytes can raise anything
            error = self._explain(exc)
        else:
            if is_there:
                return
            error = self._describe("model_missing")
        raise error

    def close(self) -> None:
        for client in self._clients.values():
            client.close()  # type: ignore[no-untyped-call]

    def _load(self) -> None:
        try:
            client = self._open(LOAD_SECONDS)
            client.generate(self.model, options=self._options, keep_alive=KEEP_ALIVE)
        except Exception as exc:  # noqa: BLE001 - a stranger's bytes can raise anything
            raise self._describe(self._kind_of(exc)) from None

    def _is_loaded(self) -> bool | None:
        """As the server lists it; None where it does not say. What is being loaded is listed as well."""
        try:
            return self._is_among(self._open(LOOK_SECONDS).ps())
        except Exception:  # noqa: BLE001 - a stranger's bytes can raise anything
            return None

    def _is_among(self, listed: "ollama.ListResponse | ollama.ProcessResponse") -> bool:
        names = {str(one.model).removesuffix(":latest") for one in listed.models}
        return self.model.removesuffix(":latest") in names

    def _open(self, seconds: float) -> "ollama.Client":
        """The client whose calls may take so long."""
        with self._opening:
            if seconds not in self._clients:
                import ollama

                self._clients[seconds] = ollama.Client(self._url, **client_options(seconds, self._secrets))
            return self._clients[seconds]

    def _explain(self, exc: Exception) -> ModelError:
        kind = self._kind_of(exc)
        is_loading = kind == "timeout" and self._warming.explains_silence()
        return self._describe("loading" if is_loading else kind)

    def _describe(self, kind: str, *, asked: bool = True) -> ModelError:
        return calls.explain(kind, _LINES, self._words, asked=asked)

    def _kind_of(self, exc: Exception) -> str:
        import ollama

        if isinstance(exc, ollama.ResponseError):
            return calls.kind_of_status(exc.status_code)
        return calls.kind_of(exc)

    def _read(self, answer: "ollama.ChatResponse", seconds: float) -> str:
        tokens = calls.tokens_of(answer.prompt_eval_count), calls.tokens_of(answer.eval_count)
        self._on_usage(calls.Usage(self.provider, *tokens, seconds=seconds))
        if answer.done_reason == "length":
            raise self._describe("cut_answer")
        if not (answer.message.content or "").strip():
            raise self._describe("empty_answer")
        return answer.message.content or ""
