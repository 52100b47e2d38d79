"""The sweep: look again, wider and slower, for what poll and webhooks missed (design §5)."""

from collections.abc import Callable
from datetime import datetime, timedelta

from jobs.hubspot.gateway import HubSpotGateway
from jobs.propose_pages import Look, Looked, never, propose_pages, upper_bound
from models import cursors
from models.tickets import Source


def is_sweep_due(interval: timedelta) -> bool:
    """Whether no sweep that began within ``interval`` was completed, by the database's clock."""
    return not cursors.has_looked_within(Source.SWEEP, interval.total_seconds())


def sweep_tickets(
    gateway: HubSpotGateway,
    owner: str,
    *,
    lease_seconds: float,
    hours: float,
    now: Callable[[], datetime],
    stop: Callable[[], bool] = never,
) -> Looked:
    """Propose every ticket changed since the last completed sweep began, less ``hours``.

    The first one looks from the ledger's activation less ``hours``. A sweep that breaks off, or that ``stop``
    ends between two pages, keeps what it proposed and is repeated whole. Raises SourceError or SettingsError
    from HubSpot. The ledger must be activated.
    """
    if not cursors.take_lease(Source.SWEEP, owner, lease_seconds):
        return Looked(skipped=True)
    try:
        start = begin_of_sweep() - timedelta(hours=hours)
        look = Look(Source.SWEEP, owner, lease_seconds, start, upper_bound(gateway, now))
        return propose_pages(look, gateway.search_changed, stop)
    finally:
        cursors.drop_lease(Source.SWEEP, owner)


def begin_of_sweep() -> datetime:
    """When the last completed sweep began, or the activation: a ticket to tell did not change before it."""
    swept_until: datetime | None = cursors.read_cursor(Source.SWEEP).looked_until_at
    activated_at: datetime = cursors.read_cursor("ledger").activated_at
    return swept_until or activated_at
