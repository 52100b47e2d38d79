"""What the ledger knows of its portal and of how far the sources have looked, and the leases of who looks.

Rows by name: ``ledger`` (portal, activation, horizon, barrier), ``poll``, ``sweep`` and ``migrate``.
"""

from datetime import datetime, timedelta
from typing import cast

from peewee import SQL, CharField, fn

from models.database import BaseModel, clock, read_clock, rerun_on_conflict, transaction
from models.errors import WrongPortal
from models.tickets import ProcessedTicket
from models.utc import UtcDateTimeField

ACTIVATION_MARGIN = timedelta(minutes=5)


class Cursor(BaseModel):
    name = CharField(max_length=50, primary_key=True)
    lease_owner = CharField(max_length=100, null=True)
    lease_expires_at = UtcDateTimeField(null=True)
    portal_id = CharField(max_length=32, null=True)
    activated_at = UtcDateTimeField(null=True)
    horizon_at = UtcDateTimeField(null=True)
    restored_at = UtcDateTimeField(null=True)
    looked_from_at = UtcDateTimeField(null=True)
    looked_until_at = UtcDateTimeField(null=True)

    class Meta:
        table_name = "poll_cursors"


@rerun_on_conflict
def take_lease(name: str, owner: str, seconds: float) -> bool:
    """Take or extend the lease ``name``; False while somebody else holds it."""
    ensure_row(name)
    free = (Cursor.lease_owner.is_null()) | (Cursor.lease_owner == owner) | expired()
    mine = (Cursor.name == name) & free
    return bool(Cursor.update(lease_owner=owner, lease_expires_at=clock(seconds)).where(mine).execute())


@rerun_on_conflict
def drop_lease(name: str, owner: str) -> None:
    """Give the lease back; nothing happens where it was lost meanwhile."""
    held = (Cursor.name == name) & (Cursor.lease_owner == owner)
    Cursor.update(lease_owner=None, lease_expires_at=None).where(held).execute()


@rerun_on_conflict
def lease_is_held(name: str) -> bool:
    held = (Cursor.name == name) & Cursor.lease_owner.is_null(False) & ~expired()
    return bool(Cursor.select().where(held).exists())


@rerun_on_conflict
def bind_portal(portal_id: str) -> None:
    """Remember the ledger's portal at the first call; any other one later raises WrongPortal (rule 12)."""
    ensure_row("ledger")
    unbound = (Cursor.name == "ledger") & Cursor.portal_id.is_null()
    Cursor.update(portal_id=portal_id).where(unbound).execute()
    known = Cursor.get_by_id("ledger").portal_id
    if known != portal_id:
        raise WrongPortal(wrong_portal_line(str(known), portal_id))


def wrong_portal_line(known: str, given: str) -> str:
    return (
        f"DATABASE_URL: this ledger belongs to HubSpot portal {known}, the token to portal {given}; "
        "use that portal's token, or another database"
    )


@rerun_on_conflict
def read_known_ledger() -> Cursor | None:
    """What the ledger knows of itself, or None before its first run; changes nothing."""
    return Cursor.get_or_none(Cursor.name == "ledger")


@rerun_on_conflict
def activate(now: datetime, notify_since: datetime | None, overlap: timedelta) -> datetime:
    """Fix, once, the time from which tickets are told, and open the poll there; returns it.

    ``now`` is the least of the clocks known. A ledger with rows but no activation was adopted: it opens
    at the newest row less ``overlap``, so that tickets of the switch-over are told.
    """
    with transaction():
        ensure_row("ledger")
        ensure_row("poll")
        known = Cursor.get_by_id("ledger").activated_at
        if known is not None:
            return cast(datetime, known)
        newest = ProcessedTicket.select(fn.MAX(ProcessedTicket.processed_at)).scalar()
        opened = newest - overlap if newest else notify_since or min(now, read_clock()) - ACTIVATION_MARGIN
        unset = (Cursor.name == "ledger") & Cursor.activated_at.is_null()
        Cursor.update(activated_at=opened).where(unset).execute()
        unlooked = (Cursor.name == "poll") & Cursor.looked_until_at.is_null()
        Cursor.update(looked_until_at=opened).where(unlooked).execute()
        # Another process may have been first: what it wrote counts.
        return cast(datetime, Cursor.get_by_id("ledger").activated_at)


@rerun_on_conflict
def read_cursor(name: str) -> Cursor:
    """The row ``name``; raises DoesNotExist before the ledger was activated."""
    return Cursor.get_by_id(name)


@rerun_on_conflict
def move_cursor(
    name: str, owner: str, looked_until_at: datetime, looked_from_at: datetime | None = None
) -> bool:
    """Raise the cursor, never lower it, while ``owner`` still holds its lease; False where it was lost.

    ``looked_from_at`` is where the same look began: the two are stored together or not at all.
    """
    mine = (Cursor.name == name) & (Cursor.lease_owner == owner) & ~expired()
    ahead = Cursor.looked_until_at.is_null() | (Cursor.looked_until_at < looked_until_at)
    moved = Cursor.update(looked_until_at=looked_until_at, looked_from_at=looked_from_at)
    moved.where(mine & ahead).execute()
    return bool(Cursor.select().where(mine).exists())


@rerun_on_conflict
def has_looked_within(name: str, seconds: float) -> bool:
    """Whether a completed look of ``name`` began less than ``seconds`` ago, by the database's clock."""
    recent = (Cursor.name == name) & (Cursor.looked_until_at > clock(-seconds))
    return bool(Cursor.select().where(recent).exists())


def ensure_row(name: str) -> None:
    Cursor.insert(name=name).on_conflict_ignore().as_rowcount().execute()


def expired() -> SQL:
    now = clock()
    return SQL(f"(lease_expires_at <= {now.sql})", now.params)
