"""Peewee's runner, and what it does not do: checksums, going back to a migration, cleaning up an index."""

import hashlib
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peewee import DatabaseError, PostgresqlDatabase
from playhouse.migrations import Migration, MigrationError, Runner

from models.errors import MigrationFailed

HISTORY = "schema_migration"
LEDGER = "20261123000000_ledger"  #: makes of the original's table the ledger
STAMP = f"UPDATE {HISTORY} SET checksum = %s WHERE name = %s AND checksum IS NULL"
#: Indexes that a failed CREATE INDEX CONCURRENTLY left behind, which cost every write and serve no read.
INVALID = """
SELECT quote_ident(c.relname) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid AND n.nspname = current_schema()"""


WORDS = {"up": "applied", "down": "reverted"}


class LedgerRunner(Runner):  # type: ignore[misc]
    """A migration is one transaction with its record, or ``atomic = False`` and one concurrent index.

    ``told`` is called with each that is done, at once: a later one may fail. Raises MigrationFailed of a
    migration, which leaves nothing where it is one transaction; MigrationError and Peewee's DatabaseError.
    """

    def __init__(self, database: Any, folder: Path, told: Callable[[str], object] = lambda _: None) -> None:
        super().__init__(database, str(folder), HISTORY)
        self.told = told

    def up(self, target: str | None = None, fake: bool = False) -> list[str]:
        for one in self.status():
            if one.path and not one.applied:
                loaded(one, "up")
        names = list(super().up(target, fake))
        self.stamp()
        return names

    def back_to(self, target: str) -> None:
        """Revert every applied migration after ``target``, the newest first."""
        for migration in self.after(target):
            super().down(migration.name)

    def after(self, target: str) -> list[Migration]:
        """Applied migrations after ``target``, the newest first, each with a file and a ``down``."""
        applied = [one for one in self.status() if one.applied]
        names = [one.name for one in applied]
        if target not in names:
            raise MigrationError(f"{target} is not an applied migration")
        later = applied[names.index(target) + 1 :][::-1]
        for one in later:
            if one.path is None:
                raise MigrationError(f"{one.name} cannot be reverted: its file is gone")
            if getattr(loaded(one, "down"), "down", None) is None:
                raise MigrationError(f"{one.name} cannot be reverted: it has no down()")
        return later

    def stamp(self) -> None:
        """Record the checksum of each applied file that has none, once the history can hold them."""
        if not self.holds_checksums():
            return
        for one in self.status():
            if one.applied and one.path:
                self.database.execute_sql(
                    STAMP.replace("%s", self.database.param), (checksum(Path(one.path)), one.name)
                )

    def checksums(self) -> dict[str, str | None]:
        """What was recorded, by name; empty where none is kept yet."""
        if not self.holds_checksums():
            return {}
        return dict(self.database.execute_sql(f"SELECT name, checksum FROM {HISTORY}").fetchall())

    def holds_checksums(self) -> bool:
        if HISTORY not in self.database.get_tables():
            return False
        return "checksum" in {column.name for column in self.database.get_columns(HISTORY)}

    def first_statements(self) -> list[str]:
        """What is made before any migration runs, where it is missing."""
        tables = self.database.get_tables()
        missing = [] if "poll_cursors" in tables else [lease_table(self.database)]
        if HISTORY not in tables:
            schema = self.History._schema
            parts = (schema._create_table(), *schema._create_indexes())
            missing += [part.query()[0] for part in parts]
        return missing

    def _run(self, name: str, module: Any, direction: str, fake: bool = False) -> None:
        with faults_of(name, direction, whole=getattr(module, "atomic", True)):
            if getattr(module, "atomic", True) or not isinstance(self.database, PostgresqlDatabase):
                super()._run(name, module, direction, fake=fake)
            else:
                with waiting_for_locks(self.database), dropping_what_failed(self.database):
                    super()._run(name, module, direction, fake=fake)
        self.told(f"{name} (adopted)" if fake else name)


def loaded(one: Migration, direction: str) -> Any:
    with faults_of(one.name, direction):
        return one.load()


@contextmanager
def faults_of(name: str, direction: str, *, whole: bool = True) -> Iterator[None]:
    """Any fault of the migration ``name`` is a MigrationFailed that names it."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - a migration's file may raise anything
        rest = ", and nothing of it stays" if whole else ""
        raise MigrationFailed(
            f"migration {name} could not be {WORDS[direction]}{rest}: {reason_of(error)}; "
            "see python main.py migrate status"
        ) from None


def reason_of(error: Exception) -> str:
    """A database's first line; of anything else, whose text may hold rows, class and place."""
    if isinstance(error, DatabaseError | MigrationError):
        return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    if isinstance(error, SyntaxError):
        return f"SyntaxError at {Path(error.filename or '').name}:{error.lineno}"
    places = traceback.extract_tb(error.__traceback__)
    theirs = [one for one in places if Path(one.filename).name[:1].isdigit()] or list(places)
    return f"{type(error).__name__} at {Path(theirs[-1].filename).name}:{theirs[-1].lineno}"


@contextmanager
def waiting_for_locks(database: Any) -> Iterator[None]:
    """A concurrent index waits for every older snapshot, a backup's too, and keeps nobody waiting."""
    database.execute_sql("SET lock_timeout = 0")
    try:
        yield
    finally:
        database.execute_sql("RESET lock_timeout")


@contextmanager
def dropping_what_failed(database: Any) -> Iterator[None]:
    before = set(invalid_indexes(database))
    try:
        yield
    except DatabaseError:
        database.rollback()
        for name in sorted(set(invalid_indexes(database)) - before):
            database.execute_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        raise


def invalid_indexes(database: Any) -> list[str]:
    return [name for (name,) in database.execute_sql(INVALID).fetchall()]


def checksum(path: Path) -> str:
    """SHA-256 of a file's text, whatever its line breaks are."""
    return hashlib.sha256(path.read_text(encoding="utf-8").encode()).hexdigest()


def lease_table(place: Any) -> str:
    """The one table that is there before any migration."""
    kind = "timestamptz(3)" if isinstance(place, PostgresqlDatabase) else "text"
    return (
        "CREATE TABLE IF NOT EXISTS poll_cursors (name varchar(50) NOT NULL PRIMARY KEY, "
        f"lease_owner varchar(100), lease_expires_at {kind})"
    )
