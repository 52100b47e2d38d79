"""The poll: ask HubSpot what was created since the last look, and propose it to the ledger (design §5)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from jobs.hubspot.gateway import HubSpotGateway
from jobs.propose_pages import Look, propose_pages, upper_bound
from models import cursors
from models.tickets import Source

CLOCKS_APART_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class PollReport:
    """``skipped`` is True where another process polls: it held the lease, or took it over meanwhile.

    ``shown`` counts every ticket that HubSpot showed, known ones too; ``found`` the new ones of them.
    """

    found: int = 0
    reopened: int = 0
    searches: int = 0
    skipped: bool = False
    behind_seconds: float = 0.0
    shown: int = 0
    merged: int = 0

    @property
    def clock_fault(self) -> str | None:
        """A line where a clock is so far behind that the poll saw little."""
        if self.behind_seconds <= CLOCKS_APART_SECONDS:
            return None
        return (
            f"the poll saw little: a clock is {self.behind_seconds:.0f} s behind the last look; compare "
            "this machine's, the database's and HubSpot's (its Date header, which a proxy may have cached)"
        )


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
    if not cursors.take_lease(Source.POLL, owner, lease_seconds):
        return PollReport(skipped=True)
    try:
        cursor = cursors.read_cursor(Source.POLL).looked_until_at
        look = Look(Source.POLL, owner, lease_seconds, cursor - overlap, upper_bound(gateway, now))
        looked = propose_pages(look, gateway.search_created)
    finally:
        cursors.drop_lease(Source.POLL, owner)
    return PollReport(
        looked.found,
        looked.reopened,
        looked.searches,
        skipped=looked.skipped,
        behind_seconds=0.0 if looked.skipped else max(0.0, (cursor - look.end).total_seconds()),
        shown=looked.shown,
        merged=looked.merged,
    )
