"""The requester's own name in a folded text: whole, or first and last name alone."""

import re
from collections.abc import Iterator
from itertools import islice

from jobs.triage.folding import fold

_WORD = re.compile(r"[^\W\d_]+")
_MOST_WORDS = 8
_JOINED_LETTERS = 7  #: from there on a name without a space is no other word
_UNSPACED = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af]+")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_SPELT_OUT = re.compile(r"(?<=[aou])e")
_HIDDEN = re.compile(r"x+", re.IGNORECASE)
# Titles, particles that are articles elsewhere, and what a shared mailbox is called.
_NO_NAMES_WORDS = """
    mr mrs ms miss mx dr prof sir herr frau hr fr sr sra srta mme mlle jr phd msc mba
    van von der den dem des del dos das las los les una und bin ibn abu the and for with not you
    support team info sales admin administrator customer customers client service services user users test
    billing account accounts accounting office contact help desk helpdesk hello mail email name unknown
    anonymous guest noreply reply marketing finance security system ticket manager company business
    kunde kundin kundenservice buchhaltung cliente soporte ventas equipo equipe
"""
_SHORT_WORDS = """
    al am an as at be by do go he hi if in is it me my no of ok on or so to up us we
    ab da du er es ja im ob um wo zu de el en la le lo se si su te tu un va ya au ce ne ou
"""
_NO_NAMES = frozenset(_NO_NAMES_WORDS.split())
_NEVER_ALONE = frozenset(_SHORT_WORDS.split())


def find_own_words(name: str) -> Iterator[tuple[int, int]]:
    """Where a folded name has words of the person's own: neither a title nor a role."""
    for word in _WORD.finditer(name):
        if word[0].casefold() not in _NO_NAMES and not _HIDDEN.fullmatch(word[0]):
            yield word.span()


def _split(name: str) -> list[str]:
    plain = fold(name)[0]
    return [plain[slice(*span)] for span in islice(find_own_words(plain), _MOST_WORDS)]


def compile_name(name: str) -> re.Pattern[str] | None:
    """A pattern, for text in lower case, of the whole name and each word; None where no word is its own."""
    name = name.lower()
    spellings = [_split(name), _split(name.translate(_UMLAUTS))]
    spellings.append([_SPELT_OUT.sub("", word) if len(word) > 4 else word for word in spellings[0]])
    forms = dict.fromkeys(form for words in spellings for form in _forms(words))
    if not forms:
        return None
    # A look at the first letter before all forms are tried: it halves the time.
    firsts = "".join({word[0] for words in spellings for word in words})
    alternatives = "|".join(sorted(forms, key=len, reverse=True))
    return re.compile(f"(?=[{firsts}])(?:{alternatives})")


def _forms(words: list[str]) -> Iterator[str]:
    if len(words) > 1:
        yield from (_bounded(order, r"[\W_]{1,3}") for order in (words, words[::-1]))
        if all(map(_UNSPACED.fullmatch, words)) or len("".join(words)) >= _JOINED_LETTERS:
            yield from (_bounded(order, "") for order in (words, words[::-1]))
    yield from (
        _bounded([word], "") for word in words if len(word) > 1 and word.casefold() not in _NEVER_ALONE
    )


def _bounded(words: list[str], between: str) -> str:
    """Borders of words count, an underscore as one too, and a possessive's s; some scripts have none."""
    before = "" if _UNSPACED.fullmatch(words[0]) else r"(?<![^\W_])"
    after = "" if _UNSPACED.fullmatch(words[-1]) else r"(?=s?(?![^\W_]))"
    return before + between.join(map(re.escape, words)) + after
