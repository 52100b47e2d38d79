"""Fixed rules on the ticket's words: the last resort when no model answers, and a guess before one does.

They know a few phrases of four languages and nothing of what the ticket means. Whole phrases, because single
words ("security", "down", "urgent") stand in every other how-to; ``rule_words`` is the list to add to.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from jobs.ticket import Ticket
from jobs.triage.answer import SUMMARY_CHARS
from jobs.triage.rule_words import HARMLESS, RULES
from jobs.triage.text import cut, one_line
from jobs.verdict import (
    AsanaType,
    HandlingMode,
    InternalAction,
    Priority,
    Provider,
    ProviderFailure,
    Verdict,
)

MATCHED_CONFIDENCE = 0.3

_SUBJECT_CHARS = 1_000
_HEAD_CHARS = 30_000
_TAIL_CHARS = 10_000
_TOKEN = re.compile(r"[^\W_]+|[.,;:!?]")
_PLAIN = dict(zip("àáâãäåçèéêëìíîïñòóôõöùúûüýÿ", "aaaaaaceeeeiiiinooooouuuuyy", strict=True))
_ACCENT = re.compile(f"[{''.join(_PLAIN)}\u0300-\u036f]")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})
# "t" is what is left of "isn't", "case" of "in case of".
_NEGATORS = {
    *("no", "not", "never", "without", "t", "avoid", "prevent", "against", "case"),
    *("nicht", "kein", "keine", "keinen", "keinem", "nie", "ohne", "gegen"),
    *("sin", "nunca", "ningun", "ninguna", "evitar", "contra", "caso"),
    *("sans", "pas", "aucun", "aucune", "eviter", "contre", "cas"),
}
_FILLERS = {
    *("a", "an", "any", "been", "of", "the", "yet"),
    *("ein", "eine", "einen", "un", "una", "une", "de"),
}


class _Needle(NamedTuple):
    """A phrase as it stands in normalised words; ``first`` is its first word, None where its end is open."""

    text: str
    first: str | None


@dataclass(frozen=True, slots=True)
class Rule:
    """What the ticket's words point to, and what that asks of the team."""

    name: str
    priority: Priority
    action: InternalAction
    needles: tuple[_Needle, ...]


def find_rule(ticket: Ticket) -> Rule | None:
    """The most urgent rule that a phrase of the ticket matches."""
    return next(find_rules(ticket), None)


def find_rules(ticket: Ticket) -> Iterator[Rule]:
    """Every rule that a phrase of the ticket matches, most urgent first. Looks at 41,000 characters."""
    tokens = _split(_bounded(ticket))
    # A lookup per phrase: a search over the text per phrase costs three times as much.
    known = {*tokens, None}
    words = _join(tokens)
    for needle in _HARMLESS:
        if needle.first in known:
            words = words.replace(needle.text, " . ")
    for rule in _RULES:
        if any(needle.first in known and _occurs(needle.text, words) for needle in rule.needles):
            yield rule


def judge_priority(ticket: Ticket) -> Priority:
    """Medium where no rule matches: nobody has read the ticket yet."""
    rule = find_rule(ticket)
    return rule.priority if rule else Priority.MEDIUM


def decide_by_rules(ticket: Ticket, failures: tuple[ProviderFailure, ...]) -> Verdict:
    """Advice that claims no more than it knows: a person must read this ticket."""
    rule = find_rule(ticket)
    action = rule.action if rule else InternalAction.NONE
    note = f"Fixed rules on words point to: {rule.name}" if rule else "No fixed rule on words matched"
    return Verdict(
        priority=rule.priority if rule else Priority.MEDIUM,
        handling_mode=HandlingMode.INTERNAL_FOLLOWUP_ONLY,
        recommended_internal_action=action,
        asana_ticket_type_if_needed=AsanaType.NONE if action is InternalAction.NONE else AsanaType.ESCALATION,
        customer_summary=cut(f"Not AI-triaged: {one_line(ticket.subject) or 'no subject'}", SUMMARY_CHARS),
        reply_draft=None,
        questions_for_customer=(),
        internal_notes=(note,),
        confidence=MATCHED_CONFIDENCE if rule else 0.0,
        provider=Provider.RULES,
        model="rules",
        attempts=len(failures),
        failures=failures,
    )


def _bounded(ticket: Ticket) -> str:
    body = f"{ticket.body} . {ticket.rest}" if ticket.rest else ticket.body
    if len(body) > _HEAD_CHARS + _TAIL_CHARS:
        body = f"{body[:_HEAD_CHARS]} . {body[-_TAIL_CHARS:]}"
    return f"{ticket.subject[:_SUBJECT_CHARS]} . {body}"


def _split(text: str) -> list[str]:
    """Lower-case words and stops without accents."""
    folded = text.casefold()
    plain = folded if folded.isascii() else _ACCENT.sub(lambda found: _PLAIN.get(found[0], ""), folded)
    return _TOKEN.findall(plain)


def _join(words: list[str]) -> str:
    """One space before and after each word, so that a phrase is found at word borders only."""
    return f" {' '.join(words)} "


def _occurs(needle: str, words: str) -> bool:
    """Whether the phrase stands in ``words`` at least once without a "no" or "avoid" right before it."""
    position = words.find(needle)
    while position >= 0:
        if not _is_negated(words[max(0, position - 40) : position]):
            return True
        position = words.find(needle, position + 1)
    return False


def _is_negated(before: str) -> bool:
    for word in reversed(before.split()[-3:]):
        if word not in _FILLERS:
            return word in _NEGATORS
    return False


def _needles(phrases: str) -> tuple[_Needle, ...]:
    """One needle for each phrase, two where an umlaut may be spelt out."""
    plain = [phrase.strip() for phrase in phrases.replace("\n", "|").split("|") if phrase.strip()]
    spellings = dict.fromkeys(plain + [phrase.translate(_UMLAUTS) for phrase in plain])
    return tuple(_needle(phrase) for phrase in spellings)


def _needle(phrase: str) -> _Needle:
    first, *others = _split(phrase)
    text = _join([first, *others])
    is_open = phrase.endswith("*")
    return _Needle(text.rstrip() if is_open else text, None if is_open and not others else first)


_HARMLESS = _needles(HARMLESS)
_RULES = tuple(Rule(name, priority, action, _needles(phrases)) for name, priority, action, phrases in RULES)
