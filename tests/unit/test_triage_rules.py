"""The fixed rules: urgent words are found in four languages, everyday words are not urgent."""

import json
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.ticket import Ticket
from jobs.triage.rules import decide_by_rules, find_rule, judge_priority
from jobs.verdict import AsanaType, HandlingMode, InternalAction, Priority, Provider, ProviderFailure

COMPLAINTS = Path(__file__).resolve().parents[3] / "shared" / "data" / "complaints.jsonl"


def ticket(subject: str = "", body: str = "") -> Ticket:
    return Ticket("1", subject, body, datetime(2026, 11, 1, tzinfo=UTC), "https://hubspot.test/1")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("OUTAGE!!! Nothing works", "outage"),
        ("Your platform is down", "outage"),
        ("Nobody can log in since 9:00", "outage"),
        ("Ihr System ist komplett AUSGEFALLEN", "outage"),
        ("El servicio está caído", "outage"),
        ("Le site est en panne", "outage"),
        ("After the import all our\ndata was lost", "data loss"),
        ("Unsere Daten wurden gelöscht", "data loss"),
        ("Unsere Daten wurden geloescht", "data loss"),
        ("Hemos perdido todos los datos", "data loss"),
        ("Nos donne\u0301es ont disparu", "data loss"),
        ("There was a data-breach", "security breach"),
        ("I found an SQL injection in your login", "security breach"),
        ("I can see another customer’s data", "security breach"),
        ("SICHERHEITSLÜCKE im Portal", "security breach"),
        ("Une faille de sécurité", "security breach"),
        ("Hay una brecha de seguridad", "security breach"),
        ("My account was hacked", "security concern"),
        ("Suspicious logins from abroad", "security concern"),
        ("Mein Konto wurde gehackt", "security concern"),
        ("My lawyer will write to you", "legal"),
        ("You charged us twice this month", "payment"),
        ("Mir wurde doppelt abgebucht", "payment"),
        ("I can't log in any more", "blocked customer"),
        ("Ich kann mich nicht einloggen", "blocked customer"),
        ("No puedo iniciar sesión", "blocked customer"),
        ("Je n'arrive pas à me connecter", "blocked customer"),
        ("The export is slow and crashes", "bug, slowness or refund"),
        ("Der Export funktioniert nicht", "bug, slowness or refund"),
        ("La exportación no funciona", "bug, slowness or refund"),
        ("L'export ne fonctionne pas", "bug, slowness or refund"),
        ("How do I add a user?", "how-to or wish"),
        ("Wie kann ich einen Nutzer anlegen?", "how-to or wish"),
        ("¿Cómo puedo añadir un usuario?", "how-to or wish"),
        ("Comment puis-je ajouter un utilisateur ?", "how-to or wish"),
    ],
)
def test_words_point_to_a_rule_in_subject_and_body(text: str, rule: str) -> None:
    for found in (find_rule(ticket(subject=text)), find_rule(ticket(body=f"Hello,\n{text}\nBye"))):
        assert found is not None
        assert found.name == rule


@pytest.mark.parametrize(
    "text",
    [
        "How do I get my security deposit back?",
        "Where can I change my social security number?",
        "How do I set up two-factor security for my team?",
        "How do I break down revenue by month?",
        "URGENT: how to change my logo",
        "How can I scroll down on the page?",
        "How do I reset my password?",
        "Feature request: dark mode",
        "How do I export my contacts to avoid data loss?",
        "How can we be told in case of an outage?",
        "Is there a way to subscribe to outage notifications?",
        "Wie kann ich das Passwort ändern?",
        "Es posible cambiar el idioma?",
    ],
)
def test_everyday_questions_stay_low(text: str) -> None:
    assert judge_priority(ticket(text)) is Priority.LOW


@pytest.mark.parametrize(
    "text",
    [
        "There was no data loss",
        "We have not been hacked",
        "It isn't an outage",
        "without any data loss",
        "Kein Datenverlust, nicht gehackt",
        "Sin pérdida de datos",
        "Pas de perte de données",
        "charged twiceover pirates hackedness",
        "",
        "漢字 ...",
    ],
)
def test_denied_or_partial_words_do_not_count(text: str) -> None:
    assert judge_priority(ticket(text)) is Priority.MEDIUM


@pytest.mark.parametrize("text", ["No, hacked!", "Is it fine? No. Data loss.", "no outage, then an outage"])
def test_a_denial_reaches_only_the_words_right_behind_it(text: str) -> None:
    assert judge_priority(ticket(text)).rank >= Priority.HIGH.rank


def test_the_most_urgent_rule_wins() -> None:
    assert judge_priority(ticket("How do I export?", "Also: a data breach, and a typo.")) is Priority.CRITICAL


def test_subject_and_body_do_not_make_a_phrase_together() -> None:
    assert find_rule(ticket("data", "loss")) is None


def test_urgent_words_at_the_end_of_a_long_mail_are_seen() -> None:
    assert judge_priority(ticket(body="word " * 40_000 + "we have a data breach")) is Priority.CRITICAL


def test_the_verdict_claims_no_more_than_it_knows() -> None:
    failures = (ProviderFailure(Provider.LOCAL, "timeout"), ProviderFailure(Provider.GROQ, "busy"))
    verdict = decide_by_rules(ticket("Data breach\nat noon"), failures)
    assert verdict.provider is Provider.RULES
    assert verdict.model == "rules"
    assert verdict.priority is Priority.CRITICAL
    assert verdict.handling_mode is HandlingMode.INTERNAL_FOLLOWUP_ONLY
    assert verdict.recommended_internal_action is InternalAction.ESCALATE_TO_SECURITY
    assert verdict.asana_ticket_type_if_needed is AsanaType.ESCALATION
    assert verdict.customer_summary == "Not AI-triaged: Data breach at noon"
    assert verdict.reply_draft is None
    assert verdict.questions_for_customer == ()
    assert verdict.internal_notes == ("Fixed rules on words point to: security breach",)
    assert verdict.confidence <= 0.3
    assert verdict.failures == failures


def test_without_a_match_the_verdict_is_medium_and_without_confidence() -> None:
    verdict = decide_by_rules(ticket(), ())
    assert (verdict.priority, verdict.confidence) == (Priority.MEDIUM, 0.0)
    assert verdict.recommended_internal_action is InternalAction.NONE
    assert verdict.asana_ticket_type_if_needed is AsanaType.NONE
    assert verdict.customer_summary == "Not AI-triaged: no subject"


@given(*[st.text(alphabet=st.characters(exclude_categories=()))] * 2)
@example("x" * 10_000, "")
@example("\ud800\x00\u2028", "\u0301")
def test_any_ticket_gets_a_verdict_that_can_be_printed(subject: str, body: str) -> None:
    verdict = decide_by_rules(ticket(subject, body), ())
    assert 1 <= len(verdict.customer_summary) <= 300
    assert verdict.customer_summary.isprintable() or "\n" not in verdict.customer_summary
    verdict.customer_summary.encode()


@pytest.mark.parametrize(
    "body",
    [
        *("no hacked " * 20_000, "\u0301\u0316" * 100_000, "é" * 200_000, "漢字 " * 70_000),
        *("\ufdfa" * 200_000, "." * 200_000, "no " * 70_000 + "outage", "a" * 200_000, "data " * 40_000),
    ],
    ids=range(9),
)
def test_hostile_bodies_cost_little(body: str) -> None:
    started = time.perf_counter()
    judge_priority(ticket(body=body))
    assert time.perf_counter() - started < 1, "bounded: under 10 ms where nothing else runs"


def test_real_complaints_spread_over_the_priorities() -> None:
    if not COMPLAINTS.exists():
        pytest.skip(f"{COMPLAINTS} is not on this machine")
    lines = [json.loads(line) for line in COMPLAINTS.read_text(encoding="utf-8").splitlines()]
    tickets = [ticket(line["subject"], line["body"]) for line in lines]
    started = time.perf_counter()
    spread = Counter(judge_priority(each) for each in tickets)
    assert time.perf_counter() - started < 4, "about 0.07 s where nothing else runs"
    assert set(spread) == set(Priority)
    assert spread[Priority.CRITICAL] < len(tickets) * 0.05
    assert spread[Priority.HIGH] < len(tickets) * 0.4
