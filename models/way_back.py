"""What a rollback of ``LEDGER`` takes along beside columns: the barrier, and tickets nobody was told of."""

from datetime import timedelta
from typing import Any

from peewee import fn
from playhouse.migrations import MigrationError

from models.cursors import Cursor
from models.deliveries import Delivery, DeliveryState
from models.migration_runner import LEDGER
from models.tickets import OPEN_STATES, ProcessedTicket
from models.utc import to_utc

MAY_BE_TOLD = (DeliveryState.SENDING, DeliveryState.SENT, DeliveryState.UNCONFIRMED)


def refuse_to_lose_barrier(overlap: timedelta) -> None:
    """Raise MigrationError where a ledger adopted again would tell what the restored one holds.

    It would be activated ``overlap`` before its newest row.
    """
    restored_at = Cursor.select(Cursor.restored_at).where(Cursor.name == "ledger").scalar()
    if restored_at is None:
        return
    newest = ProcessedTicket.select(fn.MAX(ProcessedTicket.processed_at)).scalar()
    if newest is None or newest - overlap <= restored_at:
        raise MigrationError(
            f"the ledger was restored at {as_time(restored_at)}, and only its barrier keeps what it does not "
            "know from being told again: go on with it until a ticket is settled more than "
            f"{overlap.total_seconds() / 60:.0f} min after that"
        )


def find_untold() -> list[str]:
    """A line where there are tickets that nobody was told of, which the rollback deletes."""
    told = Delivery.select(Delivery.ticket_id).where(Delivery.state.in_(MAY_BE_TOLD))
    untold = ProcessedTicket.state.in_(OPEN_STATES) & ProcessedTicket.ticket_id.not_in(told)
    created_at = fn.COALESCE(ProcessedTicket.ticket_created_at, ProcessedTicket.created_at)
    count, oldest = (
        ProcessedTicket.select(fn.COUNT(created_at), fn.MIN(created_at)).where(untold).scalar(as_tuple=True)
    )
    if not count:
        return []
    return [
        f"{LEDGER} deletes {count} open tickets that nobody was told of, the oldest of {as_time(oldest)}, "
        "and coming back finds none of them: run run-once first"
    ]


def as_time(value: Any) -> str:
    return f"{to_utc(value):%Y-%m-%d %H:%M:%S} UTC"
