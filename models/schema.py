"""Migrations: which are applied, applying the rest under a lease, and adopting a database of the original."""

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from peewee import DatabaseError, IntegrityError, ProgrammingError
from playhouse.migrations import MigrationError, Runner

from models.cursors import drop_lease, lease_is_held, take_lease
from models.database import database, on_postgres, rerun_on_conflict
from models.errors import MigrationFailed, SchemaBehind, SchemaForeign, StoreUnreachable

FOLDER = Path(__file__).resolve().parent.parent / "migrations"
INIT = "20251214000000_init"
LEASE_SECONDS = 120
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
    return [
        MigrationStatus(found.name, found.applied, found.path is None)
        for found in Runner(database.obj, str(FOLDER)).status()
    ]


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
    wait_seconds: float = WAIT_SECONDS, sleep: Callable[[float], None] = time.sleep
) -> list[str]:
    """Apply what is pending, in order; returns the names applied. Any number of processes at once is safe.

    Each migration is one transaction with its record: a failed one leaves nothing. Raises MigrationFailed,
    SchemaForeign, or StoreUnreachable when somebody else holds the lease for ``wait_seconds``.
    """
    ensure_lease_table()
    owner = f"{socket.gethostname()[:60]}:{os.getpid()}:{time.monotonic_ns()}"
    deadline = time.monotonic() + wait_seconds
    while not take_lease("migrate", owner, LEASE_SECONDS):
        if time.monotonic() > deadline:
            raise StoreUnreachable("another process has held the migration lease too long; try again later")
        sleep(0.2)
    try:
        return apply_pending()
    finally:
        drop_lease("migrate", owner)


@rerun_on_conflict
def apply_pending() -> list[str]:
    runner = Runner(database.obj, str(FOLDER))
    adopted = adopt_original(runner)
    try:
        return adopted + list(runner.up())
    except (MigrationError, DatabaseError) as error:
        first_line = str(error).strip().splitlines()[0][:200]
        raise MigrationFailed(
            f"a migration could not be applied and was undone: {first_line}; "
            "see python main.py migrate status"
        ) from None


def adopt_original(runner: Runner) -> list[str]:
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


def lease_table_exists() -> bool:
    with database.connection_context():
        return "poll_cursors" in database.get_tables()


def ensure_lease_table() -> None:
    """The lease must exist before the first migration does; several processes may create it at once."""
    for last_try in (False, False, False, True):
        try:
            return create_lease_table()
        except (IntegrityError, ProgrammingError):
            # PostgreSQL's IF NOT EXISTS is not atomic: a loser fails on the table's or its type's name.
            if last_try:
                raise
            time.sleep(0.05)
    return None


@rerun_on_conflict
def create_lease_table() -> None:
    time_type = "timestamptz(3)" if on_postgres() else "text"
    database.execute_sql(
        "CREATE TABLE IF NOT EXISTS poll_cursors (name varchar(50) NOT NULL PRIMARY KEY, "
        f"lease_owner varchar(100), lease_expires_at {time_type})"
    )
