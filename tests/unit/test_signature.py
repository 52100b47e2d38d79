"""HubSpot's signatures and our tokens: the documented vector, the vendor's helper, what must be refused."""

import string
from urllib.parse import quote, unquote

import pytest
from hubspot.utils.signature import Signature
from hypothesis import given
from hypothesis import strategies as st

from jobs.hubspot import signature

# HubSpot's own example: https://developers.hubspot.com/docs/api/webhooks/validating-requests
SECRET = b"yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
URL = b"https://www.example.com/webhook_uri"
BODY = b"{'example_field':'example_value'}"
TIME = b"1693657560000"
SIGNED = b"K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y="
NOW = int(TIME)


def check(**other: object) -> bool:
    given = {
        "secret": SECRET,
        "method": b"POST",
        "url": URL,
        "body": BODY,
        "timestamp": TIME,
        "given": SIGNED,
        "now_ms": NOW,
    }
    return signature.check_v3(**(given | other))  # type: ignore[arg-type]


def test_the_documented_vector_fits() -> None:
    assert check()


@pytest.mark.parametrize(
    "other",
    [
        {"secret": b"another"},
        {"method": b"PUT"},
        {"url": URL + b"/"},
        {"body": BODY + b" "},
        {"timestamp": b"1693657560001"},
        {"given": SIGNED[:-1]},
        {"given": b""},
        {"given": b"\xff\x80"},
        {"given": SIGNED + b"\n"},
    ],
)
def test_any_other_part_does_not(other: dict[str, bytes]) -> None:
    assert not check(**other)


@pytest.mark.parametrize(
    ("now_ms", "timely"),
    [
        (NOW + 300_000, True),
        (NOW + 300_001, False),
        (NOW - signature.MOST_AHEAD_MS, True),
        (NOW - signature.MOST_AHEAD_MS - 1, False),
    ],
)
def test_a_right_signature_is_refused_when_too_old_or_from_the_future(now_ms: int, timely: bool) -> None:
    assert check(now_ms=now_ms) is timely


@pytest.mark.parametrize(
    "stamp",
    [b"", b"-1", b"+1693657560000", b"1693657560000.0", b" 1693657560000", b"nan", b"1_0", b"9" * 5000],
)
def test_a_timestamp_that_is_no_plain_number_is_not_timely(stamp: bytes) -> None:
    assert not signature.is_timely(stamp, NOW)
    assert not check(timestamp=stamp, given=signature.sign_v3(SECRET, b"POST", URL, BODY, stamp))


def test_only_twelve_encoded_characters_are_decoded_and_once() -> None:
    every = b"".join(b"%%%02X" % number for number in range(256))
    decoded = signature.decode_url(every)
    kept = [decoded.count(b"%%%02X" % number) for number in range(256)]
    assert {chr(number) for number in range(256) if not kept[number]} == set(":/?@!$'()*,;")
    assert signature.decode_url(b"/a%253Ab%3a%20") == b"/a%253Ab:%20"


texts = st.text(st.characters(exclude_categories=["Cs"]))
plain = st.text(string.ascii_letters + string.digits + "/-._~", max_size=30)


@given(secret=texts, path=plain, body=texts, stamp=st.integers(0, 10**14))
def test_v3_is_the_vendors_helper_where_the_url_has_nothing_encoded(
    secret: str, path: str, body: str, stamp: int
) -> None:
    url = "https://x.example/" + path
    theirs = Signature.get_signature(secret, body, "v3", url, "POST", str(stamp))
    ours = signature.sign_v3(secret.encode(), b"POST", url.encode(), body.encode(), str(stamp).encode())
    assert ours.decode() == theirs


@given(secret=texts, path=texts, body=texts)
def test_v2_is_the_vendors_helper(secret: str, path: str, body: str) -> None:
    url = "https://x.example/" + quote(path)
    theirs = Signature.get_signature(secret, body, "v2", url, "POST")
    ours = signature.sign_v2(secret.encode(), b"POST", url.encode(), body.encode())
    assert ours.decode() == theirs
    assert signature.check_v2(secret.encode(), b"POST", url.encode(), body.encode(), ours)


@given(path=st.text(":/?@!$'()*,;" + string.ascii_letters))
def test_v3_is_the_vendors_helper_over_the_decoded_url(path: str) -> None:
    url = "https://x.example/" + quote(path, safe="")
    theirs = Signature.get_signature("s", "{}", "v3", unquote(url), "POST", "1")
    assert signature.sign_v3(b"s", b"POST", url.encode(), b"{}", b"1").decode() == theirs


@given(body=st.binary(), given=st.binary())
def test_bytes_that_are_no_text_are_refused_without_a_fault(body: bytes, given: bytes) -> None:
    assert not check(body=body, given=given)
    assert not signature.check_v2(SECRET, b"POST", URL, body, given)


def test_each_of_several_tokens_fits_and_nothing_else() -> None:
    tokens = (b"new-token", b"old-token")
    assert [signature.check_token(tokens, one) for one in tokens] == [True, True]
    for wrong in (b"", b"new", b"new-token ", b"NEW-TOKEN", b"\xff"):
        assert not signature.check_token(tokens, wrong)
    assert not signature.check_token((), b"")
