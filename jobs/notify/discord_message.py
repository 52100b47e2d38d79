"""What a Discord message holds, whoever posts it: a card as one embed, or the program's own words."""

import re
from typing import Any

from jobs.notify.card import Card

MARKDOWN = re.compile(r"([\\*_~`|\[\]<>#+\-])")
SUPPRESS_EMBEDS = 1 << 2


def escape_markdown(text: str) -> str:
    """Foreign text with Discord's Markdown escaped."""
    return MARKDOWN.sub(r"\\\1", text)


def build_message(card: Card, ping: str) -> dict[str, Any]:
    """One message with one embed. Only the program's own mention can ping, and only for a card that may.

    ``ping`` is ``here``, ``none`` or the digits of a role id.
    """
    pings = card.pings and ping != "none"
    embed: dict[str, Any] = {
        "title": card.title,
        "description": card.description,
        "color": card.colour,
        "fields": [{"name": one.name, "value": one.value, "inline": one.inline} for one in card.fields],
        "footer": {"text": card.footer},
    }
    if card.url:
        embed["url"] = card.url
    message: dict[str, Any] = {"embeds": [embed], "allowed_mentions": {"parse": []}}
    if pings and ping == "here":
        message |= {"content": "@here", "allowed_mentions": {"parse": ["everyone"]}}
    elif pings:
        message |= {"content": f"<@&{ping}>", "allowed_mentions": {"parse": [], "roles": [ping]}}
    return message


def build_words(text: str) -> dict[str, Any]:
    """The program's own words, at most 2,000 characters: no embed, no mention."""
    return {"content": text, "allowed_mentions": {"parse": []}, "flags": SUPPRESS_EMBEDS}
