"""The bodies that Discord answers with.

Checked against its published OpenAPI document in ``tests/unit/test_sandbox_discord_spec.py``.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from jobs.sandbox.faults import Fault, failed_page
from jobs.sandbox.guild import SANDBOX_GUILD_ID, Bot, Channel, Message, Webhook
from jobs.sandbox.rate_limits import too_many_requests
from jobs.sandbox.serving import Answer, json_answer

INVALID_FORM, INVALID_JSON, EMPTY_MESSAGE = 50_035, 50_109, 50_006
INVALID_WEBHOOK_TOKEN, MISSING_ACCESS, MISSING_PERMISSIONS = 50_027, 50_001, 50_013
UNKNOWN_CHANNEL, UNKNOWN_MESSAGE, UNKNOWN_WEBHOOK = 10_003, 10_008, 10_015

MESSAGES = {
    INVALID_FORM: "Invalid Form Body",
    INVALID_JSON: "The request body contains invalid JSON.",
    EMPTY_MESSAGE: "Cannot send an empty message",
    INVALID_WEBHOOK_TOKEN: "Invalid Webhook Token",
    MISSING_ACCESS: "Missing Access",
    MISSING_PERMISSIONS: "Missing Permissions",
    UNKNOWN_CHANNEL: "Unknown Channel",
    UNKNOWN_MESSAGE: "Unknown Message",
    UNKNOWN_WEBHOOK: "Unknown Webhook",
}
DISLIKED = {"embeds": {"0": {"_errors": [{"code": "SIMULATED", "message": "A simulated refusal"}]}}}
PHRASES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


def refusal(status: int, code: int, errors: Mapping[str, Any] | None = None) -> Answer:
    """An error with one of Discord's codes (https://docs.discord.com/developers/topics/opcodes-and-status-codes)."""
    body: dict[str, Any] = {"message": MESSAGES[code], "code": code}
    return json_answer(body | {"errors": errors} if errors else body, status)


def plain_error(status: int) -> Answer:
    """An error from before any route was found, or from a server that broke."""
    return json_answer({"message": f"{status}: {PHRASES.get(status, 'Error')}", "code": 0}, status)


def failure(fault: Fault, retry_after_seconds: float, *, webhook: bool) -> Answer:
    """What the sender is told of a message that met ``fault``, which has a status."""
    status = fault.status or 500
    if fault.html:
        return as_page(Answer(status), retry_after_seconds)
    if status == 429:
        return too_many_requests(retry_after_seconds, "global" if fault.is_global else "user")
    coded = {
        400: INVALID_FORM,
        401: INVALID_WEBHOOK_TOKEN if webhook else None,
        403: MISSING_PERMISSIONS,
        404: UNKNOWN_WEBHOOK if webhook else UNKNOWN_CHANNEL,
    }
    code = coded.get(status)
    return plain_error(status) if code is None else refusal(status, code)


def as_page(answer: Answer, retry_after_seconds: float) -> Answer:
    """Cloudflare's page instead of Discord's words; a 429 of it has ``Retry-After`` and nothing more."""
    headers = {"Retry-After": str(math.ceil(retry_after_seconds))} if answer.status == 429 else {}
    return replace(failed_page(answer.status), headers=headers, delay_seconds=answer.delay_seconds)


def to_message(message: Message, *, content_hidden: bool = False) -> dict[str, Any]:
    """``content_hidden`` as for a bot without the message content intent that reads what another wrote."""
    body: dict[str, Any] = {
        "id": message.message_id,
        "channel_id": message.channel_id,
        "type": 0,
        "content": "" if content_hidden else message.content,
        "embeds": [] if content_hidden else [_to_embed(embed) for embed in message.embeds],
        "author": _to_user(message.author_id, message.author_name),
        "timestamp": message.created_at.isoformat(timespec="milliseconds"),
        "edited_timestamp": None,
        "mentions": [],
        "mention_roles": list(message.pinged_roles),
        "mention_everyone": message.pings_everyone,
        "attachments": [],
        "components": [],
        "flags": message.flags,
        "pinned": False,
        "tts": False,
    }
    if message.webhook_id is not None:
        body["webhook_id"] = message.webhook_id
    if message.nonce is not None:
        body["nonce"] = message.nonce
    return body


def _to_embed(embed: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "rich", **embed}


def _to_user(user_id: str, name: str) -> dict[str, Any]:
    return {
        "id": user_id,
        "username": name,
        "avatar": None,
        "discriminator": "0000",
        "public_flags": 0,
        "flags": 0,
        "bot": True,
        "global_name": None,
        "primary_guild": None,
    }


def to_self(bot: Bot) -> dict[str, Any]:
    return _to_user(bot.user_id, bot.name) | {"mfa_enabled": True, "locale": "en-US", "verified": True}


def to_webhook(webhook: Webhook, url: str) -> dict[str, Any]:
    """As one who knows the token sees it: without the person who made it."""
    return {
        "id": webhook.webhook_id,
        "type": 1,
        "name": webhook.name,
        "avatar": None,
        "channel_id": webhook.channel_id,
        "guild_id": SANDBOX_GUILD_ID,
        "application_id": None,
        "token": webhook.token,
        "url": url,
    }


def to_channel(channel: Channel, last_message_id: str | None) -> dict[str, Any]:
    return {
        "id": channel.channel_id,
        "type": 0,
        "name": channel.name,
        "guild_id": SANDBOX_GUILD_ID,
        "position": 0,
        "flags": 0,
        "parent_id": None,
        "topic": None,
        "nsfw": False,
        "rate_limit_per_user": 0,
        "last_message_id": last_message_id,
        "permission_overwrites": [],
    }
