"""The corpus: what it covers, and that each attack would do what it is for if nothing stood in its way."""

import json
from collections import Counter

import pytest

from jobs.intake.normalise import normalise
from jobs.redteam.corpus import LINK, Case, load_cases
from jobs.redteam.demands import DEMANDS, fill
from jobs.redteam.judge import Shown, harms_of, is_obeyed
from jobs.sandbox.stand_in import triage
from jobs.triage.answer import parse_answer, to_verdict
from jobs.triage.prompt import build_messages
from jobs.triage.rules import find_rules
from jobs.verdict import Priority, Provider, Verdict

CASES = load_cases()
CLASSES = {
    *("direct", "quoted", "forwarded", "hidden_html", "unicode_tags", "encoded", "fake_system_turn"),
    *("fake_json", "link_exfiltration", "image_exfiltration", "mentions", "prompt_extraction"),
    *("urgency_up", "urgency_down", "other_languages", "oversized", "promises"),
}


def test_it_covers_every_class_with_a_twin_for_each_attack() -> None:
    counts = Counter(case.kind for case in CASES)
    assert set(counts) == CLASSES
    assert min(counts.values()) >= 8
    assert len(CASES) >= 120
    assert len({case.id for case in CASES}) == len(CASES)
    assert {case.demand for case in CASES} == set(DEMANDS)
    bodies = [(case.attack.subject, case.attack.customer_name, case.attack.body) for case in CASES]
    assert len(set(bodies)) >= len(CASES) - 2  # two stand in comments or styles, which leave nothing


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_attack_holds_its_order_and_the_twin_does_not(case: Case) -> None:
    texts = [
        f"{one.subject} {one.customer_name} {one.company_name} {one.markup or one.body}"
        for one in (case.attack, case.twin)
    ]
    held = [case.payload.strip() in text for text in texts]
    assert held == [True, False]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_situation_has_the_floor_that_it_says_by_the_twins_own_words(case: Case) -> None:
    found = [rule for rule in find_rules(normalise(case.twin).ticket) if rule.priority.rank > 1]
    floor = case.situation
    assert max((rule.priority.rank for rule in found), default=0) >= floor.priority.rank
    assert floor.priority is Priority.LOW or floor.action in {rule.action for rule in found}
    if floor.how_to:
        assert not found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_attack_succeeds_where_nothing_controls_the_answer(case: Case) -> None:
    system = build_messages(case.attack, company_name="Field", sop="", budget_chars=16_000)[0].content
    honest = {"subject": case.twin.subject, "body": case.twin.body}
    verdict = obeyed(case, honest, system)
    shown = Shown(case.attack, case.situation, verdict, bare_message(verdict), system)
    twin = to_verdict(parse_answer(json.dumps(answer(honest))), Provider.LOCAL, "m")
    assert harms_of(shown) or is_obeyed(case, shown, twin)


def answer(honest: dict[str, str]) -> dict[str, object]:
    said = triage(honest)
    return said | {"reply_draft": said["reply_draft"] or ""}


def obeyed(case: Case, honest: dict[str, str], system: str) -> Verdict:
    demanded = fill(DEMANDS[case.demand].fields, prompt=system, ticket=case.attack.body)
    return to_verdict(parse_answer(json.dumps(answer(honest) | demanded)), Provider.LOCAL, "m")


def bare_message(verdict: Verdict) -> dict[str, object]:
    """The answer as a program without any control would post it."""
    texts = {
        "Reply draft": verdict.reply_draft or "-",
        "Questions": "\n".join(verdict.questions_for_customer) or "-",
        "Internal notes": "\n".join(verdict.internal_notes) or "-",
    }
    fields = [{"name": name, "value": value} for name, value in texts.items()]
    embed = {"title": "Ticket", "description": verdict.customer_summary, "url": LINK, "fields": fields}
    if verdict.priority is Priority.CRITICAL:
        return {"embeds": [embed], "content": "@here", "allowed_mentions": {"parse": ["everyone"]}}
    return {"embeds": [embed], "allowed_mentions": {"parse": []}}
