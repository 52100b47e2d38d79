"""Mail addresses, bank accounts, card and phone numbers in a folded text.

All patterns are linear: a repetition is possessive, bounded, or takes all that it looked at.
"""

import re
from collections.abc import Iterator

from jobs.triage.spans import Span

_AT = r"(?:@|%40|\s?[\[({]\s?at\s?[\])}]\s?|\s@\s(?=[\w-]{1,60}\.[A-Za-z]))"
_DOT = r"(?:\.|\s?[\[({]\s?dot\s?[\])}]\s?)"
_SPELT_AT = re.compile(r"[aA][tT]\s?[\])}]")


def _mail_pattern(word: str) -> re.Pattern[str]:
    domain = rf"[{word}\-]++(?:{_DOT}[{word}\-]++)++"
    return re.compile(rf"(?<![{word}.+'\-])[.+'\-]*+(?P<value>[{word}][{word}.+'\-]*+{_AT}{domain})")


# First without Chinese, Japanese and Korean, whose words stand beside an address without a space.
_MAILS = (_mail_pattern(r"A-Za-z0-9_\u00c0-\u1fff"), _mail_pattern(r"\w"))

_IBAN_LENGTHS = """
15 NO|16 BE|18 DK FI FK FO GL NL SD|19 MK SI|20 AT BA EE KZ LT LU MN XK|21 CH HR LI LV
22 BG BH CR DE GB GE IE ME RS VA|23 AE GI IL IQ OM SO TL|24 AD CZ ES MD PK RO SA SE SK TN VG|25 LY PT ST
26 IS TR|27 BI DJ FR GR IT MC MR SM|28 AL AZ BY CY DO GT HN HU LB NI PL SV|29 BR EG PS QA UA|30 JO KW MU YE
31 MT SC|32 LC|33 RU
"""


_NO_SIGN = re.compile(r"[ .\-_\n]")
_IBAN_HEAD = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d\d")


def _iban_patterns() -> dict[str, re.Pattern[str]]:
    rows = (row.split() for row in _IBAN_LENGTHS.replace("|", "\n").strip().splitlines())
    return {
        country: re.compile(
            rf"[A-Za-z]{{2}}(?:[ .\-_\n]{{0,3}}[A-Za-z0-9]){{{int(length) - 2}}}(?![A-Za-z0-9])"
        )
        for length, *countries in rows
        for country in countries
    }


_IBANS = _iban_patterns()

_NUMBER = re.compile(r"(?<!\d)\d(?:[\s.\-/,_|:*()]{0,3}\d){12,}+")
_GROUP = re.compile(r"\d+")
_CARD = re.compile(r"4\d{12}|3[0689]\d{12}|3[47]\d{13}|[2-9]\d{15,18}")
# Dates side by side, and the order numbers of Amazon.
_NO_CARD = re.compile(
    r"(?<!\d)(?<!\d[./-])(?:\d\d?[./-]\d\d?[./-](?:19|20)\d\d|(?:19|20)\d\d[./-]\d\d?[./-]\d\d?"
    r"|\d{3}-\d{7}-\d{7})(?![./-]?\d)"
)
_PLAIN = bytes(range(48)) + bytes(range(10)) + bytes(198)
_DOUBLED = bytes(48) + bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)) + bytes(198)

_SEP = r"[ .\-/()]{0,3}"
_PHONE = re.compile(
    rf"""
    (?=[+(\d]) (?: (?<![\w+]) \+\ ?\(?\d (?:{_SEP}\d){{6,14}} (?!\d)
    | (?<![\w.,/+\-]) (?P<national>
        00[1-9]\d{{0,3}} [ .\-/] \d (?:{_SEP}\d){{5,11}}
      | \(0?\d{{2,4}}\) [ ]?\d (?:[ .\-]?\d){{4,8}}
      | 0[1-9]\d{{8,11}} (?!\d)
      | 0[1-9]\d{{0,4}} [ .\-/]{{1,3}} \d (?:[ .\-/]{{0,3}}\d){{5,9}}
      | (?:1[ .\-]{{1,2}})? [2-9]\d\d [ .\-] \d{{3}} [ .\-] \d{{4}}
      | (?:1[ .\-]{{1,2}})? \([2-9]\d\d\) [ .\-]{{0,2}} \d{{3}} [ .\-] \d{{4}}
      | [2-9]\d\d - \d{{4}}
      | [6-9]\d\d (?: [ ]\d{{3}}[ ]\d{{3}} | -\d{{3}}-\d{{3}} | [ ]\d\d[ ]\d\d[ ]\d\d )
      | 1\d\d [ \-] \d{{4}} [ \-] \d{{4}}
      | [6-9]\d{{4}} [ \-] \d{{5,6}}
      ) (?![.,\-/]?\d|\ ?[€$£%]|\ (?:EUR|USD|GBP)\b))
    """,
    re.VERBOSE,
)
_CALLED = re.compile(
    r"(?=[chmprtw])(?<![A-Za-z0-9])(?:tele)?(?:phone|fono|fon|fax|mobile?|movil|cell|handy|whatsapp|tel|portable"
    r"|call me|reach me|ring me|call us|rufnummer|mobilnummer|handynummer|telefonnummer)s?\b"
    r"(?:\s(?:number|no|nr|num|nummer|numero))?"
    rf"[\s.:#=(]{{0,4}}(?:(?:is|at|on|ist|es|est|unter|auf|al|au)\s)?(?P<value>\+?\(?\d(?:{_SEP}\d){{6,14}})(?!\d)"
)
_DATE = re.compile(
    r"(?<!\d)(?<!\d[./-])(?:\d{1,2}[./-]\d{1,2}[./-](?:\d{4}|\d\d)|\d{4}[./-]\d\d?[./-]\d\d?)(?![./-]?\d)"
)
_NO_PHONE = re.compile(
    r"(?:\b(?:order|ticket|invoice|case|ref|reference|tracking|serial|id|isbn|version|part|item|sku|bestell\w{0,10}"
    r"|rechnung\w{0,10}|auftrag\w{0,10}|kunden\w{0,10}|pedido|factura|commande|facture)"
    r"\W{0,3}(?:(?:no|nr|num|number|id|nummer|numero)\b\W{0,3})?|[#$€£]\s?)$",
    re.IGNORECASE,
)
_LOOKED_BACK = 40


def find_mails(text: str) -> Iterator[Span]:
    """Also ``name (at) domain (dot) tld``, and an address quoted in a link."""
    if "@" not in text and "%40" not in text and not _SPELT_AT.search(text):
        return
    for pattern in _MAILS[: 1 if text.isascii() else 2]:
        yield from (match.span("value") for match in pattern.finditer(text.lower()))


def find_ibans(text: str) -> Iterator[Span]:
    """The IBAN registry's countries and lengths, checked by mod 97 (ISO 13616)."""
    for head in _IBAN_HEAD.finditer(text):
        pattern = _IBANS.get(head[0][:2].upper())
        match = pattern.match(text, head.start()) if pattern else None
        if match and _passes_mod_97(match[0]):
            yield match.span()


def _passes_mod_97(written: str) -> bool:
    compact = _NO_SIGN.sub("", written).upper()
    return int("".join(str(int(character, 36)) for character in compact[4:] + compact[:4])) % 97 == 1


def find_cards(text: str) -> Iterator[Span]:
    """Numbers of a card's lengths that pass Luhn's check (ISO/IEC 7812), in whatever groups."""
    for run in _NUMBER.finditer(text):
        groups = [group.span() for group in _GROUP.finditer(text, run.start(), run.end())]
        at = 0
        while at < len(groups):
            last = _find_card_end(text, groups, at)
            if last is not None:
                yield groups[at][0], groups[last][1]
            at = at + 1 if last is None else last + 1


def _find_card_end(text: str, groups: list[Span], first: int) -> int | None:
    """The last group of the longest card number that begins with group ``first``."""
    if text[groups[first][0]] in "01":
        return None
    digits, found = "", None
    for last in range(first, min(first + 19, len(groups))):
        digits += text[slice(*groups[last])]
        if len(digits) > 19:
            break
        if _CARD.fullmatch(digits) and _passes_luhn(digits):
            found = last
    if found is not None and _NO_CARD.search(text, groups[first][0], groups[found][1]):
        return None
    return found


def _passes_luhn(digits: str) -> bool:
    backwards = digits.encode()[::-1]
    return (sum(backwards[::2].translate(_PLAIN)) + sum(backwards[1::2].translate(_DOUBLED))) % 10 == 0


def find_phones(text: str) -> Iterator[Span]:
    """Numbers with a plus, with a country's pattern of groups, or after a word such as "mobile"."""
    yield from (match.span("value") for match in _CALLED.finditer(text.lower()))
    for match in _PHONE.finditer(text):
        if match["national"] is None or not _is_something_else(text, match.start()):
            yield match.span()


def _is_something_else(text: str, start: int) -> bool:
    """Whether a date, an amount or the number of an order begins here."""
    return bool(_DATE.match(text, start) or _NO_PHONE.search(text[max(0, start - _LOOKED_BACK) : start]))
