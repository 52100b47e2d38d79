"""A ticket's texts as everything after reads them: plain, visible, bounded, and the newest message first.

Order matters, so that nothing comes back through a later step: characters, markup, entities that reading the
markup brought back, characters again, control tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache

from jobs.intake.characters import clean
from jobs.intake.control_tokens import break_tokens, decoded
from jobs.intake.linear import LONGEST_SUBJECT, LOOKS_LIKE_HTML, html_to_text, without_unspeakable
from jobs.intake.markup import read_markup
from jobs.intake.newest import split_mail
from jobs.intake.signals import Signals
from jobs.ticket import Ticket

LONGEST_BODY = 100_000
LONGEST_NAME = 300
_NAMES = ("customer_name", "company_name", "customer_tier", "product_area", "priority", "category")
_PLAINLY = 20_000


@dataclass(frozen=True, slots=True)
class Normalised:
    """A ticket whose texts are normalised, and what was found in them."""

    ticket: Ticket
    signals: Signals


Read = Callable[[str, int], tuple[str, Signals]]


@cache
def load_libraries() -> None:
    """For the start: the first ticket would wait 0.1 s for the imports and tables."""
    content = "<p>Hello \ufb01</p>\n<p>--</p>\n<p>A name</p>"
    normalise(Ticket("0", "", content, datetime.min.replace(tzinfo=UTC), ""))


def normalise(ticket: Ticket, read: Read | None = None) -> Normalised:
    """``ticket`` with plain texts and without ``markup``; what stood below its newest message is in ``rest``.

    Never raises: a text on which a step fails goes through a plain, linear, bounded scan. ``read`` makes
    plain text and signals of a text and a limit, for tests.
    """
    read = read or read_text
    body, signals = _read_or_strip(
        read, ticket.body if ticket.markup is None else ticket.markup, LONGEST_BODY
    )
    subject, more = _read_or_strip(read, ticket.subject, LONGEST_SUBJECT)
    signals += more
    names: dict[str, str | None] = {}
    for name in _NAMES:
        if (value := getattr(ticket, name)) is not None:
            plain, more = _read_or_strip(read, value, LONGEST_NAME)
            names[name] = " ".join(plain.split()) or None
            signals += more
    (newest, rest), more = _split_or_keep(body)
    signals += more
    changes = {"body": newest, "rest": rest or ticket.rest, "subject": " ".join(subject.split())}
    return Normalised(replace(ticket, markup=None, **changes, **names), signals)  # type: ignore[arg-type]


def read_text(text: str, limit: int) -> tuple[str, Signals]:
    """One text, of which ``limit`` characters count."""
    oversized = len(text) > limit
    text, hiding = clean(text, limit)
    hidden, too_deep = 0, False
    if LOOKS_LIKE_HTML.search(text):
        words = read_markup(text)
        text, hidden, too_deep = words.text, words.hidden, words.too_deep
        text, again = clean(text, limit)
        hiding += again
    text, again, tokens = _without_tokens(text, limit)
    return text[:limit].strip(), Signals(
        hidden_text=hidden,
        invisible_characters=hiding + again,
        control_tokens=tokens,
        oversized=int(oversized),
        too_deep=int(too_deep),
    )


def _without_tokens(text: str, limit: int) -> tuple[str, int, int]:
    """Entities stay as they were written, unless something hides behind them."""
    read = decoded(text)
    if read != text:
        plain, hiding = clean(read, limit)
        broken, tokens = break_tokens(plain)
        if hiding or tokens > break_tokens(text)[1]:
            return broken, hiding, tokens
    text, tokens = break_tokens(text)
    return text, 0, tokens


def strip_plainly(text: str, limit: int) -> str:
    """The fallback: no tags, no invisible characters, no angle or square brackets to make a token of."""
    text = without_unspeakable(text[: min(limit, _PLAINLY)])
    text = html_to_text(text) if "<" in text else text
    plain = "".join(character for character in text if character.isprintable() or character in "\n\t")
    return plain.translate(str.maketrans("<>[]", "‹›()")).replace("###", "").strip()


def _read_or_strip(read: Read, text: str, limit: int) -> tuple[str, Signals]:
    try:
        return read(text, limit)
    except Exception:  # noqa: BLE001 - whatever it is, a ticket gets its card
        return strip_plainly(text, limit), Signals(failed=1)


def _split_or_keep(body: str) -> tuple[tuple[str, str], Signals]:
    try:
        split = split_mail(body)
    except Exception:  # noqa: BLE001 - likewise
        return (body, ""), Signals(failed=1)
    return (split.newest, split.rest), Signals()
