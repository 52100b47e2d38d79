"""A triage that says the same of every ticket, or what a test put in its way."""

import threading
from collections.abc import Callable

from jobs.ticket import Ticket
from jobs.verdict import AsanaType, HandlingMode, InternalAction, Priority, Provider, Verdict


def make_verdict(provider: Provider = Provider.LOCAL) -> Verdict:
    return Verdict(
        priority=Priority.HIGH,
        handling_mode=HandlingMode.REPLY_ONLY,
        recommended_internal_action=InternalAction.NONE,
        asana_ticket_type_if_needed=AsanaType.NONE,
        customer_summary="cannot log in",
        reply_draft="Hello",
        questions_for_customer=(),
        internal_notes=(),
        confidence=0.8,
        provider=provider,
        model="llama3.2",
        triage_ms=1200,
    )


class FakeTriage:
    """Remembers the ids in the order of asking; ``work`` runs first, and may sleep, look around or raise."""

    def __init__(self, verdict: Verdict | None = None) -> None:
        self.verdict = verdict or make_verdict()
        self.asked: list[str] = []
        self.work: Callable[[Ticket], object] = lambda _: None
        self._lock = threading.Lock()

    def __call__(self, ticket: Ticket) -> Verdict:
        with self._lock:
            self.asked.append(ticket.ticket_id)
        self.work(ticket)
        return self.verdict
