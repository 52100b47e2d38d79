"""What a model's answer may not say: facts that nobody gave it, deeds, promises, and the prompt.

A fact becomes ``[check: amount]`` and its like, a sentence that claims or promises ``[check: promises]``; a
text that repeats the prompt goes, and a draft with more marks than MOST_MARKS. Pure; linear in the answer.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from jobs.ticket import Ticket
from jobs.triage.answer import DRAFT_CHARS, ITEM_CHARS, SUMMARY_CHARS
from jobs.triage.claims import Claim, find_claims, find_claims_in_notes
from jobs.triage.echoes import is_echo
from jobs.triage.folding import fold
from jobs.triage.supported import Fact, Known, find_facts
from jobs.triage.text import cut, one_line
from jobs.verdict import Verdict

MOST_MARKS = 3
ECHO, DROPPED = "echo", "draft dropped"

Claims = Callable[[str], Iterable[tuple[Claim, tuple[int, int]]]]


@dataclass(frozen=True, slots=True)
class Guarded:
    """``counts`` by kind: a Fact's or a Claim's value, ECHO, DROPPED; empty where nothing was altered."""

    verdict: Verdict
    counts: Counter[str] = field(default_factory=Counter)


def guard(ticket: Ticket, verdict: Verdict, *, sop: str, company_name: str) -> Guarded:
    """``verdict`` with only what the ticket or the team's own texts support."""
    known = Known((*texts_of(ticket), company_name), ticket.created_at, sop=sop)
    counts: Counter[str] = Counter()

    def check(text: str, find: Claims) -> str | None:
        if is_echo(text, sop, known.has):
            counts[ECHO] += 1
            return None
        marked, marks = mark(text, known, find)
        counts.update(marks)
        return marked

    summary = check(verdict.customer_summary, find_claims_in_notes)
    draft, dropped = guard_draft(verdict.reply_draft, check, counts)
    guarded = replace(
        verdict,
        customer_summary=cut(summary or unchecked(ticket), SUMMARY_CHARS),
        reply_draft=draft,
        questions_for_customer=kept(check(one, find_claims) for one in verdict.questions_for_customer),
        internal_notes=kept(check(one, find_claims_in_notes) for one in verdict.internal_notes),
    )
    if counts:
        guarded = replace(guarded, internal_notes=(explain(counts, dropped=dropped), *guarded.internal_notes))
    return Guarded(guarded, counts)


def withhold_texts(ticket: Ticket, verdict: Verdict) -> Verdict:
    """Where an answer could not be guarded: its judgements without a word of it."""
    return replace(
        verdict,
        customer_summary=unchecked(ticket),
        reply_draft=None,
        questions_for_customer=(),
        internal_notes=("The answer could not be checked, so its words are not shown",),
    )


def guard_draft(
    draft: str | None, check: Callable[[str, Claims], str | None], counts: Counter[str]
) -> tuple[str | None, bool]:
    if draft is None:
        return None, False
    before = counts.total()
    marked = check(draft, find_claims)
    if marked is None or counts.total() - before > MOST_MARKS:
        counts[DROPPED] += 1
        return None, True
    return cut(marked, DRAFT_CHARS), False


def mark(text: str, known: Known, find: Claims) -> tuple[str, Counter[str]]:
    """``text`` with a mark in the place of each claim and each fact that is not ``known``."""
    folded, places = fold(text)
    spans = list(_spans(folded, known, find))
    parts, at = [], 0
    marks: Counter[str] = Counter()
    for start, end, kind in spans:
        parts += [text[at : places[start]], f"[check: {kind}]"]
        at = places[end]
        marks[kind] += 1
    return "".join([*parts, text[at:]]), marks


def _spans(folded: str, known: Known, find: Claims) -> Iterator[tuple[int, int, str]]:
    """In order and apart: a sentence that goes takes its facts with it."""
    claims = [(start, end, claim.value) for claim, (start, end) in find(folded)]
    facts = [one for one in find_facts(folded) if not known.supports(one)]
    alone = [one for one in facts if not any(start <= one.span[0] < end for start, end, _ in claims)]
    yield from sorted([*claims, *((*one.span, one.fact.value) for one in alone)])


def texts_of(ticket: Ticket) -> Iterator[str]:
    for text in (
        *(ticket.subject, ticket.body, ticket.rest, ticket.customer_name, ticket.company_name),
        *(ticket.customer_tier, ticket.product_area, ticket.category, ticket.priority),
    ):
        if text:
            yield text


def unchecked(ticket: Ticket) -> str:
    return cut(f"Summary withheld: {one_line(ticket.subject) or 'no subject'}", SUMMARY_CHARS)


def kept(items: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(cut(item, ITEM_CHARS) for item in items if item)


def explain(counts: Counter[str], *, dropped: bool) -> str:
    kinds = [f"{counts[kind]} {kind}" for kind in (*Fact, *Claim, ECHO) if counts[kind]]
    what = ", ".join(kinds)
    if dropped:
        return f"The draft was dropped: it or the rest says what nothing supports ({what})"
    return f"Check before sending, nothing supports it: {what}"
