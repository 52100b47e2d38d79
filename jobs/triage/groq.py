"""Groq's cloud models, asked through its SDK when the local one gave no answer.

The facts are those of console.groq.com/docs: errors, rate-limits, reasoning and structured-outputs.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from jobs.errors import ModelError, SettingsError
from jobs.outgoing import client_options
from jobs.triage import calls
from jobs.triage.answer import ANSWER_SCHEMA
from jobs.triage.budget import Budget
from jobs.triage.prompt import Message, fit, weigh_messages
from jobs.verdict import Provider

if TYPE_CHECKING:
    import groq
    import httpx

TOKENS_PER_MINUTE = 8000
"""The free plan's, which prompt and answer must fit together: more is refused with 413 before it starts."""

ANSWER_TOKENS = 2500
"""An answer of 1500 and what a model thinks before it, which counts as well."""

FIRST_TOKENS_PER_WEIGHT = 0.25
"""Of a prompt, until an answer has told: low, since a call that is withheld for nothing costs the advice, and
one too many only an error in time.
"""

PRICES = {
    "openai/gpt-oss-120b": (0.15, 0.60),
    "openai/gpt-oss-20b": (0.075, 0.30),
    "llama-3.1-8b-instant": (0.05, 0.08),
    "llama-3.3-70b-versatile": (0.59, 0.79),
}
"""US dollars for a million tokens, asked and answered, by the list on groq.com/pricing."""

_RESPONSE_FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "advice", "strict": True, "schema": ANSWER_SCHEMA},
}
_RETRY_AFTER = re.compile(r"\d{1,9}(\.\d{1,9})?")
_NAMED_CODE = {
    "json_validate_failed": "invalid_answer",
    "model_decommissioned": "model_missing",
    "model_not_found": "model_missing",
}
_USE_ANOTHER = "write GROQ_MODEL=openai/gpt-oss-120b or another from console.groq.com/docs/models"
_LINES = {
    "timeout": "Groq took over {seconds} s",
    "unreachable": "Groq cannot be reached at GROQ_BASE_URL",
    "not_json": "what answers at GROQ_BASE_URL does not speak Groq's chat; check the URL",
    "refused_credential": (
        "Groq refuses the key; make one at console.groq.com/keys and write it to GROQ_API_KEY"
    ),
    "model_missing": "Groq has no model {model}, or no longer; " + _USE_ANOTHER + ", and check GROQ_BASE_URL",
    "limited": "Groq limits the calls: the plan's requests or tokens are used up for now",
    "too_large": "a call is too large for the tokens a minute of Groq's plan; a shorter SOP_FILE helps",
    "busy": "Groq is busy (status 503)",
    "invalid_answer": "the model's answer does not fit: Groq found no JSON of the schema in it",
    "cut_answer": f"Groq's answer was cut at {ANSWER_TOKENS} tokens",
    "empty_answer": "Groq's answer is empty",
    "http_400": "Groq refuses calls to {model}; maybe it takes no JSON schema; " + _USE_ANOTHER,
    "": "Groq answered with status {status}",
}


class GroqModel:
    """One model of Groq; may be asked by several threads at once. Nothing is sent before ``ask``.

    ``base_url`` is the host, to which the SDK adds ``/openai/v1``. Raises SettingsError where the URL or
    the key cannot be used.
    """

    provider = Provider.GROQ
    cloud = True

    def __init__(
        self,
        *,
        api_key: str,
        model: str,
        base_url: str,
        timeout_seconds: float = 15.0,
        on_usage: calls.OnUsage = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.model = model
        self.budget_chars = fit(TOKENS_PER_MINUTE, answer_tokens=ANSWER_TOKENS)
        example = "https://api.groq.com"
        url = calls.check_url("GROQ_BASE_URL", base_url, example=example, instead="GROQ_API_KEY")
        self._url = url.rstrip("/").removesuffix("/openai/v1")
        self._key = calls.check_header("GROQ_API_KEY", api_key)
        if self._key is None:
            raise SettingsError("GROQ_API_KEY is empty; make a key at console.groq.com/keys")
        self._timeout_seconds, self._on_usage = timeout_seconds, on_usage
        self._words = {"model": model, "seconds": f"{timeout_seconds:g}"}
        self._budget, self._tokens_per_weight = Budget(clock), FIRST_TOKENS_PER_WEIGHT
        self._client: groq.Groq | None = None
        self._opening = threading.Lock()

    def ask(self, messages: list[Message]) -> str:
        """The model's words, never empty. Raises ModelError, at the latest after ``timeout_seconds``; at once
        ``limited``, without a call, where the plan has not enough left for it.
        """
        weight = weigh_messages(messages)
        if not self._budget.reserve(weight * self._tokens_per_weight + ANSWER_TOKENS):
            raise calls.explain("limited", _LINES, self._words, asked=False)
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [asdict(message) for message in messages],
            "response_format": _RESPONSE_FORMAT,
            "max_completion_tokens": ANSWER_TOKENS,
            "temperature": 0.2,
            **_reasoning(self.model),
        }
        started = time.monotonic()
        try:
            client = self._client or self._open()
            answer = client.chat.completions.create(**body)
        except Exception as exc:  # noqa: BLE001 - a stranger's bytes can raise anything
            error = self._explain(exc)
        else:
            self._note_usage(getattr(answer, "usage", None), weight, time.monotonic() - started)
            return self._read(answer)
        # Outside the handler: an error raised inside it would carry the vendor's, and that one the body.
        raise error

    def check_present(self) -> None:
        """Raises ModelError where Groq cannot be asked, refuses the key or does not offer the model."""
        try:
            listed = (self._client or self._open()).models.list()
            names = {str(one.id) for one in listed.data}
        except Exception as exc:  # noqa: BLE001 - a stranger's bytes can raise anything
            error = self._explain(exc)
        else:
            if self.model in names:
                return
            error = calls.explain("model_missing", _LINES, self._words)
        raise error

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _open(self) -> "groq.Groq":
        with self._opening:
            if self._client is None:
                import groq
                import httpx

                # With GROQ_LOG or a root logger at debug the SDK would log every prompt.
                logging.getLogger("groq").setLevel(logging.WARNING)
                options = client_options(self._timeout_seconds, {"Authorization": calls.bearer(self._key)})
                self._client = groq.Groq(
                    api_key=self._key,
                    base_url=self._url,
                    timeout=self._timeout_seconds,
                    max_retries=0,
                    http_client=httpx.Client(**options, event_hooks={"response": [self._note_headers]}),
                )
            return self._client

    def _explain(self, exc: Exception) -> ModelError:
        import groq

        if not isinstance(exc, groq.APIStatusError):
            return calls.explain(calls.kind_of(exc.__cause__ or exc), _LINES, self._words)
        status = exc.status_code
        kind = _NAMED_CODE.get(_code_of(exc.body)) or calls.kind_of_status(status)
        retry_after = _read_seconds(exc.response.headers) if status in (429, 503) else None
        error = calls.explain(kind, _LINES, self._words, retry_after=retry_after)
        # Nothing but GROQ_MODEL and the texts differ between calls, and the texts are always in bounds.
        error.permanent |= kind == "http_400" and isinstance(exc.body, dict)
        return error

    def _note_headers(self, answer: "httpx.Response") -> None:
        self._budget.note(answer.headers)

    def _note_usage(self, usage: object, weight: int, seconds: float) -> None:
        tokens_in = calls.tokens_of(getattr(usage, "prompt_tokens", None))
        if 0 < tokens_in <= weight:
            self._tokens_per_weight = tokens_in / weight
        tokens_out = calls.tokens_of(getattr(usage, "completion_tokens", None))
        cost = cost_usd(self.model, tokens_in, tokens_out)
        self._on_usage(calls.Usage(self.provider, tokens_in, tokens_out, cost, seconds))

    def _read(self, answer: object) -> str:
        """Trusts nothing: the SDK takes what fits its types and leaves the rest as it came."""
        from groq.types.chat import ChatCompletion, ChatCompletionMessage
        from groq.types.chat.chat_completion import Choice

        match answer:
            case ChatCompletion(choices=[Choice(finish_reason="length"), *_]):
                raise calls.explain("cut_answer", _LINES, self._words)
            case ChatCompletion(choices=[Choice(message=ChatCompletionMessage(content=str(text))), *_]):
                if text.strip():
                    return text
                raise calls.explain("empty_answer", _LINES, self._words)
            case ChatCompletion(choices=[Choice(message=ChatCompletionMessage(content=None)), *_]):
                raise calls.explain("empty_answer", _LINES, self._words)
            case _:
                raise calls.explain("not_json", _LINES, self._words)


def cost_usd(model: str, tokens_in: int, tokens_out: int) -> float:
    """By list prices; a model that is not in the table counts as the dearest, so that no bill surprises."""
    price_in, price_out = PRICES.get(model, max(PRICES.values()))
    return (tokens_in * price_in + tokens_out * price_out) / 1_000_000


def _reasoning(model: str) -> dict[str, str]:
    """As little thinking as the model allows; most models refuse the parameter with 400."""
    if model.startswith(("openai/gpt-oss-20b", "openai/gpt-oss-120b")):
        return {"reasoning_effort": "low"}
    return {"reasoning_effort": "none"} if model.startswith("qwen/qwen3") else {}


def _code_of(body: object) -> str:
    match body:
        case {"error": {"code": str(code)}}:
            return code
        case _:
            return ""


def _read_seconds(headers: Mapping[str, Any]) -> float | None:
    """Retry-After, which Groq gives in seconds; None where it is missing or something else."""
    value = str(headers.get("Retry-After", ""))
    return float(value) if _RETRY_AFTER.fullmatch(value) else None
