"""Foreign text loses what hides, links or pings, and stays readable."""

import re
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobs.notify.harmless import one_line, paragraphs, safe_link, visible

LINKS = [
    "https://",
    "HTTP:\\\\",
    "http:/",
    "javascript:",
    "x+y://",
    "://",
    "discord.gg/",
    "DISCORD.com/",
    "www.",
]
MENTIONS = [
    "@everyone",
    "@HERE",
    "<@123>",
    "<@!1>",
    "<@&1>",
    "<#1>",
    "<t:0:R>",
    "<a:b:1>",
    "</c:1>",
    "<id:x>",
]
PARTS = ["@", "<", ":", "/", "\\", ".", "](", "[CRITICAL]", "h", "é", "😀", "👍🏽"]
ODD = [
    *("\u200b", "\u202e", "\U000e0041", "\ufe0f", "\r\n", "\x1b[31m", "\x9b", "\x00"),
    *("\ud83d", "\ude00", "e\u0301", "\u0301", " ", "\u2028", "\u2800"),
]
ANY_CHARACTERS = st.text(alphabet=st.characters(exclude_categories=()), max_size=5)
HOSTILE = st.lists(st.sampled_from(LINKS + MENTIONS + PARTS + ODD) | ANY_CHARACTERS, max_size=30).map("".join)

LIVE = re.compile(
    r"[a-z][a-z0-9+.-]*:[/\\]{2}|\b(https?|javascript|mailto):\S|www\.\S|discord(app)?\.(gg|com)",
    re.IGNORECASE,
)
MENTION = re.compile(r"@(everyone|here)|<(@|#|a?:|/|t:|id:)", re.IGNORECASE)


UNSEEN = {
    chr(n) for n in (*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF, 0xAD)
}
UNSEEN |= {chr(n) for n in range(0xE0000, 0xE1000)}


def is_unseen(character: str) -> bool:
    return character in UNSEEN or (character != "\n" and unicodedata.category(character) in {"Cc", "Cs"})


@settings(deadline=None)
@given(HOSTILE)
@example("java\u200bscript:alert(1)")
@example("http\x00s://evil.example")
@example("@\u200beveryone")
def test_no_link_mention_or_hidden_character_survives(text: str) -> None:
    for safe in (one_line(text), paragraphs(text)):
        assert not LIVE.search(safe)
        assert not MENTION.search(safe)
        assert not any(map(is_unseen, safe))
    assert len(one_line(text).splitlines()) <= 1


@settings(deadline=None)
@given(HOSTILE)
def test_making_harmless_twice_changes_nothing_more(text: str) -> None:
    assert one_line(one_line(text)) == one_line(text)
    assert paragraphs(paragraphs(text)) == paragraphs(text)
    assert visible(visible(text)) == visible(text)


@pytest.mark.parametrize(
    ("foreign", "harmless"),
    [
        ("see https://evil.example/a?b=1 now", "see https[:]//evil.example/a?b=1 now"),
        (r"http:\\evil.example", r"http[:]\\evil.example"),
        ("http:evil.example", "http[:]evil.example"),
        ("javascript:alert(1)", "javascript[:]alert(1)"),
        ("ftp://evil.example", "ftp[:]//evil.example"),
        ("vscode+x://evil", "vscode+x[:]//evil"),
        ("www.evil.example", "www[.]evil.example"),
        ("discord.gg/abc", "discord[.]gg/abc"),
        ("[click](https://evil.example)", "[click](https[:]//evil.example)"),
        ("@everyone and @here", "@ everyone and @ here"),
        ("<@123> <@&1> <#1> <t:0:R>", "< @123> < @&1> < #1> < t:0:R>"),
        ("mail <ada@example.org>", "mail < ada@example.org>"),
        ("a\u202eb\u200bc\U000e0041d\x1b[0m", "abcd[0m"),
        ("half \ud83d emoji", "half \ufffd emoji"),
        ("\ud83d\ude00", "😀"),
    ],
)
def test_what_foreign_text_becomes(foreign: str, harmless: str) -> None:
    assert one_line(foreign) == harmless


@pytest.mark.parametrize(
    "text",
    [
        "since 9:00 a<b and x < y, 50% [ref 12]",
        "ada@example.org",
        "note: data: and file: are words",
        "日本語, العربية",
    ],
)
def test_everyday_text_stays_as_it_is(text: str) -> None:
    assert one_line(text) == text


def test_line_breaks_collapse_in_a_line_and_stay_in_paragraphs() -> None:
    text = " Hello\tAda,\r\n\r\n\r\n\r\nbye\u2028now\n"
    assert one_line(text) == "Hello Ada, bye now"
    assert paragraphs(text) == "Hello Ada,\n\nbye\nnow"


@pytest.mark.parametrize(
    "link",
    [
        "",
        "javascript:alert(1)",
        "https://a b",
        "https://a\x1b]8;;",
        "https://é.example",
        "https://a/" + "x" * 2048,
    ],
)
def test_only_a_plain_web_address_is_a_link(link: str) -> None:
    assert safe_link(link) == ""
    assert safe_link("https://app.hubspot.com/contacts/1/record/0-5/2")
