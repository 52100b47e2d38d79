"""``backup`` and ``restore``."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

from jobs.settings import Need, Settings, load_settings
from jobs.verbs.printing import plain_table, print_json, print_table, remark, say
from models.backup_files import Told, sheet_path
from models.backups import restore_backup, write_backup
from models.database import close_database, on_postgres, open_database
from models.postgres import UNHURRIED

MEGABYTE = 1_000_000


def backup(file: Path, *, as_json: bool) -> int:
    with opened() as _, progress(as_json=as_json) as told:
        sheet = write_backup(file, told)
    if as_json:
        print_json({"file": str(file), **asdict(sheet)})
        return 0
    show_rows(sheet.rows)
    say(f"wrote {file}, {sheet.bytes / MEGABYTE:.1f} MB, and {file}.json with checksum and row counts")
    return 0


def restore(file: Path, *, yes: bool, as_json: bool) -> int:
    """What a database that is not empty holds is saved beside ``file`` first, and only with ``yes``."""
    with opened() as settings, progress(as_json=as_json) as told:
        done = restore_backup(
            file,
            overlap=timedelta(seconds=settings.poll_overlap_seconds),
            over=(lambda: saved_name(file)) if yes else None,
            told=told,
        )
    if as_json:
        print_json(
            {
                "file": str(file),
                "rows": done.rows,
                "applied": done.applied,
                "restored_at": done.barrier.restored_at.isoformat(timespec="milliseconds"),
                "saved": str(done.saved) if done.saved else None,
            }
        )
        return 0
    if done.saved:
        say(f"what the database held is in {done.saved}")
    show_rows(done.rows)
    say("\n".join(f"applied {name}" for name in done.applied) or "no migration was pending")
    say(f"tickets created before {done.barrier.restored_at:%Y-%m-%d %H:%M:%S} UTC and not settled are held")
    say("next: python main.py reconcile --restored-at now; then start the workers")
    return 0


def saved_name(file: Path) -> Path:
    ending = "dump" if on_postgres() else "db"
    name = f"before-restore-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{file.stem}"
    names = (f"{name}{again}.{ending}" for again in ("", *(f"-{number}" for number in range(2, 100))))
    return next(
        one for one in map(file.with_name, names) if not one.exists() and not sheet_path(one).exists()
    )


def show_rows(rows: Mapping[str, int]) -> None:
    table = plain_table("table", "rows")
    for name, count in rows.items():
        table.add_row(name, f"{count:,}")
    print_table(table)


@contextmanager
def opened() -> Iterator[Settings]:
    settings = load_settings(needs=Need.DATABASE)
    open_database(settings.database_url.get_secret_value(), settings.db_pool_size, UNHURRIED)
    try:
        yield settings
    finally:
        close_database()


@contextmanager
def progress(*, as_json: bool) -> Iterator[Told]:
    """Megabytes in one line where a person is watching; nothing elsewhere."""
    if as_json or not sys.stderr.isatty():
        yield lambda _done, _of: None
        return

    def told(done: int, of: int | None) -> None:
        whole = f" of {of / MEGABYTE:.1f}" if of else ""
        sys.stderr.write(f"\r{done / MEGABYTE:.1f}{whole} MB ")
        sys.stderr.flush()

    yield told
    remark("")
