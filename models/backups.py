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
from models.backup_seal import open_behind_barrier
from models.barrier import Barrier, raise_barrier
from models.cursors import activate, lease_is_held
from models.database import connection, database, on_postgres, read_clock
from models.errors import BackupFailed, BackupRefused, SchemaForeign, StoreError, WorkersAtWork
from models.migration_lease import is_half_restored, lease_table_exists
from models.migration_runner import HISTORY
from models.schema import INIT, deploy_migrations, has_ledger, require_no_work
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
    if not file.name:
        raise BackupRefused("a backup needs a name; name the file to write")
    for taken in (file, sheet_path(file)):
        if taken.exists():
            raise BackupRefused(f"{taken} is there already; name another file")
    with connection():
        tables = tables_of_ours(database.get_tables())
        if "processed_tickets" not in tables:
            raise BackupRefused(
                "DATABASE_URL: this database holds nothing of ours yet; there is nothing to back up"
            )
        made_at = to_text(read_clock())
        part = file.with_name(f"{file.name}.part")
        part.unlink(missing_ok=True)
        open_new(part).close()
        made = [part]
        try:
            dump = backup_postgres.dump if on_postgres() else backup_sqlite.dump
            rows = dump(part, tables, told)
            kind = Kind.CUSTOM if on_postgres() else Kind.SQLITE
            sheet = Sheet(kind, made_at, part.stat().st_size, checksum(part), rows)
            keep(part)
            write_sheet(file, sheet)
            made.append(sheet_path(file))
            part.rename(file)
        except BaseException as error:
            for one in made:
                one.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise BackupFailed(
                    f"{file}: its disk is full or cannot be written ({type(error).__name__}); free space "
                    "there or name another folder"
                ) from None
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
    """Put ``file`` in the place of an empty ledger, behind the restore barrier, and migrate it.

    Where the ledger holds something, ``over`` gives the file into which that is saved first; None refuses.
    ``overlap`` and ``notify_since`` open a ledger of the original's, which has no activation. Raises
    BackupRefused, SchemaForeign and WorkersAtWork before anything changes, and BackupFailed.
    """
    kind, sheet = kind_of(file), read_sheet(file)
    refuse_other_database(kind)
    if sheet is not None and sheet.sha256 != checksum(file, told):
        raise BackupRefused(f"{file} is not what was backed up: its checksum differs; use another backup")
    with connection():
        replaced = find_replaceable()
        saved = None if is_unused(replaced) else save_first(over, told)
        if on_postgres():
            backup_postgres.restore(file, kind, replaced, told)
        else:
            backup_sqlite.restore(file, told)
    try:
        applied = open_behind_barrier() + deploy_migrations()
        with connection():
            rows = count_rows()
            require_rows(file, sheet, rows)
        activate(read_clock(), notify_since, overlap)
        return Restored(kind, rows, applied, raise_barrier(), saved)
    except StoreError as error:
        back = f"; what was there before: python main.py restore {saved} --yes" if saved else ""
        raise BackupFailed(f"{file} is restored, but {error}{back}") from None


def find_replaceable() -> list[str]:
    """The ledger's tables that are there: nobody works on them, and nothing of others hangs on them."""
    present = database.get_tables()
    found = tables_of_ours(present)
    refuse_what_is_not_ours(present, found)
    require_no_work()
    refuse_while_migrating()
    return found


def save_first(over: Callable[[], Path] | None, told: Told) -> Path:
    if over is None:
        raise BackupRefused(
            "DATABASE_URL: the ledger there is not empty; with --yes it is saved and replaced"
        )
    saved = over()
    write_backup(saved, told)
    return saved


def refuse_while_migrating() -> None:
    """A restore that was killed may be run again; its own lease is what it left."""
    if lease_table_exists() and lease_is_held("migrate") and not is_half_restored():
        raise WorkersAtWork("another process migrates this database; let it end, then restore")


def tables_of_ours(present: list[str]) -> list[str]:
    """Another program's may have the same names: ours stand beside our tickets and our history."""
    if "processed_tickets" not in present:
        names: tuple[str, ...] = ("poll_cursors",)
    elif HISTORY not in present:
        names = ("processed_tickets", "poll_cursors", THE_ORIGINALS)
    else:
        names = (*OURS, THE_ORIGINALS)
    return [one for one in names if one in present and (one != THE_ORIGINALS or is_the_originals())]


def is_the_originals() -> bool:
    """Whether the original, whose one migration it was, is all that it is of."""
    others = f"SELECT 1 FROM {THE_ORIGINALS} WHERE migration_name <> '{INIT}' LIMIT 1"
    return database.execute_sql(others).fetchone() is None


def refuse_what_is_not_ours(present: list[str], ours: list[str]) -> None:
    if "processed_tickets" in ours and not has_ledger(database.obj):
        raise SchemaForeign(
            "DATABASE_URL: this database has a table processed_tickets of another shape; use another database"
        )
    if on_postgres():
        backup_postgres.refuse_views(ours)
        return
    others = [one for one in present if one not in OURS and not one.startswith("sqlite_")]
    if others:
        raise BackupRefused(
            f"DATABASE_URL: another program's table {others[0]} is in this file, all of which restore "
            "replaces; name another file"
        )


def is_unused(ours: list[str]) -> bool:
    """No tables, or those that ``migrate deploy`` makes, with no ticket and no event in them."""
    tables = {"processed_tickets", "deliveries", "webhook_inbox"} & set(ours)
    return not any(database.execute_sql(f'SELECT 1 FROM "{one}" LIMIT 1').fetchone() for one in tables)


def refuse_other_database(kind: Kind) -> None:
    if on_postgres() == (kind is Kind.SQLITE):
        here, file = ("PostgreSQL", "SQLite") if on_postgres() else ("SQLite", "PostgreSQL")
        raise BackupRefused(f"this backup is of {file} and DATABASE_URL names {here}; use the same kind")


def count_rows() -> dict[str, int]:
    tables = tables_of_ours(database.get_tables())
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
