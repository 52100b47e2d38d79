"""What the simulated Discord takes and refuses as a message: its limits to the last character."""

from typing import Any

import pytest

from jobs.sandbox.forms import read_message

GRIN = "\U0001f600"


def faults(**body: Any) -> dict[str, Any]:
    """The error tree of a webhook's message, each list of errors shortened to its codes."""
    return _codes(read_message(body, by_bot=False)[1])


def _codes(tree: dict[str, Any]) -> dict[str, Any]:
    return {
        name: [one["code"] for one in branch] if name == "_errors" else _codes(branch)
        for name, branch in tree.items()
    }


def embed(**parts: Any) -> dict[str, Any]:
    return faults(embeds=[{"title": "t", **parts}])


@pytest.mark.parametrize(
    "parts",
    [
        {"title": "x" * 256},
        {"title": f"  {'x' * 256}\n"},
        {"title": GRIN * 256},
        {"description": "x" * 4_096},
        {"fields": [{"name": "x" * 256, "value": "y"}]},
        {"fields": [{"name": "x", "value": "y" * 1_024}]},
        {"fields": [{"name": "x", "value": "y", "inline": True}] * 25},
        {"footer": {"text": "x" * 2_048}},
        {"author": {"name": "x" * 256}},
        {"url": "https://example.invalid/a?b=c"},
        {"url": None},
        {"color": 0xFFFFFF},
        {"timestamp": "2026-11-23T10:00:00Z"},
        {"image": {"url": "http://example.invalid/a.png"}},
    ],
)
def test_an_embed_at_a_limit_is_taken(parts: dict[str, Any]) -> None:
    assert embed(**parts) == {}


TOO_LONG = {"_errors": ["BASE_TYPE_MAX_LENGTH"]}
REQUIRED = {"_errors": ["BASE_TYPE_REQUIRED"]}


@pytest.mark.parametrize(
    ("parts", "place"),
    [
        ({"title": "x" * 257}, {"title": TOO_LONG}),
        ({"title": GRIN * 257}, {"title": TOO_LONG}),
        ({"description": "x" * 4_097}, {"description": TOO_LONG}),
        ({"fields": [{"name": "x" * 257, "value": "y"}]}, {"fields": {"0": {"name": TOO_LONG}}}),
        ({"fields": [{"name": "x", "value": "y" * 1_025}]}, {"fields": {"0": {"value": TOO_LONG}}}),
        ({"fields": [{"name": "x", "value": "y"}] * 26}, {"fields": TOO_LONG}),
        (
            {"fields": [{"name": "", "value": " \n"}]},
            {"fields": {"0": {"name": REQUIRED, "value": REQUIRED}}},
        ),
        ({"fields": [{"value": "y"}]}, {"fields": {"0": {"name": REQUIRED}}}),
        ({"fields": {}}, {"fields": {"_errors": ["LIST_TYPE_CONVERT"]}}),
        ({"fields": ["x"]}, {"fields": {"0": {"_errors": ["MODEL_TYPE_CONVERT"]}}}),
        ({"footer": {"text": "x" * 2_049}}, {"footer": {"text": TOO_LONG}}),
        ({"author": {"name": "x" * 257}}, {"author": {"name": TOO_LONG}}),
        ({"author": {"name": ""}}, {"author": {"name": REQUIRED}}),
        ({"url": ""}, {"url": {"_errors": ["URL_TYPE_INVALID_SCHEME"]}}),
        ({"url": "javascript:alert(1)"}, {"url": {"_errors": ["URL_TYPE_INVALID_SCHEME"]}}),
        ({"url": "ftp://example.invalid"}, {"url": {"_errors": ["URL_TYPE_INVALID_SCHEME"]}}),
        ({"url": "https://exa mple"}, {"url": {"_errors": ["URL_TYPE_INVALID_URL"]}}),
        ({"color": 0x1000000}, {"color": {"_errors": ["NUMBER_TYPE_MAX"]}}),
        ({"color": "red"}, {"color": {"_errors": ["NUMBER_TYPE_COERCE"]}}),
        ({"timestamp": "today"}, {"timestamp": {"_errors": ["DATE_TIME_TYPE_PARSE"]}}),
        ({"title": ["x"]}, {"title": {"_errors": ["STRING_TYPE_CONVERT"]}}),
    ],
)
def test_an_embed_beyond_a_limit_is_refused_at_its_place(
    parts: dict[str, Any], place: dict[str, Any]
) -> None:
    assert embed(**parts) == {"embeds": {"0": place}}


def test_all_embeds_together_hold_6000_characters() -> None:
    parts: dict[str, Any] = {
        "author": {"name": "a" * 200},
        "footer": {"text": "f" * 800},
        "description": "d" * 1_000,
    }
    fields = [{"name": "n" * 100, "value": "v" * 400}]
    full: list[dict[str, Any]] = [
        {"title": "t" * 200, **parts, "fields": fields},
        {"title": "t" * 250, "description": "d" * 3_050},
    ]
    assert faults(embeds=full) == {}
    full[1]["title"] = "t" * 251
    assert faults(embeds=full) == {"embeds": {"_errors": ["MAX_EMBED_SIZE_EXCEEDED"]}}


def test_a_message_holds_ten_embeds_and_2000_characters_of_content() -> None:
    assert faults(content=GRIN * 2_000, embeds=[{"title": "x"}] * 10) == {}
    assert faults(content="x" * 2_001, embeds=[{"title": "x"}] * 11) == {
        "content": TOO_LONG,
        "embeds": TOO_LONG,
    }


def test_an_embed_that_shows_nothing_is_refused() -> None:
    assert faults(embeds=[{"url": "https://example.invalid", "title": "  "}]) == {
        "embeds": {"0": {"description": REQUIRED}}
    }


@pytest.mark.parametrize(
    ("mentions", "place"),
    [
        ({"parse": []}, None),
        ({"parse": ["everyone", "roles", "users"]}, None),
        ({"parse": ["everyone"], "roles": ["5"]}, None),
        ({"parse": ["here"]}, {"parse": {"0": {"_errors": ["BASE_TYPE_CHOICES"]}}}),
        ({"parse": "everyone"}, {"parse": {"_errors": ["LIST_TYPE_CONVERT"]}}),
        ({"parse": ["roles"], "roles": ["5"]}, {"_errors": ["MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE"]}),
        ({"roles": ["support"]}, {"roles": {"0": {"_errors": ["NUMBER_TYPE_COERCE"]}}}),
        ({"users": ["1"] * 101}, {"users": TOO_LONG}),
    ],
)
def test_allowed_mentions_are_checked(mentions: dict[str, Any], place: dict[str, Any] | None) -> None:
    expected = {} if place is None else {"allowed_mentions": place}
    assert faults(content="x", allowed_mentions=mentions) == expected


def test_a_bots_nonce_holds_25_characters_and_a_webhooks_is_ignored() -> None:
    for nonce, refused in (("x" * 25, False), ("x" * 26, True), (7, False), (None, False)):
        _, errors = read_message({"content": "x", "nonce": nonce}, by_bot=True)
        assert ("nonce" in errors) == refused
    cleaned, errors = read_message({"content": "x", "nonce": "x" * 26}, by_bot=False)
    assert ("nonce" in cleaned, errors) == (False, {})


def test_what_is_no_object_at_all_is_refused() -> None:
    assert read_message([], by_bot=False)[1]["_errors"][0]["code"] == "DICT_TYPE_CONVERT"
