"""An HTML mail as the words that a reader sees, and how much of it none would see.

A tree of hostile markup costs minutes in any parser that follows the standard (20,000 nested tags;
formatting that is opened again in each paragraph; one tag of 50,000 attributes). So one linear scan first
writes the mail anew: only tags, each with the few attributes that can hide words, names that no parser treats
in a special way (``x-b`` for ``b``), all other ``<`` escaped. Of that the size and depth are known before
selectolax sees it.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.intake.linear import (
    BREAKS,
    UNSEEN,
    html_to_text,
    name_of,
    tidy,
    unescaped,
    words_and_tags,
)
from jobs.intake.styles import WHITE, Look, look_of

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

DEEPEST = 150
MOST_TAGS = 3_000
_TELLING = re.compile(
    r"[\s/\"'](style|hidden|color|bgcolor|background)(?:\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s>\"']*+))|(?=[\s/>]))",
    re.IGNORECASE,
)
_STYLE_SHEET = re.compile(r"<style\b|\bclass\s*=", re.IGNORECASE)
_VALUE_CHARACTERS = 2_000
_TAG_CHARACTERS = 10_000
EMPTY = frozenset({"br", "hr"})
DROPPED = frozenset(
    {"img", "input", "meta", "link", "base", "col", "wbr", "area", "source", "track", "embed", "param"}
)
BLOCKS = frozenset({"div", "p", "li", "hr", "x-td", "x-th"})
ROOMS = BLOCKS - {"p", "hr"}


@dataclass(frozen=True, slots=True)
class Words:
    """The visible text, the number of hidden pieces with words, and whether no tree could be built."""

    text: str
    hidden: int = 0
    too_deep: bool = False


class TooDeep(Exception):
    """The mail nests deeper, or has more tags, than a tree may have."""


def read_markup(markup: str) -> Words:
    """Where nothing would be seen at all, or no tree may be built, all words of the plain linear scan."""
    try:
        plain = "".join(_rewritten(markup))
    except TooDeep:
        return Words(html_to_text(markup), too_deep=True)
    from selectolax.lexbor import LexborHTMLParser  # with its first ticket: 45 ms that --help need not wait

    body = LexborHTMLParser(plain).body
    ground = None if _STYLE_SHEET.search(markup) else WHITE
    pieces, hidden = _walk(body, Look(background=ground)) if body is not None else ([], 0)
    text = tidy("".join(pieces))
    return Words(text if text or not hidden else html_to_text(markup), hidden)


def _rewritten(markup: str) -> Iterator[str]:
    """Well nested throughout, so that no parser has to mend it. Raises TooDeep."""
    tags, nest = 0, _Nest()
    for words, tag in words_and_tags(markup):
        yield _escaped(words)
        name = name_of(tag) if tag else ""
        if tag is None or not name or name in DROPPED | UNSEEN:
            continue
        tags += 1
        if tags > MOST_TAGS:
            raise TooDeep
        yield nest.close(_plain(name)) if tag["closing"] else nest.open(_plain(name), tag[0])


class _Nest:
    """The elements that are open, innermost last. What HTML closes by itself is closed here, in words."""

    def __init__(self) -> None:
        self._open: list[str] = []

    def open(self, name: str, tag: str) -> str:
        """Raises TooDeep."""
        before = ""
        if name in BLOCKS:
            before = self._close_within("p", ROOMS)
        if name == "li":
            before += self._close_within("li", ROOMS - {"li"})
        if name in EMPTY:
            return f"{before}<{name}>"
        self._open.append(name)
        if len(self._open) > DEEPEST:
            raise TooDeep
        return f"{before}<{name}{_attributes(tag[:_TAG_CHARACTERS])}>"

    def close(self, name: str) -> str:
        """Nothing for an end tag that closes nothing, or that closes a block from within an inline one."""
        if name in EMPTY:
            return f"<{name}>"
        return self._close_within(name, frozenset() if name in ROOMS else BLOCKS)

    def _close_within(self, name: str, bounds: frozenset[str]) -> str:
        for place in range(len(self._open) - 1, -1, -1):
            if self._open[place] == name:
                closed = self._open[place:]
                del self._open[place:]
                return "".join(f"</{one}>" for one in reversed(closed))
            if self._open[place] in bounds:
                break
        return ""


def _plain(name: str) -> str:
    if name in EMPTY or name in ("p", "li"):
        return name
    return "div" if BREAKS.get(name) == "\n" else f"x-{_ordinary(name)}"


def _ordinary(name: str) -> str:
    return re.sub("[^a-z0-9]", "-", name[:20])


def _attributes(tag: str) -> str:
    """The first of each name counts, as in a browser."""
    if "=" not in tag and "hidden" not in tag.lower():
        return ""
    found: dict[str, str] = {}
    for match in _TELLING.finditer(tag):
        value = match[2] or match[3] or match[4] or ""
        found.setdefault(match[1].lower(), html.escape(unescaped(value[:_VALUE_CHARACTERS])))
    return "".join(f' {name}="{value}"' for name, value in found.items())


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;")


def _walk(body: "LexborNode", start: Look) -> tuple[list[str], int]:
    """The visible pieces with their breaks, and the number of hidden ones. Depth is bounded, so are calls."""
    pieces: list[str] = []
    hidden = 0

    def visit(node: "LexborNode", look: Look) -> None:
        nonlocal hidden
        child = node.first_child
        while child is not None:
            if child.is_text_node:
                text = child.text_content or ""
                if look.hidden and text.strip():
                    hidden += 1
                elif not look.hidden:
                    pieces.append(text)
                    hidden += bool(look.doubtful and text.strip())
            elif child.is_element_node:
                unseen = enter(child, look)  # apart: a sum would be begun before the call adds to it
                hidden += unseen
            child = child.next

    def enter(node: "LexborNode", look: Look) -> int:
        own = look_of(node.attributes, look)
        if own is None:
            return 1 if node.text(deep=True).strip() else 0
        tag = node.tag or ""
        space = "\n" if tag in ("div", "p", "li", "br", "hr") else " " if tag in ("x-td", "x-th") else ""
        pieces.append(space)
        if tag not in EMPTY:
            visit(node, own)
            pieces.append(space)
        return 0

    visit(body, start)
    return pieces, hidden
