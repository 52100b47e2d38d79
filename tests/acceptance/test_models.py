"""The rows of docs/reliability.md that begin with a model: each ticket is told once, marked right."""

import json
from collections.abc import Callable

import pytest

from jobs.sandbox.faults import GroqError
from tests.acceptance.conftest import Bench, Finished

GOOD = {
    "priority": "low",
    "handling_mode": "reply_only",
    "recommended_internal_action": "None",
    "asana_ticket_type_if_needed": "None",
    "customer_summary": "They ask how to export.",
    "reply_needed": False,
    "reply_draft": "",
    "questions_for_customer": [],
    "internal_notes": [],
    "confidence": 0.9,
}


def set_content(text: str) -> Callable[[Bench], None]:
    def fault(bench: Bench) -> None:
        bench.ollama.faults.content = text

    return fault


def set_status(status: int) -> Callable[[Bench], None]:
    def fault(bench: Bench) -> None:
        bench.ollama.faults.status = status

    return fault


def set_flag(name: str, value: object = True) -> Callable[[Bench], None]:
    def fault(bench: Bench) -> None:
        setattr(bench.ollama.faults, name, value)

    return fault


BROKEN = {
    "slow": set_flag("hang_seconds", 15.0),
    "garbage": set_content("I would be happy to help you with this ticket!"),
    "empty": set_flag("empty"),
    "cut": set_flag("done_reason", "length"),
    "wrong enum": set_content(json.dumps({**GOOD, "priority": "urgent"})),
    "429": set_status(429),
    "413": set_status(413),
    "500": set_status(500),
    "503": set_status(503),
    "page": set_flag("html"),
    "dropped": set_flag("drop"),
}
USABLE = {
    "fenced": f"Here you are:\n```json\n{json.dumps(GOOD)}\n```\nRegards",
    "in prose": f"Sure! {json.dumps(GOOD)} I hope this helps.",
    "a string of JSON": json.dumps(json.dumps(GOOD)),
    "unknown fields": json.dumps({**GOOD, "mood": "angry"}),
    "a long summary": json.dumps({**GOOD, "customer_summary": "long " * 200}),
}


def told_once(bench: Bench, run: Finished, by: str) -> None:
    assert (run.code, run.json["notified"]) == (0, 1), run.err
    assert run.json["by_provider"] == {by: 1}
    (message,) = bench.discord.messages
    (embed,) = message.embeds
    assert embed["footer"]["text"].startswith(f"Triaged via {by}")
    assert ("not AI-triaged" in str(embed)) == (by == "rules")


def test_a_storm_on_a_slow_local_model_has_its_limit_of_calls_and_the_rest_at_groq(
    sqlite_bench: Bench,
) -> None:
    bench = sqlite_bench
    bench.ollama.faults.chat_seconds = 4.0
    ids = bench.add(8)
    env = {**bench.vendors.groq_settings, "LOCAL_LLM_CONCURRENCY": "1"}
    done = bench.run("run-once", "--json", **env)
    assert bench.cards_of(ids) == [1] * 8
    assert done.json["failed"] == 0
    by_local, by_groq = len(bench.ollama.chats), len(bench.vendors.groq.chats)
    assert by_local + by_groq == 8, "nobody was asked in vain"
    assert 1 <= by_local <= 3


@pytest.mark.parametrize("fault", BROKEN.values(), ids=BROKEN)
def test_groq_stands_in_for_a_broken_local_model(sqlite_bench: Bench, fault: Callable[[Bench], None]) -> None:
    sqlite_bench.add()
    fault(sqlite_bench)
    run = sqlite_bench.run("run-once", "--json", **sqlite_bench.vendors.groq_settings)
    told_once(sqlite_bench, run, "groq")


@pytest.mark.parametrize("text", USABLE.values(), ids=USABLE)
def test_an_answer_in_other_clothes_is_used(sqlite_bench: Bench, text: str) -> None:
    sqlite_bench.add()
    sqlite_bench.ollama.faults.content = text
    told_once(sqlite_bench, sqlite_bench.run("run-once", "--json"), "local")
    assert len(sqlite_bench.ollama.chats) == 1


def test_an_invalid_answer_is_repaired_once_by_the_same_model(sqlite_bench: Bench) -> None:
    sqlite_bench.add()
    sqlite_bench.ollama.faults.content = "no JSON here"
    sqlite_bench.run("run-once", "--json", **sqlite_bench.vendors.groq_settings)
    assert len(sqlite_bench.ollama.chats) == 2
    assert len(sqlite_bench.ollama.chats[1]["messages"]) > len(sqlite_bench.ollama.chats[0]["messages"])


@pytest.mark.parametrize("status", [429, 413, 500, 503])
def test_both_models_down_the_ticket_is_told_by_rules(sqlite_bench: Bench, status: int) -> None:
    sqlite_bench.add()
    sqlite_bench.ollama.faults.status = status
    sqlite_bench.vendors.groq.faults.status = status
    run = sqlite_bench.run("run-once", "--json", **sqlite_bench.vendors.groq_settings)
    told_once(sqlite_bench, run, "rules")
    assert run.json["failed"] == 1
    fields = {field["name"]: field["value"] for field in sqlite_bench.discord.messages[0].embeds[0]["fields"]}
    tried = next(value for name, value in fields.items() if name.startswith("Providers tried"))
    assert "local" in tried
    assert "groq" in tried


@pytest.mark.parametrize("error", [GroqError.INVALID_API_KEY, GroqError.MODEL_DECOMMISSIONED])
def test_a_groq_setting_to_mend_is_said_and_the_ticket_told(sqlite_bench: Bench, error: GroqError) -> None:
    sqlite_bench.add()
    sqlite_bench.vendors.groq.faults.status = error
    settings = {**sqlite_bench.vendors.groq_settings, "LOCAL_LLM_URL": ""}
    run = sqlite_bench.run("run-once", "--json", **settings)
    assert (run.code, run.json["notified"], run.json["failed"]) == (2, 1, 1)
    assert [line for line in run.error_lines if "GROQ_" in line]
    assert sqlite_bench.vendors.groq.api_key not in run.out + run.err


def test_groq_alone_is_enough(sqlite_bench: Bench) -> None:
    sqlite_bench.add()
    run = sqlite_bench.run("run-once", "--json", **sqlite_bench.vendors.groq_settings, LOCAL_LLM_URL="")
    told_once(sqlite_bench, run, "groq")


def test_cloud_triage_off_sends_nothing_to_groq(sqlite_bench: Bench) -> None:
    sqlite_bench.add()
    sqlite_bench.ollama.faults.status = 503
    settings = {**sqlite_bench.vendors.groq_settings, "CLOUD_TRIAGE": "off"}
    told_once(sqlite_bench, sqlite_bench.run("run-once", "--json", **settings), "rules")
    assert sqlite_bench.vendors.groq.requests_seen == []
