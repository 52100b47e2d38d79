"""Ticket bodies as plain text: mails of any make, plain text that only looks like markup, and attacks."""

import html
import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.intake.linear import LONGEST_CONTENT, plain_text

COMPLAINTS = Path(__file__).resolve().parents[3] / "shared" / "data" / "complaints.jsonl"

OUTLOOK = """<html xmlns:o="urn:schemas-microsoft-com:office:office"><head>
<meta http-equiv="Content-Type" content="text/html; charset=utf-8"><title>Hidden title</title>
<!--[if !mso]><style>v\\:* {behavior:url(#default#VML);}</style><![endif]-->
<style><!-- p.MsoNormal {margin:0cm; font-family:"Calibri",sans-serif;} a > b {color:red} --></style>
<!--[if gte mso 9]><xml><o:shapedefaults v:ext="edit" spidmax="1026" /></xml><![endif]-->
</head><body lang=DE link="#0563C1"><div class=WordSection1>
<p class=MsoNormal>Dear team,<o:p></o:p></p>
<p class=MsoNormal><o:p>&nbsp;</o:p></p>
<p class=MsoNormal><span style='font-family:"Arial"'>our
invoice&nbsp;#4711 is <b>wrong</b> &ndash; 5 &lt; 7.</span></p>
<![if !supportLists]><ul><li>first</li><li>second</li></ul><![endif]>
<table border=1><tr><th>Item</th><th>Price</th></tr><tr><td>Seat</td><td>&euro;&#49;0</td></tr></table>
<p>Regards,<br>J&uuml;rgen<br/>Tel. 123</p><script>alert("planted")</script>
</div></body></html>"""


def test_an_outlook_mail_becomes_its_words() -> None:
    lines = [line for line in plain_text(OUTLOOK).splitlines() if line]
    assert lines == [
        "Dear team,",
        "our",
        "invoice #4711 is wrong – 5 < 7.",
        "first",
        "second",
        "Item Price",
        "Seat €10",
        "Regards,",
        "Jürgen",
        "Tel. 123",
    ]


@pytest.mark.parametrize(
    "unseen",
    [
        "<script>planted</script>",
        "<SCRIPT type='a>b'>if (a</b) planted</SCRIPT >",
        "<style>p > a {planted: 1}</style>",
        "<head><meta x=y>planted</head>",
        "<title>planted</title>",
        "<template><p>planted</p></template>",
        "<svg><title>planted</title><text>planted</text></svg>",
        "<iframe>planted</iframe>",
        "<object><p>planted</p></object>",
        "<noscript>planted</noscript>",
        "<!-- planted > planted -->",
        "<!--[if mso]><p>planted</p><![endif]-->",
        '<img alt="planted" src="x>planted">',
        "<a href='planted'></a>",
        "<?xml planted?>",
    ],
)
def test_what_a_reader_does_not_see_is_gone(unseen: str) -> None:
    assert plain_text(f"<p>seen</p>{unseen}<p>too</p>").split() == ["seen", "too"]


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("one<br>two<br/>three<br />four", "one\ntwo\nthree\nfour"),
        ("<p>one</p><p>two</p>", "one\n\ntwo"),
        ("<div>one</div>two", "one\ntwo"),
        ("<p>a<b>b</b><i>c</i></p>", "abc"),
        ("<p>&amp;lt; &lt;b&gt; &#x20AC; &eacute; &nosuch; AT&T</p>", "&lt; <b> € é &nosuch; AT&T"),
        ("<p>a < b and c > d</p>", "a < b and c > d"),
        ("<p>write to <john@example.com></p>", "write to <john@example.com>"),
        ('<p title="a > b">text</p>', "text"),
        ("<p title=it's>text</p>", "text"),
        ('<p data-x"=">text</p>', "text"),
        ("<table><tr><td>a</td><td>b</td></tr></table>", "a b"),
        ("<!-->shown<p>", "shown"),
        ("<p>first <svg>never closed<p>second", "first never closed\nsecond"),
        ("<pre>one\n  two</pre>", "one\ntwo"),
        ("<P>UPPER</P>", "UPPER"),
        ("<frameset><p>kept</frameset>", "kept"),
        ("<p>&#xD800;&#0;x</p>", "��x"),
    ],
)
def test_markup_becomes_its_words(markup: str, text: str) -> None:
    assert plain_text(markup) == text


@pytest.mark.parametrize(
    "text",
    [
        "a < b and c > d",
        "a <b and c> d",
        "x <a then everything after it",
        "I <3 this",
        "List<String> and Map<String, List<Integer>>",
        "if (i<b || p >c) return;",
        "<ticket-id> is what it says",
        "<john@example.com> wrote:",
        "<https://example.com/p>",
        "Tom &amp; Jerry",
        "line one\n\n\n  line two",
        "<<<<< HEAD >>>>>",
        "<",
        "-> and <- and <->",
        "<script>alert(1)</script> is what I typed",
    ],
)
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert plain_text(text) == text


@pytest.mark.parametrize("nothing", [None, "", "  \n ", "<p></p>", "<html><body></body></html>", "\x00"])
def test_nothing_is_an_empty_text(nothing: str | None) -> None:
    assert plain_text(nothing) == ""


@pytest.mark.parametrize("wrap", ["{}", "<p>{}</p>"])
def test_null_bytes_and_lone_surrogates_are_gone_and_the_rest_stays(wrap: str) -> None:
    text = plain_text(wrap.format("a\x00b\ud83dc\udc00d 😀"))
    assert text == "abcd 😀"
    assert text.encode()


def test_only_the_first_200000_characters_count() -> None:
    assert len(plain_text("x" * 300_000)) == LONGEST_CONTENT
    assert len(plain_text("<p>" + "x" * 300_000)) == LONGEST_CONTENT - 3
    assert plain_text("<p>seen" + " " * LONGEST_CONTENT + "late") == "seen"
    for cut in range(1, 9):
        assert plain_text("<p>" + " " * (LONGEST_CONTENT - 3 - cut) + "</table>") == "", (
            "half a tag is no word"
        )


ATTACKS = {
    "20,000 nested tags": "<div>" * 20_000 + "end" + "</div>" * 20_000,
    "66,000 nested tags": "<b>" * 66_000,
    "formatting that a tree would repeat": "".join(f"<p><b id={n}></x>" for n in range(14_000)),
    "ends that close nothing": "<div></i>" * 22_000,
    "ends in attributes": '<div t="</div>">' * 12_000,
    "unclosed comments": "<p>" + "<!-- " * 40_000,
    "unclosed scripts": "<p>" + "<script>" * 25_000,
    "unclosed pictures": "<p>" + "<svg>" * 40_000,
    "unclosed quotes": "<p>" + '<a ="' * 20_000 + "<a ='" * 20_000,
    "equals signs": "<p><a " + "= " * 95_000,
    "an attribute of spaces": "<a b=" + " " * 190_000,
    "a tag of spaces": "<a" + " " * 190_000,
    "half tags": "<a b=" * 40_000,
    "angles": "<p>" + "<" * 190_000,
    "ampersands": "<p>" + "&" * 190_000,
    "an endless number": "<p>&#" + "9" * 190_000 + ";",
    "an endless hexadecimal number": "<p>&#x" + "f" * 190_000 + ";",
    "blank lines": "<p>" + "\n \n\x0b" * 45_000 + "x",
    "breaks": "<br>" * 50_000,
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_hostile_markup_is_handled_at_once(attack: str) -> None:
    started = time.process_time()
    assert len(plain_text(attack)) <= LONGEST_CONTENT
    assert time.process_time() - started < 1.0, "a linear scan needs a tenth of it"


def test_the_words_within_20000_nested_tags_are_found() -> None:
    assert plain_text(ATTACKS["20,000 nested tags"]) == "end"


TAGS = (
    "<p>",
    "</p>",
    "<br/>",
    "<script>",
    "</script>",
    "<!--",
    "-->",
    "<svg>",
    "</svg>",
    "<![if",
    "</",
    "<title",
)
BITS = (">", "<", "&", "&amp;", "&#", "&#x", ";", "'", '"', "=", "<a b='", "9" * 5_000, "\x00", "\ud800")
PIECES = st.sampled_from((*TAGS, *BITS))


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES | st.text(st.characters(exclude_categories=()), max_size=20), max_size=60))
def test_no_text_makes_it_raise_or_grow(pieces: list[str]) -> None:
    text = "".join(pieces)
    plain = plain_text(text)
    assert len(plain) <= len(text)
    assert "\x00" not in plain
    plain.encode()


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(exclude_categories=("C", "Z")), max_size=200))
def test_words_that_were_escaped_into_html_come_back(words: str) -> None:
    assert plain_text(f"<p>{html.escape(words)}</p>") == words


def test_real_complaints_survive_as_text_and_as_html() -> None:
    if not COMPLAINTS.exists():
        pytest.skip("the complaints are not part of the repository")
    bodies = [json.loads(line)["body"] for line in COMPLAINTS.read_text().splitlines()[:300]]
    for body in bodies:
        assert plain_text(body) == body.strip()
        paragraphs = "".join(f"<p class=x>{html.escape(line)}</p>" for line in body.splitlines())
        assert plain_text(f"<html><body>{paragraphs}</body></html>").split() == body.split()
