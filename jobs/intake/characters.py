"""Characters as a reader takes them: NFKC, without what is invisible, one spelling of a line break."""

import re
import unicodedata
from functools import cache

MOST_MARKS = 8
"""Combining marks in a row; NFKC sorts them, and Python's sort of them is quadratic."""

_PIECE = 4_000
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
_BREAKS = re.compile("\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_SURROGATES = re.compile("[\ud800-\udfff]")
# Unicode's Default_Ignorable_Code_Point, interlinear annotations and the braille blank, as in harmless.py.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}\U000e007f")
# Words in tags or variation selectors, a reversed line, long runs, and a word of Latin letters cut in two.
_HIDING = re.compile(
    "[\U000e0001-\U000e007f\U000e0100-\U000e01ef]{2,}"
    "|\u202e"
    "|[\u200b-\u200f\u2060-\u2064\ufeff\ufe00-\ufe0f]{4,}"
    "|(?<=[A-Za-z])[\u200b-\u200d\u2060-\u2064\ufeff]+(?=[A-Za-z])"
)


def clean(text: str, limit: int) -> tuple[str, int]:
    """At most ``limit`` characters, tabs and newlines the only controls, and the places where some hid.

    Cleaning twice changes nothing. Linear in ``text`` up to ``limit``.
    """
    text = text[:limit]
    if text.isascii():
        return _tidied(text), 0
    text = _SURROGATES.sub("\ufffd", text)
    hiding = sum(1 for _ in _HIDING.finditer(_FLAG.sub("\U0001f3f4", text)))
    text = _INVISIBLE.sub("", text)
    if not unicodedata.is_normalized("NFKC", text):
        # Twice: U+FFA0 becomes the invisible U+1160, and what it or a piece's end parted may compose now.
        for _ in range(2):
            if unicodedata.is_normalized("NFKC", text):
                break
            text = _INVISIBLE.sub("", _compatible(_many_marks().sub(r"\1", text), limit))
    return _tidied(text)[:limit], hiding


def _compatible(text: str, limit: int) -> str:
    """NFKC of as much as makes ``limit`` characters: one may become eighteen."""
    pieces, room = [], limit
    for at in range(0, len(text), _PIECE):
        pieces.append(unicodedata.normalize("NFKC", text[at : at + _PIECE]))
        room -= len(pieces[-1])
        if room <= 0:
            break
    return "".join(pieces)[:limit]


def _tidied(text: str) -> str:
    return _CONTROLS.sub("", _BREAKS.sub("\n", text))


@cache
def _many_marks() -> re.Pattern[str]:
    """More than MOST_MARKS characters that NFKC turns into marks. Takes 15 ms, once."""
    ranges = (range(0x300, 0x3400), range(0xA000, 0xAC00), range(0xF900, 0x11000), range(0x11000, 0x12000))
    scripts = (range(0x16A00, 0x17000), range(0x1BC00, 0x1C000), range(0x1D000, 0x1D300))
    more = (range(0x1E000, 0x1E950),)
    codes = (code for part in (*ranges, *scripts, *more) for code in part)
    marks = "".join(re.escape(chr(code)) for code in codes if _becomes_mark(chr(code)))
    # The look ahead says no at once for most of a text; of the marks only half-width voicing is a letter.
    return re.compile(f"((?!\\w|\\s)[{marks}]{{{MOST_MARKS}}})[{marks}]+")


def _becomes_mark(character: str) -> bool:
    plain = unicodedata.normalize("NFKD", character)
    return unicodedata.combining(plain[0]) != 0
