"""SQLite's online backup: a whole copy of one moment while others write."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from peewee import SqliteDatabase

from models.backup_files import Told, no_ledger_line
from models.backup_seal import seal_sqlite
from models.database import database
from models.errors import BackupRefused
from models.schema import has_ledger

PAGES = 2_000  #: at once; between two of them others may write


def dump(file: Path, tables: Sequence[str], told: Told) -> dict[str, int]:
    """Copy the ledger into ``file``, which is there and empty; rows by table, counted in the copy."""
    with closing(sqlite3.connect(file)) as copy:
        database.obj.connection().backup(copy, pages=PAGES, progress=progress(told))
        copy.execute("PRAGMA journal_mode = delete")
        require_sound(copy, file)
        return {table: copy.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0] for table in tables}


def restore(file: Path, told: Told) -> None:
    """Over whatever the ledger holds, in one transaction. Raises BackupRefused before anything changes."""
    copy: Any = SqliteDatabase("file:", uri=True)  # on the disk, without a name: it is gone when closed
    source_uri = f"{file.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(source_uri, uri=True)) as source, copy.connection_context():
        require_sound(source, file)
        source.backup(copy.connection(), progress=progress(told))
        if not has_ledger(copy):
            raise BackupRefused(no_ledger_line(file))
        seal_sqlite(copy)
        copy.connection().backup(database.obj.connection(), progress=progress(told))


def require_sound(connection: sqlite3.Connection, file: Path) -> None:
    try:
        said = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        said = type(error).__name__
    if said != "ok":
        raise BackupRefused(f"{file} is damaged: SQLite's own check fails; use another backup")


def progress(told: Told):  # type: ignore[no-untyped-def]
    return lambda _status, left, pages: told((pages - left) * 4096, pages * 4096)
