"""The card says what the product document says, and keeps every limit whatever comes in."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.notify.card import Card, build_card
from jobs.ticket import Ticket
from jobs.verdict import AsanaType, HandlingMode, InternalAction, Priority, Provider, ProviderFailure, Verdict

COMPLAINTS = Path(__file__).parents[3] / "shared" / "data" / "complaints.jsonl"
TOLD_AT = datetime(2026, 11, 23, 20, 15, tzinfo=timezone(timedelta(hours=1)))
LINK = "https://app.hubspot.com/contacts/123/record/0-5/4711"

TICKET = Ticket(
    ticket_id="4711",
    subject="Nobody can log in",
    body="",
    created_at=datetime(2026, 11, 23, tzinfo=UTC),
    link=LINK,
    customer_name="Ada Lovelace",
    customer_tier="Enterprise",
)
VERDICT = Verdict(
    priority=Priority.HIGH,
    handling_mode=HandlingMode.REPLY_AND_INTERNAL_FOLLOWUP,
    recommended_internal_action=InternalAction.ESCALATE_TO_ENGINEERING,
    asana_ticket_type_if_needed=AsanaType.ESCALATION,
    customer_summary="All users are locked out.",
    reply_draft="Hello Ada,\n\nthank you for telling us.",
    questions_for_customer=("When did it start?", "Which browser?"),
    internal_notes=("Compare with the deploy.", "Check the cache."),
    confidence=0.92,
    provider=Provider.LOCAL,
    model="llama3.2",
)
RULES = replace(
    VERDICT,
    provider=Provider.RULES,
    failures=(ProviderFailure(Provider.LOCAL, "timeout"), ProviderFailure(Provider.GROQ, "http_503")),
)

PIECES = [
    "",
    " ",
    "\n",
    "a",
    "_*`",
    "😀",
    "👍🏽",
    "e\u0301",
    "\ud83d",
    "\u202e",
    "\U000e0041",
    "https://x.y",
    "<@1>",
    "@here ",
]
ANYTHING = st.builds(
    lambda piece, times, tail: piece * times + tail,
    st.sampled_from(PIECES),
    st.sampled_from([0, 1, 3, 499, 1000, 4096, 7000]),
    st.text(alphabet=st.characters(exclude_categories=()), max_size=20),
)
SOME = st.lists(ANYTHING, max_size=30).map(tuple)
TICKETS = st.builds(
    Ticket,
    ticket_id=ANYTHING,
    subject=ANYTHING,
    body=st.just(""),
    created_at=st.just(TOLD_AT),
    link=st.just(LINK) | ANYTHING,
    customer_name=st.none() | ANYTHING,
    company_name=st.none() | ANYTHING,
    customer_tier=st.none() | ANYTHING,
)
VERDICTS = st.builds(
    Verdict,
    priority=st.sampled_from(Priority),
    handling_mode=st.sampled_from(HandlingMode),
    recommended_internal_action=st.sampled_from(InternalAction),
    asana_ticket_type_if_needed=st.sampled_from(AsanaType),
    customer_summary=ANYTHING,
    reply_draft=st.none() | ANYTHING,
    questions_for_customer=SOME,
    internal_notes=SOME,
    confidence=st.floats(),
    provider=st.sampled_from(Provider),
    model=st.just("m"),
    failures=st.lists(st.builds(ProviderFailure, st.sampled_from(Provider), ANYTHING), max_size=5).map(tuple),
)


def markdown_escaped(text: str) -> str:
    return re.sub(r"([\\_*`~|>\[\]()#-])", r"\\\1", text)


def values(card: Card) -> dict[str, str]:
    return {field.name: field.value for field in card.fields}


def units(text: str) -> int:
    return sum(2 if ord(character) > 0xFFFF else 1 for character in text)


def assert_discord_takes(card: Card) -> None:
    parts = [card.title, card.description, card.footer]
    assert all(units(part) <= limit for part, limit in zip(parts, (200, 4096, 2048), strict=True))
    assert card.title
    assert len(card.fields) <= 25
    for field in card.fields:
        assert field.name.strip()
        assert field.value.strip()
        assert units(field.name) <= 256
        assert units(field.value) <= 1024
        parts += [field.name, field.value]
    assert sum(map(units, parts)) <= 6000
    assert units(values(card).get("Reply draft", "")) <= 500
    "".join(parts).encode()


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TICKETS, VERDICTS, st.sampled_from([str, markdown_escaped]))
def test_every_limit_is_kept_whatever_comes_in(
    ticket: Ticket, verdict: Verdict, render: Callable[[str], str]
) -> None:
    card = build_card(ticket, verdict, told_at=TOLD_AT, render=render)
    assert_discord_takes(card)
    assert card.url in (ticket.link, "")
    assert card.title.startswith(f"[{verdict.priority.upper()}] Ticket #")
    assert not re.search(r"://|@here|<@", f"{card.title}{card.description}{card.fields}")


def test_a_card_says_what_the_verdict_says() -> None:
    card = build_card(TICKET, VERDICT, told_at=TOLD_AT)
    assert card.title == "[HIGH] Ticket #4711: Nobody can log in"
    assert card.url == LINK
    assert card.description == "All users are locked out."
    assert card.footer == "Triaged via local · 2026-11-23 19:15 UTC"
    assert values(card) == {
        "Handling mode": "reply_and_internal_followup",
        "Confidence": "92%",
        "Internal action": "Escalate to engineering",
        "Asana type": "Escalation",
        "Customer": "Ada Lovelace · Enterprise",
        "Questions for the customer": "1. When did it start?\n2. Which browser?",
        "Reply draft": "Hello Ada,\n\nthank you for telling us.",
        "Internal notes": "- Compare with the deploy.\n- Check the cache.",
    }


@pytest.mark.parametrize(
    ("priority", "colour"), list(zip(Priority, (0x00FF00, 0xFFDD00, 0xFF8800, 0xFF0000), strict=True))
)
def test_a_priority_has_its_colour_and_only_critical_pings(priority: Priority, colour: int) -> None:
    by_model = build_card(TICKET, replace(VERDICT, priority=priority), told_at=TOLD_AT)
    by_rules = build_card(TICKET, replace(RULES, priority=priority), told_at=TOLD_AT)
    assert (by_model.colour, by_rules.colour) == (colour, 0x808080)
    assert by_model.pings is by_rules.pings is (priority is Priority.CRITICAL)
    assert by_model.priority is by_rules.priority is priority


def test_a_subject_cannot_mark_a_critical() -> None:
    ticket = replace(TICKET, subject="[CRITICAL] [cri\u200btical ] my mouse squeaks")
    card = build_card(ticket, replace(VERDICT, priority=Priority.LOW), told_at=TOLD_AT)
    assert card.title == "[LOW] Ticket #4711: (CRITICAL) (critical) my mouse squeaks"
    assert not card.pings


def test_security_escalation_is_said_first() -> None:
    verdict = replace(VERDICT, recommended_internal_action=InternalAction.ESCALATE_TO_SECURITY)
    card = build_card(TICKET, verdict, told_at=TOLD_AT)
    assert card.fields[0].value == "SECURITY ESCALATION RECOMMENDED"
    assert "Security" not in values(build_card(TICKET, VERDICT, told_at=TOLD_AT))


def test_a_verdict_by_rules_says_that_no_model_gave_it() -> None:
    card = build_card(TICKET, RULES, told_at=TOLD_AT)
    assert card.description == "not AI-triaged: manual review required\nAll users are locked out."
    assert values(card)["Providers tried (error kind)"] == "local (timeout), groq (http_503)"
    assert "Confidence" not in values(card)
    untried = build_card(TICKET, replace(RULES, failures=()), told_at=TOLD_AT)
    assert values(untried)["Providers tried (error kind)"] == "none"


def test_what_is_empty_gives_no_field() -> None:
    verdict = replace(VERDICT, reply_draft=" \u200b", questions_for_customer=("", "\n"), internal_notes=())
    nobody = replace(TICKET, subject="\u202e", customer_name="", customer_tier=None, link="")
    card = build_card(nobody, verdict, told_at=TOLD_AT)
    assert set(values(card)) == {"Handling mode", "Confidence", "Internal action", "Asana type", "Customer"}
    assert values(card)["Customer"] == "unknown"
    assert card.title == "[HIGH] Ticket #4711: (no subject)"
    assert card.url == ""


def overfull_card(*, questions: int = 1000, customer: int = 1) -> Card:
    """With the longest summary, draft and notes, and so many characters beside them."""
    verdict = replace(
        VERDICT,
        customer_summary="s" * 4096,
        reply_draft="d" * 5000,
        questions_for_customer=("q" * questions,),
        internal_notes=("n" * 5000,),
    )
    return build_card(replace(TICKET, customer_name="c" * customer), verdict, told_at=TOLD_AT)


def lengths(card: Card) -> tuple[int, int, int, int]:
    """Summary, draft, notes, and the whole embed."""
    fields = values(card)
    draft, notes = len(fields.get("Reply draft", "")), len(fields.get("Internal notes", ""))
    whole = len(card.title) + len(card.description) + len(card.footer) + len("".join(sum(fields.items(), ())))
    return len(card.description), draft, notes, whole


def test_notes_are_cut_first() -> None:
    summary, draft, notes, whole = lengths(overfull_card())
    assert (summary, draft, whole) == (4096, 500, 6000)
    assert 0 < notes < 1024


def test_the_draft_is_cut_when_the_notes_are_gone() -> None:
    summary, draft, notes, whole = lengths(overfull_card(customer=400))
    assert (summary, notes, whole) == (4096, 0, 6000)
    assert 0 < draft < 500


def test_the_summary_is_cut_when_notes_and_draft_are_gone() -> None:
    summary, draft, notes, whole = lengths(overfull_card(customer=1000))
    assert (draft, notes, whole) == (0, 0, 6000)
    assert 3000 < summary < 4096


def test_what_is_cut_ends_in_an_ellipsis() -> None:
    card = build_card(
        replace(TICKET, subject="s" * 300), replace(VERDICT, reply_draft="d" * 501), told_at=TOLD_AT
    )
    assert card.title.endswith("s…")
    assert units(card.title) == 200
    assert values(card)["Reply draft"] == "d" * 499 + "…"


def test_the_programs_own_words_are_not_rendered() -> None:
    card = build_card(TICKET, RULES, told_at=TOLD_AT, render=lambda _: "?")
    assert card.title == "[HIGH] Ticket #4711: ?"
    assert card.description == "not AI-triaged: manual review required\n?"
    assert values(card)["Questions for the customer"] == "1. ?\n2. ?"
    assert values(card)["Handling mode"] == "reply_and_internal_followup"


def test_real_complaints_make_cards_that_discord_takes() -> None:
    if not COMPLAINTS.exists():
        pytest.skip(f"{COMPLAINTS} is not there")
    for line in COMPLAINTS.read_text(encoding="utf-8").splitlines():
        complaint = json.loads(line)
        body = complaint["body"]
        ticket = replace(TICKET, ticket_id=complaint["id"], subject=complaint["subject"], body=body)
        verdict = replace(VERDICT, customer_summary=body, reply_draft=body, internal_notes=(body, body))
        for render in (str, markdown_escaped):
            assert_discord_takes(build_card(ticket, verdict, told_at=TOLD_AT, render=render))
