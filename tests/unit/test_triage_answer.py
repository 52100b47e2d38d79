"""Whatever a model writes is a valid answer within its limits, or one error that quotes nothing."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.errors import ModelError
from jobs.triage import answer as module
from jobs.triage.answer import ANSWER_SCHEMA, Answer, parse_answer, to_verdict
from jobs.verdict import (
    AsanaType,
    HandlingMode,
    InternalAction,
    Priority,
    Provider,
    ProviderFailure,
)

GOOD: dict[str, Any] = {
    "customer_summary": "The export stops.",
    "priority": "medium",
    "recommended_internal_action": "Create bug report",
    "asana_ticket_type_if_needed": "Bug",
    "confidence": 0.8,
    "handling_mode": "reply_and_internal_followup",
    "reply_needed": True,
    "reply_draft": "Thank you for telling us.",
    "questions_for_customer": ["Which browser?"],
    "internal_notes": ["Third report."],
}


def answer_with(**changes: Any) -> str:
    return json.dumps(GOOD | changes)


def answer_without(field: str) -> str:
    return json.dumps({key: value for key, value in GOOD.items() if key != field})


def refuse(text: str) -> ModelError:
    with pytest.raises(ModelError) as caught:
        parse_answer(text)
    assert caught.value.kind == "invalid_answer"
    return caught.value


def test_a_good_answer_becomes_a_verdict() -> None:
    failures = (ProviderFailure(Provider.LOCAL, "timeout"),)
    verdict = to_verdict(parse_answer(json.dumps(GOOD)), Provider.GROQ, "big", attempts=2, failures=failures)
    assert verdict.priority is Priority.MEDIUM
    assert verdict.handling_mode is HandlingMode.REPLY_AND_INTERNAL_FOLLOWUP
    assert verdict.recommended_internal_action is InternalAction.CREATE_BUG_REPORT
    assert verdict.asana_ticket_type_if_needed is AsanaType.BUG
    assert verdict.questions_for_customer == ("Which browser?",)
    assert (verdict.provider, verdict.model, verdict.attempts) == (Provider.GROQ, "big", 2)
    assert verdict.failures == failures


def test_the_schema_asks_for_exactly_the_fields_of_the_answer() -> None:
    properties: Any = ANSWER_SCHEMA["properties"]
    assert list(properties) == list(Answer.model_fields) == ANSWER_SCHEMA["required"]
    assert ANSWER_SCHEMA["additionalProperties"] is False
    assert properties["priority"]["enum"] == ["low", "medium", "high", "critical"]


def test_the_schema_uses_only_what_strict_modes_know() -> None:
    def keywords(node: Any) -> set[str]:
        found = set(node)
        for child in (*node.get("properties", {}).values(), *([node["items"]] if "items" in node else [])):
            found |= keywords(child)
        return found

    known = {"type", "properties", "required", "additionalProperties", "enum", "items"}
    assert keywords(ANSWER_SCHEMA) <= known
    json.dumps(ANSWER_SCHEMA)


@pytest.mark.parametrize(
    "text",
    [
        "Here is my advice:\n```json\n" + json.dumps(GOOD, indent=2) + "\n```\nAnything else?",
        "{thinking} maybe {x: 1} or {}" + json.dumps(GOOD),
        '{"a": 1}' + json.dumps(GOOD),
        json.dumps({"answer": GOOD}),
        json.dumps([GOOD]),
        json.dumps(json.dumps(GOOD)),
        json.dumps(json.dumps(GOOD, indent=2)),
        "```" + json.dumps(json.dumps(GOOD)) + "```",
        json.dumps({"answer": json.dumps(GOOD)}),
        json.dumps(GOOD)[:-1] + ', "extra": {"deep": [1]}}',
        json.dumps(GOOD) + answer_with(priority="critical"),
        '{"priority": "critical"' + json.dumps(GOOD),
        "\ufeff  " + json.dumps(GOOD),
        "<think>{maybe: 1}</think>\n~~~json\n" + json.dumps(GOOD) + "\n~~~",
        answer_with(priority="urgent") + json.dumps(GOOD) + answer_with(priority="low"),
        json.dumps({"priority": "low", "note": json.dumps({"a": 1})}) + json.dumps(GOOD),
    ],
)
def test_the_first_object_that_fits_is_found(text: str) -> None:
    assert parse_answer(text) == Answer.model_validate(GOOD)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("I cannot help with that.", "no JSON object"),
        ("[1, 2]", "no JSON object"),
        (json.dumps(GOOD)[:-20], "no JSON object"),
        (json.dumps(json.dumps(json.dumps(GOOD))), "no JSON object"),
        ("<html><body>502</body></html>", "no JSON object"),
        (answer_with(priority="urgent"), "priority: Input should be 'low', 'medium', 'high' or 'critical'"),
        (answer_with(confidence=1.01), "confidence: Input should be less than or equal to 1"),
        (answer_with(confidence=-0.1), "confidence: Input should be greater than or equal to 0"),
        (answer_with(confidence=float("nan")), "confidence: Input should be a finite number"),
        (answer_with(confidence=float("inf")), "confidence: Input should be a finite number"),
        (answer_with(confidence=1).replace('"confidence": 1', '"confidence": 1e999'), "confidence"),
        (answer_with(confidence=1).replace('"confidence": 1', '"confidence": ' + "1" * 5000), "no JSON"),
        (answer_with(confidence=None), "confidence: Input should be a valid number"),
        (answer_with(customer_summary=" \n\x00"), "customer_summary: empty"),
        (answer_with(customer_summary="\u200b\u2060 \ufeff"), "customer_summary: empty"),
        (answer_with(customer_summary=None), "customer_summary"),
        (answer_with(reply_draft=""), "reply_draft: empty although reply_needed"),
        (answer_with(reply_draft=None), "reply_draft: empty although reply_needed"),
        (answer_with(reply_needed="perhaps"), "reply_needed"),
        (answer_with(questions_for_customer="Why?"), "questions_for_customer"),
        (answer_with(internal_notes=[{"a": 1}]), "internal_notes"),
        (answer_without("priority"), "priority: Field required"),
        (answer_without("reply_draft"), "reply_draft: empty although reply_needed"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused_by_field_and_fault(text: str, fault: str) -> None:
    assert fault in str(refuse(text))


SECRET = "MARKER-7391"


@pytest.mark.parametrize(
    "value", [SECRET, [SECRET], {SECRET: SECRET}, [{SECRET: 1}], [[SECRET]], 7391, -7391.5, True, None]
)
def test_the_error_never_quotes_the_answer(value: object) -> None:
    error = refuse(json.dumps(dict.fromkeys(GOOD, value) | {SECRET: SECRET, "priority": value}))
    assert "7391" not in str(error)
    assert "\n" not in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None


def test_a_fault_of_many_items_is_named_once() -> None:
    assert str(refuse(answer_with(internal_notes=[1, 2, 3]))).count("internal_notes") == 1


def test_the_faults_named_are_those_of_the_object_that_nearly_fits() -> None:
    assert "priority: Input should be 'low', 'medium', 'high' or 'critical'" in str(
        refuse('{"a": 1} ' + answer_with(priority="urgent"))
    )


def test_unknown_fields_are_ignored_wherever_they_stand() -> None:
    odd = {"asana_project": "x", "customer_summary2": [None], "": {"deep": [1]}}
    assert parse_answer(json.dumps(odd | GOOD | {"model_config": 1})) == Answer.model_validate(GOOD)


def test_output_that_was_cut_in_the_middle_of_a_string_is_refused_also_when_fenced() -> None:
    for length in range(1, len(json.dumps(GOOD))):
        refuse("```json\n" + json.dumps(GOOD)[:length])


def test_a_long_summary_is_cut_with_an_ellipsis() -> None:
    summary = parse_answer(answer_with(customer_summary="word \n" * 200)).customer_summary
    assert len(summary) <= 300
    assert summary.endswith("word…")
    assert parse_answer(answer_with(customer_summary="x" * 300)).customer_summary == "x" * 300


def test_a_draft_without_need_is_dropped() -> None:
    assert parse_answer(answer_with(reply_needed=False)).reply_draft is None
    assert parse_answer(answer_with(reply_needed=False, reply_draft=None)).reply_draft is None


@pytest.mark.parametrize("action", ["Escalate to security", "Escalate to engineering"])
def test_little_confidence_asks_for_more_unless_it_escalates(action: str) -> None:
    ask = HandlingMode.REQUEST_MORE_INFO
    assert parse_answer(answer_with(confidence=0.39)).handling_mode is ask
    assert parse_answer(answer_with(confidence=0.4)).handling_mode is not ask
    escalated = answer_with(confidence=0.0, recommended_internal_action=action)
    assert parse_answer(escalated).handling_mode is not ask


def test_lists_and_their_items_are_bounded() -> None:
    items = ["", "  ", "x" * 2_000, *(f"question {number}?" for number in range(40))]
    answer = parse_answer(answer_with(questions_for_customer=items[:20], internal_notes=items))
    assert len(answer.questions_for_customer) == module.QUESTIONS
    assert len(answer.internal_notes) == module.NOTES
    assert max(map(len, answer.internal_notes)) == module.ITEM_CHARS
    assert "" not in answer.internal_notes


def test_control_characters_and_half_characters_are_taken_out() -> None:
    answer = parse_answer(answer_with(customer_summary="a\x00b\ud800", reply_draft="one\ntwo\x1b[31m\udfff"))
    assert answer.customer_summary == "a b\ufffd"
    assert answer.reply_draft == "one\ntwo [31m\ufffd"


@pytest.mark.parametrize(
    "text",
    [
        "{" * 100_000,
        '{"a":' * 20_000,
        "[" * 100_000,
        '{"a":' * 150 + "[" + "1," * 50_000,
        '"{\\"a\\":' * 15_000,
        json.dumps('{"a":' * 150 + "[" + "1," * 9_000) * 5,
        "{ " * 50_000,
        '"   ' * 25_000,
        '{"a":1}' * 15_000,
        "\\" * 100_000,
        '{"' + "a" * 100_000,
    ],
    ids=range(11),
)
def test_hostile_text_costs_little(text: str) -> None:
    started = time.perf_counter()
    refuse(text)
    assert time.perf_counter() - started < 2, "bounded: about 30 ms where nothing else runs"


ANYTHING = st.text(alphabet=st.characters(exclude_categories=()))
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANYTHING,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)
NEARLY_GOOD = st.builds(
    lambda changes, gone: json.dumps({key: (GOOD | changes)[key] for key in GOOD if key not in gone}),
    st.dictionaries(st.sampled_from(list(GOOD)), JSON_VALUES, max_size=4),
    st.sets(st.sampled_from(list(GOOD)), max_size=1),
)
ODD_TEXT = st.text(alphabet=st.sampled_from('{}[]":,\\ \nnrtu0e1.-' + "abc\ud800\u2028"))


@settings(max_examples=300)
@given(before=ODD_TEXT, core=NEARLY_GOOD | ODD_TEXT, after=ODD_TEXT, encoded=st.booleans())
def test_any_text_is_an_answer_within_the_limits_or_an_error(
    before: str, core: str, after: str, encoded: bool
) -> None:
    try:
        answer = parse_answer(before + (json.dumps(core) if encoded else core) + after)
    except ModelError:
        return
    assert 1 <= len(answer.customer_summary) <= 300
    assert 0 <= answer.confidence <= 1
    assert answer.reply_needed == (answer.reply_draft is not None)
    assert len(answer.reply_draft or "") <= module.DRAFT_CHARS
    assert len(answer.questions_for_customer) <= module.QUESTIONS
    assert len(answer.internal_notes) <= module.NOTES
    assert all(1 <= len(item) <= module.ITEM_CHARS for item in answer.internal_notes)
    repr(to_verdict(answer, Provider.LOCAL, "m")).encode()
