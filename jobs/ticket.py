"""One support ticket as every later step sees it; nothing of it is ever stored."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket read from HubSpot at handling time.

    ``subject`` and ``body`` are plain text, possibly empty, written by a stranger. ``created_at`` is aware
    UTC. ``priority`` and ``category`` are the portal's own values. ``link`` is HubSpot's page of the id that
    was asked for; ``ticket_id`` is another one where that was merged. ``aliases`` became part of this ticket.
    ``markup`` is the HTML mail that ``body`` was made of, and None once the ticket is normalised; then
    ``body`` is the newest message and ``rest`` what stood below it: signature and quoted history.
    """

    ticket_id: str
    subject: str
    body: str
    created_at: datetime
    link: str
    pipeline: str | None = None
    priority: str | None = None
    category: str | None = None
    customer_name: str | None = None
    company_name: str | None = None
    customer_tier: str | None = None
    product_area: str | None = None
    aliases: tuple[str, ...] = ()
    markup: str | None = None
    rest: str = ""
