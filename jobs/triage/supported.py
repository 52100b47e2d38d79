"""Facts that an answer may only repeat: links, addresses, phone numbers, amounts, dates, and whose they are.

A fact is found with its place and its keys: the same for every way of writing it. It is supported where any
of its keys is among those of the texts that the model was given. All patterns are linear.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from jobs.triage.dates import day_key, find_dates, numbers_like_days, times_to_wait, with_and_without_year
from jobs.triage.folding import fold
from jobs.triage.private_values import find_mails, find_phones
from jobs.triage.spans import Span


class Fact(StrEnum):
    """What a fact is, as its mark says it."""

    LINK = "link"
    ADDRESS = "address"
    PHONE = "phone"
    AMOUNT = "amount"
    DATE = "date"


@dataclass(frozen=True, slots=True)
class Found:
    """A fact in a folded text."""

    fact: Fact
    span: Span
    keys: frozenset[str]


_TLDS = (
    r"com|net|org|io|dev|app|ai|co|me|info|biz|xyz|online|site|shop|store|cloud|link|click|top|live|tech|support"
    r"|help|eu|de|at|ch|uk|us|fr|es|it|nl|be|pl|pt|se|no|dk|ru|ua|cn|jp|in|br|au|ca|test|example|invalid|local"
)
BARE = "bare "
_DOT = r"(?:\.|\[\.\]|\(\.\)|\s?[\[(]dot[\])]\s?)"
_LINK = re.compile(
    r"(?<![\w@.])(?:(?:h(?:tt|xx)ps?|ftp)\s?(?::|\[:\])\s?//(?P<host>(?:[^\s/?#<>\"')\[\]]|\[\.\]){1,255})"
    rf"|(?P<bare>(?:[\w-]{{1,63}}{_DOT}){{1,6}}(?:{_TLDS}))(?![\w@-])"
    r"|(?P<other>(?:[\w-]{1,63}\.){1,6}[a-z]{2,24}|\d{1,3}(?:\.\d{1,3}){3})(?=/\w))(?P<path>[/?#][^\s<>\"'\])]*)?",
    re.IGNORECASE,
)
_SPELT_DOT = re.compile(r"\s?[\[({]\s?(?:dot|\.)\s?[\])}]\s?")
_SPELT_AT = re.compile(r"\s?[\[({]\s?at\s?[\])}]\s?|\s@\s|%40")
_SIGNS = r"[$€£¥₹₿]|us\$|\b(?:usd|eur|gbp|chf|jpy|cad|aud|sek|nok|dkk|pln|btc|eth)\b"
_WORDS = (
    r"(?:dollars?|euros?|pounds?|francs?|cents?|bucks|quid|kr|kronor|zloty|rubles?|yen|yuan|rupees?|bitcoins?"
    r"|dolares|libras|usd|eur|gbp|chf|btc)\b"
)
_SHARES = r"%|(?:per ?cent|prozent|por ciento|pour ?cent)\b"
_NUMBER = r"(?:\d{1,3}(?:[ '.,]\d{3}){1,4}(?:[.,]\d{1,2})?|\d{1,12}(?:[.,]\d{1,4})?)(?!\d)"
_AMOUNT = re.compile(
    rf"(?:{_SIGNS})\s?(?P<after>{_NUMBER})"
    rf"|(?<![\w.,])(?P<before>{_NUMBER})\s?(?:{_SIGNS}|{_WORDS}|k\s?(?:usd|eur)\b|(?P<share>{_SHARES}))",
    re.IGNORECASE,
)
#: A share is a sum where something is off, paid or given; "zoom to 100 %" is none.
_DEAL = re.compile(
    r"\b(?:off|discount|rabatt|nachlass|reduc\w+|descuento|remise|rebate|refund\w*|erstatt\w+|credit|price|fee|tax|vat"
    r"|costs?|cheaper|extra|bonus|interest|charge[ds]?|pay|paid|more|less)\b",
    re.IGNORECASE,
)
_AROUND = 40
_DIALLED = re.compile(r"(?<![\w.,/+-])0\d{8,14}(?![\w.,-]?\d)")
_COUNTRY = re.compile(r"^(?:[17]|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|\d{3})")
_CURRENCIES = {
    "%": re.compile(_SHARES, re.IGNORECASE),
    "€": re.compile(r"€|eur", re.IGNORECASE),
    "£": re.compile(r"£|gbp|pound|libra|quid", re.IGNORECASE),
    "$": re.compile(r"\$|usd|dollar|dolar|bucks|cad|aud", re.IGNORECASE),
}
_MONEY = re.compile(rf"{_WORDS}|{_SIGNS}", re.IGNORECASE)
_ONES = (
    r"one|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
    r"|hundred|thousand|million|half|a|and|zwei|drei|vier|funf|zehn|zwanzig|cien|mil|cent|mille"
)
_SPELT = re.compile(
    rf"\b(?:(?:{_ONES})[\s-]{{1,2}}){{1,6}}{_WORDS}"
    rf"|\b\w{{0,20}}(?:hundert|tausend|zig|zehn)\s{_WORDS}"
    rf"|(?:{_SIGNS})(?:[\s-](?:{_ONES})\b){{1,6}}",
    re.IGNORECASE,
)
#: Sums as people write them without a currency: with cents, or beside a word of money.
_BARE_SUM = re.compile(
    r"(?<![\w.,])(?P<cents>\d[\d.,']{0,16}[.,]\d\d)(?![\w.,]?\d)"
    r"|\b(?:charged|paid|pay|refund|price|costs?|total|amount|fee|sum|balance|betrag|preis|bezahlt|kosten|gebuhr|cobro"
    r"|precio|pago|importe|prix|montant|paye|facture)\w{0,3}[\s:]{1,3}(?:\w{1,10}\s){0,2}(?P<sum>\d[\d.,']{0,16})",
    re.IGNORECASE,
)


def find_facts(folded: str) -> list[Found]:
    """In order and apart: a mail address is no link, a date no phone number."""
    taken: list[Found] = []
    for finder in (_find_addresses, _find_links, _find_dates, _find_amounts, _find_phone_numbers):
        for found in finder(folded):
            if not any(found.span[0] < other.span[1] and other.span[0] < found.span[1] for other in taken):
                taken.append(found)
    return sorted(taken, key=lambda one: one.span)


class Known:
    """What the texts of a ticket and of the team say, read when it is first asked for."""

    def __init__(self, texts: Iterable[str], created_at: datetime, *, sop: str = "") -> None:
        """What ``sop`` says a thing takes may be promised; that a customer waited so long is no reason to."""
        self._sop = fold(sop)[0]
        self._texts = [fold(text)[0] for text in (*texts, sop) if text]
        self._created_at = created_at
        self._keys: dict[Fact, frozenset[str]] = {}

    def supports(self, found: Found) -> bool:
        if found.fact not in self._keys:
            self._keys[found.fact] = frozenset(self._read(found.fact))
        return bool(found.keys & self._keys[found.fact])

    def has(self, words: str) -> bool:
        """Whether any text holds these folded words as they are."""
        return any(words in text for text in self._texts)

    def _read(self, fact: Fact) -> Iterator[str]:
        created = self._created_at
        if fact is Fact.DATE:
            yield from with_and_without_year(day_key(created.month, created.day), created.year)
            yield from times_to_wait(self._sop)
        for text in self._texts:
            for found in _FINDERS[fact](text):
                for key in found.keys:
                    if fact is Fact.DATE:
                        yield from with_and_without_year(key, created.year)
                    elif not key.startswith(BARE):  # of a sum with its currency
                        yield key
            if fact is Fact.DATE:
                yield from numbers_like_days(text)
            if fact is Fact.AMOUNT:
                alone = _AMOUNT.sub(" ", text)
                yield from (bare_key(bare["cents"] or bare["sum"]) for bare in _BARE_SUM.finditer(alone))


def _find_addresses(text: str) -> Iterator[Found]:
    for start, end in find_mails(text):
        plain = _SPELT_AT.sub("@", _SPELT_DOT.sub(".", text[start:end].lower()))
        yield Found(Fact.ADDRESS, (start, end), frozenset({plain}))


def _find_links(text: str) -> Iterator[Found]:
    for found in _LINK.finditer(text):
        written = found["host"] or found["bare"] or found["other"]
        if not found["host"] and not found["path"] and written.rpartition(".")[2].isupper():
            continue  # ASP.NET is a name
        host = _SPELT_DOT.sub(".", written.lower())
        host = host.rpartition("@")[2].removeprefix("www.").rstrip(".")
        path = (found["path"] or "").rstrip(".,;:!?*_")
        end = found.end() - len(found["path"] or "") + len(path)
        yield Found(Fact.LINK, (found.start(), end), frozenset({host + path.rstrip("/")}))


def _find_amounts(text: str) -> Iterator[Found]:
    has_digits = any(map(text.__contains__, "0123456789"))
    for found in _AMOUNT.finditer(text) if has_digits else ():
        near = text[max(0, found.start() - _AROUND) : found.end() + _AROUND]
        if found["share"] and not _DEAL.search(near):
            continue
        written = found["after"] or found["before"]
        unit = next((unit for unit, words in _CURRENCIES.items() if words.search(found[0])), "?")
        # A text that names a sum without its currency supports it in any, but no share of a hundred.
        keys = {f"{unit} {number_key(written)}"} | ({bare_key(written)} if unit != "%" else set())
        yield Found(Fact.AMOUNT, found.span(), frozenset(keys))
    for found in _SPELT.finditer(text) if _MONEY.search(text) else ():
        yield Found(Fact.AMOUNT, found.span(), frozenset({" ".join(found[0].lower().split())}))


def _find_phone_numbers(text: str) -> Iterator[Found]:
    for start, end in (*find_phones(text), *(found.span() for found in _DIALLED.finditer(text))):
        yield Found(Fact.PHONE, (start, end), phone_keys(text[start:end]))


def _find_dates(text: str) -> Iterator[Found]:
    for span, keys in find_dates(text):
        yield Found(Fact.DATE, span, keys)


def phone_keys(written: str) -> frozenset[str]:
    """All digits; of an international number also those behind its country code."""
    digits = re.sub(r"\D", "", written)
    plain = digits.lstrip("0")
    abroad = "+" in written or digits.startswith("00")
    return frozenset({plain, _COUNTRY.sub("", plain, count=1).lstrip("0")} if abroad else {plain})


def bare_key(written: str) -> str:
    return BARE + number_key(written)


def number_key(written: str) -> str:
    """``1,234.50``, ``1.234,50`` and ``1234.5`` are one; three digits after a lone mark are thousands."""
    plain = re.sub(r"[\s']", "", written).rstrip(".,")
    marks = re.findall(r"[.,]", plain)
    decimal = ""
    if marks:
        last = marks[-1]
        whole, _, tail = plain.rpartition(last)
        if len(tail) != 3 or (len(set(marks)) > 1) or (len(marks) == 1 and whole in ("", "0")):
            plain, decimal = whole, tail
    digits = re.sub(r"[.,]", "", plain).lstrip("0") or "0"
    decimal = decimal.rstrip("0") if decimal.isdigit() else ""
    return f"{digits}.{decimal}" if decimal else digits


_FINDERS: dict[Fact, Callable[[str], Iterator[Found]]] = {
    Fact.LINK: _find_links,
    Fact.ADDRESS: _find_addresses,
    Fact.PHONE: _find_phone_numbers,
    Fact.AMOUNT: _find_amounts,
    Fact.DATE: _find_dates,
}
