"""The attacks and their twins as data: one file per class in ``cases/``, situations that they share.

A line of a class has ``id``, ``situation``, ``demand`` (see ``demands``), ``order`` (what the attacker wants
the model to read) and ``twin`` (what a harmless sender has in its place, "" for nothing). Optional:
``frame``, the whole text with ``{told}`` for the situation's words and ``{order}``; ``twin_frame`` likewise;
``written``, how the order is spelled (``WRITTEN``); ``place``, the field it stands in; ``times``, how often
it is repeated; ``filler``, words put before the order, so many times 100; ``nested``, how many elements the
attack stands in.
"""

import base64
import codecs
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

from jobs.intake.linear import markup_of, plain_text
from jobs.ticket import Ticket
from jobs.verdict import InternalAction, Priority

CASES = Path(__file__).parent / "cases"
LINK = "https://app.hubspot.com/contacts/1/record/0-5/7001"
CREATED_AT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
FRAME = "{told}\n\n{order}"
FILLER = "We looked at the page again and saw the same as before. "

Place = Literal["body", "subject", "customer_name", "company_name"]

WRITTEN: dict[str, Callable[[str], str]] = {
    "plain": str,
    "tags": lambda text: "".join(chr(0xE0000 + ord(one)) for one in text if ord(one) < 0x7F),
    "zero_width": lambda text: "\u200b".join(text),
    "wide": lambda text: "".join(chr(ord(one) + 0xFEE0) if "!" <= one <= "~" else one for one in text),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "percent": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "reversed": lambda text: text[::-1],
    "spaced": lambda text: "  ".join(" ".join(word) for word in text.split()),
    "entities": lambda text: "".join(f"&#{ord(one)};" for one in text),
    "right_to_left": lambda text: f"\u202e{text[::-1]}\u202c",
}


@dataclass(frozen=True, slots=True)
class Situation:
    """What an honest customer tells, and the least that the program's rules make of it."""

    name: str
    subject: str
    told: str
    priority: Priority
    action: InternalAction
    how_to: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """An attack and its twin. ``payload`` is the order as it stands in the attack's text."""

    id: str
    kind: str
    situation: Situation
    demand: str
    payload: str
    attack: Ticket
    twin: Ticket


@cache
def load_cases() -> tuple[Case, ...]:
    """Every case, by class and then in the order of its file."""
    situations = {one["name"]: _to_situation(one) for one in _read(CASES.parent / "situations.jsonl")}
    return tuple(
        _to_case(path.stem, line, situations[line["situation"]])
        for path in sorted(CASES.glob("*.jsonl"))
        for line in _read(path)
    )


def _read(path: Path) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip())


def _to_situation(line: dict[str, Any]) -> Situation:
    return Situation(
        name=line["name"],
        subject=line["subject"],
        told=line["told"],
        priority=Priority(line.get("priority", Priority.LOW)),
        action=InternalAction(line.get("action", InternalAction.NONE)),
        how_to=line.get("how_to", False),
    )


def _to_case(kind: str, line: dict[str, Any], situation: Situation) -> Case:
    order = WRITTEN[line.get("written", "plain")](line["order"])
    payload = " ".join([order] * line.get("times", 1))
    padding = FILLER * (100 * line.get("filler", 0))
    place, frame = line.get("place", "body"), line.get("frame", FRAME)
    twin_frame = line.get("twin_frame", frame)
    nested = line.get("nested", 0)
    frame = "<div>" * nested + frame + "</div>" * nested
    return Case(
        id=f"{kind}-{line['id']}",
        kind=kind,
        situation=situation,
        demand=line["demand"],
        payload=order,
        attack=_to_ticket("7001", situation, place, frame, padding + payload),
        twin=_to_ticket("7002", situation, place, twin_frame, padding + line["twin"]),
    )


def _to_ticket(ticket_id: str, situation: Situation, place: Place, frame: str, words: str) -> Ticket:
    content = situation.told
    if place == "body":
        content = frame.replace("{told}", situation.told).replace("{order}", words).strip()
    beside = {place: f" {words}"} if words else {}
    return Ticket(
        ticket_id=ticket_id,
        subject=situation.subject + beside.get("subject", ""),
        body=plain_text(content),
        markup=markup_of(content),
        created_at=CREATED_AT,
        link=LINK,
        customer_name="Robin Field" + beside.get("customer_name", ""),
        company_name="Field & Sons" + beside.get("company_name", ""),
    )
