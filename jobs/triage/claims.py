"""Sentences in which an answer claims what nobody did, or promises what nobody decided."""

import re
from collections.abc import Iterator
from enum import StrEnum

from jobs.triage import claim_words as words

Span = tuple[int, int]


class Claim(StrEnum):
    """What a sentence does, as its mark says it."""

    ACTION = "claims an action"
    PROMISE = "promises"


_SENTENCE = re.compile(r"[^.!?\n]*(?:[.!?]+(?!\s|$)[^.!?\n]*)*(?:[.!?]+|\n|$)")


def _any_of(starts: dict[str, str], verbs: dict[str, str]) -> str:
    """One pattern for all languages: to search a sentence once costs less than once for each."""
    return "|".join(f"(?:{starts[name]})(?:{'|'.join(verbs[name].split())})\\b" for name in starts)


_WE_DID = re.compile(_any_of(words.WE_DID, words.DONE))
_IT_WAS = re.compile(_any_of(words.IT_WAS, words.DONE))
_WE_WILL = re.compile(_any_of(words.WE_WILL, words.TO_DO))
_PROMISES = re.compile("|".join((_WE_WILL.pattern, _any_of(words.IT_WILL, words.DONE), *words.PROMISES)))
_SUPPOSED = re.compile(rf"\b(?:{'|'.join(words.SUPPOSED.split())})\b|\?")
_SAYING = re.compile(rf"\b(?:{'|'.join(words.SAYING.split())})\b")
_OF_OTHERS = re.compile(rf"\b(?:{'|'.join(words.OF_OTHERS.split())})\b")


def find_claims(folded: str) -> Iterator[tuple[Claim, Span]]:
    """Each sentence of a text for the customer that claims or promises."""
    for span, sentence in sentences(folded):
        if _PROMISES.search(sentence) and not _SUPPOSED.search(sentence):
            yield Claim.PROMISE, span
        elif says_we_did(sentence) or says_it_was(sentence):
            yield Claim.ACTION, span


def find_claims_in_notes(folded: str) -> Iterator[tuple[Claim, Span]]:
    """The same in words for the team, which report what the customer did and wants."""
    for span, sentence in sentences(folded):
        if says_we_will(sentence) and not _SAYING.search(sentence):
            yield Claim.PROMISE, span
        elif (says_we_did(sentence) and not _SAYING.search(sentence)) or says_it_was(sentence):
            yield Claim.ACTION, span


def says_we_did(sentence: str) -> bool:
    return bool(_WE_DID.search(sentence)) and not _SUPPOSED.search(sentence)


def says_we_will(sentence: str) -> bool:
    return bool(_WE_WILL.search(sentence)) and not _SUPPOSED.search(sentence)


def says_it_was(sentence: str) -> bool:
    if not _IT_WAS.search(sentence):
        return False
    return not any(one.search(sentence) for one in (_SAYING, _OF_OTHERS, _SUPPOSED))


def sentences(folded: str) -> Iterator[tuple[Span, str]]:
    """Each with its place, in lower case; a line break ends one."""
    for found in _SENTENCE.finditer(folded):
        text = found[0]
        if text.strip():
            start = found.start() + len(text) - len(text.lstrip())
            yield (start, found.start() + len(text.rstrip())), text.strip().lower()
