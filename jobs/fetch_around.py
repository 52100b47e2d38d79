"""Reading a batch of tickets around the one that HubSpot fails to serve."""

from collections.abc import Callable, Sequence

from jobs.errors import SourceError
from jobs.ticket import Ticket

Fetch = Callable[[Sequence[str]], dict[str, Ticket]]


def fetch_around(fetch: Fetch, ticket_ids: list[str]) -> tuple[dict[str, Ticket], set[str]]:
    """The tickets, and the one id that HubSpot fails to serve, if any: it must not keep the others back.

    Where both halves of a batch fail it is HubSpot that fails, and its SourceError is raised.
    """
    try:
        return fetch(ticket_ids), set()
    except SourceError:
        if len(ticket_ids) == 1:
            raise
    return fetch_halves(fetch, ticket_ids)


def fetch_halves(fetch: Fetch, failing: list[str]) -> tuple[dict[str, Ticket], set[str]]:
    """The same for two or more ids whose fetch just failed."""
    middle = len(failing) // 2
    tickets: dict[str, Ticket] = {}
    culprits: list[str] = []
    for half in (failing[:middle], failing[middle:]):
        try:
            tickets |= fetch(half)
        except SourceError:
            if culprits:
                raise
            culprits = half
    if len(culprits) < 2:
        return tickets, set(culprits)
    found, unreadable = fetch_halves(fetch, culprits)
    return tickets | found, unreadable
