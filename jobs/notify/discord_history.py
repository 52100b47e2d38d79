"""Reads a Discord channel back from its newest message, and proves that it can (design §4, rule 5).

Without Read Message History the list is empty and no error
(https://docs.discord.com/developers/resources/message#get-channel-messages), so an empty page proves nothing:
the list is believed as far as a message that was read, or to its end where it shows a card that was also read
by its id. That is why pages go backwards.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from jobs.notify.view import KnownCard, View

PAGE = 100
#: 10,000 messages, at 30 a minute more than five hours of a channel that never rests.
MOST_PAGES = 100
MOST_KNOWN = 5
DISCORD_EPOCH = datetime(2015, 1, 1, tzinfo=UTC)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
NO_CARD_YET = "the bot has no earlier card there yet that could be read back, so its list proves nothing"
NONE_READABLE = (
    "none of the bot's last cards can be read back there: they were deleted or changed, or the bot lacks "
    "Read Message History"
)
NOT_WHOLE = "the channel's list leaves out a card that is there; does the bot have Read Message History?"
NOT_READABLE = "Discord's answer to a look cannot be used"


class Blind(Exception):
    """The look cannot go on: one line why, and whether a setting is to be mended."""

    def __init__(self, line: str, *, settings_fault: bool = False) -> None:
        super().__init__(line)
        self.line, self.settings_fault = line, settings_fault


class OutOfTime(Blind):
    """There is no time left for one more page: what was read until then is read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """``date`` is Discord's clock as it answered; ``body`` the JSON, None where it has no such message."""

    body: object
    date: datetime


#: One GET below the API's address; raises Blind where it gets no answer that can be used.
Get = Callable[[str], Answer]


@dataclass(slots=True)
class History:
    """What was read so far: every message by id, whether the end of the list was reached, and the clocks."""

    messages: dict[int, dict[str, Any]] = field(default_factory=dict)
    ended: bool = False
    ahead: timedelta = timedelta(0)  #: our clock less Discord's

    @property
    def oldest_at(self) -> datetime | None:
        """The oldest message's time by our clock."""
        return sent_at(min(self.messages)) + self.ahead if self.messages else None


def look_back(
    get: Get,
    me: str,
    place: str,
    since: datetime,
    clock: Callable[[], datetime],
    known: Sequence[KnownCard],
    get_again: Get | None = None,
) -> View:
    """What the bot with the user id ``me`` sees of ``place``; never raises for what Discord answers.

    ``get`` may raise OutOfTime, which ends the reading of pages; ``get_again`` (default: ``get``) then reads
    the evidence, last, so that a permission that was taken away meanwhile is found out.
    """
    history = History()
    try:
        read_pages(get, place, since, clock, history)
        evidence = read_evidence(get_again or get, me, place, known)
    except Blind as blind:
        return View(cards_of(history, me), None, blind.line, blind.settings_fault)
    cards, others = cards_of(history, me), others_of(history, me)
    if not evidence:
        return View(cards, None, NONE_READABLE if known else NO_CARD_YET, others=others)
    if not history.ended:
        return View(cards, history.oldest_at, others=others)
    whole = evidence <= history.messages.keys()
    return View(cards, LONG_AGO if whole else None, None if whole else NOT_WHOLE, others=others)


def read_pages(
    get: Get, place: str, since: datetime, clock: Callable[[], datetime], history: History
) -> None:
    """Newest first, until a message of before ``since``, the list's end, the last page, or time is up."""
    before = ""
    for number in range(MOST_PAGES):
        try:
            answer = get(f"/channels/{place}/messages?limit={PAGE}{before}")
        except OutOfTime:
            if number == 0:
                raise
            return
        if number == 0:
            history.ahead = clock() - answer.date
        page = {int(one["id"]): one for one in messages_in(answer.body)}
        if page.keys() <= history.messages.keys():
            # A full page of one millisecond's messages hides what is older.
            history.ended = len(page) < PAGE
            return
        history.messages |= page
        oldest = min(history.messages)
        if sent_at(oldest) + history.ahead < since:
            return
        # Messages of one millisecond come in no certain order (discord-api-docs issue 2816): read it again.
        before = f"&before={((oldest >> 22) + 1) << 22}"


def read_evidence(get: Get, me: str, place: str, known: Sequence[KnownCard]) -> set[int]:
    """The id of one of ``known`` that is there as it was sent; people delete cards, so a few are tried."""
    for card in known[:MOST_KNOWN]:
        message = get(f"/channels/{place}/messages/{card.message_id}").body
        if isinstance(message, dict) and is_from(message, me) and card.link in urls_of(message):
            return {int(card.message_id)}
    return set()


def cards_of(history: History, me: str) -> dict[str, str]:
    """Of several messages with one URL the oldest."""
    own = {number: one for number, one in history.messages.items() if is_from(one, me)}
    return {url: str(number) for number in sorted(own, reverse=True) for url in urls_of(own[number])}


def others_of(history: History, me: str) -> frozenset[str]:
    """What programs wrote that are not this bot: an earlier one's cards among them, perhaps."""
    written = (one for one in history.messages.values() if is_from_program(one) and not is_from(one, me))
    return frozenset(url for one in written for url in urls_of(one))


def messages_in(body: object) -> Iterator[dict[str, Any]]:
    if not isinstance(body, list):
        raise Blind(NOT_READABLE)
    for one in body:
        if not isinstance(one, dict) or not str(one.get("id")).isdecimal():
            raise Blind(NOT_READABLE)
        yield one


def is_from(message: dict[str, Any], me: str) -> bool:
    author = message.get("author")
    return isinstance(author, dict) and author.get("id") == me and "webhook_id" not in message


def is_from_program(message: dict[str, Any]) -> bool:
    author = message.get("author")
    return "webhook_id" in message or (isinstance(author, dict) and author.get("bot") is True)


def urls_of(message: dict[str, Any]) -> set[str]:
    embeds = message.get("embeds")
    embeds = embeds if isinstance(embeds, list) else []
    return {str(one["url"]) for one in embeds if isinstance(one, dict) and one.get("url")}


def sent_at(message_id: int) -> datetime:
    """Discord's time within an id (https://docs.discord.com/developers/reference#snowflakes)."""
    return DISCORD_EPOCH + timedelta(milliseconds=message_id >> 22)
