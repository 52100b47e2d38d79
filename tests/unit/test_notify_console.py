"""The console prints cards whole, harmless and in any terminal, and says what became of them."""

import io
import os
import re
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from jobs.notify.card import Card, Field
from jobs.notify.console import ConsoleChannel
from jobs.notify.outcome import NotSent, Sent, Unknown
from jobs.verdict import Priority

LINK = "https://app.hubspot.com/contacts/123/record/0-5/4711"
CARD = Card(
    ticket_id="4711",
    priority=Priority.CRITICAL,
    title="[CRITICAL] Ticket #4711: Nobody can log in [bold]since 9:00[/bold] :smile:",
    url=LINK,
    description="All users of the customer are locked out since this morning, and one saw data of others.",
    colour=0xFF0000,
    fields=(
        Field("Security", "SECURITY ESCALATION RECOMMENDED", inline=True),
        Field("Handling mode", "reply_and_internal_followup", inline=True),
        Field("Confidence", "92%", inline=True),
        Field("Customer", "Ada Lovelace · Enterprise", inline=True),
        Field("Questions for the customer", "1. When did it start?\n2. Which browser?"),
        Field("Reply draft", "Hello Ada,\n\nthank you for telling us."),
    ),
    footer="Triaged via local · 2026-11-23 19:15 UTC",
    pings=True,
)
GOLDEN = """\
╭──────────────────────────────────────────────────────────────────────────────╮
│ [CRITICAL] Ticket #4711: Nobody can log in [bold]since 9:00[/bold] :smile:   │
│ https://app.hubspot.com/contacts/123/record/0-5/4711                         │
│                                                                              │
│ All users of the customer are locked out since this morning, and one saw     │
│ data of others.                                                              │
│                                                                              │
│ Security       SECURITY ESCALATION RECOMMENDED                               │
│ Handling mode  reply_and_internal_followup                                   │
│ Confidence     92%                                                           │
│ Customer       Ada Lovelace · Enterprise                                     │
│                                                                              │
│ Questions for the customer                                                   │
│   1. When did it start?                                                      │
│   2. Which browser?                                                          │
│                                                                              │
│ Reply draft                                                                  │
│   Hello Ada,                                                                 │
│                                                                              │
│   thank you for telling us.                                                  │
╰─ Triaged via local · 2026-11-23 19:15 UTC ───────────────────────────────────╯
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Broken(io.StringIO):
    def __init__(self, *, on_write: Exception | None = None, on_flush: Exception | None = None) -> None:
        super().__init__()
        self.on_write, self.on_flush = on_write, on_flush

    def write(self, text: str, /) -> int:
        if self.on_write:
            raise self.on_write
        return super().write(text)

    def flush(self) -> None:
        if self.on_flush:
            raise self.on_flush


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")


def printed(card: Card, stream: io.StringIO) -> str:
    assert ConsoleChannel(stream).send(card) == Sent(message_id=None, place="console")
    return stream.getvalue()


def test_a_card_in_a_pipe_looks_exactly_so() -> None:
    assert printed(CARD, io.StringIO()) == GOLDEN


def test_a_terminal_shows_the_priority_in_colour_and_one_live_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = printed(CARD, Terminal())
    assert "\x1b[38;2;255;0;0m╭" in text
    assert set(re.findall(r"\x1b\]8;[^;]*;([^\x1b]*)\x1b", text)) == {LINK, ""}
    assert Text.from_ansi(text).plain.rstrip() == GOLDEN.rstrip()


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colour_is_left_out_where_it_is_not_wanted(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert "38;2;" not in printed(CARD, Terminal())


@pytest.mark.parametrize("columns", ["1", "10", "30", "400"])
def test_no_width_loses_text(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("TERM", "dumb-but-wide")
    letters = re.sub(r"\W", "", printed(CARD, Terminal()))
    for word in ("SECURITY", "RECOMMENDED", "Enterprise", "telling"):
        assert word in letters or columns in {"1", "10"}
    assert max(len(line) for line in Text.from_ansi(printed(CARD, Terminal())).plain.splitlines()) <= 100


def test_a_hand_made_card_cannot_send_escape_sequences() -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\x9b31m\x08\u202e\ud800"
    card = replace(
        CARD, title=evil, description=evil, footer=evil, url=f"https://x{evil}", fields=(Field(evil, evil),)
    )
    text = printed(card, io.StringIO())
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\ud800]", text)
    assert "https://x" not in text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_characters_that_the_stream_lacks_are_replaced(encoding: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="")
    assert ConsoleChannel(stream).send(replace(CARD, description="日本語 café")) == Sent(None, "console")
    expected = "日本語 café".encode(encoding, "replace").decode(encoding)
    assert expected in raw.getvalue().decode(encoding)


def test_cards_from_many_threads_are_never_interleaved() -> None:
    stream = Dribbling()
    channel = ConsoleChannel(stream)
    cards = [replace(CARD, ticket_id=str(n), title=f"card number {n:03}") for n in range(50)]
    threads = [threading.Thread(target=channel.send, args=(card,)) for card in cards]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = sorted(printed(card, io.StringIO()) for card in cards)
    pages = re.findall(r"╭.*?╯\n", stream.getvalue(), re.DOTALL)
    assert sorted(pages) == expected
    assert len(stream.getvalue()) == sum(map(len, pages))


class Dribbling(io.StringIO):
    """Writes line by line and lets other threads run in between, as a slow terminal does."""

    def write(self, text: str, /) -> int:
        for line in text.splitlines(keepends=True):
            super().write(line)
            os.sched_yield()
        return len(text)


@pytest.mark.parametrize(
    "stream",
    [
        Broken(on_write=BrokenPipeError()),
        Broken(on_flush=BrokenPipeError()),
        Broken(on_write=OSError("No space left on device")),
    ],
)
def test_a_write_error_leaves_the_outcome_unknown(stream: Broken) -> None:
    error = stream.on_write or stream.on_flush
    assert ConsoleChannel(stream).send(CARD) == Unknown(error=type(error).__name__)


def test_a_closed_stream_leaves_the_outcome_unknown() -> None:
    stream = io.StringIO()
    stream.close()
    assert ConsoleChannel(stream).send(CARD) == Unknown(error="ValueError")


def test_a_broken_pipe_leaves_the_outcome_unknown() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w", encoding="utf-8")
    assert ConsoleChannel(stream).send(CARD) == Unknown(error="BrokenPipeError")
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_a_card_that_cannot_be_drawn_is_certainly_not_sent() -> None:
    stream = io.StringIO()
    assert isinstance(ConsoleChannel(stream).send(replace(CARD, colour=-1)), NotSent)
    assert stream.getvalue() == ""


def test_without_a_stream_the_stdout_of_the_moment_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert ConsoleChannel().send(CARD) == Sent(None, "console")
    assert capsys.readouterr().out == GOLDEN


def test_a_running_progress_bar_keeps_the_card_whole_and_coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    with Progress(console=Console(file=terminal)) as progress:
        progress.add_task("tickets")
        assert ConsoleChannel().send(CARD) == Sent(None, "console")
    text = terminal.getvalue()
    assert "\x1b[38;2;255;0;0m╭" in text
    assert GOLDEN.splitlines()[-2] in Text.from_ansi(text).plain


def test_a_process_without_stdout_did_not_send(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert ConsoleChannel().send(CARD) == NotSent(error="AttributeError")


def test_importing_the_channel_does_not_import_rich() -> None:
    code = "import sys, jobs.notify.console; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
