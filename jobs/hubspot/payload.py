"""HubSpot's payloads become our own types here, and go no further."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from jobs.intake.linear import LONGEST_SUBJECT, markup_of, plain_text, without_unspeakable
from jobs.ticket import Ticket

#: Properties as of the tickets API; one that a portal lacks is silently absent from its answers.
TICKET_PROPERTIES = (
    "subject",
    "content",
    "hs_pipeline",
    "hs_ticket_priority",
    "hs_ticket_category",
    "createdate",
)
Properties = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RecordProperty:
    """A portal's own property: ``record`` is ticket, contact or company."""

    record: str
    name: str


def parse_ticket(
    ticket_id: str,
    records: dict[str, Properties | None],
    *,
    link: str,
    tier: RecordProperty | None,
    area: RecordProperty | None,
    aliases: tuple[str, ...] = (),
) -> Ticket:
    """One ticket of its own and its customer's and company's properties; absent ones become None."""
    ticket = records["ticket"] or {}
    return Ticket(
        ticket_id=ticket_id,
        subject=plain_text(text_of(ticket, "subject"))[:LONGEST_SUBJECT],
        body=plain_text(text_of(ticket, "content")),
        # Without a creation time a ticket counts as new: better told late than never.
        created_at=parse_time(ticket.get("createdate")) or datetime.now(UTC),
        link=link,
        pipeline=text_of(ticket, "hs_pipeline"),
        priority=text_of(ticket, "hs_ticket_priority"),
        category=text_of(ticket, "hs_ticket_category"),
        customer_name=person_name(records.get("contact") or {}),
        company_name=text_of(records.get("company") or {}, "name"),
        customer_tier=chosen(records, tier),
        product_area=chosen(records, area),
        aliases=aliases,
        markup=markup_of(text_of(ticket, "content")),
    )


def person_name(contact: Properties) -> str | None:
    parts = (text_of(contact, "firstname"), text_of(contact, "lastname"))
    return " ".join(part for part in parts if part) or None


def chosen(records: dict[str, Properties | None], wanted: RecordProperty | None) -> str | None:
    return None if wanted is None else text_of(records.get(wanted.record) or {}, wanted.name)


def is_id(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) <= 20


def text_of(properties: Properties, name: str) -> str | None:
    value = properties.get(name)
    return None if value is None else without_unspeakable(str(value)).strip() or None


def parse_time(value: object) -> datetime | None:
    """HubSpot's ISO-8601 UTC with milliseconds, or epoch milliseconds as some properties have them."""
    text = str(value or "")
    try:
        if text.isdigit():
            return datetime.fromtimestamp(int(text) / 1000, UTC)
        told = datetime.fromisoformat(text)
        return told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
