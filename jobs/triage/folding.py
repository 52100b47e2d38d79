"""Text as patterns read it: Unicode's look-alikes of ASCII made plain, invisible characters left out."""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache

# What does not print, and the marks of accents: both may stand inside a number or a name.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u0300-\u036f\u061c\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U000e0000-\U000e0fff]"
)
_RANGES = (range(0xA0, 0x3001), range(0xFE50, 0xFE70), range(0xFF01, 0xFF5F), range(0x1D400, 0x1D800))
_LETTERS = dict(zip("øØłŁđĐðÐıħĦŧŦ", "oOlLdDdDihHtT", strict=True))


def fold(text: str) -> tuple[str, Sequence[int]]:
    """The folded text, and for each place in it, its end included, the place in ``text``.

    Digits of any script, letters with accents, dashes and spaces become one ASCII character each; what
    remains is never a null character.
    """
    if text.isascii() and text.isprintable():
        return text, range(len(text) + 1)
    plain = text if text.isascii() else text.translate(_folds())
    if not _UNSEEN.search(plain):
        return plain, range(len(text) + 1)
    gone = {match.start() for match in _UNSEEN.finditer(plain)}
    kept = [place for place in range(len(plain) + 1) if place not in gone]
    return _UNSEEN.sub("", plain), kept


@cache
def _folds() -> dict[int, str]:
    """Takes 15 ms, once."""
    digits = re.findall(r"\d", "".join(map(chr, range(0x3000, 0x1FC00))))
    found = {code: _fold(chr(code)) for codes in (*_RANGES, map(ord, digits)) for code in codes}
    plain = {code: folded for code, folded in found.items() if folded != chr(code)}
    return plain | {ord(letter): folded for letter, folded in _LETTERS.items()}


def _fold(character: str) -> str:
    match unicodedata.category(character):
        case "Nd":
            return str(unicodedata.decimal(character))
        case "Zs":
            return " "
        case "Pd":
            return "-"
    if character == "−":
        return "-"
    plain = unicodedata.normalize("NFKD", character)
    return plain[0] if all(map(unicodedata.combining, plain[1:])) else character
