"""Discord through a webhook: one message a card, and no way to look whether it arrived (design §4, rule 6).

Payload and answers as in https://docs.discord.com/developers/resources/webhook#execute-webhook.
"""

import hashlib
from contextlib import AbstractContextManager

from jobs.notify.card import Card
from jobs.notify.discord_api import DiscordApi
from jobs.notify.discord_message import build_message, build_words, escape_markdown
from jobs.notify.outcome import Outcome, Probe

FAULTS = {
    401: "Discord refuses the webhook's token (401); create a new webhook and set its URL",
    403: "Discord refuses this webhook (403); create a new webhook and set its URL",
    404: "Discord knows no such webhook (404); create a new webhook in the channel and set its URL",
}
BAD_URL = "DISCORD_WEBHOOK_URL: is not a URL that can be called; copy it again from the channel's settings"
#: Without it a message that was not saved gives no error.
WAIT = {"wait": "true"}


class DiscordWebhook:
    """Cards and check messages to one webhook; safe for several threads. Nothing here raises for an answer.

    ``ping`` is ``here``, ``none`` or the digits of a role id: whom a critical card calls. ``key_hash``
    names the webhook without showing it.
    """

    name = "discord"

    def __init__(self, url: str, ping: str = "here") -> None:
        self._url, self._ping = url, ping
        self.key_hash = hashlib.sha256(url.encode()).hexdigest()
        self._api = DiscordApi(fault_of, BAD_URL)

    def render(self, text: str) -> str:
        return escape_markdown(text)

    def turn(self, longest_seconds: float) -> AbstractContextManager[float]:
        return self._api.turn(longest_seconds)

    def send(self, card: Card) -> Outcome:
        return self._api.post(self._url, build_message(card, self._ping), WAIT)

    def announce(self, text: str) -> Outcome:
        """A message of the program's own words, at most 2,000 characters: no embed, no mention."""
        return self._api.post(self._url, build_words(text), WAIT)

    def probe(self) -> Probe:
        """A GET of the webhook."""
        return self._api.probe(self._url)

    def close(self) -> None:
        self._api.close()


def fault_of(status: int, _code: object) -> str | None:
    return f"DISCORD_WEBHOOK_URL: {FAULTS[status]}" if status in FAULTS else None
