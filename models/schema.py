"""Migrations: which are applied, applying the rest under a lease, and adopting a database of the original."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from peewee import DatabaseError
from playhouse.migrations import MigrationError

from models.cursors import lease_is_held
from models.database import clock, database, on_postgres, rerun_on_conflict
from models.errors import (
    MigrationDestroys,
    MigrationFailed,
    SchemaBehind,
    SchemaForeign,
    WorkersAtWork,
)
from models.migration_lease import lease_table_exists, migration_lease
from models.migration_preview import Preview, preview
from models.migration_rules import find_destruction
from models.migration_runner import LedgerRunner
from models.presence import AtWork, find_presence
from models.tickets import ProcessedTicket, TicketState

FOLDER = Path(__file__).resolve().parent.parent / "migrations"
INIT = "20251214000000_init"
WAIT_SECONDS = 150
ORIGINAL_COLUMNS = {"id", "ticket_id", "processed_at", "provider", "success", "created_at", "updated_at"}


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """One migration: ``applied_at`` is None while pending; ``missing`` where its file is gone."""

    name: str
    applied_at: datetime | None
    missing: bool


@rerun_on_conflict
def migration_status() -> list[MigrationStatus]:
    """Every migration in order; changes nothing, also on an empty database."""
    return [MigrationStatus(found.name, found.applied, found.path is None) for found in runner().status()]


@rerun_on_conflict
def database_is_empty() -> bool:
    """True where neither our tables nor the original's exist; the lease's own table does not count."""
    return not {"processed_tickets", "schema_migration"} & set(database.get_tables())


def is_current() -> bool:
    """True where every migration is applied; changes nothing."""
    return not database_is_empty() and all(one.applied_at for one in migration_status())


def is_ready() -> bool:
    """Changes nothing: False on an empty database; raises SchemaBehind on one that is behind."""
    if database_is_empty():
        return False
    require_current()
    return True


def ensure_migrated() -> list[str]:
    """For workers: migrate an empty database, wait for whoever migrates now, else require the newest schema.

    Returns the names applied. Raises SchemaBehind with the command to run.
    """
    if database_is_empty():
        return deploy_migrations()
    if not is_current() and lease_table_exists() and lease_is_held("migrate"):
        return deploy_migrations()
    require_current()
    return []


def require_current() -> None:
    """Raise SchemaBehind with the command to run where any migration is pending; changes nothing."""
    pending = [found.name for found in migration_status() if found.applied_at is None]
    if pending:
        raise SchemaBehind(
            f"DATABASE_URL: the database is {len(pending)} migration(s) behind ({pending[0]} is next); "
            "run: python main.py migrate deploy"
        )


def deploy_migrations(
    wait_seconds: float = WAIT_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
    *,
    may_destroy: bool = False,
) -> list[str]:
    """Apply what is pending, in order; returns the names applied. Any number of processes at once is safe.

    Each migration is one transaction with its record: a failed one leaves nothing. Raises MigrationFailed,
    SchemaForeign, StoreUnreachable when somebody else holds the lease for ``wait_seconds``, and, unless
    ``may_destroy``, MigrationDestroys before anything is applied that cannot be had back.
    """
    with migration_lease(wait_seconds, sleep):
        return apply_pending(may_destroy=may_destroy)


def rollback_migrations(
    target: str | None = None,
    wait_seconds: float = WAIT_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
    *,
    may_destroy: bool = False,
) -> list[str]:
    """Revert what was applied after ``target``, or the last one; returns the names, the newest first.

    Raises as ``deploy_migrations`` does, and WorkersAtWork while a worker is alive.
    """
    with migration_lease(wait_seconds, sleep):
        return revert_after(target, may_destroy=may_destroy)


def runner() -> LedgerRunner:
    return LedgerRunner(database.obj, FOLDER)


@rerun_on_conflict
def apply_pending(*, may_destroy: bool) -> list[str]:
    found = runner()
    adopted = adopt_original(found)
    with undone("applied"):
        if not may_destroy and found.applied():
            refuse_destruction(pending_previews(), "deploy")
        return adopted + found.up()


@rerun_on_conflict
def revert_after(target: str | None, *, may_destroy: bool) -> list[str]:
    found = runner()
    with undone("reverted"):
        applied = [one.name for one in found.status() if one.applied]
        if len(applied) < 2 and target is None:
            raise MigrationError("there is nothing to go back to")
        target = target or applied[-2]
        reverted = found.after(target)
        if not may_destroy:
            refuse_destruction(preview(database.obj, reverted, "down"), f"rollback --to {target}")
        require_no_work("roll back")
        return found.back_to(target)


def pending_previews() -> list[Preview]:
    """What ``deploy`` would run; changes nothing."""
    return preview(database.obj, [one for one in runner().status() if not one.applied])


@rerun_on_conflict
def preview_migrations() -> list[Preview]:
    """The SQL of every pending migration; changes nothing, also on an empty or an adopted database."""
    with undone("previewed"):
        found = pending_previews()
    is_original = "processed_tickets" in database.get_tables() and not runner().applied()
    return [one for one in found if not (is_original and one.name == INIT)]


@rerun_on_conflict
def count_rows() -> dict[str, int]:
    """About how many rows each table has, by PostgreSQL's estimate; empty on SQLite, which locks whole."""
    if not on_postgres():
        return {}
    rows = database.execute_sql(
        "SELECT relname, reltuples::bigint FROM pg_class "
        "WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
    ).fetchall()
    return {table: max(0, estimate) for table, estimate in rows}


def refuse_destruction(previews: Sequence[Preview], command: str) -> None:
    destroyed = {one.name: find_destruction(one.statements) for one in previews}
    lines = [f"{name} {', '.join(what)}" for name, what in destroyed.items() if what]
    if lines:
        raise MigrationDestroys(
            f"{'; '.join(lines)}; if that is meant: python main.py migrate {command} --yes"
        )


def require_no_work(then: str = "restore") -> None:
    """Raise WorkersAtWork while a worker is alive, idle or not, or a run is at work."""
    found = [one for one in (find_presence(), find_claimed()) if one] if lease_table_exists() else []
    if found:
        last = max(found, key=lambda one: one.until)
        raise WorkersAtWork(
            f"a worker is at work on this database ({last.owner}): stop it, then {then}; one that was killed "
            f"counts until {last.until:%H:%M:%S} UTC"
        )


def find_claimed() -> AtWork | None:
    columns = {column.name for column in database.get_columns(ProcessedTicket._meta.table_name)}
    if "lease_expires_at" not in columns:
        return None
    at_work = (ProcessedTicket.state == TicketState.CLAIMED) & (ProcessedTicket.lease_expires_at > clock())
    claimed = ProcessedTicket.select(ProcessedTicket.lease_owner, ProcessedTicket.lease_expires_at)
    last = claimed.where(at_work).order_by(ProcessedTicket.lease_expires_at.desc()).first()
    return AtWork(last.lease_owner, last.lease_expires_at) if last else None


@contextmanager
def undone(verb: str) -> Iterator[None]:
    try:
        yield
    except (MigrationError, DatabaseError) as error:
        first_line = str(error).strip().splitlines()[0][:200]
        raise MigrationFailed(
            f"a migration could not be {verb}, and nothing of it stays: {first_line}; "
            "see python main.py migrate status"
        ) from None


def adopt_original(runner: LedgerRunner) -> list[str]:
    """Record ``init`` as applied where the original's table is there already, with its columns and key."""
    if INIT in runner.applied() or "processed_tickets" not in database.get_tables():
        return []
    columns = {column.name for column in database.get_columns("processed_tickets")}
    unique = any(
        index.unique and index.columns == ["ticket_id"] for index in database.get_indexes("processed_tickets")
    )
    if not columns >= ORIGINAL_COLUMNS or not unique:
        raise SchemaForeign(
            "DATABASE_URL: this database has a table processed_tickets of another shape (the original's has "
            "ticket_id, unique, and six more columns); use another database"
        )
    return [f"{name} (adopted)" for name in runner.fake(INIT)]
