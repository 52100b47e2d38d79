"""The tickets that the sandbox shows: a dozen of its own, or those of a JSON Lines file."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from jobs.errors import InputError

BUILT_IN = Path(__file__).with_name("tickets.jsonl")
LONG_TICKET, LONG_TICKET_TIMES = "40000000070", 180

# The poll cuts its upper bound to the second: a first look can miss what is younger than that.
_YOUNGEST = timedelta(seconds=3)
_WITHIN = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class SandboxTicket:
    """A ticket to simulate; ``ticket_id`` is digits, ``created_at`` aware UTC and not in the future."""

    ticket_id: str
    subject: str | None
    body: str | None
    created_at: datetime
    customer: str | None = None
    email: str | None = None
    company: str | None = None
    tier: str | None = None
    product_area: str | None = None


def built_in_tickets(now: datetime | None = None) -> list[SandboxTicket]:
    """The same ids at every call, created just before now; one of them is very long."""
    tickets = load_tickets(BUILT_IN, now)
    return [
        replace(ticket, body=(ticket.body or "") * LONG_TICKET_TIMES)
        if ticket.ticket_id == LONG_TICKET
        else ticket
        for ticket in tickets
    ]


def load_tickets(path: Path, now: datetime | None = None) -> list[SandboxTicket]:
    """One JSON object a line: ``id``, ``subject``, ``body``, and if wanted ``created_at`` (ISO-8601).

    ``customer``, ``email``, ``company``, ``tier`` and ``product_area`` are taken where they are text; other
    keys are ignored, and so are empty lines. Without ``created_at`` a ticket is a few seconds old, in the
    order of the file. Raises InputError, naming file and line, never quoting them.
    """
    now = now or datetime.now(UTC)
    lines = [(n, line) for n, line in enumerate(_read(path).splitlines(), 1) if line.strip()]
    if not lines:
        raise InputError(f"{path} holds no tickets: write one JSON object a line")
    ages = _ages(len(lines))
    seen: set[str] = set()
    tickets = []
    for number, line in lines:
        try:
            ticket = _parse_line(line, now, next(ages))
            _check_new(ticket, seen)
        except _Wrong as wrong:
            raise InputError(f"{path}, line {number}: {wrong}") from None
        tickets.append(ticket)
    return tickets


class _Wrong(Exception):
    """What is wrong with a line, in words that do not quote it."""


def _check_new(ticket: SandboxTicket, seen: set[str]) -> None:
    if ticket.ticket_id in seen:
        raise _Wrong("the id of an earlier line is used again")
    seen.add(ticket.ticket_id)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a directory: name a file with one JSON object a line") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def _ages(count: int) -> Iterator[timedelta]:
    """The age of each ticket, the first the oldest; at most a second apart, all within about a minute."""
    step = min(timedelta(seconds=1), _WITHIN / count)
    return (_YOUNGEST + step * (count - 1 - n) for n in range(count))


def _parse_line(line: bytes, now: datetime, age: timedelta) -> SandboxTicket:
    fields = _parse_object(line)
    created_at = fields.get("created_at")
    names = ("customer", "email", "company", "tier", "product_area")
    return SandboxTicket(
        _parse_id(fields),
        _parse_text(fields, "subject"),
        _parse_text(fields, "body"),
        now - age if created_at is None else _parse_time(created_at, now),
        **{name: fields[name] for name in names if isinstance(fields.get(name), str)},
    )


def _parse_object(line: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(line.decode())
    except UnicodeDecodeError:
        raise _Wrong("this is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise _Wrong(f"this is not JSON (from column {error.colno})") from None
    except (ValueError, RecursionError):
        raise _Wrong("this JSON cannot be read") from None
    if not isinstance(fields, dict):
        raise _Wrong("this is JSON, but not an object")
    return fields


def _parse_id(fields: dict[str, Any]) -> str:
    if fields.get("id") in (None, ""):
        raise _Wrong("the id is missing")
    ticket_id = fields["id"]
    text = ticket_id.strip() if isinstance(ticket_id, str) else str(ticket_id)
    if isinstance(ticket_id, bool) or not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise _Wrong("the id must be digits (at most 18), like HubSpot's")
    if text.startswith("0"):
        raise _Wrong("the id must not start with 0")
    return text


def _parse_text(fields: dict[str, Any], name: str) -> str | None:
    text = fields.get(name)
    if text is None or isinstance(text, str):
        return text
    raise _Wrong(f"{name} must be text or null")


def _parse_time(value: object, now: datetime) -> datetime:
    try:
        moment = datetime.fromisoformat(str(value))
        utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _Wrong("created_at must be a time such as 2026-11-23T10:00:00Z") from None
    if utc > now:
        raise _Wrong("created_at is in the future, where no poll looks")
    return utc
