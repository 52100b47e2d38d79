"""What no chat may hold, not even the team's own, is taken off a card before it is built."""

import logging
from dataclasses import replace

from jobs.ticket import Ticket
from jobs.triage.guards import withhold_texts
from jobs.triage.masking import hide_secrets
from jobs.verdict import Verdict

log = logging.getLogger("triage")


def without_secrets(ticket: Ticket, verdict: Verdict) -> tuple[Ticket, Verdict]:
    """What a card shows of them; where it cannot be searched, the judgement without subject and words."""
    try:
        return hide_secrets(ticket, verdict)
    except Exception as error:  # noqa: BLE001 - whatever the fault is, a ticket gets its card
        fault = type(error).__name__
        log.warning("a card's words are not shown", extra={"ticket_id": ticket.ticket_id, "reason": fault})
        bare = replace(
            ticket, subject="", customer_name=None, company_name=None, customer_tier=None, product_area=None
        )
        return bare, withhold_texts(bare, verdict)
