"""Reading a channel back, where time runs out between two pages."""

from datetime import UTC, datetime, timedelta
from typing import Any

from jobs.notify.discord_history import DISCORD_EPOCH, PAGE, Answer, OutOfTime, look_back
from jobs.notify.view import KnownCard

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
CARD = KnownCard("0", "https://hubspot.test/1")
MESSAGES = 5 * PAGE


def snowflake(at: datetime) -> int:
    return (at - DISCORD_EPOCH) // timedelta(milliseconds=1) << 22


class Channel:
    """A message a minute, newest now; the newest is the bot's card. Time is up after ``pages``."""

    def __init__(self, pages: int) -> None:
        self.pages = pages
        ids = [snowflake(NOW - timedelta(minutes=minute)) for minute in range(MESSAGES)]
        self.messages: list[dict[str, Any]] = [{"id": str(one), "author": {"id": "5"}} for one in ids]
        self.messages[0] |= {"author": {"id": "7"}, "embeds": [{"url": CARD.link}]}

    def page(self, path: str) -> Answer:
        if not self.pages:
            raise OutOfTime("no time")
        self.pages -= 1
        before = int(path.partition("before=")[2] or 1 << 63)
        return Answer([one for one in self.messages if int(one["id"]) < before][:PAGE], NOW)

    def again(self, path: str) -> Answer:
        assert "?" not in path
        return Answer(self.messages[0], NOW)


def test_what_was_read_when_time_was_up_is_complete_as_far_as_it_goes() -> None:
    channel = Channel(pages=2)
    view = look_back(channel.page, "7", "9", NOW - timedelta(days=9), lambda: NOW, [CARD], channel.again)
    assert view.blind is None
    assert view.complete_since is not None
    assert timedelta(minutes=PAGE) < NOW - view.complete_since < timedelta(minutes=2 * PAGE + 1)


def test_a_look_that_had_no_time_at_all_is_blind() -> None:
    channel = Channel(pages=0)
    view = look_back(channel.page, "7", "9", NOW - timedelta(days=9), lambda: NOW, [CARD], channel.again)
    assert (view.complete_since, view.blind) == (None, "no time")
