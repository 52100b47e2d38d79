"""How much a chat message may hold, and the one way in which text is cut to fit.

Discord's limits (https://docs.discord.com/developers/resources/message#embed-object-embed-limits), counted
in UTF-16 code units: never less than what Discord counts, whether it counts those or code points.
"""

import unicodedata
from bisect import bisect_right
from collections.abc import Callable

TITLE = 200  # the product's; Discord allows 256
DESCRIPTION = 4096
FIELD_VALUE = 1024
EMBED = 6000
REPLY_DRAFT = 500

CUT = "…"


def size(text: str) -> int:
    """UTF-16 code units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut(text: str, room: int, show: Callable[[str], str] = str) -> str:
    """``show(text)`` within ``room`` units; of a longer text the longest beginning that fits, and ``…``.

    The cut is made before ``show`` and measured after it, so ``show`` may escape, number or prefix, and no
    escape is ever split or pushed over the limit. It should not make a longer text shorter: then the result
    still fits, but may not be the longest. "" where not even the ``…`` fits.
    """
    # Every code point is at least one unit, so what lies beyond `room` need not be shown to be measured.
    if len(text) <= room and size(whole := show(text)) <= room:
        return whole

    def shortened(length: int) -> str:
        return show(text[: _boundary(text, length)].rstrip() + CUT)

    candidates = range(min(len(text), room) + 1)
    fitting = bisect_right(candidates, room, key=lambda length: size(shortened(length)))
    return shortened(fitting - 1) if fitting else ""


def _boundary(text: str, length: int) -> int:
    """The largest cut position up to ``length`` that leaves every mark and skin tone with its base."""
    while 0 < length < len(text) and _joins_previous(text[length]):
        length -= 1
    return length


def _joins_previous(character: str) -> bool:
    return unicodedata.category(character).startswith("M") or "\U0001f3fb" <= character <= "\U0001f3ff"
