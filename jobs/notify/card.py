"""From a ticket and its verdict to the card that a channel shows: pure, and within every limit.

Foreign text (subject, names, everything a model wrote) is made harmless first, then goes through the
channel's ``render``, which escapes its markup, and is measured after that (``limits.cut``). The program's own
words skip ``render``.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from jobs.notify import limits
from jobs.notify.harmless import one_line, paragraphs, safe_link
from jobs.notify.limits import cut, size
from jobs.ticket import Ticket
from jobs.verdict import InternalAction, Priority, Provider, Verdict

Render = Callable[[str], str]

COLOURS = {
    Priority.CRITICAL: 0xFF0000,
    Priority.HIGH: 0xFF8800,
    Priority.MEDIUM: 0xFFDD00,
    Priority.LOW: 0x00FF00,
}
NOT_TRIAGED_COLOUR = 0x808080
NOT_TRIAGED = "not AI-triaged: manual review required"
SECURITY = "SECURITY ESCALATION RECOMMENDED"
STEERED = "Content tries to steer triage"
CLAIMED = "CLAIMED CRITICAL"  #: by the model alone: nobody is called

_PRIORITY_TAG = re.compile(rf"\[\s*((?:claimed\s+)?(?:{'|'.join(Priority)}))\s*\]", re.I)


@dataclass(frozen=True, slots=True)
class Field:
    """``inline`` marks a short fact that may stand beside others. Name and value are never empty."""

    name: str
    value: str
    inline: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """What one Discord embed can hold; other channels draw it their way.

    ``url`` is HubSpot's page of the ticket, "" if that is no link. ``colour`` is 0xRRGGBB. ``pings`` says
    that the team is to be called; whom, the channel's settings decide. ``ticket_id`` is the ledger's.
    """

    ticket_id: str
    priority: Priority
    title: str
    url: str
    description: str
    colour: int
    fields: tuple[Field, ...]
    footer: str
    pings: bool


def build_card(ticket: Ticket, verdict: Verdict, *, told_at: datetime, render: Render = str) -> Card:
    """The card of one ticket for a channel that writes foreign text as ``render`` says (default: as it is).

    What does not fit in the whole embed is cut in the order notes, draft, summary: the room is given out
    the other way round.
    """
    title = _title(ticket, verdict, render)
    footer = f"Triaged via {verdict.provider} · {told_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    facts = _facts(ticket, verdict, render) + _questions(verdict, render)
    room = limits.EMBED - size(title) - size(footer) - _size_of(facts)

    description = _description(verdict, min(room, limits.DESCRIPTION), render)
    room -= size(description)
    draft = _field("Reply draft", paragraphs(verdict.reply_draft or ""), room, render, limits.REPLY_DRAFT)
    room -= _size_of(draft)
    notes = _field("Internal notes", _lines(verdict.internal_notes), room, _listed(lambda _: "- ", render))

    return Card(
        ticket_id=ticket.ticket_id,
        priority=verdict.priority,
        title=title,
        url=safe_link(ticket.link),
        description=description,
        colour=NOT_TRIAGED_COLOUR if _by_rules(verdict) else COLOURS[verdict.priority],
        fields=(*facts, *draft, *notes),
        footer=footer,
        pings=verdict.priority is Priority.CRITICAL,
    )


def build_minimal_card(ticket_id: str, link: str, priority: Priority) -> Card:
    """Id, priority and link alone: for a ticket whose card a channel refuses, or that breaks the program."""
    return Card(
        ticket_id=ticket_id,
        priority=priority,
        title=f"[{priority.upper()}] Ticket #{_shown_id(ticket_id)}",
        url=safe_link(link),
        description=NOT_TRIAGED,
        colour=NOT_TRIAGED_COLOUR,
        fields=(),
        footer="Minimal card: open the ticket in HubSpot",
        pings=priority is Priority.CRITICAL,
    )


def _shown_id(ticket_id: str) -> str:
    return re.sub(r"[^0-9A-Za-z-]", "", ticket_id)[:40] or "?"


def _title(ticket: Ticket, verdict: Verdict, render: Render) -> str:
    # Only the program marks a priority: a subject that says "[CRITICAL]" keeps the word, not the mark.
    subject = _PRIORITY_TAG.sub(r"(\1)", one_line(ticket.subject)) or "(no subject)"
    mark = CLAIMED if verdict.claimed_critical else verdict.priority.upper()
    start = f"[{mark}] Ticket #{_shown_id(ticket.ticket_id)}: "
    return cut(subject, limits.TITLE, lambda text: start + render(text))


def _description(verdict: Verdict, room: int, render: Render) -> str:
    summary = one_line(verdict.customer_summary)
    if _by_rules(verdict):
        return cut(summary, room, lambda text: f"{NOT_TRIAGED}\n{render(text)}".strip())
    return cut(summary, room, render)


def _facts(ticket: Ticket, verdict: Verdict, render: Render) -> tuple[Field, ...]:
    escalate = verdict.recommended_internal_action is InternalAction.ESCALATE_TO_SECURITY
    return (
        *((Field("Security", SECURITY, inline=True),) if escalate else ()),
        *((Field("Caution", STEERED, inline=True),) if verdict.steered else ()),
        Field("Handling mode", verdict.handling_mode, inline=True),
        *(_providers_tried(verdict, render) if _by_rules(verdict) else _confidence(verdict)),
        Field("Internal action", verdict.recommended_internal_action, inline=True),
        Field("Asana type", verdict.asana_ticket_type_if_needed, inline=True),
        *_customer(ticket, render),
    )


def _confidence(verdict: Verdict) -> tuple[Field, ...]:
    return (Field("Confidence", f"{verdict.confidence:.0%}", inline=True),)


def _providers_tried(verdict: Verdict, render: Render) -> tuple[Field, ...]:
    tried = ", ".join(
        f"{failure.provider} ({'' if failure.is_fault else 'no fault: '}{one_line(failure.error)})"
        for failure in verdict.failures
    )
    return _field("Providers tried (error kind)", tried or "none", limits.EMBED, render, inline=True)


def _customer(ticket: Ticket, render: Render) -> tuple[Field, ...]:
    known = (
        one_line(part or "") for part in (ticket.customer_name, ticket.company_name, ticket.customer_tier)
    )
    customer = " · ".join(part for part in known if part)
    return _field("Customer", customer or "unknown", limits.EMBED, render, inline=True)


def _questions(verdict: Verdict, render: Render) -> tuple[Field, ...]:
    questions = _lines(verdict.questions_for_customer)
    return _field("Questions for the customer", questions, limits.EMBED, _listed("{}. ".format, render))


def _field(
    name: str, text: str, room: int, show: Render, limit: int = limits.FIELD_VALUE, *, inline: bool = False
) -> tuple[Field, ...]:
    """One field of at most ``room`` units with its name, or none: Discord refuses an empty value."""
    value = cut(text, min(limit, room - size(name)), show) if text else ""
    return (Field(name, value, inline),) if value.strip() else ()


def _lines(items: tuple[str, ...]) -> str:
    return "\n".join(line for line in map(one_line, items) if line)


def _listed(mark: Callable[[int], str], render: Render) -> Render:
    """Each line with its mark in front; ``mark`` takes the line's number, from 1."""
    return lambda text: "\n".join(mark(n) + render(line) for n, line in enumerate(text.split("\n"), start=1))


def _size_of(fields: tuple[Field, ...]) -> int:
    return sum(size(field.name) + size(field.value) for field in fields)


def _by_rules(verdict: Verdict) -> bool:
    return verdict.provider is Provider.RULES
