"""The local model, asked through Ollama's native chat."""

import threading
from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING

from jobs.errors import ModelError
from jobs.outgoing import client_options
from jobs.triage import calls
from jobs.triage.answer import ANSWER_SCHEMA
from jobs.triage.prompt import ANSWER_TOKENS, Message, fit
from jobs.triage.slots import Slots
from jobs.verdict import Provider

if TYPE_CHECKING:
    import ollama

NUM_CTX = 8192
KEEP_ALIVE = "30m"
"""The model stays loaded that long after a call; with Ollama's 5 minutes rare tickets pay a cold start."""

_REDIRECTS = "LOCAL_LLM_URL redirects, maybe to a login; check it and CF_ACCESS_CLIENT_*"
_LINES = {
    "timeout": "Ollama took over {seconds} s; is the model loaded, and small enough?",
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

    ``url`` is the server's, without ``/api``; ``slots`` None is no limit of calls at once. Raises
    SettingsError where the URL or a secret cannot be used.
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
    ) -> None:
        self.model = model
        self._take_slot = slots.take if slots else nullcontext
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
        self._client: ollama.Client | None = None
        self._opening = threading.Lock()

    def ask(self, messages: list[Message]) -> str:
        """The model's words, never empty. Raises ModelError, at the latest ``timeout_seconds`` after it has
        its slot; ``crowded`` where it gets none.
        """
        with self._take_slot():
            return self._ask(messages)

    def _ask(self, messages: list[Message]) -> str:
        try:
            client = self._client or self._open()
            answer = client.chat(
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
            return self._read(answer)
        # Outside the handler: an error raised inside it would carry the vendor's, and that one the body.
        raise error

    def check_present(self) -> None:
        """Raises ModelError where the server cannot be asked or has not pulled the model."""
        try:
            listed = (self._client or self._open()).list()
            names = {str(one.model).removesuffix(":latest") for one in listed.models}
        except Exception as exc:  # noqa: BLE001 - a stranger's bytes can raise anything
            error = self._explain(exc)
        else:
            if self.model.removesuffix(":latest") in names:
                return
            error = calls.explain("model_missing", _LINES, self._words)
        raise error

    def close(self) -> None:
        if self._client is not None:
            self._client.close()  # type: ignore[no-untyped-call]

    def _open(self) -> "ollama.Client":
        with self._opening:
            if self._client is None:
                import ollama

                options = client_options(self._timeout_seconds, self._secrets)
                self._client = ollama.Client(self._url, **options)
            return self._client

    def _explain(self, exc: Exception) -> ModelError:
        import ollama

        if isinstance(exc, ollama.ResponseError):
            return calls.explain(calls.kind_of_status(exc.status_code), _LINES, self._words)
        return calls.explain(calls.kind_of(exc), _LINES, self._words)

    def _read(self, answer: "ollama.ChatResponse") -> str:
        tokens = calls.tokens_of(answer.prompt_eval_count), calls.tokens_of(answer.eval_count)
        self._on_usage(calls.Usage(self.provider, *tokens))
        if answer.done_reason == "length":
            raise calls.explain("cut_answer", _LINES, self._words)
        if not (answer.message.content or "").strip():
            raise calls.explain("empty_answer", _LINES, self._words)
        return answer.message.content or ""
