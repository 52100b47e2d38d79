"""Discord as it works while nothing is wrong: who may do what, the reads, and the storing of messages.

Routes and refusals as in https://docs.discord.com/developers/resources/webhook and ``/message``.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

from jobs.sandbox import discord_answers as say
from jobs.sandbox.forms import Form, is_empty, read_message
from jobs.sandbox.guild import Bot, Guild, Message, Webhook, page
from jobs.sandbox.rate_limits import RateLimits
from jobs.sandbox.serving import Answer, Request, json_answer

_ROUTES = {
    "webhook": re.compile(r"/webhooks/([^/]+)/([^/]+)"),
    "messages": re.compile(r"/channels/([^/]+)/messages"),
    "message": re.compile(r"/channels/([^/]+)/messages/([^/]+)"),
    "channel": re.compile(r"/channels/([^/]+)"),
    "me": re.compile(r"/users/@me"),
}
_PREFIX = re.compile(r"/api(?:/v10)?(?=/)")
_BIGGEST_ID = 2**63 - 1


class Refused(Exception):
    """Ends a request with ``answer``."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def find_route(path: str) -> tuple[str, tuple[str, ...]]:
    """The route's name, "unknown" for none, and the ids and tokens in the path."""
    prefix = _PREFIX.match(path)
    for name, pattern in _ROUTES.items():
        found = pattern.fullmatch(path, prefix.end()) if prefix else None
        if found is not None:
            return name, found.groups()
    return "unknown", ()


def waits(request: Request) -> bool:
    return parse_qs(request.query).get("wait", [""])[-1].lower() in ("true", "1")


class DiscordApi(Guild):
    """The answers to requests, faults apart. Without ``rate_limits`` everything passes, no limit is named."""

    def __init__(
        self, clock: Callable[[], float], nonce_window_seconds: float, rate_limits: RateLimits | None
    ) -> None:
        super().__init__(clock)
        self.nonce_window_seconds, self.rate_limits = nonce_window_seconds, rate_limits

    def read(self, request: Request, name: str, parts: tuple[str, ...]) -> Answer:
        """The answer to whatever sends no message."""
        if name == "unknown":
            return say.plain_error(404)
        if request.method not in ("GET", "HEAD"):
            return say.plain_error(405)
        try:
            return json_answer(self._find(request, name, *parts))
        except Refused as refused:
            return refused.answer

    def receive(self, request: Request, name: str, parts: tuple[str, ...]) -> Answer:
        """The answer to a message, which is then stored unless it is refused."""
        with self.lock:
            try:
                if name == "webhook":
                    webhook = self._webhook(*parts)
                    return self._limited(request, webhook, webhook.channel_id)
                bot = self._bot_in(request, parts[0], "SEND_MESSAGES")
                return self._limited(request, bot, parts[0])
            except Refused as refused:
                return refused.answer

    def _find(self, request: Request, name: str, *parts: str) -> object:
        match name:
            case "webhook":
                webhook = self._webhook(*parts)
                return say.to_webhook(webhook, f"http://{request.headers.get('host')}{request.path}")
            case "messages":
                return self._list(request, parts[0])
            case "message":
                return self._show(request, *parts)
            case "channel":
                self._bot_in(request, parts[0])
                return say.to_channel(self.channels[parts[0]], self._last_message_id(parts[0]))
            case _:
                return say.to_self(self._bot(request))

    def _list(self, request: Request, channel_id: str) -> list[Any]:
        bot = self._bot_in(request, channel_id)
        limit, places = _parse_page(request.query)
        # https://docs.discord.com/developers/resources/message#get-channel-messages: no error, no messages.
        readable = "READ_MESSAGE_HISTORY" in bot.permissions
        found = page(self.messages_in(channel_id), limit, **places) if readable else []
        return [_as_seen_by(bot, message) for message in found]

    def _show(self, request: Request, channel_id: str, message_id: str) -> object:
        bot = self._bot_in(request, channel_id)
        if "READ_MESSAGE_HISTORY" not in bot.permissions:
            raise Refused(say.refusal(403, say.MISSING_ACCESS))
        for message in self.messages_in(channel_id):
            if message.message_id == message_id:
                return _as_seen_by(bot, message)
        raise Refused(say.refusal(404, say.UNKNOWN_MESSAGE))

    def _last_message_id(self, channel_id: str) -> str | None:
        messages = self.messages_in(channel_id)
        return messages[-1].message_id if messages else None

    def _limited(self, request: Request, sender: Webhook | Bot, channel_id: str) -> Answer:
        if self.rate_limits is None:
            return self._accept(request, sender, channel_id)
        key, now = f"{sender.token} in {channel_id}", self.clock()
        refusal = self.rate_limits.take(key, channel_id, now)
        if refusal is not None:
            return refusal
        try:
            answer = self._accept(request, sender, channel_id)
        except Refused as refused:
            answer = refused.answer
        return replace(answer, headers=self.rate_limits.headers(key, now))

    def _accept(self, request: Request, sender: Webhook | Bot, channel_id: str) -> Answer:
        cleaned = _read_body(request, by_bot=isinstance(sender, Bot))
        if isinstance(sender, Webhook):
            message = self.store(channel_id, sender, cleaned)
            return json_answer(say.to_message(message)) if waits(request) else Answer(204)
        if cleaned["embeds"] and "EMBED_LINKS" not in sender.permissions:
            return say.refusal(403, say.MISSING_PERMISSIONS)
        return json_answer(say.to_message(self._once(sender, channel_id, cleaned)))

    def _once(self, bot: Bot, channel_id: str, cleaned: dict[str, Any]) -> Message:
        if cleaned["enforce_nonce"] and cleaned["nonce"] is not None:
            first = self.find_by_nonce(bot, channel_id, cleaned["nonce"], self.nonce_window_seconds)
            if first is not None and first not in self.messages:
                # https://github.com/discord/discord-api-docs/pull/6647: it was made, and is not made again.
                raise Refused(say.refusal(404, say.UNKNOWN_MESSAGE))
            if first is not None:
                return first
        return self.store(channel_id, bot, cleaned)

    def _webhook(self, webhook_id: str, token: str) -> Webhook:
        _check_id(webhook_id, "webhook_id")
        webhook = self.webhooks.get(webhook_id)
        if webhook is None:
            raise Refused(say.refusal(404, say.UNKNOWN_WEBHOOK))
        if webhook.token != token:
            raise Refused(say.refusal(401, say.INVALID_WEBHOOK_TOKEN))
        return webhook

    def _bot(self, request: Request) -> Bot:
        given = request.headers.get("authorization")
        for bot in self.bots.values():
            if given == f"Bot {bot.token}":
                return bot
        raise Refused(say.plain_error(401))

    def _bot_in(self, request: Request, channel_id: str, *needed: str) -> Bot:
        """The bot that asks, if it sees the channel and has the permissions."""
        bot = self._bot(request)
        _check_id(channel_id, "channel_id")
        if channel_id not in self.channels:
            raise Refused(say.refusal(404, say.UNKNOWN_CHANNEL))
        if "VIEW_CHANNEL" not in bot.permissions:
            raise Refused(say.refusal(403, say.MISSING_ACCESS))
        if not bot.permissions.issuperset(needed):
            raise Refused(say.refusal(403, say.MISSING_PERMISSIONS))
        return bot


def _as_seen_by(bot: Bot, message: Message) -> dict[str, Any]:
    hidden = not bot.message_content and message.author_id != bot.user_id
    return say.to_message(message, content_hidden=hidden)


def _read_body(request: Request, *, by_bot: bool) -> dict[str, Any]:
    try:
        cleaned, errors = read_message(request.json(), by_bot=by_bot)
    except ValueError:
        raise Refused(say.refusal(400, say.INVALID_JSON)) from None
    if errors:
        raise Refused(say.refusal(400, say.INVALID_FORM, errors))
    if is_empty(cleaned):
        raise Refused(say.refusal(400, say.EMPTY_MESSAGE))
    return cleaned


def _check_id(text: str, name: str) -> None:
    form = Form()
    form.number(text, (name,), _BIGGEST_ID)
    _end_if_wrong(form)


def _parse_page(query: str) -> tuple[int, dict[str, int | None]]:
    """The limit, and the id to read before, after or around."""
    given = {name: values[-1] for name, values in parse_qs(query).items()}
    form = Form()
    limit = form.number(given.get("limit", "50"), ("limit",), 100)
    if limit == 0:
        form.refuse(("limit",), "NUMBER_TYPE_MIN", "int value should be greater than or equal to 1.")
    places = {name: form.number(given.get(name), (name,), _BIGGEST_ID) for name in _PLACES}
    _end_if_wrong(form)
    return limit or 50, places


_PLACES = ("before", "after", "around")


def _end_if_wrong(form: Form) -> None:
    if form.errors:
        raise Refused(say.refusal(400, say.INVALID_FORM, form.errors))
