"""Ticket bodies as plain text: an HTML mail becomes its words, plain text stays as it is.

Tags are taken away in one linear scan and no tree is built: a tree of hostile markup (20,000 nested tags,
or `<p><b id=1><p><b id=2>...`) costs minutes and gigabytes in any parser that follows the standard.
"""

import html
import re
from collections.abc import Iterator

LONGEST_CONTENT = 200_000
LONGEST_SUBJECT = 1_000
#: A whole tag of those that mails are made of; `<b` in "a <b and c> d" is no tag, nor is `<String>`.
LOOKS_LIKE_HTML = re.compile(
    r"<(?:!doctype\s[^<>]*+|"
    r"/?(?:html|body|head|div|p|br|hr|table|tr|td|span|font|a|img|ul|ol|li|pre|blockquote|h[1-6]|b|i|u|em|strong)"
    r"(?:\s++[\w:-]++\s*+=[^<>]*+|\s*+/?))>",
    re.IGNORECASE,
)
#: Comments, declarations and tags, each up to its end or the text's; quotes count after an equals sign only.
MARKUP = re.compile(
    r"<!--(?:-?>|.*?(?:--!?>|\Z))"
    r"|<[!?][^>]*(?:>|\Z)"
    r"|</?\Z"
    r"|<(?P<closing>/?)(?P<name>[a-z][\w:-]*)(?=[\s/>]|\Z)(?:=\s*(?:\"[^\"]*\"|'[^']*')|[^>])*+(?:>|\Z)",
    re.IGNORECASE | re.DOTALL,
)
ENDLESS = {"script", "style", "title"}  # without an end tag they reach to the end of the text
UNSEEN = ENDLESS | {"head", "template", "noscript", "svg", "object", "iframe"}
END_TAGS = {name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE) for name in UNSEEN}
BREAKS = {
    **dict.fromkeys(("br", "p", "div", "li", "tr", "table", "blockquote", "pre", "hr", "dt", "dd"), "\n"),
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6", "section", "article", "header", "footer"), "\n"),
    **dict.fromkeys(("td", "th"), " "),
}
#: No character has a number of more than seven digits, and Python refuses to read thousands of them.
ABSURD_REFERENCE = re.compile(r"&#(?:[0-9]{8,}|x[0-9a-f]{7,});?", re.IGNORECASE)
#: Nothing can encode a lone surrogate, and PostgreSQL, terminals and chats refuse or cut at a null byte.
UNSPEAKABLE = re.compile(r"[\x00\ud800-\udfff]")
BLANK_LINES = re.compile(r"\n\s*\n\s*")
SPACES = re.compile(r"[ \t\xa0\u200b]+")


def plain_text(content: str | None) -> str:
    """The words of a ticket's ``content``, of its first 200,000 characters; never raises."""
    cut = without_unspeakable((content or "")[:LONGEST_CONTENT])
    return html_to_text(cut) if LOOKS_LIKE_HTML.search(cut) else cut.strip()


def markup_of(content: str | None) -> str | None:
    """What ``plain_text`` would read as HTML, as it is and as long; None for plain text."""
    cut = (content or "")[:LONGEST_CONTENT]
    return cut if LOOKS_LIKE_HTML.search(cut) else None


def without_unspeakable(text: str) -> str:
    return UNSPEAKABLE.sub("", text)


def html_to_text(markup: str) -> str:
    return tidy("".join(words_and_breaks(markup)))


def words_and_breaks(markup: str) -> Iterator[str]:
    """The text between the tags, its entities read, and a break for each tag that makes one."""
    for words, tag in words_and_tags(markup):
        yield unescaped(words)
        yield BREAKS.get(name_of(tag), "") if tag else ""


def name_of(tag: re.Match[str]) -> str:
    """In lower case; "" for comments and declarations."""
    return (tag["name"] or "").lower()


def words_and_tags(markup: str) -> Iterator[tuple[str, re.Match[str] | None]]:
    """The text before each tag and the tag, None at the end, without what no mail shows, such as scripts."""
    at, unending = 0, set[str]()
    while (tag := MARKUP.search(markup, at)) is not None:
        yield markup[at : tag.start()], tag
        at, name = tag.end(), name_of(tag)
        if name in UNSEEN and not tag["closing"] and name not in unending:
            end = END_TAGS[name].search(markup, at)
            if end is not None:
                at = end.start()
            elif name in ENDLESS:
                return
            else:
                unending.add(name)
    yield markup[at:], None


def unescaped(text: str) -> str:
    return html.unescape(ABSURD_REFERENCE.sub("\ufffd", text)) if "&" in text else text


def tidy(text: str) -> str:
    lines = (SPACES.sub(" ", line).strip() for line in text.splitlines())
    return BLANK_LINES.sub("\n\n", "\n".join(lines)).strip()
