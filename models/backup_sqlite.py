"""SQLite's online backup: a whole copy of one moment while others write."""

import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from peewee import SqliteDatabase

from models.backup_files import Told, no_ledger_line
from models.backup_seal import seal_sqlite
from models.database import database, raise_fault
from models.errors import BackupFailed, BackupRefused
from models.schema import has_ledger

LEDGER_DAMAGED = (
    "DATABASE_URL: this SQLite file is damaged; name a new file and put a backup into it: "
    "python main.py restore FILE"
)
PAGES = 2_000  #: at once; between two of them others may write


def dump(file: Path, tables: Sequence[str], told: Told) -> dict[str, int]:
    """Copy the ledger into ``file``, which is there and empty; rows by table, counted in the copy."""
    with store_faults(), closing(sqlite3.connect(file)) as copy:
        try:
            database.obj.connection().backup(copy, pages=PAGES, progress=progress(told))
            copy.execute("PRAGMA journal_mode = delete")
        except sqlite3.OperationalError as error:
            if "disk is full" not in str(error):
                raise
            raise BackupFailed(f"{file}: its disk is full; free space there or name another folder") from None
        require_sound(copy, LEDGER_DAMAGED)
        return {table: copy.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0] for table in tables}


def restore(file: Path, told: Told) -> None:
    """Over whatever the ledger holds, in one transaction. Raises BackupRefused before anything changes."""
    copy: Any = SqliteDatabase("file:", uri=True)  # on the disk, without a name: it is gone when closed
    source_uri = f"{file.resolve().as_uri()}?mode=ro"
    with (
        store_faults(),
        closing(sqlite3.connect(source_uri, uri=True)) as source,
        copy.connection_context(),
    ):
        require_sound(source, f"{file} is damaged: SQLite's own check fails; use another backup")
        with of_our_page_size(source) as fitting:
            fitting.backup(copy.connection(), progress=progress(told))
        if not has_ledger(copy):
            raise BackupRefused(no_ledger_line(file))
        seal_sqlite(copy)
        copy.connection().backup(database.obj.connection(), progress=progress(told))


@contextmanager
def store_faults() -> Iterator[None]:
    """What Peewee does not see, for the driver copies by itself."""
    try:
        yield
    except sqlite3.Error as error:
        raise_fault(error)


@contextmanager
def of_our_page_size(source: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """A ledger in WAL cannot change its own."""
    (size,) = database.execute_sql("PRAGMA page_size").fetchone()
    if source.execute("PRAGMA page_size").fetchone() == (size,):
        yield source
        return
    with tempfile.NamedTemporaryFile() as file, closing(sqlite3.connect(file.name)) as resized:
        source.execute(f"PRAGMA page_size = {size}")
        source.execute("VACUUM INTO ?", (file.name,))
        yield resized


def require_sound(connection: sqlite3.Connection, line: str) -> None:
    try:
        said = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        said = type(error).__name__
    if said != "ok":
        raise BackupRefused(line)


def progress(told: Told):  # type: ignore[no-untyped-def]
    def step(status: int, left: int, pages: int) -> None:
        # The driver would try for ever, each time after the usual wait.
        if status & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise sqlite3.OperationalError("database is locked")
        told((pages - left) * 4096, pages * 4096)

    return step
