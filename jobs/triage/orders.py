"""Passages of a text that read like orders to a model: where they stand, never what is done about them."""

import base64
import codecs
import html
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain, islice

from jobs.triage.folding import fold
from jobs.triage.order_words import (
    ADDRESS,
    STRONG,
    STRONG_PHRASES,
    UNSPACED,
    WEAK,
    WEAK_PHRASES,
    Order,
    Reach,
)
from jobs.triage.spans import Span, merge_spans

_SENTENCE_CHARACTERS = 400
_PARAGRAPH_CHARACTERS = 1_500
_WORD = re.compile(r"\w+")
_SINGLES = re.compile(r"(?<!\w)\w(?:[\W_]{1,3}\w(?!\w)){7,400}")
_SENTENCE_END = re.compile(r"[.!?。！？]+(?=\s|$)|\n|(?<=[。！？])")
_PARAGRAPH_END = re.compile(r"\n\s*\n")
_UNSPACED = re.compile(UNSPACED)
_ADDRESS = re.compile(ADDRESS, re.IGNORECASE)
# As jobs.intake leaves them: broken, so that no template reads them as a turn, but still to be seen.
_BROKEN_TURN = re.compile(
    r"< \|[^|<>\n]{0,40}\| >|< <"
    r"|[<\[] /?(?:s|bos|eos|inst|sys|think|(?:system|user|assistant|human|developer|model|instructions?|tool)"
    r"(?:[_ ](?:prompt|message|turn|calls?|results?))?)[>\]]",
    re.IGNORECASE,
)
_BROKEN_SPEAKER = re.compile(
    r"^[ \t>*]*(?:human|assistant|system)[ \t*]*(?: - |:)", re.IGNORECASE | re.MULTILINE
)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}")
_HEX = re.compile(r"(?:[0-9a-f]{2}[ :]?){16,}", re.IGNORECASE)
_PERCENT = re.compile(r"(?:%[0-9a-f]{2}){8,}", re.IGNORECASE)
_DIGITS_FOR_LETTERS = str.maketrans("013457@$", "oieastas")
_LOOK_ALIKES = str.maketrans("аеорсхуіјѕԁһՏοαερτυνικ", "aeopcxyijsdhsoaeptuvik")
_TELLTALE = re.compile(r"ignore|instruction|prompt|priorit|anweisung|instruccion|consigne", re.IGNORECASE)

MOST_ORDERS = 200
"""A text that gives so many is an order from the first of them to its end."""

_ENCODED = 50
"""So many encoded pieces of one text are read; one order among them is enough."""


def find_orders(text: str, *, wary: bool = False) -> list[Span]:
    """Where ``text`` gives orders to a model, in order and apart. Linear, but for sorting what was found.

    Mild ones count where ``wary`` is True, or where the text gives another that is not mild.
    """
    plain, places = fold(text)
    words = _read_words(plain)
    found = list(islice(_find_strong(words, plain), MOST_ORDERS))
    if found or wary:
        mild = chain(_find(words, plain, WEAK, _weak_phrases()), _reaches(_BROKEN_SPEAKER, plain))
        found += islice(mild, MOST_ORDERS)
    if len(found) >= MOST_ORDERS:
        found.append((min(start for start, _ in found), len(plain)))
    return [(places[start], places[end]) for start, end in merge_spans(found)]


def _find_strong(words: "_Words", plain: str) -> Iterator[Span]:
    yield from _find(words, plain, STRONG, _strong_phrases())
    yield from _find_odd(plain)


def _gives_orders(text: str) -> bool:
    """Whether ``text`` gives one that is not mild, in plain words."""
    plain = fold(text)[0]
    return any(_find(_read_words(plain), plain, STRONG, _strong_phrases()))


class _Words:
    """The words of a text as they are compared, with the place of each, and the numbers of each word."""

    def __init__(self) -> None:
        self.places: list[Span] = []
        self._words: list[str] = []
        self._numbers: dict[str, list[int]] = {}

    def add(self, word: str, place: Span) -> None:
        self._numbers.setdefault(word, []).append(len(self._words))
        self._words.append(word)
        self.places.append(place)

    def numbers_of(self, some: frozenset[str]) -> list[int]:
        known = self._numbers.keys() & some
        return sorted(number for word in known for number in self._numbers[word])

    def phrases(self, phrases: dict[str, list[list[str]]]) -> Iterator[tuple[int, int]]:
        """First and last word's numbers of each of ``phrases``, which are listed by their first words."""
        for first in self._numbers.keys() & phrases.keys():
            for number in self._numbers[first]:
                for phrase in phrases[first]:
                    if self._words[number : number + len(phrase)] == phrase:
                        yield number, number + len(phrase) - 1


def _read_words(plain: str) -> _Words:
    words = _Words()
    for found in _WORD.finditer(plain):
        words.add(_as_meant(found[0].lower()), found.span())
    for found in _SINGLES.finditer(plain):
        # No border says where its words end, so it is one word that is looked into.
        joined = _as_meant(re.sub(r"[\W_]+", "", found[0].lower()))
        for word in _hidden_words(joined):
            words.add(word, found.span())
    return words


def _as_meant(word: str) -> str:
    if word.isascii():
        mixed = not word.isalpha() and not word.isdigit()
        return word.translate(_DIGITS_FOR_LETTERS) if mixed else word
    alike = word.translate(_LOOK_ALIKES)
    return alike if alike.isascii() else word


def _hidden_words(joined: str) -> Iterator[str]:
    """Words of STRONG pairs, of four letters or more, that ``joined`` holds anywhere."""
    for order in STRONG:
        for some in (order.one, order.other, order.beside):
            yield from (word for word in some if len(word) > 3 and word in joined)


def _find(
    words: _Words, plain: str, orders: Sequence[Order], phrases: dict[str, list[list[str]]]
) -> Iterator[Span]:
    for order in orders:
        for first, last in _pairs(words, order):
            yield _reach(plain, words.places[first][0], words.places[last][1], order.reach)
    for first, last in words.phrases(phrases):
        yield _reach(plain, words.places[first][0], words.places[last][1], Reach.PARAGRAPH)


def _pairs(words: _Words, order: Order) -> Iterator[tuple[int, int]]:
    ones, others = words.numbers_of(order.one), words.numbers_of(order.other)
    besides = words.numbers_of(order.beside) if order.beside else None
    if not ones or not others or besides == []:
        return
    for one in ones:
        place = bisect_left(others, one)
        for other in others[max(0, place - 1) : place + 1]:
            first, last = min(one, other), max(one, other)
            if last - first <= order.near and (besides is None or _any_within(besides, first - 3, last + 3)):
                yield first, last


def _any_within(numbers: Sequence[int], first: int, last: int) -> bool:
    place = bisect_left(numbers, first)
    return place < len(numbers) and numbers[place] <= last


def _find_odd(plain: str) -> Iterator[Span]:
    """Forged turns, what other scripts say, and what is written so that only a machine reads it."""
    yield from _reaches(_BROKEN_TURN, plain)
    yield from _reaches(_UNSPACED, plain)
    yield from _reaches(_ADDRESS, plain)
    for place, decoded in _decoded(plain):
        if _gives_orders(decoded):
            yield _reach(plain, *place, Reach.SENTENCE)


def _reaches(pattern: re.Pattern[str], plain: str) -> Iterator[Span]:
    return (_reach(plain, *found.span(), Reach.PARAGRAPH) for found in pattern.finditer(plain))


def _decoded(plain: str) -> Iterator[tuple[Span, str]]:
    for pattern, decode in _ENCODINGS:
        for found, _ in zip(pattern.finditer(plain), range(_ENCODED), strict=False):
            try:
                yield found.span(), decode(found[0]).decode("utf-8", "ignore")
            except ValueError:  # plain text that only looks encoded
                continue
    read = html.unescape(plain) if "&#" in plain else ""
    for turned in (codecs.encode(plain, "rot13"), plain[::-1], read):
        if _TELLTALE.search(turned):
            yield (0, len(plain)), turned


def _reach(plain: str, start: int, end: int, reach: Reach) -> Span:
    if reach is Reach.CLAUSE:
        return start, end
    before = max(0, start - _SENTENCE_CHARACTERS)
    ends = [found.end() for found in _SENTENCE_END.finditer(plain, before, start)]
    start = ends[-1] if ends else before
    border, most = _BORDERS[reach]
    found = border.search(plain, end, end + most)
    return start, found.end() if found else min(len(plain), end + most)


def _by_first_word(phrases: Iterable[str]) -> dict[str, list[list[str]]]:
    listed: dict[str, list[list[str]]] = {}
    for phrase in phrases:
        words = phrase.split()
        listed.setdefault(words[0], []).append(words)
    return listed


@cache
def _strong_phrases() -> dict[str, list[list[str]]]:
    return _by_first_word(STRONG_PHRASES)


@cache
def _weak_phrases() -> dict[str, list[list[str]]]:
    return _by_first_word(WEAK_PHRASES)


def _from_base64(piece: str) -> bytes:
    plain = piece.rstrip("=").translate(str.maketrans("-_", "+/"))
    return base64.b64decode(plain + "=" * (-len(plain) % 4))


_ENCODINGS = (
    (_BASE64, _from_base64),
    (_HEX, lambda piece: bytes.fromhex(re.sub("[ :]", "", piece))),
    (_PERCENT, lambda piece: bytes.fromhex(piece.replace("%", ""))),
)
_BORDERS = {
    Reach.SENTENCE: (_SENTENCE_END, _SENTENCE_CHARACTERS),
    Reach.PARAGRAPH: (_PARAGRAPH_END, _PARAGRAPH_CHARACTERS),
}
