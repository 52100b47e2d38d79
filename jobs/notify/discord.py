"""Discord through a webhook: one message a card, and every answer put into its class (design §4, rule 4).

Payload and answers as in https://docs.discord.com/developers/resources/webhook#execute-webhook.
"""

import hashlib
import json
import re
import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from jobs.notify.card import Card
from jobs.notify.outcome import NotSent, Outcome, Probe, Sent, Unknown
from jobs.notify.pace import RateGate, number_of

if TYPE_CHECKING:
    import httpx

#: Discord's own limit is about five messages in two seconds: two at once lose nothing of it, and an outage
#: begins with two sends in doubt instead of one for each thread.
AT_ONCE = 2
CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 10.0
LONGEST_ANSWER = 64_000
MARKDOWN = re.compile(r"([\\*_~`|\[\]<>#+\-])")
FAULTS = {
    401: "Discord refuses the webhook's token (401); create a new webhook and set its URL",
    403: "Discord refuses this webhook (403); create a new webhook and set its URL",
    404: "Discord knows no such webhook (404); create a new webhook in the channel and set its URL",
}


class DiscordWebhook:
    """Cards and check messages to one webhook; safe for several threads. Nothing here raises for an answer.

    ``ping`` is ``here``, ``none`` or the digits of a role id: whom a critical card calls. ``key_hash``
    names the webhook without showing it.
    """

    name = "discord"

    def __init__(self, url: str, ping: str = "here") -> None:
        self._url, self._ping = url, ping
        self.key_hash = hashlib.sha256(url.encode()).hexdigest()
        self._gate = RateGate(AT_ONCE)
        self._opening = threading.Lock()
        self._client: httpx.Client | None = None

    def render(self, text: str) -> str:
        """Foreign text with Discord's Markdown escaped."""
        return MARKDOWN.sub(r"\\\1", text)

    def turn(self, longest_seconds: float) -> AbstractContextManager[float]:
        """A turn by what Discord's last answers allow; see RateGate."""
        return self._gate.turn(longest_seconds)

    def send(self, card: Card) -> Outcome:
        return self._post(build_message(card, self._ping))

    def announce(self, text: str) -> Outcome:
        """A message of the program's own words, at most 2,000 characters: no embed, no mention."""
        return self._post({"content": text, "allowed_mentions": {"parse": []}, "flags": SUPPRESS_EMBEDS})

    def probe(self) -> Probe:
        """A GET of the webhook: proves that it is there and that Discord answers, and sends nothing."""
        import httpx

        try:
            status = self._open().get(self._url).status_code
        except (httpx.InvalidURL, UnicodeError):
            return Probe(answers=False, fault=BAD_URL)
        except httpx.HTTPError:
            return Probe(answers=False)
        return Probe(answers=200 <= status < 300, fault=fault_of(status))

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _post(self, message: dict[str, Any]) -> Outcome:
        import httpx

        try:
            # A webhook for a thread has a query of its own, which stays.
            url = httpx.URL(self._url).copy_merge_params({"wait": "true"})
            request = self._open().build_request("POST", url, json=message)
            # Status and headers first: a 2xx status line is a sent message, whatever becomes of the body.
            answer = self._open().send(request, stream=True)
        except (
            httpx.ConnectError,
            httpx.ConnectTimeout,
            httpx.PoolTimeout,
            httpx.UnsupportedProtocol,
        ) as error:
            return NotSent(error=type(error).__name__, unreached=True)
        except (httpx.InvalidURL, UnicodeError) as error:
            # A host name that cannot be looked up, such as one with an empty part.
            return NotSent(error=type(error).__name__, fault=BAD_URL)
        except httpx.HTTPError as error:
            return Unknown(error=type(error).__name__)
        try:
            return self._judge(answer.status_code, answer.headers, read_body(answer))
        finally:
            answer.close()

    def _judge(self, status: int, headers: Mapping[str, str], body: dict[str, Any]) -> Outcome:
        self._gate.note_limits(headers)
        if 200 <= status < 300:
            return Sent(message_id=id_of(body, "id"), place=id_of(body, "channel_id"))
        if status == 429:
            named = number_of(body.get("retry_after"))
            seconds = named if named is not None else number_of(headers.get("retry-after"))
            return NotSent(error="http_429", retry_after=self._gate.close_for(seconds))
        if 400 <= status < 500:
            return NotSent(error=f"http_{status}", refused=status == 400, fault=fault_of(status))
        return Unknown(error=f"http_{status}")

    def _open(self) -> "httpx.Client":
        import httpx

        with self._opening:
            if self._client is None:
                self._client = httpx.Client(
                    timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
                    # No connection is used twice: one that the other side closes just then would make a
                    # card nobody read an unknown outcome. Discord takes two or three cards a second anyway.
                    limits=httpx.Limits(max_keepalive_connections=0),
                    trust_env=False,
                )
            return self._client


SUPPRESS_EMBEDS = 1 << 2
BAD_URL = "DISCORD_WEBHOOK_URL: is not a URL that can be called; copy it again from the channel's settings"


def build_message(card: Card, ping: str) -> dict[str, Any]:
    """One message with one embed. Only the program's own mention can ping, and only for a card that may."""
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


def fault_of(status: int) -> str | None:
    return f"DISCORD_WEBHOOK_URL: {FAULTS[status]}" if status in FAULTS else None


def read_body(answer: "httpx.Response") -> dict[str, Any]:
    """The JSON object of an answer, or {} for anything else, a lost connection included."""
    import httpx

    read, deadline = b"", time.monotonic() + ANSWER_SECONDS
    try:
        for part in answer.iter_bytes():
            read += part
            if len(read) > LONGEST_ANSWER or time.monotonic() > deadline:
                return {}
        body = json.loads(read)
    except (httpx.HTTPError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}


def id_of(body: Mapping[str, Any], name: str) -> str | None:
    value = str(body.get(name))[:50]
    return value if value.isascii() and value.isdigit() else None
