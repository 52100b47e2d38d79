"""Backup and restore on both databases: what comes back, what is refused, and what a failure leaves."""

import json
import os
import resource
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jobs.back_up import back_up
from models import schema
from models.backup_files import kind_of, sheet_path
from models.backups import count_rows, restore_backup, write_backup
from models.barrier import read_barrier
from models.cursors import take_lease
from models.database import close_database, connection, database, on_postgres, open_database, read_clock
from models.errors import BackupFailed, BackupRefused, StoreError, WorkersAtWork
from models.job_runs import GOOD_RESULT, record_run
from models.postgres_programs import complaint, environment, service_of_secrets, without_password
from models.presence import appear, find_presence, leave
from models.schema import deploy_migrations, migration_status
from models.schema_drift import find_drift
from models.tickets import TicketState, look_up_ticket
from tests.conftest import connect, run_there
from tests.store.conftest import Ledger, tell_one

OVERLAP = timedelta(minutes=15)
pytestmark = pytest.mark.usefixtures("clients")


@pytest.fixture
def used(ledger: Ledger) -> Ledger:
    """A ledger with a ticket told and one held, activated."""
    tell_one(ledger)
    ledger.sending("2")
    ledger.edit("2", state="unconfirmed", lease_owner=None, lease_expires_at=None)
    return ledger


@pytest.fixture
def elsewhere(store_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[], None]]:
    """Opens a new, empty database of the same kind."""

    def move() -> None:
        url = f"sqlite:////{tmp_path}/other.db"
        if store_url.startswith("postgres"):
            url = request.getfixturevalue("new_postgres")()
        close_database()
        open_database(url)

    yield move
    close_database()


def restore(file: Path, **changes: object) -> object:
    return restore_backup(file, overlap=OVERLAP, **changes)  # type: ignore[arg-type]


def state_of(ticket_id: str) -> TicketState | None:
    entry = look_up_ticket(ticket_id)
    return entry.state if entry else None


def test_what_was_backed_up_comes_back_behind_a_barrier(
    used: Ledger, tmp_path: Path, elsewhere: Callable[[], None]
) -> None:
    file = tmp_path / "one.backup"
    sheet = write_backup(file)
    assert sheet.rows["processed_tickets"] == 2
    assert json.loads(sheet_path(file).read_text())["sha256"] == sheet.sha256
    assert file.stat().st_mode & 0o077 == 0
    used.find("3")  # after the backup: lost with the database
    elsewhere()
    done = restore_backup(file, overlap=OVERLAP)
    assert [state_of(one) for one in "123"] == [TicketState.NOTIFIED, TicketState.UNCONFIRMED, None]
    assert read_barrier() == done.barrier.restored_at
    assert abs(read_clock() - done.barrier.restored_at) < timedelta(seconds=30)
    assert done.rows["deliveries"] == 2
    with connection():
        assert find_drift(database.obj, schema.FOLDER) == []


def test_others_write_while_a_backup_is_made_and_it_holds_one_moment(used: Ledger, tmp_path: Path) -> None:
    ended = threading.Event()

    def write() -> None:
        number = 100
        while not ended.is_set():
            used.find(str(number))
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        sheets = [write_backup(tmp_path / f"{number}.backup") for number in range(3)]
    finally:
        ended.set()
        writer.join()
    assert all(sheet.rows["deliveries"] == 2 for sheet in sheets)
    for number, sheet in enumerate(sheets):  # the count is that of the file, not of the ledger meanwhile
        restore(tmp_path / f"{number}.backup", over=lambda number=number: tmp_path / f"saved{number}")
        with connection():
            (count,) = database.execute_sql("SELECT count(*) FROM processed_tickets").fetchone()
        assert count == sheet.rows["processed_tickets"]


def test_a_database_in_use_is_replaced_only_when_asked_and_saved_first(used: Ledger, tmp_path: Path) -> None:
    file, saved = tmp_path / "one.backup", tmp_path / "saved.backup"
    write_backup(file)
    used.find("3")
    with pytest.raises(BackupRefused, match="not empty; with --yes"):
        restore(file)
    assert state_of("3") is TicketState.FOUND
    done = restore_backup(file, overlap=OVERLAP, over=lambda: saved)
    assert done.saved == saved
    assert state_of("3") is None
    restore(saved, over=lambda: tmp_path / "again.backup")
    assert state_of("3") is TicketState.FOUND


def test_a_reader_of_one_table_keeps_a_restore_from_dropping_any(
    used: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not on_postgres():
        pytest.skip("SQLite restores into a file that nobody else writes")
    file, saved = tmp_path / "one.backup", tmp_path / "saved.backup"
    write_backup(file)
    with connection():
        before = count_rows()
    monkeypatch.setitem(database.obj.settings, "lock_timeout", "200ms")
    reader = connect(database.database)
    reader.cursor().execute("BEGIN; SELECT 1 FROM deliveries")
    with pytest.raises(BackupFailed, match="holds a lock"):
        restore(file, over=lambda: saved)
    reader.close()
    with connection():
        assert count_rows() == before
    restore(file, over=lambda: tmp_path / "again.backup")


def test_nothing_is_replaced_while_a_worker_is_at_work(used: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "one.backup"
    write_backup(file)
    used.find("3")
    used.claim("3")
    with pytest.raises(WorkersAtWork):
        restore(file, over=lambda: tmp_path / "saved.backup")
    assert state_of("3") is TicketState.CLAIMED


@pytest.fixture
def brought(used: Ledger, tmp_path: Path, elsewhere: Callable[[], None]) -> Path:
    """A backup, and a migrated database without tickets in the place of what it is of."""
    file = tmp_path / "one.backup"
    write_backup(file)
    elsewhere()
    deploy_migrations()
    return file


def test_nothing_is_restored_beneath_a_worker_that_has_no_ticket_yet(brought: Path) -> None:
    appear("host:1:aaaa1111", 60)
    with pytest.raises(WorkersAtWork):
        restore(brought)
    assert look_up_ticket("1") is None
    leave("host:1:aaaa1111")
    restore(brought)
    assert state_of("1") is TicketState.NOTIFIED


def test_nothing_is_restored_while_another_process_migrates(used: Ledger, tmp_path: Path) -> None:
    file, saved = tmp_path / "one.backup", tmp_path / "saved.backup"
    write_backup(file)
    assert take_lease("migrate", "another", 60)
    with pytest.raises(WorkersAtWork, match="another process migrates"):
        restore(file, over=lambda: saved)
    assert not saved.exists()


def test_a_backup_brings_no_worker_and_no_lease_along(
    used: Ledger, tmp_path: Path, elsewhere: Callable[[], None]
) -> None:
    file = tmp_path / "one.backup"
    appear("host:1:aaaa1111", 600)
    for name in ("poll", "sweep", "backup"):
        assert take_lease(name, "host:1:aaaa1111", 600)
    write_backup(file)
    elsewhere()
    restore(file)
    assert find_presence() is None
    assert take_lease("backup", "another", 60)
    restore(file, over=lambda: tmp_path / "saved.backup")
    assert state_of("1") is TicketState.NOTIFIED


def test_a_migrated_database_without_tickets_counts_as_empty(brought: Path) -> None:
    restore(brought)
    assert state_of("1") is TicketState.NOTIFIED


def damage(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)


def test_a_damaged_file_is_refused_before_anything_changes(used: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "one.backup"
    write_backup(file)
    damage(file)
    with pytest.raises(BackupRefused, match="checksum differs"):
        restore(file, over=lambda: tmp_path / "saved.backup")
    assert state_of("1") is TicketState.NOTIFIED
    sheet_path(file).write_text("{")
    with pytest.raises(BackupRefused, match="move it away"):
        restore(file)


def test_a_file_that_is_none_is_refused(used: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("hello")
    with pytest.raises(BackupRefused, match=r"is no backup; .* -Fc, -Ft and plain"):
        restore(file)
    with pytest.raises(BackupRefused, match="cannot be read"):
        restore(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BackupRefused, match="pipe is no regular file"):
        restore(tmp_path / "pipe")
    with pytest.raises(BackupRefused, match="name the file"):
        write_backup(Path())
    with pytest.raises(BackupRefused, match="is there already"):
        write_backup(file)
    with pytest.raises(BackupRefused, match="cannot be written"):
        write_backup(tmp_path / "none" / "x")
    assert file.read_text() == "hello"
    assert list(tmp_path.glob("*.part")) == []


def test_a_backup_of_the_other_database_is_refused(used: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "other"
    file.write_bytes(b"SQLite format 3\0" if on_postgres() else b"PGDMP")
    with pytest.raises(BackupRefused, match="use the same kind"):
        restore(file)


def test_a_copy_of_sqlite_that_is_damaged_inside_is_refused(tmp_path: Path) -> None:
    open_database(f"sqlite:////{tmp_path}/triage.db")
    deploy_migrations()
    file = tmp_path / "one.backup"
    write_backup(file)
    sheet_path(file).unlink()
    with closing(sqlite3.connect(file)) as copy:
        pages = copy.execute("PRAGMA page_count").fetchone()[0]
        assert pages > 3
    content = bytearray(file.read_bytes())
    content[2 * 4096 : 3 * 4096] = b"\xff" * 4096
    file.write_bytes(content)
    with pytest.raises(BackupRefused, match="damaged"):
        restore(file)
    close_database()


@pytest.fixture
def sqlite_ledger(tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "triage.db"
    open_database(f"sqlite:////{file}")
    deploy_migrations()
    yield file
    close_database()


def test_a_backup_of_another_page_size_is_restored(sqlite_ledger: Path, tmp_path: Path) -> None:
    Ledger().find("1")
    file = tmp_path / "one.backup"
    write_backup(file)
    for size in (512, 65536):
        other = tmp_path / f"{size}.backup"
        with closing(sqlite3.connect(file)) as copy:
            copy.execute(f"PRAGMA page_size = {size}")
            copy.execute(f"VACUUM INTO '{other}'")
        with closing(sqlite3.connect(other)) as copy:
            assert copy.execute("PRAGMA page_size").fetchone() == (size,)
            copy.execute("PRAGMA journal_mode = wal")
        restore(other, over=lambda size=size: tmp_path / f"saved{size}")
        assert state_of("1") is TicketState.FOUND


def test_a_restore_does_not_wait_for_ever_for_the_write_lock(sqlite_ledger: Path, tmp_path: Path) -> None:
    file = tmp_path / "one.backup"
    write_backup(file)
    with connection():
        database.obj.pragma("busy_timeout", 200)
    with closing(sqlite3.connect(sqlite_ledger, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="holds the SQLite file's write lock for too long"):
            restore(file)


def test_a_damaged_ledger_is_blamed_and_not_its_backup(sqlite_ledger: Path, tmp_path: Path) -> None:
    close_database()
    content = bytearray(sqlite_ledger.read_bytes())
    content[-4096:] = b"\xff" * 4096
    sqlite_ledger.write_bytes(content)
    with pytest.raises(StoreError, match=r"^DATABASE_URL: this SQLite file is damaged; name a new file"):
        write_backup(tmp_path / "one.backup")


@pytest.fixture
def original(originals_url: str) -> str:
    thousand = "SELECT n::text, 'local' FROM generate_series(1, 1000) n"
    run_there(originals_url, f"INSERT INTO processed_tickets (ticket_id, provider) {thousand}")
    return originals_url


def test_a_plain_dump_of_the_original_is_restored_and_adopted(
    original: str, new_postgres: Callable[..., str], tmp_path: Path
) -> None:
    file = tmp_path / "backup-20261126.sql"
    with file.open("wb") as out:
        subprocess.run(["pg_dump", original], stdout=out, check=True)
    assert kind_of(file) == "pg_dump plain"
    open_database(new_postgres())
    done = restore_backup(file, overlap=OVERLAP)
    assert done.rows["processed_tickets"] == 1000
    assert done.applied[0] == "20251214000000_init (adopted)"
    assert state_of("777") is TicketState.NOTIFIED
    assert all(one.applied_at for one in migration_status())
    # Tickets of the time between dump and now may have been told by the original: the barrier holds them.
    assert abs(read_clock() - done.barrier.restored_at) < timedelta(seconds=30)
    close_database()


def test_a_plain_dump_that_fails_half_way_leaves_nothing(
    original: str, new_postgres: Callable[..., str], tmp_path: Path
) -> None:
    file = tmp_path / "broken.sql"
    dump = subprocess.run(["pg_dump", original], capture_output=True, check=True, text=True).stdout
    file.write_text(dump + "\nSELECT * FROM nowhere;\n")
    open_database(new_postgres())
    with pytest.raises(BackupFailed, match=r"psql failed: .*nowhere"):
        restore_backup(file, overlap=OVERLAP)
    with connection():
        assert database.get_tables() == []
    close_database()


@pytest.mark.parametrize(
    ("says", "line"), [("pg_dump (PostgreSQL) 9.6.1", "too old"), (None, "not on this machine")]
)
def test_a_client_that_is_missing_or_too_old_is_named(
    new_postgres: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    says: str | None,
    line: str,
) -> None:
    monkeypatch.setattr("models.postgres_programs._PLACES", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    if says:
        (tmp_path / "pg_dump").write_text(f"#!/bin/sh\necho '{says}'\n")
        (tmp_path / "pg_dump").chmod(0o755)
    open_database(new_postgres())
    deploy_migrations()
    with pytest.raises(BackupRefused, match=rf"pg_dump .*{line}.*apt install postgresql-client-\d+"):
        write_backup(tmp_path / "one.backup")
    assert not (tmp_path / "one.backup").exists()
    assert list(tmp_path.glob("*.part")) == []
    close_database()


def test_no_password_stands_on_a_command_line(new_postgres: Callable[..., str]) -> None:
    open_database(new_postgres())
    database.obj.database = "postgresql://ada:hunter2@db.internal:5432/triage?sslmode=require"
    assert "hunter2" not in without_password()
    assert "sslmode=require" in without_password()
    assert environment()["PGPASSWORD"] == "hunter2"
    close_database()


def test_no_secret_of_libpq_stands_on_a_command_line(
    new_postgres: Callable[..., str], tmp_path: Path
) -> None:
    url = new_postgres()
    open_database(url)
    database.obj.database = f"{url}{'&' if '?' in url else '?'}sslpassword=hunter3%20x"
    assert "hunter3" not in without_password()
    with service_of_secrets() as service:
        file = Path(service["PGSERVICEFILE"])
        assert file.stat().st_mode & 0o077 == 0
        assert file.read_text() == "[triage]\nsslpassword=hunter3 x\n"
    assert not file.exists()
    deploy_migrations()
    write_backup(tmp_path / "one.backup")
    database.obj.database += "&service=mine"
    refused = pytest.raises(BackupRefused, match="DATABASE_URL: sslpassword beside a service")
    with refused as raised, service_of_secrets():
        pass
    assert "hunter3" not in str(raised.value)
    close_database()


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            'pg_dump: error: connection to server on socket "/tmp/x/.s.PGSQL.5432" failed: '
            'FATAL:  too many connections for role "lim"',
            "failed: too many connections for role ...",
        ),
        (
            'pg_dump: error: connection to server at "db.internal", port 5432 failed: timeout expired',
            "failed: timeout expired",
        ),
        ("", "failed with code 1"),
    ],
)
def test_a_programs_complaint_is_shown_without_the_address(said: str, shown: str) -> None:
    assert complaint(1, said) == shown
    assert complaint(-9, said) == "was killed (signal 9)"


def test_the_nightly_backup_is_made_once_a_night_and_the_oldest_go(used: Ledger, tmp_path: Path) -> None:
    folder = tmp_path / "nightly"
    by_hand = folder / "before-upgrade.dump"
    nights = [datetime(2026, 11, day, 3, tzinfo=UTC) for day in range(1, 6)]
    for night in nights:
        file = back_up(folder, 3, "one", night)
        assert file is not None
        by_hand.touch()
    kept = sorted(one.name for one in folder.glob("triage-*"))
    assert [name[:15] for name in kept] == [f"triage-202611{day:02}" for day in (3, 3, 4, 4, 5, 5)]
    assert by_hand.exists()
    record_run("backup", 1.0, GOOD_RESULT, None)
    assert back_up(folder, 3, "another", datetime(2026, 11, 6, 3, tzinfo=UTC)) is None
    assert sorted(one.name for one in folder.glob("triage-*")) == kept


def test_what_a_killed_nightly_backup_left_goes_with_the_next(used: Ledger, tmp_path: Path) -> None:
    folder = tmp_path / "nightly"
    folder.mkdir()
    left = [folder / f"triage-20261101T030000Z.{one}" for one in ("dump.part", "db.part", "dump.json")]
    other, new = folder / "by-hand.dump.part", folder / "triage-20261102T025900Z.dump.part"
    for file in (*left, other, new):
        file.touch()
    for file in (*left, other):
        os.utime(file, (0, 0))
    whole = back_up(folder, 3, "one", datetime(2026, 11, 2, 3, tzinfo=UTC))
    assert whole is not None
    assert set(folder.iterdir()) == {whole, sheet_path(whole), other, new}


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """From the sheet on no byte can be written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(
        "models.backups.keep", lambda _file: resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    )
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("full_disk")
def test_a_disk_that_is_full_at_the_sheet_leaves_nothing(used: Ledger, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    with pytest.raises(BackupFailed, match=r"x\.dump: its disk is full or cannot be written"):
        write_backup(folder / "x.dump")
    assert list(folder.iterdir()) == []


def test_a_nightly_backup_that_fails_deletes_no_old_one(used: Ledger, tmp_path: Path) -> None:
    for day in (1, 2):
        back_up(tmp_path, 2, "one", datetime(2026, 11, day, 3, tzinfo=UTC))
    with pytest.raises(BackupRefused, match="is there already"):
        back_up(tmp_path, 1, "one", datetime(2026, 11, 2, 3, tzinfo=UTC))
    assert len(list(tmp_path.glob("triage-*Z.d*"))) == 4
    (tmp_path / "file").touch()
    with pytest.raises(BackupRefused, match="BACKUP_DIR"):
        back_up(tmp_path / "file" / "x", 2, "one", datetime(2026, 11, 3, 3, tzinfo=UTC))
