"""The console as a channel: a card as a panel, also in a pipe, a dumb terminal or a narrow one."""

import io
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, TextIO

from jobs.notify.card import Card, Field
from jobs.notify.harmless import safe_link, visible
from jobs.notify.outcome import NotSent, Outcome, Probe, Sent, Unknown

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

PIPE_WIDTH = 80
NARROWEST = 24
WIDEST = 100
BROKEN = "the console was closed or is full: cards cannot be shown; run again without a pipe that ends early"


class ConsoleChannel:
    """Prints each card whole, from any thread; ``--dry-run`` previews are the same print.

    Without a ``stream`` it writes to what ``sys.stdout`` is at the time, so that a rich progress bar, which
    replaces it while it runs, keeps the cards above the bar.
    """

    name = "console"
    key_hash = ""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._broken = False

    def render(self, text: str) -> str:
        """What ``build_card`` is to do with foreign text: nothing, a console knows no markup."""
        return text

    def turn(self, longest_seconds: float) -> AbstractContextManager[float]:  # noqa: ARG002
        """A console has always room."""
        return nullcontext(0.0)

    def send(self, card: Card) -> Outcome:
        """Print ``card`` and flush; never raises for a broken stream.

        The page is complete before its first byte, so a fault up to there is a certain NotSent, and one from
        there on is Unknown (design §4, rule 4).
        """
        return self._print(lambda stream: _draw(card, stream))

    def announce(self, text: str) -> Outcome:
        return self._print(lambda _: f"{visible(text)}\n")

    def probe(self) -> Probe:
        """A stream that broke once stays broken."""
        return Probe(answers=not self._broken, fault=BROKEN if self._broken else None)

    def close(self) -> None:
        """The stream is whoever's who gave it."""

    def _print(self, draw: Callable[[TextIO], str]) -> Outcome:
        stream = sys.stdout if self._stream is None else self._stream
        try:
            write = stream.write  # a process started without a stdout has None there
            page = draw(stream)
        except Exception as error:  # noqa: BLE001 whatever it was, no byte has left
            return NotSent(error=type(error).__name__)
        try:
            with self._lock:
                write(page)
                stream.flush()
        except (OSError, ValueError) as error:
            self._broken = True
            return Unknown(error=type(error).__name__)
        return Sent(message_id=None, place=self.name)


class _Sheet(io.TextIOWrapper):
    """What rich draws on: like the stream in encoding and kind, without being it.

    rich writes to its file even while it captures, and answers a broken pipe by ending the process.
    """

    def __init__(self, stream: TextIO) -> None:
        # Under a running progress bar the stream is a proxy that hides what the terminal can do.
        self._model = getattr(stream, "rich_proxied_file", stream)
        encoding = getattr(self._model, "encoding", None) or "utf-8"
        super().__init__(io.BytesIO(), encoding=encoding, errors="replace", newline="")

    def isatty(self) -> bool:
        return bool(self._model.isatty())

    def text(self) -> str:
        self.seek(0)
        return self.read()


def _draw(card: Card, stream: TextIO) -> str:
    """The card in the colours, width and encoding of ``stream``; characters it lacks become ``?``."""
    from rich.console import Console, Group
    from rich.panel import Panel

    sheet = _Sheet(stream)
    console = Console(file=sheet, highlight=False, markup=False, emoji=False, legacy_windows=False)
    console.width = max(NARROWEST, min(console.width, WIDEST)) if console.is_terminal else PIPE_WIDTH
    colour = f"#{card.colour:06x}"
    console.print(
        Panel(Group(*_parts(card)), border_style=colour, subtitle=_text(card.footer), subtitle_align="left")
    )
    return sheet.text()


def _parts(card: Card) -> "list[RenderableType]":
    from rich.padding import Padding

    parts: list[RenderableType] = [_text(card.title, "bold")]
    if link := safe_link(card.url):
        parts.append(_text(link, f"link {link}"))
    if card.description:
        parts.append(Padding(_text(card.description), (1, 0, 0, 0)))
    parts.append(Padding(_table([field for field in card.fields if field.inline]), (1, 0, 0, 0)))
    for field in card.fields:
        if not field.inline:
            parts.append(Padding(_text(field.name, "bold"), (1, 0, 0, 0)))
            parts.append(Padding(_text(field.value), (0, 0, 0, 2)))
    return parts


def _table(fields: list[Field]) -> "Table":
    from rich.table import Table

    # Two columns, so that no wrapped value starts a line where a name would stand.
    table = Table.grid(padding=(0, 2))
    for field in fields:
        table.add_row(_text(field.name, "bold"), _text(field.value))
    return table


def _text(text: str, style: str = "") -> "Text":
    """Text that rich reads literally; cleaned again, since rich lets an ESC through."""
    from rich.text import Text

    return Text(visible(text), style=style, overflow="fold")
