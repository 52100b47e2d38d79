"""The poll: ask HubSpot what was created since the last look, and propose it to the ledger (design §5)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from jobs.hubspot.gateway import FoundPage, HubSpotGateway
from models import cursors, proposals
from models.database import read_clock
from models.proposals import Proposal
from models.tickets import Source


@dataclass(frozen=True, slots=True)
class PollReport:
    """``skipped`` is True where another process polls: it held the lease, or took it over meanwhile."""

    found: int = 0
    reopened: int = 0
    searches: int = 0
    skipped: bool = False
    behind_seconds: float = 0.0


def poll_tickets(
    gateway: HubSpotGateway,
    owner: str,
    *,
    lease_seconds: float,
    overlap: timedelta,
    now: Callable[[], datetime],
) -> PollReport:
    """Propose every ticket created since the cursor less ``overlap``, and raise the cursor.

    The cursor moves in the transaction that stores the last page: a poll that breaks off is repeated
    whole. Raises SourceError or SettingsError from HubSpot; what was proposed before stays.
    """
    if not cursors.take_lease("poll", owner, lease_seconds):
        return PollReport(skipped=True)
    try:
        return poll_window(gateway, owner, lease_seconds, overlap, now)
    finally:
        cursors.drop_lease("poll", owner)


def poll_window(
    gateway: HubSpotGateway,
    owner: str,
    lease_seconds: float,
    overlap: timedelta,
    now: Callable[[], datetime],
) -> PollReport:
    cursor = cursors.read_cursor("poll").looked_until_at
    start, end = cursor - overlap, upper_bound(gateway, now)
    found = reopened = searches = 0
    for page in created_between(gateway, start, end):
        searches += 1
        given = [Proposal(one.ticket_id, one.created_at) for one in page.tickets]
        # A slow answer may have outlasted the lease: without it the cursor must not move, nor stand still.
        held = cursors.take_lease("poll", owner, lease_seconds)
        if page.more:
            proposed = proposals.propose(given, Source.POLL)
        else:
            proposed = proposals.propose_last(given, Source.POLL, owner, end)
        found, reopened = found + proposed.found, reopened + proposed.reopened
        if not held:
            return PollReport(found, reopened, searches, skipped=True)
    behind = max(0.0, (cursor - end).total_seconds())
    return PollReport(found, reopened, searches, behind_seconds=behind)


def upper_bound(gateway: HubSpotGateway, now: Callable[[], datetime]) -> datetime:
    """The least of the worker's, the database's and HubSpot's clock: none may run ahead of the others."""
    gateway.fetch_account()  # asked once and kept: before the first answer HubSpot's clock is unknown
    hubspot_now = gateway.now()
    clocks = [now(), read_clock()] + ([hubspot_now] if hubspot_now else [])
    return min(clocks)


def created_between(gateway: HubSpotGateway, start: datetime, end: datetime) -> Iterator[FoundPage]:
    """The pages of the closed window [start, end), by rising id; none if the window is empty."""
    after_id, more = "0", start < end
    while more:
        page = gateway.search_created(start, end, after_id)
        more = page.more
        after_id = page.last_id if more else after_id
        yield page
