"""Shorthands for a ledger's memory: cursors, horizon, and rows from days ago."""

from datetime import UTC, datetime, timedelta

from models.cursors import Cursor, ensure_row
from models.database import connection
from models.deliveries import Delivery, DeliveryState
from models.horizon import Horizon, raise_horizon
from models.retention import Page, forget_batch
from models.tickets import ProcessedTicket, TicketState

DAY = timedelta(days=1)
OVERLAP = timedelta(minutes=15)
NOW = datetime.now(UTC)  #: of the whole test run: no test here depends on minutes


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def write_cursor(name: str, **columns: datetime) -> None:
    with connection():
        ensure_row(name)
        Cursor.update(**columns).where(Cursor.name == name).execute()


def look(*, polled: float = 0, swept_from: float = 3) -> None:
    """The ledger was activated a year ago; poll and sweep have looked, so many days ago or back to."""
    write_cursor("ledger", activated_at=ago(365))
    write_cursor("poll", looked_until_at=ago(polled))
    write_cursor("sweep", looked_from_at=ago(swept_from), looked_until_at=ago(max(0, swept_from - 3)))


def lay_ticket(
    ticket_id: str, *, created: float | None, settled: float | None = None, **columns: object
) -> None:
    """A row found when it was created (None: nobody told when), told ``settled`` days ago."""
    state = TicketState.FOUND if settled is None else TicketState.NOTIFIED
    row = {
        "ticket_id": ticket_id,
        "state": state,
        "source": "poll",
        "ticket_created_at": None if created is None else ago(created),
        "created_at": ago(settled or 0 if created is None else created),
        "processed_at": ago(settled or 0),
    }
    with connection():
        ProcessedTicket.insert(row | columns).execute()
        if state == TicketState.NOTIFIED:
            Delivery.insert(ticket_id=ticket_id, channel="console", state=DeliveryState.SENT).execute()


def raise_now(days: int = 7) -> Horizon:
    return raise_horizon(days, OVERLAP, datetime.now(UTC))


def forget(days: int = 7) -> list[str]:
    """A whole night; the ids that are left."""
    raise_now(days)
    after: str | None = ""
    while after is not None:
        page: Page = forget_batch(days, 2, after)
        after = page.last_id
    return left()


def left() -> list[str]:
    with connection():
        return sorted(row.ticket_id for row in ProcessedTicket.select())


def delivered() -> list[str]:
    with connection():
        return sorted(row.ticket_id for row in Delivery.select())
