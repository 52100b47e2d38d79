"""A model's answer: the schema it is asked for, and the one door through which its text comes in."""

import json
import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from jobs.errors import ModelError
from jobs.triage.text import cut, one_line, printable
from jobs.verdict import AsanaType, HandlingMode, InternalAction, Priority, Provider, ProviderFailure, Verdict

SUMMARY_CHARS = 300
DRAFT_CHARS = 2_000
ITEM_CHARS = 500
QUESTIONS = 5
NOTES = 10
UNSURE_BELOW = 0.4

_UNSEEN = " \u00ad\u200b\u200c\u200d\u2060\ufeff"
_SEARCHED_CHARS = 20_000
_CANDIDATES = 100
# An object that starts with a key, or a JSON string that holds one: "{\"priority\": ...
_START = re.compile(r'\{(?=\s*")|"(?=(?:\s|\\[nrt]){0,20}\{(?:\s|\\[nrt]){0,40}\\")')
_DECODER = json.JSONDecoder()
_ESCALATIONS = {InternalAction.ESCALATE_TO_ENGINEERING, InternalAction.ESCALATE_TO_SECURITY}


def _enum(values: type[StrEnum]) -> dict[str, object]:
    return {"type": "string", "enum": [value.value for value in values]}


_TEXT: dict[str, object] = {"type": "string"}
_TEXTS: dict[str, object] = {"type": "array", "items": _TEXT}
_PROPERTIES = {
    "customer_summary": _TEXT,
    "priority": _enum(Priority),
    "recommended_internal_action": _enum(InternalAction),
    "asana_ticket_type_if_needed": _enum(AsanaType),
    "confidence": {"type": "number"},
    "handling_mode": _enum(HandlingMode),
    "reply_needed": {"type": "boolean"},
    "reply_draft": _TEXT,
    "questions_for_customer": _TEXTS,
    "internal_notes": _TEXTS,
}

#: No keyword of length or range: Groq's strict mode and Ollama's grammars do not both know them.
ANSWER_SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": _PROPERTIES,
    "required": list(_PROPERTIES),
    "additionalProperties": False,
}


def _clean(value: object) -> object:
    return printable(value) if isinstance(value, str) else value


def _texts(limit: int) -> BeforeValidator:
    def bound(value: object) -> object:
        if not isinstance(value, list):
            return value
        items = [
            cut(one_line(item), ITEM_CHARS) if isinstance(item, str) else item for item in value[: 4 * limit]
        ]
        return tuple(item for item in items if item != "")[:limit]

    return BeforeValidator(bound)


class Answer(BaseModel):
    """A valid answer within its limits: too long is cut, contradictory is refused, unknown is dropped.

    The order of the fields matters: ``handling_mode`` and ``reply_draft`` look at what stands before them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    customer_summary: Annotated[str, BeforeValidator(_clean)]
    priority: Priority
    recommended_internal_action: InternalAction
    asana_ticket_type_if_needed: AsanaType
    confidence: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    handling_mode: HandlingMode
    reply_needed: bool
    reply_draft: Annotated[str | None, BeforeValidator(_clean), Field(validate_default=True)] = None
    questions_for_customer: Annotated[tuple[str, ...], _texts(QUESTIONS)]
    internal_notes: Annotated[tuple[str, ...], _texts(NOTES)]

    @field_validator("customer_summary")
    @classmethod
    def _cut_summary(cls, summary: str) -> str:
        line = cut(one_line(summary), SUMMARY_CHARS)
        if not line or not line.strip(_UNSEEN):
            raise PydanticCustomError("empty", "empty")
        return line

    @field_validator("handling_mode")
    @classmethod
    def _ask_when_unsure(cls, mode: HandlingMode, info: ValidationInfo) -> HandlingMode:
        unsure = info.data.get("confidence", 1.0) < UNSURE_BELOW
        escalates = info.data.get("recommended_internal_action") in _ESCALATIONS
        return HandlingMode.REQUEST_MORE_INFO if unsure and not escalates else mode

    @field_validator("reply_draft")
    @classmethod
    def _draft_if_needed(cls, draft: str | None, info: ValidationInfo) -> str | None:
        if not info.data.get("reply_needed"):
            return None
        text = cut((draft or "").strip(), DRAFT_CHARS)
        if not text:
            raise PydanticCustomError("empty", "empty although reply_needed")
        return text


def parse_answer(text: str) -> Answer:
    """The first JSON object in ``text`` that fits, also inside prose, a code fence or a JSON string.

    Raises ModelError ``invalid_answer``, whose line names fields and faults but never quotes the text. Looks
    at 20,000 characters and 100 places where an object may begin, so that hostile text costs little.
    """
    closest: ValidationError | None = None
    for candidate in _find_objects(text[:_SEARCHED_CHARS]):
        try:
            return Answer.model_validate(candidate)
        except ValidationError as exc:
            if closest is None or exc.error_count() < closest.error_count():
                closest = exc
    faults = _name_faults(closest) if closest else "no JSON object in it" if text.strip() else "it is empty"
    raise ModelError(f"the model's answer does not fit: {faults}", kind="invalid_answer")


def to_verdict(
    answer: Answer,
    provider: Provider,
    model: str,
    *,
    triage_ms: int = 0,
    attempts: int = 1,
    failures: tuple[ProviderFailure, ...] = (),
) -> Verdict:
    return Verdict(
        **answer.model_dump(exclude={"reply_needed"}),
        provider=provider,
        model=model,
        triage_ms=triage_ms,
        attempts=attempts,
        failures=failures,
    )


def _find_objects(text: str) -> Iterator[dict[str, Any]]:
    """Objects in the order of their first characters; a JSON string is opened, one inside it is not."""
    tries = iter(range(_CANDIDATES))
    for found in _decode_all(text, tries):
        match found:
            case dict():
                yield found
            case str():
                yield from (inner for inner in _decode_all(found, tries) if isinstance(inner, dict))


def _decode_all(text: str, tries: Iterator[int]) -> Iterator[object]:
    """What decodes in ``text``, one of ``tries`` for each place looked at."""
    for start, _ in zip(_START.finditer(text), tries, strict=False):
        yield _decode(text, start.start())


def _decode(text: str, position: int) -> object:
    try:
        return _DECODER.raw_decode(text, position)[0]
    except (ValueError, RecursionError):
        return None


def _name_faults(error: ValidationError) -> str:
    """Our own fields and pydantic's own words, which for the types above never quote a value."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(dict.fromkeys(f"{fault['loc'][0]}: {fault['msg']}" for fault in faults[:10]))
