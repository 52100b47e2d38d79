"""Text by strangers and models, made safe to print and bounded."""

import re

_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def printable(text: str) -> str:
    """Without control characters (tab and newline stay); ``�`` for surrogates, which no encoder takes."""
    return _UNPRINTABLE.sub(lambda found: "\ufffd" if found[0] >= "\ud800" else " ", text)


def one_line(text: str) -> str:
    return " ".join(printable(text).split())


def cut(text: str, limit: int) -> str:
    """At most ``limit`` characters, the last an ellipsis where something was left out."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
