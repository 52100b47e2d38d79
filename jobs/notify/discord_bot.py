"""Discord through a bot: the same cards, and a look at the channel that settles what nobody could tell.

Payload and answers as in https://docs.discord.com/developers/resources/message#create-message.
"""

import base64
import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from jobs.notify.card import Card
from jobs.notify.discord_api import DiscordApi, code_of, open_client, parsed
from jobs.notify.discord_history import NOT_READABLE, Answer, Blind, OutOfTime, look_back
from jobs.notify.discord_message import build_message, build_words, escape_markdown
from jobs.notify.outcome import Outcome, Probe
from jobs.notify.pace import RateGate, number_of
from jobs.notify.view import KnownCard, View
from jobs.version import VERSION

if TYPE_CHECKING:
    import httpx

NONCE_CHARACTERS = 25
LOOK_SECONDS = 60.0  #: for the pages of one look, waits for rate limits included
EVIDENCE_SECONDS = 15.0  #: and for reading back what it was to show
UNKNOWN_MESSAGE, UNKNOWN_CHANNEL = 10_008, 10_003
BAD_URL = "DISCORD_API_URL: is no URL that can be called; write DISCORD_API_URL=https://discord.com/api/v10"
UNAUTHORIZED = (
    "DISCORD_BOT_TOKEN: Discord refuses the bot's token (401); make a new one in the developer portal "
    "and set it"
)
FORBIDDEN = (
    "DISCORD_CHANNEL_ID: the bot may not do that there (403); give it View Channel, Send Messages, Embed "
    "Links and Read Message History in the channel"
)
NO_CHANNEL = "DISCORD_CHANNEL_ID: Discord knows no such channel (404); copy its id again with Copy Channel ID"
NO_API = (
    "DISCORD_API_URL: no Discord API answers there (404); write its address with the version, such as "
    "https://discord.com/api/v10"
)
FORMER_PLACE = "the channel that these cards went to, no longer DISCORD_CHANNEL_ID, cannot be read"
UNREACHED = "Discord cannot be reached to look"


class DiscordBot:
    """Cards, check messages and looks of one bot, for several threads; nothing here raises for an answer.

    ``place`` is the channel's id. ``key_hash`` names token, channel and address without showing them.
    """

    name = "discord_bot"

    def __init__(self, api_url: str, token: str, channel_id: str, ping: str = "here") -> None:
        self._url, self._ping, self.place = api_url, ping, channel_id
        self.key_hash = hashlib.sha256(f"{token} {channel_id} {api_url}".encode()).hexdigest()
        # The part before the first dot names the bot and stays when its token is made anew.
        self._identity = token.partition(".")[0]
        self._headers = {
            "Authorization": f"Bot {token}",
            "User-Agent": f"DiscordBot (hubspot-support-triage, {VERSION})",
        }
        self._api = DiscordApi(fault_of, BAD_URL, self._headers)
        self._reads = RateGate(1)
        self._me: str | None = None

    def render(self, text: str) -> str:
        return escape_markdown(text)

    def turn(self, longest_seconds: float) -> AbstractContextManager[float]:
        return self._api.turn(longest_seconds)

    def send(self, card: Card) -> Outcome:
        """Within a few minutes the same card's nonce gives the first message and makes no second one."""
        once = {"nonce": self.nonce_of(card.ticket_id, card.url), "enforce_nonce": True}
        return self._api.post(self._messages, build_message(card, self._ping) | once)

    def announce(self, text: str) -> Outcome:
        """A message of the program's own words, at most 2,000 characters: no embed, no mention."""
        return self._api.post(self._messages, build_words(text))

    def probe(self) -> Probe:
        """A GET of the channel."""
        return self._api.probe(f"{self._url}/channels/{self.place}")

    def nonce_of(self, ticket_id: str, link: str) -> str:
        """Of the bot and the ticket's link, which names portal and ticket."""
        digest = hashlib.sha256(f"{self.name} {self._identity} {link or ticket_id}".encode()).digest()
        return base64.b32encode(digest).decode().lower()[:NONCE_CHARACTERS]

    def look(
        self, place: str, since: datetime, clock: Callable[[], datetime], known: Sequence[KnownCard]
    ) -> View:
        """See LookingChannel."""
        with open_client(1, self._headers) as client:
            get = self._reader(client, LOOK_SECONDS)
            try:
                me = self._me = self._me or user_id_in(get("/users/@me").body)
            except Blind as blind:
                return View(blind=blind.line, settings_fault=blind.settings_fault)
            # Its time begins with its first use.
            view = look_back(get, me, place, since, clock, known, self._reader(client, EVIDENCE_SECONDS))
        if view.settings_fault and place != self.place:
            return replace(view, blind=FORMER_PLACE, settings_fault=False)
        return view

    def shows_history(self) -> bool | None:
        """Whether the channel's list shows anything; None where there is nothing to show, or no answer."""
        with open_client(1, self._headers) as client:
            get = self._reader(client, EVIDENCE_SECONDS)
            try:
                channel = get(f"/channels/{self.place}").body
                if not isinstance(channel, dict) or not channel.get("last_message_id"):
                    return None
                return bool(get(f"/channels/{self.place}/messages?limit=1").body)
            except Blind:
                return None

    def close(self) -> None:
        self._api.close()

    @property
    def _messages(self) -> str:
        return f"{self._url}/channels/{self.place}/messages"

    def _reader(self, client: "httpx.Client", limit_seconds: float) -> Callable[[str], Answer]:
        """Reads below the API's address, for ``limit_seconds`` from its first use on; then OutOfTime."""
        until: float | None = None

        def get(path: str) -> Answer:
            nonlocal until
            until = until or time.monotonic() + limit_seconds
            while True:
                with self._reads.turn(max(0.0, until - time.monotonic())) as seconds:
                    if seconds or time.monotonic() > until:
                        raise OutOfTime(UNREACHED + " (rate_limited)")
                    answer = fetch(client, f"{self._url}{path}")
                self._reads.note_limits(answer.headers)
                if answer.status_code != 429:
                    return usable(answer)
                named = seconds_named(parsed(answer.content), answer.headers.get("retry-after"))
                self._reads.close_for(named)

        return get


def fault_of(status: int, code: object) -> str | None:
    """A nonce whose message was deleted is a 404 too (discord-api-docs pull 6647), and no setting's fault."""
    if status == 404:
        known = {UNKNOWN_MESSAGE: None, UNKNOWN_CHANNEL: NO_CHANNEL}
        return known.get(code, NO_API) if isinstance(code, int) else NO_API
    return {401: UNAUTHORIZED, 403: FORBIDDEN}.get(status)


def fetch(client: "httpx.Client", url: str) -> "httpx.Response":
    import httpx

    try:
        return client.get(url)
    except (httpx.InvalidURL, UnicodeError):
        raise Blind(BAD_URL, settings_fault=True) from None
    except httpx.HTTPError as error:
        raise Blind(f"{UNREACHED} ({type(error).__name__})") from None


def usable(answer: "httpx.Response") -> Answer:
    """A 200, or a message that is not there; raises Blind for anything else."""
    body = parsed(answer.content)
    fault = fault_of(answer.status_code, code_of(body))
    if fault is not None:
        raise Blind(fault, settings_fault=True)
    gone = answer.status_code == 404
    if answer.status_code != 200 and not gone:
        raise Blind(f"{UNREACHED} (http_{answer.status_code})")
    return Answer(None if gone else body, date_of(answer))


def date_of(answer: "httpx.Response") -> datetime:
    try:
        return parsedate_to_datetime(answer.headers["date"]).astimezone(UTC)
    except (KeyError, ValueError):
        raise Blind(NOT_READABLE) from None


def user_id_in(body: object) -> str:
    found = str(body.get("id")) if isinstance(body, dict) else ""
    if not found.isdecimal():
        raise Blind(NOT_READABLE)
    return found


def seconds_named(body: object, header: str | None) -> float | None:
    """Seconds that a 429 names, in its body or its header."""
    named = number_of(body.get("retry_after")) if isinstance(body, dict) else None
    return named if named is not None else number_of(header)
