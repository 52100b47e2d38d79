"""Peewee's runner, and what it does not do: checksums, going back to a migration, cleaning up an index."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peewee import DatabaseError, PostgresqlDatabase
from playhouse.migrations import Migration, MigrationError, Runner

HISTORY = "schema_migration"
STAMP = f"UPDATE {HISTORY} SET checksum = %s WHERE name = %s AND checksum IS NULL"
#: Indexes that a failed CREATE INDEX CONCURRENTLY left behind, which cost every write and serve no read.
INVALID = """
SELECT quote_ident(c.relname) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid AND n.nspname = current_schema()"""


class LedgerRunner(Runner):  # type: ignore[misc]
    """A migration is one transaction with its record, or ``atomic = False`` and one concurrent index.

    Raises MigrationError and Peewee's DatabaseError; both leave nothing of the migration that failed.
    """

    def __init__(self, database: Any, folder: Path) -> None:
        super().__init__(database, str(folder), HISTORY)

    def up(self, target: str | None = None, fake: bool = False) -> list[str]:
        names = list(super().up(target, fake))
        self.stamp()
        return names

    def back_to(self, target: str) -> list[str]:
        """Revert every applied migration after ``target``, the newest first; the names of those."""
        return [
            name
            for migration in self.after(target)
            for name in super(LedgerRunner, self).down(migration.name)
        ]

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
            if getattr(one.load(), "down", None) is None:
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

    def _run(self, name: str, module: Any, direction: str, fake: bool = False) -> None:
        if getattr(module, "atomic", True) or not isinstance(self.database, PostgresqlDatabase):
            super()._run(name, module, direction, fake=fake)
            return
        with waiting_for_locks(self.database), dropping_what_failed(self.database):
            super()._run(name, module, direction, fake=fake)


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
