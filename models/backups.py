"""Backup and restore of the whole ledger, on either database."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from models import backup_postgres, backup_sqlite
from models.backup_files import (
    Kind,
    Sheet,
    Told,
    checksum,
    kind_of,
    open_new,
    read_sheet,
    sheet_path,
    write_sheet,
)
from models.barrier import Barrier, raise_barrier
from models.cursors import activate
from models.database import connection, database, on_postgres, read_clock, rerun_on_conflict
from models.errors import BackupFailed, BackupRefused, StoreError
from models.migration_runner import HISTORY
from models.schema import deploy_migrations, require_no_work
from models.schema_drift import MODELS
from models.utc import to_text

OURS = (*(model._meta.table_name for model in MODELS), HISTORY)
THE_ORIGINALS = "_prisma_migrations"


def silent(_done: int, _of: int | None) -> None:
    pass


def write_backup(file: Path, told: Told = silent) -> Sheet:
    """Write ``file`` and its sheet; neither is there, by name, before it is whole.

    Raises BackupRefused where ``file`` is there already, the database holds nothing, or the PostgreSQL client
    is missing or too old, and BackupFailed.
    """
    for taken in (file, sheet_path(file)):
        if taken.exists():
            raise BackupRefused(f"{taken} is there already; name another file")
    with connection():
        tables = [table for table in OURS if table in database.get_tables()]
        if not tables:
            raise BackupRefused(
                "DATABASE_URL: this database holds nothing of ours yet; there is nothing to back up"
            )
        made_at = to_text(read_clock())
        part = file.with_name(f"{file.name}.part")
        part.unlink(missing_ok=True)
        open_new(part).close()
        try:
            dump = backup_postgres.dump if on_postgres() else backup_sqlite.dump
            rows = dump(part, tables, told)
            kind = Kind.CUSTOM if on_postgres() else Kind.SQLITE
            sheet = Sheet(kind, made_at, part.stat().st_size, checksum(part), rows)
            keep(part)
            write_sheet(file, sheet)
            part.rename(file)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    return sheet


def keep(path: Path) -> None:
    """On the disk, not only in its cache."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


@dataclass(frozen=True, slots=True)
class Restored:
    """``rows`` by table after it; ``applied`` are the migrations that brought it up to date."""

    kind: Kind
    rows: Mapping[str, int]
    applied: list[str]
    barrier: Barrier
    saved: Path | None


def restore_backup(
    file: Path,
    *,
    overlap: timedelta,
    notify_since: datetime | None = None,
    over: Callable[[], Path] | None = None,
    told: Told = silent,
) -> Restored:
    """Put ``file`` in the place of an empty database, migrate it, and raise the restore barrier.

    Where the database holds something, ``over`` gives the file into which that is saved first; None refuses.
    ``overlap`` and ``notify_since`` open a ledger of the original's, which has no activation. Raises
    BackupRefused before anything changes, BackupFailed, and WorkersAtWork.
    """
    kind, sheet = kind_of(file), read_sheet(file)
    refuse_other_database(kind)
    if sheet is not None and sheet.sha256 != checksum(file, told):
        raise BackupRefused(f"{file} is not what was backed up: its checksum differs; use another backup")
    saved = None
    with connection():
        present = database.get_tables()
        if not is_unused(present):
            if over is None:
                raise BackupRefused(
                    "DATABASE_URL: this database is not empty; with --yes what it holds is saved and replaced"
                )
            require_no_work()
            saved = over()
            if set(OURS) & set(present):
                write_backup(saved, told)
        try:
            replace_all(file, kind, present, told)
        except BackupRefused:
            raise
        except StoreError as error:
            where = f"; what the database held is in {saved}" if saved else ""
            raise BackupFailed(f"{error}{where}") from None
    applied = deploy_migrations()
    with connection():
        rows = count_rows()
        require_rows(file, sheet, rows)
    activate(read_clock(), notify_since, overlap)
    return Restored(kind, rows, applied, raise_barrier(), saved)


def is_unused(present: list[str]) -> bool:
    """No tables, or those that ``migrate deploy`` makes, with no ticket and no event in them."""
    if set(present) - set(OURS):
        return False
    tables = {"processed_tickets", "deliveries", "webhook_inbox"} & set(present)
    return not any(database.execute_sql(f'SELECT 1 FROM "{one}" LIMIT 1').fetchone() for one in tables)


def replace_all(file: Path, kind: Kind, present: list[str], told: Told) -> None:
    if on_postgres():
        drop_ours(present)
        backup_postgres.restore(file, kind, told)
    else:
        backup_sqlite.restore(file, told)


def refuse_other_database(kind: Kind) -> None:
    if on_postgres() == (kind is Kind.SQLITE):
        here, file = ("PostgreSQL", "SQLite") if on_postgres() else ("SQLite", "PostgreSQL")
        raise BackupRefused(f"this backup is of {file} and DATABASE_URL names {here}; use the same kind")


@rerun_on_conflict
def drop_ours(present: list[str]) -> None:
    """All in one statement, so that a reader who holds one of them leaves every other as it was."""
    ours = ", ".join(f'"{table}"' for table in (*OURS, THE_ORIGINALS) if table in present)
    if ours:
        database.execute_sql(f"DROP TABLE {ours}")


def count_rows() -> dict[str, int]:
    tables = [table for table in OURS if table in database.get_tables()]
    return {table: database.execute_sql(f'SELECT count(*) FROM "{table}"').fetchone()[0] for table in tables}


def require_rows(file: Path, sheet: Sheet | None, rows: Mapping[str, int]) -> None:
    expected = {table: count for table, count in (sheet.rows if sheet else {}).items() if table != HISTORY}
    missing = {table: count for table, count in expected.items() if rows.get(table) != count}
    # The migration lease adds its own row to poll_cursors where it never ran there.
    missing.pop("poll_cursors", None)
    if missing:
        raise BackupRefused(
            f"{file} did not bring all rows back: {', '.join(sorted(missing))}; use another backup"
        )
