"""What a simulated Discord server (a "guild") holds: channels, webhooks, bots and every stored message."""

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

SANDBOX_GUILD_ID = "1100000000000000001"
DISCORD_EPOCH_MS = 1_420_070_400_000
PERMISSIONS = frozenset({"VIEW_CHANNEL", "SEND_MESSAGES", "EMBED_LINKS", "READ_MESSAGE_HISTORY"})

_ROLE = re.compile(r"<@&(\d+)>")
_EVERYONE = re.compile(r"@(?:everyone|here)\b")


@dataclass(frozen=True, slots=True)
class Channel:
    channel_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Webhook:
    """``token`` is a secret, and so is every URL with it."""

    webhook_id: str
    token: str
    channel_id: str
    name: str


@dataclass(slots=True)
class Bot:
    """Take from ``permissions`` what it shall lack; ``message_content`` is the intent of that name."""

    user_id: str
    token: str
    name: str
    permissions: set[str] = field(default_factory=lambda: set(PERMISSIONS))
    message_content: bool = True


@dataclass(frozen=True, slots=True)
class Message:
    """A stored message; ``allowed_mentions`` is as it was sent, None where it was not.

    Lengths, blanks and links were checked before; texts of embeds are stored without outer blanks.
    """

    message_id: str
    channel_id: str
    created_at: datetime
    author_id: str
    author_name: str
    content: str
    embeds: tuple[Mapping[str, Any], ...]
    allowed_mentions: Mapping[str, Any] | None
    webhook_id: str | None = None
    nonce: str | int | None = None
    flags: int = 0

    @property
    def pings_everyone(self) -> bool:
        """Whether ``@everyone`` or ``@here`` in the content calls people; in an embed it never does."""
        return _EVERYONE.search(self.content) is not None and self._parses("everyone")

    @property
    def pinged_roles(self) -> tuple[str, ...]:
        """The ids of the roles that the content mentions and that ``allowed_mentions`` lets through."""
        named = set((self.allowed_mentions or {}).get("roles") or ())
        every = self._parses("roles")
        return tuple(dict.fromkeys(r for r in _ROLE.findall(self.content) if every or r in named))

    @property
    def pinged(self) -> bool:
        return self.pings_everyone or bool(self.pinged_roles)

    def _parses(self, kind: str) -> bool:
        if self.allowed_mentions is None:
            return True
        return kind in (self.allowed_mentions.get("parse") or ())

    def shows(self, ticket: str) -> bool:
        """Whether an embed is about the ticket with this link or id: by its URL, or ``#id`` in its title."""
        return any(_is_about(embed, ticket) for embed in self.embeds)


def _is_about(embed: Mapping[str, Any], ticket: str) -> bool:
    url = str(embed.get("url") or "")
    by_url = url == ticket or url.rpartition("/")[2] == ticket
    return by_url or re.search(rf"#{re.escape(ticket)}\b", str(embed.get("title") or "")) is not None


class Guild:
    """Snowflakes carry ``clock``'s time and only rise. ``lock`` guards all of it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.channels: dict[str, Channel] = {}
        self.webhooks: dict[str, Webhook] = {}
        self.bots: dict[str, Bot] = {}
        self._messages: list[Message] = []
        self._by_nonce: dict[tuple[str, str, str], Message] = {}
        self._last_id = 0

    @property
    def messages(self) -> list[Message]:
        """Every stored message of all channels, in the order of their storing."""
        with self.lock:
            return list(self._messages)

    def cards_for(self, ticket: str) -> list[Message]:
        """The messages about the ticket with this link or id; two of them are a double."""
        return [message for message in self.messages if message.shows(ticket)]

    def messages_in(self, channel_id: str) -> list[Message]:
        return [message for message in self.messages if message.channel_id == channel_id]

    def add_channel(self, name: str = "another", channel_id: str | None = None) -> Channel:
        channel = Channel(channel_id or self.new_id(), name)
        self.channels[channel.channel_id] = channel
        return channel

    def add_webhook(
        self, channel_id: str, *, webhook_id: str | None = None, token: str | None = None
    ) -> Webhook:
        webhook_id = webhook_id or self.new_id()
        webhook = Webhook(webhook_id, token or f"sandbox-webhook-{webhook_id}", channel_id, "Support triage")
        self.webhooks[webhook_id] = webhook
        return webhook

    def remove_webhook(self, webhook_id: str) -> None:
        """As a person deletes it in the channel's settings: 404 from now on."""
        del self.webhooks[webhook_id]

    def add_bot(self, *, user_id: str | None = None, token: str | None = None) -> Bot:
        user_id = user_id or self.new_id()
        bot = Bot(user_id, token or f"sandbox-bot-{user_id}", "Triage bot")
        self.bots[user_id] = bot
        return bot

    def store(self, channel_id: str, author: Webhook | Bot, body: Mapping[str, Any]) -> Message:
        """``body`` has been checked and cleaned: see ``forms``."""
        with self.lock:
            message = self._message(self.new_id(), channel_id, author, body)
            self._messages.append(message)
            if message.nonce is not None:
                self._by_nonce[message.author_id, channel_id, str(message.nonce)] = message
        return message

    def remove_message(self, message_id: str) -> None:
        """As a person deletes it."""
        with self.lock:
            self._messages = [one for one in self._messages if one.message_id != message_id]

    def strip_embeds(self, message_id: str) -> None:
        """As a moderator removes all embeds of it."""
        with self.lock:
            self._messages = [
                replace(one, embeds=()) if one.message_id == message_id else one for one in self._messages
            ]

    def _message(
        self, message_id: str, channel_id: str, author: Webhook | Bot, body: Mapping[str, Any]
    ) -> Message:
        flags = int(body.get("flags") or 0)
        return Message(
            message_id=message_id,
            channel_id=channel_id,
            created_at=created_at(message_id),
            author_id=author.webhook_id if isinstance(author, Webhook) else author.user_id,
            author_name=str(body.get("username") or author.name),
            content=str(body.get("content") or ""),
            # https://docs.discord.com/developers/resources/message#message-object-message-flags
            embeds=() if flags & SUPPRESS_EMBEDS else tuple(body.get("embeds") or ()),
            allowed_mentions=body.get("allowed_mentions"),
            webhook_id=author.webhook_id if isinstance(author, Webhook) else None,
            nonce=body.get("nonce"),
            flags=flags,
        )

    def find_by_nonce(self, bot: Bot, channel_id: str, nonce: str | int, seconds: float) -> Message | None:
        """The bot's newest message there with this nonce, deleted or not, if not older than ``seconds``."""
        message = self._by_nonce.get((bot.user_id, channel_id, str(nonce)))
        if message is None or self.clock() - message.created_at.timestamp() > seconds:
            return None
        return message

    def new_id(self) -> str:
        with self.lock:
            now = (int(self.clock() * 1000) - DISCORD_EPOCH_MS) << 22
            self._last_id = max(self._last_id + 1, now)
            return str(self._last_id)


SUPPRESS_EMBEDS = 1 << 2


def created_at(snowflake: str) -> datetime:
    """The time within an id (https://docs.discord.com/developers/reference#snowflakes)."""
    milliseconds = (int(snowflake) >> 22) + DISCORD_EPOCH_MS
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def page(
    messages: list[Message], limit: int, *, before: int | None, after: int | None, around: int | None
) -> list[Message]:
    """At most ``limit`` of ``messages`` (oldest first), newest first: those next to the id, if any."""
    if after is not None:
        found = [m for m in messages if int(m.message_id) > after][:limit]
    elif around is not None:
        older = [m for m in messages if int(m.message_id) < around]
        newer = [m for m in messages if int(m.message_id) >= around]
        half = limit // 2
        found = (older[-half:] if half else []) + newer[: limit - half]
    else:
        older = [m for m in messages if before is None or int(m.message_id) < before]
        found = older[-limit:]
    return found[::-1]
