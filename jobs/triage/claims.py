"""Sentences in which an answer claims what nobody did, or promises what nobody decided."""

import re
from collections.abc import Iterator
from enum import StrEnum

from jobs.triage import claim_words as words
from jobs.triage.spans import Span


class Claim(StrEnum):
    """What a sentence does, as its mark says it."""

    ACTION = "claims an action"
    PROMISE = "promises"


_SENTENCE = re.compile(r"[^.!?\n]*(?:[.!?]+(?!\s|$)[^.!?\n]*)*(?:[.!?]+|\n|$)")


def _any_of(starts: dict[str, str], verbs: dict[str, str]) -> str:
    """One pattern for all languages: to search a sentence once costs less than once for each."""
    return "|".join(f"(?:{starts[name]})(?:{'|'.join(verbs[name].split())})\\b" for name in starts)


_WE_DID = re.compile(_any_of(words.WE_DID, words.DONE))
_IT_WAS = re.compile("|".join((_any_of(words.IT_WAS, words.SETTLED), words.DONE_OTHERWISE, words.BRIEF)))
_WE_WILL = re.compile(_any_of(words.WE_WILL, words.TO_DO))
_IT_WILL = re.compile("|".join((_any_of(words.IT_WILL, words.SETTLED), *words.PROMISES)))


def _one_of(some: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(some.split())})\b")


_SUPPOSED = _one_of(words.SUPPOSED)
_SAYING = _one_of(words.SAYING)
_OF_OTHERS = _one_of(words.OF_OTHERS)
_BY_ITSELF = _one_of(words.BY_ITSELF)
_CLAUSE_ENDS = re.compile(r"[,;:](?=\s)")
_WORDS_BEFORE = re.compile(r"(?:[\w']+\W+){0,4}$")


def find_claims(folded: str) -> Iterator[tuple[Claim, Span]]:
    """Each sentence of a text for the customer that claims or promises."""
    for span, sentence in sentences(folded):
        if says(_WE_WILL, sentence) or says(_IT_WILL, sentence, not_by=_BY_ITSELF):
            yield Claim.PROMISE, span
        elif says(_WE_DID, sentence) or says_it_was(sentence):
            yield Claim.ACTION, span


def find_claims_in_notes(folded: str) -> Iterator[tuple[Claim, Span]]:
    """The same in words for the team, which report what the customer did and wants."""
    for span, sentence in sentences(folded):
        if says(_WE_WILL, sentence, not_by=_SAYING):
            yield Claim.PROMISE, span
        elif says(_WE_DID, sentence, not_by=_SAYING) or says_it_was(sentence):
            yield Claim.ACTION, span


def says(claim: re.Pattern[str], sentence: str, not_by: re.Pattern[str] | None = None) -> bool:
    """Whether a clause makes the claim, and no word before or in it asks, supposes or denies it.

    ``not_by`` has words that take it back wherever they stand in the clause.
    """
    if sentence.endswith("?"):
        return False
    for clause in _CLAUSE_ENDS.split(sentence):
        for found in claim.finditer(clause.strip()):
            near = _WORDS_BEFORE.search(clause.strip()[: found.start()])
            heard = f"{near[0] if near else ''} {found[0]}"
            if not _SUPPOSED.search(heard) and not (not_by and not_by.search(clause)):
                return True
    return False


def says_it_was(sentence: str) -> bool:
    """A passive tells of the team's own work, unless the sentence is about others or how a thing works."""
    if any(one.search(sentence) for one in (_SAYING, _OF_OTHERS)):
        return False
    return says(_IT_WAS, sentence, not_by=_BY_ITSELF)


def sentences(folded: str) -> Iterator[tuple[Span, str]]:
    """Each with its place, in lower case; a line break ends one."""
    for found in _SENTENCE.finditer(folded):
        text = found[0]
        if text.strip():
            start = found.start() + len(text) - len(text.lstrip())
            yield (start, found.start() + len(text.rstrip())), text.strip().lower()
