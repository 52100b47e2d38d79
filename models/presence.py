"""Which workers are alive, idle or not: each keeps a lease of its own in ``poll_cursors``.

That table is there before any migration, so whoever reverts them can ask.
"""

from datetime import datetime
from typing import NamedTuple

from models.cursors import Cursor, expired
from models.database import clock, rerun_on_conflict

WORKER = "worker "


class AtWork(NamedTuple):
    """Who holds a lease, and until when it counts if nobody renews it."""

    owner: str
    until: datetime


@rerun_on_conflict
def appear(owner: str, seconds: float) -> None:
    """``owner`` is alive for ``seconds`` from now; what killed workers left is cleared away."""
    Cursor.delete().where(Cursor.name.startswith(WORKER) & expired()).execute()
    lease = {"lease_owner": owner, "lease_expires_at": clock(seconds)}
    Cursor.insert(name=name_of(owner), **lease).on_conflict(
        conflict_target=[Cursor.name], update=lease
    ).execute()


@rerun_on_conflict
def leave(owner: str) -> None:
    Cursor.delete().where(Cursor.name == name_of(owner)).execute()


@rerun_on_conflict
def find_presence() -> AtWork | None:
    """Of the workers alive, and of runs that poll or sweep, the one whose lease is the longest."""
    counts = Cursor.name.startswith(WORKER) | Cursor.name.in_(["poll", "sweep"])
    held = Cursor.select(Cursor.lease_owner, Cursor.lease_expires_at).where(
        counts & Cursor.lease_owner.is_null(False) & ~expired()
    )
    last = held.order_by(Cursor.lease_expires_at.desc()).first()
    return AtWork(last.lease_owner, last.lease_expires_at) if last else None


def name_of(owner: str) -> str:
    """The last part of an owner's name is random, and short enough for the column."""
    return WORKER + owner.rpartition(":")[2]
