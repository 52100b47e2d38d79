"""A HubSpot that knows some tickets and remembers which ids each read asked for."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from jobs.ticket import Ticket

CREATED = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


def make_ticket(ticket_id: str, **fields: Any) -> Ticket:
    known: dict[str, Any] = {
        "subject": "Cannot log in",
        "body": "The page stays white.",
        "created_at": CREATED,
        "link": f"https://app.hubspot.com/contacts/1/record/0-5/{ticket_id}",
    }
    return Ticket(ticket_id=ticket_id, **known | fields)


class FakeHubSpot:
    """``faults`` maps the number of a read, from 1, to what it raises; ``missing`` ids are unknown to it."""

    def __init__(self) -> None:
        self.reads: list[list[str]] = []
        self.faults: dict[int, Exception] = {}
        self.missing: set[str] = set()
        self.fields: dict[str, dict[str, Any]] = {}
        self.before_answer: Callable[[], object] = lambda: None

    def fetch(self, ticket_ids: Sequence[str]) -> dict[str, Ticket]:
        self.reads.append(list(ticket_ids))
        self.before_answer()
        if fault := self.faults.get(len(self.reads)):
            raise fault
        return {
            one: make_ticket(one, **self.fields.get(one, {})) for one in ticket_ids if one not in self.missing
        }
