"""What leaves for the cloud in the place of a ticket: placeholders stand for the requester's own values.

The detectors err on the side of masking: what is masked by mistake costs the model a word, and most of it
comes back on the card; what is missed has left the house.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import count
from typing import Any

from jobs.ticket import Ticket
from jobs.triage.answer import Answer
from jobs.triage.folding import fold
from jobs.triage.names import compile_name, find_own_words
from jobs.triage.private_values import find_cards, find_ibans, find_mails, find_phones
from jobs.triage.secret_values import find_secrets
from jobs.triage.spans import Span, merge_spans
from jobs.verdict import Verdict

Finder = Callable[[str], Iterable[Span]]


class Kind(StrEnum):
    """What a value is, as its placeholder says it."""

    SECRET = "SECRET"  # noqa: S105 - the word, not one
    EMAIL = "EMAIL"
    IBAN = "IBAN"
    CARD = "CARD"
    PHONE = "PHONE"
    NAME = "NAME"


NEVER_RESTORED = {Kind.CARD: "[card number]", Kind.SECRET: "[key or password]"}
"""What a card says in the place of values that no chat may hold, not even the team's own."""

_FINDERS: tuple[tuple[Kind, Finder], ...] = (
    (Kind.EMAIL, find_mails),
    (Kind.IBAN, find_ibans),
    (Kind.CARD, find_cards),
    (Kind.PHONE, find_phones),
)
_PLACEHOLDER = re.compile(rf"\[(?:{'|'.join(Kind)})_[0-9]{{1,6}}\]", re.IGNORECASE)
# The name first: its own spelling is the one that comes back.
_TEXTS = (
    *("customer_name", "subject", "body", "company_name", "customer_tier", "product_area"),
    *("pipeline", "priority", "category", "rest"),
)
_HIDDEN = re.compile("|".join(map(re.escape, NEVER_RESTORED.values())))
_SHOWN = ("subject", "customer_name", "company_name", "customer_tier", "product_area")
_WORDS = ("customer_summary", "reply_draft", "questions_for_customer", "internal_notes")
MOST_KNOWN = 100  #: secrets of one ticket that are looked for within other words
_TOKEN = re.compile(r"[^\s\0\"'`<>(),;]+")
_INSIGNIFICANT = re.compile(r"[\W_]+")
_BLANK = "\0"


@dataclass(frozen=True, slots=True)
class Masked:
    """A ticket without its private values, and what each placeholder becomes on the card."""

    ticket: Ticket
    _originals: Mapping[str, str] = field(repr=False)

    def restore(self, answer: Answer) -> Answer:
        """The answer with addresses, numbers and names back in its texts, within its limits again.

        Card numbers, keys and passwords become a word. A placeholder that ``mask`` did not make stays.
        """
        return Answer.model_validate(
            answer.model_dump()
            | {
                "customer_summary": self._put_back(answer.customer_summary),
                "reply_draft": self._put_back(answer.reply_draft or ""),
                "questions_for_customer": [self._put_back(text) for text in answer.questions_for_customer],
                "internal_notes": [self._put_back(text) for text in answer.internal_notes],
            }
        )

    def _put_back(self, text: str) -> str:
        return _PLACEHOLDER.sub(lambda found: self._originals.get(found[0].upper(), found[0]), text)


def mask(ticket: Ticket) -> Masked:
    """The ticket with a stable placeholder for each private value, the same one in all its texts.

    The company's name stays, and what makes up the team's own prompt. Pure; linear in the ticket's size.
    """
    texts = {name: _Text(value) for name in _TEXTS if (value := getattr(ticket, name)) is not None}
    _take_secrets(texts.values(), plain_words=True)
    for kind, find in _FINDERS:
        for text in texts.values():
            text.take(kind, find)
    _take_name(texts)
    book = _Book(frozenset().union(*(text.placeholders for text in texts.values())))
    written: dict[str, Any] = {name: text.write(book.enter) for name, text in texts.items()}
    return Masked(replace(ticket, markup=None, **written), book.originals)


def hide_secrets(ticket: Ticket, verdict: Verdict) -> tuple[Ticket, Verdict]:
    """Both with a word in the place of each card number, key and password: what a card may show of them.

    Whoever wrote it: the customer into the subject, or a local model, which reads the ticket as it is.
    """
    texts = {name: _Text(value) for name in _TEXTS if (value := getattr(ticket, name)) is not None}
    words = {name: [_Text(text) for text in as_list(getattr(verdict, name))] for name in _WORDS}
    written = [text for found in words.values() for text in found]
    for text in written:
        # What stands for a value already is none; as a name it is written as it was.
        text.take(Kind.NAME, lambda plain: (found.span() for found in _HIDDEN.finditer(plain)))
    # Words that a customer calls passwords are not to blank the team's card.
    _take_secrets([*texts.values(), *written], plain_words=False)
    for text in (*(texts[name] for name in _SHOWN if name in texts), *written):
        text.take(Kind.CARD, find_cards)
    shown: dict[str, Any] = {name: texts[name].write(_hide) for name in _SHOWN if name in texts}
    said: dict[str, Any] = {
        name: like(getattr(verdict, name), [text.write(_hide) for text in found])
        for name, found in words.items()
    }
    return replace(ticket, **shown), replace(verdict, **said)


def _hide(kind: Kind, _key: str, value: str) -> str:
    return NEVER_RESTORED.get(kind, value)


def as_list(value: str | tuple[str, ...] | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def like(value: str | tuple[str, ...] | None, texts: list[str]) -> str | tuple[str, ...] | None:
    """``texts`` in the form that ``value`` has."""
    return tuple(texts) if isinstance(value, tuple) else next(iter(texts), None)


def _take_secrets(texts: Iterable["_Text"], *, plain_words: bool) -> None:
    """What was announced as a secret once is one everywhere; a plain word only with ``plain_words``."""
    texts = list(texts)
    for text in texts:
        text.take(Kind.SECRET, find_secrets)
    told = (key for text in texts for key in text.keys(Kind.SECRET))
    known = {form for key in told for form in (key, key.rstrip("!?")) if len(form) >= 4}
    unmistakable = {one for one in known if len(one) >= 6 and not one.isalpha()}
    anywhere = _compile_whole(sorted(unmistakable, key=len, reverse=True)[:MOST_KNOWN])
    tokens = known if plain_words else unmistakable
    for text in texts:
        if anywhere is not None:
            text.take(Kind.SECRET, lambda plain: (found.span() for found in anywhere.finditer(plain)))
        text.take(Kind.SECRET, lambda plain: _find_tokens(plain, tokens))


def _compile_whole(values: list[str]) -> re.Pattern[str] | None:
    """Each of them, whatever punctuation touches it, but not within a longer word or number."""
    either = "|".join(map(re.escape, values))
    return re.compile(rf"(?<![^\W_])(?:{either})(?![^\W_])") if either else None


def _find_tokens(plain: str, known: set[str]) -> Iterator[Span]:
    if len(known) < 50:  # to look for each is cheaper than to look at every word
        known = {token for token in known if token in plain}
    for match in _TOKEN.finditer(plain) if known else ():
        stripped = match[0].rstrip(".:!?]}")
        for token in (match[0], stripped):
            if token in known:
                yield match.start(), match.start() + len(token)
                break


def _take_name(texts: Mapping[str, "_Text"]) -> None:
    """Last, so that an address that holds the name is an address, and no address is a name."""
    name = texts.get("customer_name")
    if name is None:
        return
    pattern = compile_name(name.write(lambda *_: " "))
    if pattern is not None:
        for text in texts.values():
            text.take(Kind.NAME, lambda plain: (match.span() for match in pattern.finditer(plain.lower())))
    name.take(Kind.NAME, find_own_words)


class _Text:
    """One text of the ticket; ``plain`` is folded, and blank where a value was found."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.plain, self._places = fold(text)
        self.placeholders = {found[0].upper() for found in _PLACEHOLDER.finditer(self.plain)}
        self._found: list[tuple[Span, Kind, str]] = []

    def take(self, kind: Kind, find: Finder) -> None:
        parts, at = [], 0
        for start, end in merge_spans(find(self.plain)):
            self._found.append(((start, end), kind, _key(kind, self.plain[start:end])))
            parts += [self.plain[at:start], _BLANK * (end - start)]
            at = end
        self.plain = "".join([*parts, self.plain[at:]]) if parts else self.plain

    def keys(self, kind: Kind) -> Iterator[str]:
        return (key for _, found, key in self._found if found is kind)

    def write(self, stand_in: Callable[[Kind, str, str], str]) -> str:
        """The text with what ``stand_in`` gives for the kind, key and spelling of each value found."""
        parts, at = [], 0
        for (start, end), kind, key in sorted(self._found):
            first, last = self._places[start], self._places[end]
            parts += [self._text[at:first], stand_in(kind, key, self._text[first:last])]
            at = last
        return "".join([*parts, self._text[at:]])


class _Book:
    """Which placeholder stands for which value; ``taken`` ones stand in the ticket itself."""

    def __init__(self, taken: frozenset[str]) -> None:
        self._taken = taken
        self._numbers = {kind: count(1) for kind in Kind}
        self._entries: dict[tuple[Kind, str], str] = {}
        self.originals: dict[str, str] = {}

    def enter(self, kind: Kind, key: str, value: str) -> str:
        placeholder = self._entries.get((kind, key))
        if placeholder is None:
            names = (f"[{kind}_{number}]" for number in self._numbers[kind])
            placeholder = next(name for name in names if name not in self._taken)
            self._entries[kind, key] = placeholder
            self.originals[placeholder] = NEVER_RESTORED.get(kind, value)
        return placeholder


def _key(kind: Kind, plain: str) -> str:
    """The same for every way in which one value may be written."""
    if kind is Kind.SECRET:
        return plain
    return plain.casefold() if kind is Kind.EMAIL else _INSIGNIFICANT.sub("", plain.casefold())
