"""A stand-in for a small language model: keywords instead of weights, the same answer every time."""

import re
from collections.abc import Mapping
from typing import Any

from jobs.sandbox.kinds import BILLING, BUG, IN_ORDER, SECURITY, THANKS, VAGUE, Kind, Language

Triage = dict[str, Any]

_SUMMARY_LIMIT = 300
_LANGUAGE_WORDS: dict[Language, str] = {
    "German": r"\b(?:ich|wir|nicht|und|bitte|guten|der|die|das|ist|seit|unsere?)\b",
    "Spanish": r"\b(?:el|la|los|que|no|hola|nuestr[oa]s?|desde|por|buenos|una?|puedo)\b",
}
_GREETINGS: dict[Language, str] = {"English": "Hello", "German": "Guten Tag", "Spanish": "Hola"}
_SALUTATION = re.compile(r"^(?:hi|hello|hey|dear|good (?:morning|day)|guten tag|hallo|hola|buenos)\b", re.I)
_HURRY = re.compile(
    r"\b(?:urgent|asap|blocked|blocking|cannot work|can't work|deadline|dringend|urgente)", re.I
)
_QUOTED_MAIL = re.compile(r"^\W*(?:from|von|de):|^-+ ?original message", re.I | re.M)
_INJECTION = re.compile(
    r"\b(?:ignore|disregard|forget)\b.{0,40}\b(?:instructions|rules|prompt)"
    r"|\bsystem prompt\b|\byou are now\b",
    re.I,
)
_PERSONS = (
    (r"\bI'm\b|\bI am\b|\bwe're\b|\bwe are\b", "they are"),
    (r"\bI've\b|\bI have\b|\bwe've\b", "they have"),
    (r"\bI was\b", "they were"),
    (r"\bI\b|\bwe\b", "they"),
    (r"\bmy\b|\bour\b", "their"),
    (r"\bme\b|\bus\b", "them"),
    (r"\byour\b", "the vendor's"),
)


def triage(ticket: Mapping[str, Any]) -> Triage:
    """The product's fields for one ticket with ``subject``, ``body`` and maybe the customer's names."""
    subject, body = str(ticket.get("subject") or ""), str(ticket.get("body") or "")
    kind, hits = _recognise(f"{subject}\n{body}", body)
    language = _language(f"{subject} {body}")
    reply = _reply(kind, language, ticket)
    return {
        "priority": _priority(kind, f"{subject}\n{body}", ticket),
        "handling_mode": kind.handling_mode,
        "recommended_internal_action": kind.action,
        "asana_ticket_type_if_needed": kind.asana,
        "customer_summary": _summary(kind, language, subject, body, ticket),
        "reply_needed": reply is not None,
        "reply_draft": reply,
        "questions_for_customer": list(kind.questions),
        "internal_notes": _notes(kind, body, ticket),
        "confidence": _confidence(kind, hits, body),
    }


def _recognise(text: str, body: str) -> tuple[Kind, int]:
    told = _believable(text)
    for kind in IN_ORDER:
        hits = len(kind.pattern.findall(told))
        if hits and not (kind is THANKS and len(body) > 400):
            return kind, hits
    return VAGUE, 0


def _believable(text: str) -> str:
    """All above a quoted mail; of a text that gives orders to software only the questions."""
    text = _QUOTED_MAIL.split(text, maxsplit=1)[0]
    if not _INJECTION.search(text):
        return text
    return "\n".join(sentence for sentence in _sentences(text) if sentence.endswith("?"))


def _sentences(text: str) -> list[str]:
    parts = (re.sub(r"\s+", " ", part).strip() for part in re.split(r"(?<=[.!?])\s+|\n+", text))
    return [part for part in parts if part]


def _language(text: str) -> Language:
    words = max(1, len(text.split()))
    for language, pattern in _LANGUAGE_WORDS.items():
        if len(re.findall(pattern, text, re.IGNORECASE)) / words > 0.15:
            return language
    return "English"


def _priority(kind: Kind, text: str, ticket: Mapping[str, Any]) -> str:
    tier = str(ticket.get("customer_tier") or "").lower()
    hurried = _HURRY.search(text) is not None
    if kind in (BUG, BILLING) and hurried and (kind is BUG or tier == "enterprise"):
        return "high"
    return kind.priority


def _confidence(kind: Kind, hits: int, body: str) -> float:
    """More signs make it surer, a short text or one that addresses software less so."""
    doubt = 0.15 * (len(body) < 40) + 0.2 * (_INJECTION.search(body) is not None)
    return round(min(0.97, max(0.1, kind.confidence + 0.03 * min(hits - 1, 3) - doubt)), 2)


def _notes(kind: Kind, body: str, ticket: Mapping[str, Any]) -> list[str]:
    notes = list(kind.notes)
    if _INJECTION.search(body):
        notes.append("The text contains instructions addressed to software; they were not followed.")
    if str(ticket.get("customer_tier") or "").lower() == "enterprise" and kind is not SECURITY:
        notes.append("Enterprise customer: tell the account manager.")
    return notes


def _reply(kind: Kind, language: Language, ticket: Mapping[str, Any]) -> str | None:
    if not kind.replies:
        return None
    name = str(ticket.get("customer_name") or "").strip()
    return f"{_GREETINGS[language]}{' ' + name if name else ''},\n\n{kind.replies[language]}"


def _summary(kind: Kind, language: Language, subject: str, body: str, ticket: Mapping[str, Any]) -> str:
    said = _first_sentence(body) or subject.strip()
    if not said:
        return f"{_who(ticket)} sent a ticket without any text."
    note = "" if language == "English" else f" (in {language})"
    told = _in_third_person(said) if language == "English" else said
    summary = f"{_who(ticket)} {kind.verb.rstrip(':')}{note}: {told}"
    return summary if len(summary) <= _SUMMARY_LIMIT else summary[: _SUMMARY_LIMIT - 1].rstrip() + "…"


def _who(ticket: Mapping[str, Any]) -> str:
    name, company = (str(ticket.get(key) or "").strip() for key in ("customer_name", "company_name"))
    return f"{name or 'The customer'} ({company})" if company else name or "The customer"


def _first_sentence(body: str) -> str:
    """The first sentence that is no greeting, among those to be believed."""
    for text in _sentences(_believable(body[:5_000])):
        greeting = _SALUTATION.match(text) and len(text) < 40
        if len(text) > 3 and not greeting:
            return text
    return ""


def _in_third_person(sentence: str) -> str:
    for pattern, word in _PERSONS:
        sentence = re.sub(pattern, word, sentence, flags=re.IGNORECASE if pattern != r"\bI\b" else 0)
    return sentence[:1].upper() + sentence[1:]
