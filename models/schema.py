"""Migrations: which are applied, applying the rest under a lease, and adopting a database of the original."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

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
from models.migration_lease import lease_table_exists, migration_lease, refuse_half_restored
from models.migration_preview import Preview, preview
from models.migration_rules import find_destruction
from models.migration_runner import LEDGER, LedgerRunner, reason_of
from models.presence import AtWork, find_presence
from models.tickets import ProcessedTicket, TicketState
from models.way_back import find_untold, refuse_to_lose_barrier

FOLDER = Path(__file__).resolve().parent.parent / "migrations"
INIT = "20251214000000_init"
WAIT_SECONDS = 150
OVERLAP = timedelta(minutes=15)
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
    """Raise SchemaBehind with the command to run where a migration is pending or a restore ended half way."""
    if lease_table_exists():
        refuse_half_restored()
    pending = [found.name for found in migration_status() if found.applied_at is None]
    if pending:
        raise SchemaBehind(
            f"DATABASE_URL: the database is {len(pending)} migration(s) behind ({pending[0]} is next); "
            "run: python main.py migrate deploy"
        )


@dataclass(frozen=True, slots=True)
class Told:
    """For whoever watches: each migration once it is done, and that another process migrates now."""

    done: Callable[[str], object] = lambda _: None
    waiting: Callable[[], object] = lambda: None


def deploy_migrations(
    wait_seconds: float = WAIT_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
    *,
    may_destroy: bool = False,
    told: Told = Told(),
) -> list[str]:
    """Apply what is pending, in order; returns the names applied. Any number of processes at once is safe.

    Each migration is one transaction with its record: a failed one leaves nothing. Raises MigrationFailed,
    SchemaForeign, StoreUnreachable when somebody else holds the lease for ``wait_seconds``, and, unless
    ``may_destroy``, MigrationDestroys before anything is applied that cannot be had back.
    """
    done: list[str] = []
    require_ours()
    with migration_lease(wait_seconds, sleep, told.waiting):
        apply_pending(noting(done, told), may_destroy=may_destroy)
    return done


def rollback_migrations(
    target: str | None = None,
    wait_seconds: float = WAIT_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
    *,
    overlap: timedelta = OVERLAP,
    may_destroy: bool = False,
    told: Told = Told(),
) -> list[str]:
    """Revert what was applied after ``target``, or the last one; returns the names, the newest first.

    ``overlap`` is how long before its newest row the ledger would open when it is adopted again. Raises as
    ``deploy_migrations`` does, WorkersAtWork while a worker is alive, and MigrationFailed where the restore
    barrier would be lost too soon.
    """
    done: list[str] = []
    with migration_lease(wait_seconds, sleep, told.waiting):
        revert_after(target, noting(done, told), overlap, may_destroy=may_destroy)
    return done


def noting(done: list[str], told: Told) -> Callable[[str], None]:
    def note(name: str) -> None:
        done.append(name)
        told.done(name)

    return note


def runner(note: Callable[[str], object] = lambda _: None) -> LedgerRunner:
    return LedgerRunner(database.obj, FOLDER, note)


@rerun_on_conflict
def apply_pending(note: Callable[[str], object], *, may_destroy: bool) -> None:
    found = runner(note)
    with undone("applied"):
        if is_originals(found):
            found.fake(INIT)
        if not may_destroy and found.applied():
            refuse_destruction(pending_previews(), "deploy")
        found.up()


@rerun_on_conflict
def revert_after(
    target: str | None, note: Callable[[str], object], overlap: timedelta, *, may_destroy: bool
) -> None:
    found = runner(note)
    with undone("reverted"):
        applied = [one.name for one in found.status() if one.applied]
        if len(applied) < 2 and target is None:
            raise MigrationError("there is nothing to go back to")
        target = target or applied[-2]
        reverted = found.after(target)
        untold: list[str] = []
        if LEDGER in {one.name for one in reverted}:
            refuse_to_lose_barrier(overlap)
            untold = find_untold()
        if not may_destroy:
            refuse_destruction(preview(database.obj, reverted, "down"), f"rollback --to {target}", untold)
        require_no_work("roll back")
        found.back_to(target)


def pending_previews() -> list[Preview]:
    """What ``deploy`` would run; changes nothing."""
    return preview(database.obj, [one for one in runner().status() if not one.applied])


@dataclass(frozen=True, slots=True)
class Plan:
    """What ``deploy`` would do, in this order; ``adopted`` is recorded and not run."""

    first: tuple[str, ...]
    adopted: str | None
    pending: list[Preview]


@rerun_on_conflict
def preview_migrations() -> Plan:
    """Changes nothing, also on an empty or an adopted database. Raises as ``deploy_migrations`` does."""
    with undone("applied"):
        found = runner()
        adopted = INIT if is_originals(found) else None
        first = tuple(f"{one};" for one in found.first_statements())
        return Plan(first, adopted, [one for one in pending_previews() if one.name != adopted])


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


def refuse_destruction(previews: Sequence[Preview], command: str, untold: Sequence[str] = ()) -> None:
    destroyed = {one.name: find_destruction(one.statements) for one in previews}
    lines = [*untold, *(f"{name} {', '.join(what)}" for name, what in destroyed.items() if what)]
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
    """For what goes wrong outside of any one migration."""
    try:
        yield
    except (MigrationError, DatabaseError) as error:
        raise MigrationFailed(
            f"migrations could not be {verb}: {reason_of(error)}; see python main.py migrate status"
        ) from None


@rerun_on_conflict
def require_ours() -> None:
    """Raise SchemaForeign before anything is made in another program's database."""
    is_originals(runner())


def has_ledger(place: Any) -> bool:
    """Whether the database ``place`` has a table ``processed_tickets`` of ours or of the original's."""
    columns = {column.name for column in place.get_columns("processed_tickets")}
    keys = [index.columns for index in place.get_indexes("processed_tickets") if index.unique]
    return columns >= ORIGINAL_COLUMNS and ["ticket_id"] in keys


def is_originals(found: LedgerRunner) -> bool:
    """True where the original's table is there already, with its columns and key, and ``init`` is not.

    Raises SchemaForeign where the table is another's.
    """
    if INIT in found.applied() or "processed_tickets" not in database.get_tables():
        return False
    if not has_ledger(database.obj):
        raise SchemaForeign(
            "DATABASE_URL: this database has a table processed_tickets of another shape (the original's has "
            "ticket_id, unique, and six more columns); use another database"
        )
    return True
