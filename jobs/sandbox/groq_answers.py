"""The bodies that Groq answers with: OpenAI's shapes and Groq's own additions.

https://console.groq.com/docs/api-reference, ``/errors`` and ``/rate-limits``; the words of the errors are
those that integrators report.
"""

import math
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.sandbox.faults import GroqError
from jobs.sandbox.serving import Answer, json_answer

_BILLING = "Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing"
_WHERE = "in organization `org_sandbox` service tier `on_demand` on tokens per minute (TPM)"


@dataclass(frozen=True, slots=True)
class Written:
    """What the model made of a prompt; lengths are in tokens."""

    model: str
    content: str
    finish_reason: str
    reasoning: str | None
    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int


def error(status: int, message: str, code: str | None = None, **more: Any) -> Answer:
    kind = "invalid_request_error" if status < 500 else "internal_server_error"
    body: dict[str, Any] = {"message": message, "type": kind}
    if code is not None:
        body["code"] = code
    return json_answer({"error": body | more}, status)


def failure(fault: int | GroqError, model: str, retry_after_seconds: float) -> Answer:
    """What Groq says for a status, or for one of its own error codes."""
    match fault:
        case 401 | GroqError.INVALID_API_KEY:
            return error(401, "Invalid API Key", "invalid_api_key")
        case 404 | GroqError.MODEL_NOT_FOUND:
            words = f"The model `{model}` does not exist or you do not have access to it."
            return error(404, words, "model_not_found")
        case GroqError.MODEL_DECOMMISSIONED:
            return decommissioned(model)
        case GroqError.JSON_VALIDATE_FAILED:
            return json_validate_failed("{")
        case 413:
            return too_large(model, 8_000, 12_000)
        case 429:
            return too_many_requests(model, retry_after_seconds)
        case _:
            return error(int(fault), "A simulated failure")


def decommissioned(model: str) -> Answer:
    words = (
        f"The model `{model}` has been decommissioned and is no longer supported. Please refer to "
        "https://console.groq.com/docs/deprecations for a recommendation on which model to use instead."
    )
    return error(400, words, "model_decommissioned")


def json_validate_failed(written: str) -> Answer:
    words = "Failed to generate JSON. Please adjust your prompt. See 'failed_generation' for more details."
    return error(400, words, "json_validate_failed", failed_generation=written)


def too_large(model: str, limit: int, requested: int) -> Answer:
    """One request beyond a minute's tokens: no waiting helps."""
    counts = f"Limit {limit}, Requested {requested}, please reduce your message size and try again."
    words = f"Request too large for model `{model}` {_WHERE}: {counts} {_BILLING}"
    return error(413, words, "rate_limit_exceeded", type="tokens")


def too_many_requests(model: str, seconds: float) -> Answer:
    words = f"Rate limit reached for model `{model}` {_WHERE}. Please try again in {seconds:g}s. {_BILLING}"
    answer = error(429, words, "rate_limit_exceeded", type="tokens")
    return Answer(429, answer.body, headers={"retry-after": str(math.ceil(seconds))})


def to_model(name: str) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": 1_754_408_224,
        "owned_by": "OpenAI" if name.startswith("openai/") else "Meta",
        "active": True,
        "context_window": 131_072,
        "public_apps": None,
        "max_completion_tokens": 65_536,
    }


def to_completion(written: Written) -> dict[str, Any]:
    message = {"role": "assistant", "content": written.content}
    if written.reasoning is not None:
        message["reasoning"] = written.reasoning
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": written.finish_reason}
    return {
        "id": f"chatcmpl-{uuid.uuid4()}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": written.model,
        "choices": [choice],
        "usage": _to_usage(written),
        "usage_breakdown": None,
        "system_fingerprint": "fp_sandbox",
        "x_groq": {"id": f"req_{uuid.uuid4().hex[:26]}"},
        "service_tier": "on_demand",
    }


def _to_usage(written: Written) -> Mapping[str, Any]:
    """Times are in seconds and believable, not measured."""
    prompt_time, completion_time = written.prompt_tokens / 20_000, written.completion_tokens / 500
    return {
        "queue_time": 0.05,
        "prompt_tokens": written.prompt_tokens,
        "prompt_time": prompt_time,
        "completion_tokens": written.completion_tokens,
        "completion_time": completion_time,
        "total_tokens": written.prompt_tokens + written.completion_tokens,
        "total_time": prompt_time + completion_time,
        "completion_tokens_details": {"reasoning_tokens": written.reasoning_tokens},
    }
