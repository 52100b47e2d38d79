"""A cut fits, keeps characters whole, and never splits what a channel escapes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.notify.limits import cut, size

TEXTS = st.text(alphabet=st.characters(exclude_categories=()) | st.sampled_from("_\u0301😀\n "), max_size=60)


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("_", "\\_")


@pytest.mark.parametrize(
    ("text", "room", "left"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 5, "abcd…"),
        ("ab  cdef", 5, "ab…"),
        ("abe\u0301f", 4, "ab…"),
        ("a👍🏽👍🏽", 5, "a…"),
        ("😀😀😀", 5, "😀😀…"),
        ("\u0301" * 9, 5, "…"),
        ("abcdef", 1, "…"),
        ("abcdef", 0, ""),
        ("abcdef", -7, ""),
    ],
)
def test_a_cut_keeps_characters_whole(text: str, room: int, left: str) -> None:
    assert cut(text, room) == left


def test_a_cut_never_splits_an_escape() -> None:
    assert cut("a_____", 6, escaped) == r"a\_\_…"


@settings(deadline=None)
@given(TEXTS, st.integers(-5, 80))
def test_a_cut_always_fits_and_says_that_it_cut(text: str, room: int) -> None:
    left = cut(text, room, escaped)
    assert size(left) <= max(room, 0)
    if size(escaped(text)) <= room:
        assert left == escaped(text)
    elif room > 0:
        assert left.endswith("…")


@settings(deadline=None)
@given(TEXTS)
def test_a_size_counts_utf_16_code_units(text: str) -> None:
    assert size(text) == sum(2 if ord(character) > 0xFFFF else 1 for character in text)
