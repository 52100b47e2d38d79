"""Discord's "form body": what a message may hold, and the error tree for one that holds something else.

Limits: https://docs.discord.com/developers/resources/message#embed-object-embed-limits; texts are measured in
code points and without outer blanks. The codes and sentences are those that integrators report.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

Cleaned = dict[str, Any]

CONTENT, EMBEDS, FIELDS, EMBED_TEXT = 2_000, 10, 25, 6_000
TEXTS = {"title": 256, "description": 4_096}
NONCE, USERNAME, URL, IDS = 25, 80, 2_048, 100
MENTION_TYPES = ("users", "everyone", "roles")


class Form:
    """Collects what is wrong, place by place, while values are read and cleaned."""

    def __init__(self) -> None:
        self.errors: dict[str, Any] = {}

    def refuse(self, at: tuple[str | int, ...], code: str, message: str) -> None:
        place = self.errors
        for name in at:
            place = place.setdefault(str(name), {})
        place.setdefault("_errors", []).append({"code": code, "message": message})

    def text(self, value: Any, at: tuple[str | int, ...], limit: int, *, needed: bool = False) -> str:
        """The text without outer blanks, "" for none."""
        if value is not None and not isinstance(value, str | int | float):
            self.refuse(at, "STRING_TYPE_CONVERT", "Could not interpret the value as string.")
            return ""
        text = "" if value is None else str(value).strip()
        if len(text) > limit:
            self.refuse(at, "BASE_TYPE_MAX_LENGTH", f"Must be {limit} or fewer in length.")
        if needed and not text:
            self.refuse(at, "BASE_TYPE_REQUIRED", "This field is required")
        return text

    def url(self, value: Any, at: tuple[str | int, ...]) -> str:
        url = self.text(value, at, URL)
        if value is None:
            return ""
        scheme = urlsplit(url).scheme.lower() if "://" in url else ""
        if scheme not in ("http", "https"):
            words = f"Scheme \"{scheme}\" is not supported. Scheme must be one of ('http', 'https')."
            self.refuse(at, "URL_TYPE_INVALID_SCHEME", words)
        elif any(character.isspace() for character in url) or len(url) <= len(scheme) + 3:
            self.refuse(at, "URL_TYPE_INVALID_URL", "Not a well formed URL.")
        return url

    def number(self, value: Any, at: tuple[str | int, ...], most: int) -> int | None:
        if value is None:
            return None
        if isinstance(value, bool) or not str(value).lstrip("-").isdecimal():
            self.refuse(at, "NUMBER_TYPE_COERCE", f'Value "{str(value)[:20]}" is not int.')
        elif not 0 <= int(value) <= most:
            self.refuse(at, "NUMBER_TYPE_MAX", f"int value should be between 0 and {most}.")
        else:
            return int(value)
        return None

    def items(self, value: Any, at: tuple[str | int, ...], most: int) -> list[Any]:
        if value is None:
            return []
        if not isinstance(value, list):
            self.refuse(at, "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
            return []
        if len(value) > most:
            self.refuse(at, "BASE_TYPE_MAX_LENGTH", f"Must be {most} or fewer in length.")
            return []
        return value

    def model(self, value: Any, at: tuple[str | int, ...]) -> Mapping[str, Any]:
        if value is None or isinstance(value, dict):
            return value or {}
        self.refuse(at, "MODEL_TYPE_CONVERT", "Only dictionaries may be used in a ModelType")
        return {}

    def models(self, value: Any, at: tuple[str | int, ...], most: int) -> list[tuple[int, Mapping[str, Any]]]:
        """The numbers and contents of those that are objects."""
        items = list(enumerate(self.items(value, at, most)))
        for number, one in items:
            self.model(one, (*at, number))
        return [(number, one) for number, one in items if isinstance(one, dict)]


def read_message(body: Any, *, by_bot: bool) -> tuple[Cleaned, dict[str, Any]]:
    """The message to store, and the error tree, which is empty for a good one. Unknown keys are left out.

    A message that says nothing is no error here: see ``is_empty``.
    """
    form = Form()
    if not isinstance(body, dict):
        form.refuse((), "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
        return {}, form.errors
    cleaned: Cleaned = {
        "content": form.text(body.get("content"), ("content",), CONTENT),
        "embeds": _read_embeds(form, body.get("embeds")),
        "allowed_mentions": _read_mentions(form, body.get("allowed_mentions")),
        "flags": form.number(body.get("flags"), ("flags",), 2**31 - 1),
    }
    if by_bot:
        nonce = body.get("nonce")
        cleaned["nonce"] = nonce if isinstance(nonce, int) else form.text(nonce, ("nonce",), NONCE) or None
        cleaned["enforce_nonce"] = body.get("enforce_nonce") is True
    else:
        cleaned["username"] = form.text(body.get("username"), ("username",), USERNAME)
    return cleaned, form.errors


def is_empty(message: Cleaned) -> bool:
    return not message["content"] and not message["embeds"]


def _read_embeds(form: Form, value: Any) -> list[Cleaned]:
    at = ("embeds",)
    embeds = [_read_embed(form, one, (*at, n)) for n, one in form.models(value, at, EMBEDS)]
    if not form.errors and sum(map(_text_of, embeds)) > EMBED_TEXT:
        form.refuse(at, "MAX_EMBED_SIZE_EXCEEDED", f"Embed size exceeds maximum size of {EMBED_TEXT}")
    return embeds


def _text_of(embed: Cleaned) -> int:
    """What counts towards the limit over all embeds."""
    texts = [embed.get("title"), embed.get("description")]
    texts += [embed.get("footer", {}).get("text"), embed.get("author", {}).get("name")]
    texts += [text for field in embed.get("fields", ()) for text in (field["name"], field["value"])]
    return sum(len(text or "") for text in texts)


def _read_embed(form: Form, embed: Mapping[str, Any], at: tuple[str | int, ...]) -> Cleaned:
    cleaned: Cleaned = {name: form.text(embed.get(name), (*at, name), TEXTS[name]) for name in TEXTS}
    readers: dict[str, Callable[[Form, Any, tuple[str | int, ...]], Any]] = {
        "footer": _read_footer,
        "author": _read_author,
        "fields": _read_fields,
        "image": _read_image,
        "thumbnail": _read_image,
    }
    cleaned |= {name: read(form, embed.get(name), (*at, name)) for name, read in readers.items()}
    if not form.errors and not any(cleaned.values()):
        form.refuse((*at, "description"), "BASE_TYPE_REQUIRED", "This field is required")
    cleaned["url"] = form.url(embed.get("url"), (*at, "url"))
    cleaned["timestamp"] = _read_time(form, embed.get("timestamp"), (*at, "timestamp"))
    colour = form.number(embed.get("color"), (*at, "color"), 0xFFFFFF)
    kept = {name: value for name, value in cleaned.items() if value}
    return kept if colour is None else kept | {"color": colour}


def _read_fields(form: Form, value: Any, at: tuple[str | int, ...]) -> list[Cleaned]:
    return [
        {
            "name": form.text(field.get("name"), (*at, number, "name"), 256, needed=True),
            "value": form.text(field.get("value"), (*at, number, "value"), 1_024, needed=True),
            "inline": field.get("inline") is True,
        }
        for number, field in form.models(value, at, FIELDS)
    ]


def _read_footer(form: Form, value: Any, at: tuple[str | int, ...]) -> Cleaned:
    text = form.text(form.model(value, at).get("text"), (*at, "text"), 2_048)
    return {"text": text} if text else {}


def _read_author(form: Form, value: Any, at: tuple[str | int, ...]) -> Cleaned:
    author = form.model(value, at)
    name = form.text(author.get("name"), (*at, "name"), 256, needed=bool(author))
    url = form.url(author.get("url"), (*at, "url"))
    return {key: text for key, text in (("name", name), ("url", url)) if text}


def _read_image(form: Form, value: Any, at: tuple[str | int, ...]) -> Cleaned:
    image = form.model(value, at)
    return {"url": form.url(image.get("url", ""), (*at, "url"))} if image else {}


def _read_time(form: Form, value: Any, at: tuple[str | int, ...]) -> str:
    try:
        return "" if value is None else datetime.fromisoformat(str(value)).isoformat()
    except ValueError:
        form.refuse(at, "DATE_TIME_TYPE_PARSE", "Could not parse. Should be ISO8601.")
        return ""


def _read_mentions(form: Form, value: Any) -> Mapping[str, Any] | None:
    """As it was sent; https://docs.discord.com/developers/resources/message#allowed-mentions-object."""
    at = ("allowed_mentions",)
    mentions = form.model(value, at)
    parse = form.items(mentions.get("parse"), (*at, "parse"), len(MENTION_TYPES))
    for number, kind in enumerate(parse):
        if kind not in MENTION_TYPES:
            form.refuse((*at, "parse", number), "BASE_TYPE_CHOICES", f"Value must be one of {MENTION_TYPES}.")
    for kind in ("users", "roles"):
        ids = form.items(mentions.get(kind), (*at, kind), IDS)
        for number, one in enumerate(ids):
            form.number(one, (*at, kind, number), 2**64 - 1)
        if ids and kind in parse:
            words = f'parse:["{kind}"] and {kind}: [ids...] are mutually exclusive.'
            form.refuse(at, "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", words)
    return None if value is None else mentions
