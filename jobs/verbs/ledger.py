"""The verbs that need the database alone: tickets, resend, confirm."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from jobs.errors import InputError
from jobs.settings import Need, Settings, load_settings
from jobs.verbs.printing import plain_table, print_json, print_table, say
from models import held, schema
from models.database import close_database, may_exist, open_database, sqlite_path
from models.errors import StoreRefused
from models.held import Release
from models.postgres import LIMITS, Limits
from models.tickets import TicketState, list_tickets

NEWEST = 100
TICKET_COLUMNS = (
    "ticket_id",
    "state",
    "provider",
    "priority",
    "attempts",
    "reason",
    "merged_into",
    "last_error",
    "next_attempt_at",
    "processed_at",
)


def show_tickets(state: str | None, *, as_json: bool) -> int:
    """The newest hundred; of held ones, each of which waits for a person, all."""
    wanted = parse_state(state)
    with migrated_ledger():
        rows = list_tickets(wanted, None if wanted is TicketState.UNCONFIRMED else NEWEST)
    entries = [{name: readable(getattr(row, name)) for name in TICKET_COLUMNS} for row in rows]
    if as_json:
        print_json({"tickets": entries})
        return 0
    table = plain_table(*TICKET_COLUMNS)
    for entry in entries:
        table.add_row(*("-" if value is None else str(value) for value in entry.values()))
    print_table(table)
    return 0


def readable(value: object) -> object:
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else value


def parse_state(state: str | None) -> TicketState | None:
    try:
        return None if state is None else TicketState(state)
    except ValueError:
        known = ", ".join(TicketState)
        raise InputError(f"--state: no such state; write one of {known}") from None


def release(ticket_id: str, *, resend: bool) -> int:
    """A person's word on a held ticket."""
    if not (ticket_id.isascii() and ticket_id.isdigit()):
        raise InputError("TICKET: is no ticket id; write the digits of the ticket's page in HubSpot")
    with migrated_ledger():
        done = held.resend_ticket(ticket_id) if resend else held.confirm_ticket(ticket_id)
    if done is Release.DONE:
        words = "is sent once more by the next run" if resend else "counts as told"
        say(f"ticket {ticket_id} {words}")
        return 0
    words = "is not held; python main.py tickets tells where it is"
    if done is Release.UNKNOWN_TICKET:
        words = "is not in the ledger; check the id"
    raise InputError(f"ticket {ticket_id} {words}")


@contextmanager
def ledger(limits: Limits = LIMITS, *, may_make: bool = True) -> Iterator[None]:
    settings = load_settings(needs=Need.DATABASE)
    if not may_make:
        require_made(settings)
    open_database(settings.database_url.get_secret_value(), settings.db_pool_size, limits)
    try:
        yield
    finally:
        close_database()


@contextmanager
def migrated_ledger() -> Iterator[None]:
    with ledger(may_make=False):
        schema.require_current()
        yield


def require_made(settings: Settings) -> None:
    """Raise StoreRefused where to open SQLite's file would make it: a mistyped path is no ledger."""
    url = settings.database_url.get_secret_value()
    if not may_exist(url):
        raise StoreRefused(
            f"DATABASE_URL: the file {sqlite_path(url).absolute()} is not there; the first run or "
            "python main.py migrate deploy makes it; check the path"
        )
