"""The restore barrier: what a restored ledger cannot know to be untold, it does not tell (design §5).

A backup does not know what was told after it was made. So a ticket created before the time at which the
restored database went live, and not settled in it, is held until a look or a person decides.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from peewee import fn

from models.claims import Claim, is_mine
from models.cursors import Cursor, activate
from models.database import on_postgres, read_clock, rerun_on_conflict, transaction
from models.deliveries import Delivery, DeliveryState
from models.errors import BarrierRefused, LedgerUnused
from models.sends import conclude_claim, lock_ticket
from models.tickets import ProcessedTicket, TicketState, list_parts
from models.utc import NEVER, to_text, to_utc

RESTORED = "restored"  #: the ``last_error`` of what the barrier holds
RESTORED_UNSEEN = "restored_unseen"  #: the same, where no look can tell that no part was told for it
HELD_BY_BARRIER = (RESTORED, RESTORED_UNSEEN)


@dataclass(frozen=True, slots=True)
class Barrier:
    """The ledger's barrier; ``raised`` is False where it stood there or later already."""

    restored_at: datetime
    raised: bool


@rerun_on_conflict
def raise_barrier(went_live_at: datetime | None = None, ahead: timedelta = timedelta(0)) -> Barrier:
    """Hold every ticket created before ``went_live_at`` and not settled; None means now.

    ``ahead`` is how much HubSpot's clock, which creation times are of, is ahead of the database's. Call it
    before any worker starts. It never falls, so calling twice is safe. Raises BarrierRefused for a time in
    the database's future or before the ledger's activation, LedgerUnused where it has none.
    """
    with transaction():
        ledger = lock_ledger()
        now = in_milliseconds(read_clock())
        wanted = now if went_live_at is None else in_milliseconds(went_live_at)
        refuse_unless_possible(wanted, now, ledger.activated_at)
        wanted = in_milliseconds(wanted + max(ahead, timedelta(0)))
        if ledger.restored_at is not None and ledger.restored_at >= wanted:
            return Barrier(ledger.restored_at, raised=False)
        Cursor.update(restored_at=wanted).where(Cursor.name == "ledger").execute()
        return Barrier(wanted, raised=True)


@rerun_on_conflict
def replace_lost_ledger(notify_since: datetime, overlap: timedelta) -> Barrier:
    """The same for an empty ledger in the place of one that is lost, with whatever backup there was.

    It is activated at ``notify_since``, and what was created from then on until now is held, in one
    transaction: no worker can open the one without the other. Nothing but ``raise_barrier`` where the ledger
    is in use. Raises BarrierRefused where ``notify_since`` lies in the database's future.
    """
    with transaction():
        activate(read_clock(), notify_since, overlap)
        return raise_barrier()


def lock_ledger() -> Cursor:
    """The ledger's own row; raises LedgerUnused where nothing was ever told by it."""
    query = Cursor.select().where((Cursor.name == "ledger") & Cursor.activated_at.is_null(False))
    for ledger in query.for_update() if on_postgres() else query:
        return ledger
    raise LedgerUnused(
        "this ledger was never used, so nothing in it was restored; check DATABASE_URL; where it replaces a "
        "lost one, set NOTIFY_SINCE to a time before the loss and call again; else just start"
    )


def in_milliseconds(moment: datetime) -> datetime:
    """As it is stored."""
    return cast(datetime, to_utc(to_text(moment)))


def refuse_unless_possible(wanted: datetime, now: datetime, activated_at: datetime) -> None:
    if wanted > now:
        raise BarrierRefused(
            f"the restore's time lies in the future: the database's clock says {now:%Y-%m-%dT%H:%M:%SZ}; "
            "give the time at which the restored database went live, or now"
        )
    if wanted < activated_at:
        raise BarrierRefused(
            f"the restore's time lies before the ledger's activation, {activated_at:%Y-%m-%dT%H:%M:%SZ}, "
            "and would hold nothing; give the time at which the restored database went live"
        )


def decision_time() -> datetime:
    """Now, or the barrier's time where HubSpot's clock put that ahead: what is decided now is behind it."""
    return max(read_clock(), read_barrier() or NEVER)


@rerun_on_conflict
def read_barrier() -> datetime | None:
    """The ledger's barrier, None where it was never restored."""
    ledger = Cursor.get_or_none(Cursor.name == "ledger")
    return cast("datetime | None", ledger.restored_at) if ledger else None


def doubt_survivor(ticket_id: str, named: Collection[str], *, grew: bool) -> None:
    """One of a merge's parts may have been told after the backup: no decision holds that did not know it.

    Where ``named`` are not all parts in the ledger's eyes, a look for what is held already asks HubSpot.
    Within the merge's transaction.
    """
    cards = Delivery.ticket_id == ticket_id
    if not {ticket_id, *list_parts(ticket_id)}.issuperset(named):
        unseen = Delivery.update(last_error=RESTORED_UNSEEN)
        in_doubt = Delivery.state == DeliveryState.UNCONFIRMED
        unseen.where(cards, in_doubt, fn.COALESCE(Delivery.last_error, "") != RESTORED_UNSEEN).execute()
    if grew:
        Delivery.update(decided_at=None).where(cards, Delivery.state != DeliveryState.SENT).execute()


@rerun_on_conflict
def hold_restored(
    taken: Claim,
    created_at: datetime,
    places: Mapping[str, str | None],
    configured: Sequence[str],
    shown: Collection[str] = (),
) -> TicketState | None:
    """Hold the claimed ticket's cards on the channels of ``places``, and end the claim (rule 9).

    ``created_at`` is the ticket's, from where a look begins; a place is where it looks, None where the
    channel cannot. ``shown`` are the parts that HubSpot names: one that the ledger does not know as such may
    have been told for it, and no look would ask for its card. The ticket's state after it: unconfirmed, or
    retry where another channel may be told; None where the claim was lost.
    """
    with transaction():
        if (
            lock_ticket(taken.ticket_id) is None
            or not ProcessedTicket.select().where(is_mine(taken)).exists()
        ):
            return None
        parts = {taken.ticket_id, *list_parts(taken.ticket_id)}
        error = RESTORED if parts.issuperset(shown) else RESTORED_UNSEEN
        for channel, place in sorted(places.items()):
            hold_delivery(taken.ticket_id, channel, created_at, place, error)
        # A person may confirm it without any verdict: a settled row names a provider.
        known = {
            "ticket_created_at": created_at,
            "provider": fn.COALESCE(ProcessedTicket.provider, "none"),
        }
        ProcessedTicket.update(**known).where(is_mine(taken)).execute()
        return conclude_claim(taken, configured, 0.0, error)


def hold_delivery(ticket_id: str, channel: str, created_at: datetime, place: str | None, error: str) -> None:
    """The backup believed that it was not sent; one that turns out to be sent meanwhile stays so."""
    held = {
        "state": DeliveryState.UNCONFIRMED,
        "first_sending_at": created_at,
        "last_error": error,
        "notice_at": None,
        **({} if place is None else {"place": place}),
    }
    Delivery.insert(ticket_id=ticket_id, channel=channel, **held).on_conflict(
        conflict_target=[Delivery.ticket_id, Delivery.channel],
        update=held,
        where=(Delivery.state == DeliveryState.PENDING),
    ).execute()
