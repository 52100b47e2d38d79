"""What a restore that cannot be done leaves: the ledger as it was, other programs' tables, and one line."""

import gzip
import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest
from psycopg2.extensions import parse_dsn

from jobs.verbs.backup import saved_name
from models.backup_postgres import pour
from models.backups import count_rows, restore_backup, write_backup
from models.barrier import read_barrier
from models.database import close_database, connection, database, on_postgres, open_database, read_clock
from models.errors import BackupFailed, BackupRefused, SchemaBehind, SchemaForeign, StoreError
from models.postgres_programs import started
from models.schema import deploy_migrations
from tests.conftest import connect, run_there, with_server
from tests.fakes.postgres_proxy import postgres_proxy
from tests.store.conftest import Ledger, tell_one

OVERLAP = timedelta(minutes=15)
pytestmark = pytest.mark.usefixtures("clients")
PIPE_FULL = "--\n" * 100_000
MAIL = "Greta Holm: my card is 4111 1111 1111 1111"


@pytest.fixture
def used(ledger: Ledger) -> Ledger:
    tell_one(ledger)
    return ledger


@pytest.fixture
def used_postgres(new_postgres: Callable[..., str], template: str) -> str:
    """A ledger on PostgreSQL, opened, with one ticket told."""
    url = new_postgres(template)
    open_database(url)
    tell_one(Ledger())
    return url


def restore(file: Path) -> None:
    """As with ``--yes``."""
    restore_backup(file, overlap=OVERLAP, over=lambda: file.with_name(f"saved-{time.monotonic_ns()}"))


def pg_dump(url: str, file: Path, *options: str) -> Path:
    subprocess.run(["pg_dump", *options, f"--file={file}", url], check=True)
    return file


def rows() -> dict[str, int]:
    with connection():
        return count_rows()


def tables() -> list[str]:
    with connection():
        return [str(one) for one in database.get_tables()]


def custom_cut_short(url: str, file: Path) -> None:
    content = pg_dump(url, file, "--format=custom").read_bytes()
    file.write_bytes(content[: len(content) // 2])


def custom_damaged(url: str, file: Path) -> None:
    content = bytearray(pg_dump(url, file, "--format=custom").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 500] = bytes(500)
    file.write_bytes(content)


def custom_of_a_newer_one(url: str, file: Path) -> None:
    content = bytearray(pg_dump(url, file, "--format=custom").read_bytes())
    content[6] += 9  # the minor version of the format
    file.write_bytes(content)


def clean_and_create(url: str, file: Path) -> None:
    pg_dump(url, file, "--clean", "--create")


def unknown_setting(url: str, file: Path) -> None:
    text = pg_dump(url, file).read_text()
    file.write_text(text.replace("SET row_security", "SET row_safety = off;\nSET row_security"))


def cut_short(url: str, file: Path) -> None:
    text = pg_dump(url, file).read_text()
    file.write_text(text[: text.index("ALTER TABLE ONLY public.deliveries")])


def copy_left_open(url: str, file: Path) -> None:
    end = "-- PostgreSQL database dump complete"
    file.write_text(
        pg_dump(url, file)
        .read_text()
        .replace(end, f"CREATE TABLE public.notes (t text);\nCOPY public.notes FROM stdin;\n{end}")
    )


def commit_and_then_a_mistake(url: str, file: Path) -> None:
    text = pg_dump(url, file).read_text()
    end = "-- PostgreSQL database dump complete"
    file.write_text(text.replace(end, f"COMMIT;\nSELECT * FROM nowhere;\n{end}"))


def unrestricted(url: str, file: Path) -> str:
    return re.sub(r"\\(un)?restrict.*\n", "", pg_dump(url, file).read_text())


def mistakes_let_pass(url: str, file: Path) -> None:
    end = "-- PostgreSQL database dump complete"
    passing = f"\\set ON_ERROR_STOP off\n\\o /dev/null\nSELECT 1 / 0;\n{end}"
    file.write_text(unrestricted(url, file).replace(end, passing))


def another_session(url: str, file: Path) -> None:
    file.write_text(unrestricted(url, file).replace("CREATE TABLE", "\\connect -\nCREATE TABLE", 1))


END = "-- PostgreSQL database dump complete"


def rolled_back_first(url: str, file: Path) -> None:
    text = pg_dump(url, file, "--clean").read_text()
    file.write_text("ROLLBACK;\n" + text.replace(END, f"SELECT * FROM nowhere;\n{END}"))


def rolled_back_last(url: str, file: Path) -> None:
    file.write_text(pg_dump(url, file).read_text().replace(END, f"ROLLBACK;\n{END}"))


def another_session_last(url: str, file: Path) -> None:
    file.write_text(unrestricted(url, file).replace(END, f"\\connect -\n{END}"))


def mistakes_let_pass_and_commit(url: str, file: Path) -> None:
    passing = f"\\set ON_ERROR_STOP 0\nCOMMIT;\nDROP TABLE public.deliveries;\n{END}"
    file.write_text(unrestricted(url, file).replace(END, passing))


def says_that_it_is_whole(url: str, file: Path) -> None:
    file.write_text(unrestricted(url, file).replace(END, f"\\echo whole\n\\q\n{END}"))


def raises_of_a_customer(url: str, file: Path) -> None:
    raising = f"DO $$ BEGIN RAISE EXCEPTION 'Greta Holm said so'; END $$;\n{END}"
    file.write_text(pg_dump(url, file).read_text().replace(END, raising))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (custom_cut_short, "pg_restore failed: .*as it was"),
        (custom_damaged, "failed: .*as it was"),
        (custom_of_a_newer_one, "pg_restore failed: .*unsupported version.*as it was"),
        (clean_and_create, "DROP DATABASE cannot run .*as it was; make it .*without --clean and --create"),
        (unknown_setting, 'unrecognized configuration parameter "row_safety"; the database is as it was'),
        (cut_short, "ends half way"),
        (copy_left_open, "ends half way"),
        (commit_and_then_a_mistake, "as it was"),
        (mistakes_let_pass, "as it was"),
        (another_session, "read-only transaction; the database is as it was"),
        (rolled_back_first, "read-only transaction; the database is as it was"),
        (rolled_back_last, "read-only transaction; the database is as it was"),
        (another_session_last, "read-only transaction; the database is as it was"),
        (mistakes_let_pass_and_commit, "as it was"),
        (says_that_it_is_whole, "ends half way; the database is as it was"),
        (raises_of_a_customer, "psql failed: SQLSTATE P0001; the database is as it was"),
    ],
)
def test_a_file_that_is_no_good_leaves_what_was_there(
    used_postgres: str, tmp_path: Path, spoil: Callable[[str, Path], None], said: str
) -> None:
    file = tmp_path / "ledger"
    spoil(used_postgres, file)
    before = rows()
    assert before["processed_tickets"] == 1
    with pytest.raises((BackupFailed, BackupRefused), match=said) as raised:
        restore(file)
    assert "\n" not in str(raised.value)
    assert rows() == before
    restore(
        next(tmp_path.glob("saved-*.json")).with_suffix("") if spoil is not cut_short else saved(tmp_path)
    )
    assert rows()["processed_tickets"] == 1


def test_a_file_that_changes_how_psql_prints_is_restored(used_postgres: str, tmp_path: Path) -> None:
    file = tmp_path / "ledger.sql"
    text = unrestricted(used_postgres, file)
    noticed = "CREATE TABLE IF NOT EXISTS public.processed_tickets (x int);"
    file.write_text(text.replace(END, f"\\t\n\\a\n\\pset null x\n{noticed}\n{END}"))
    restore(file)
    assert rows()["processed_tickets"] == 1


def test_a_url_that_names_every_limit_keeps_the_guard(used_postgres: str, tmp_path: Path) -> None:
    limits = ("idle_in_transaction_session_timeout", "statement_timeout", "lock_timeout")
    options = "%20".join(f"-c%20{name}%3D60s" for name in limits)
    close_database()
    open_database(f"{used_postgres}{'&' if '?' in used_postgres else '?'}options={options}")
    file, before = tmp_path / "ledger.sql", rows()
    rolled_back_first(used_postgres, file)
    with pytest.raises(BackupFailed, match="read-only transaction; the database is as it was"):
        restore(file)
    assert rows() == before


def test_behind_a_proxy_that_takes_no_options_nothing_is_promised(
    server_url: str, used_postgres: str, tmp_path: Path
) -> None:
    file, good = tmp_path / "ledger.sql", saved(tmp_path)
    mistakes_let_pass(used_postgres, file)
    close_database()
    with postgres_proxy(server_url, refuses_options=True) as proxy:
        open_database(proxy.url_of(parse_dsn(used_postgres)["dbname"]))
        with pytest.raises(BackupFailed, match="perhaps all of it was restored"):
            restore(file)
        restore(good)
        assert rows()["processed_tickets"] == 1
        close_database()


def test_a_notice_is_no_error(used_postgres: str, tmp_path: Path) -> None:
    file = tmp_path / "ledger.sql"
    noticed = "CREATE TABLE IF NOT EXISTS public.processed_tickets (x int);"
    file.write_text(unrestricted(used_postgres, file).replace(END, f"{noticed}\n\\q\n{END}"))
    with pytest.raises(BackupFailed, match="ends half way; the database is as it was"):
        restore(file)


def test_a_psql_that_is_killed_is_named_and_not_the_file(
    used_postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = pg_dump(used_postgres, tmp_path / "slow.sql")
    before, pids = rows(), []
    start = started

    @contextmanager
    def noted(*command: Any, **files: Any) -> Iterator[Any]:
        with start(*command, **files) as process:
            pids.append(process.pid)
            yield process

    file.write_text(file.read_text().replace(END, f"SELECT pg_sleep(1);\n{END}"))
    monkeypatch.setattr("models.backup_postgres.started", noted)
    killing = threading.Timer(0, kill_when_asleep, (used_postgres, pids))
    killing.start()
    with pytest.raises(BackupFailed, match=r"^psql was killed \(signal 9\); the database is as it was$"):
        restore(file)
    killing.join()
    assert rows() == before


def kill_when_asleep(url: str, pids: list[int]) -> None:
    with closing(connect(url)) as session, session.cursor() as cursor:
        sleeping = 0
        while not sleeping:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(1)%'")
            (sleeping,) = cursor.fetchone() or (0,)
    os.kill(pids[-1], SIGKILL)


def saved(folder: Path) -> Path:
    file = folder / "one.backup"
    write_backup(file)
    return file


def test_a_setting_that_an_older_server_does_not_know_is_left_out(used_postgres: str, tmp_path: Path) -> None:
    """As pg_dump and pg_restore from 17 on write it for any server; a 15 refuses it."""
    file = pg_dump(used_postgres, tmp_path / "ledger.sql")
    with file.open("rb") as source, (tmp_path / "poured").open("wb") as into:
        pour(source, into, lambda _done, _of: None)
    text = file.read_text()
    assert "SET transaction_timeout = 0;\n" in text
    assert (tmp_path / "poured").read_text() == text.replace("SET transaction_timeout = 0;\n", "")


def test_a_file_without_a_ledger_replaces_none(used: Ledger, tmp_path: Path) -> None:
    files = [tmp_path / "blog.db"]
    if on_postgres():
        run_there(database.database, "CREATE TABLE blog (x int)")
        files = [
            pg_dump(database.database, tmp_path / name, "--table=blog", f"--format={form}")
            for name, form in (("blog.sql", "plain"), ("blog.dump", "custom"), ("blog.tar", "tar"))
        ]
        run_there(database.database, "DROP TABLE blog")
    else:
        with closing(sqlite3.connect(files[0])) as other:
            other.execute("CREATE TABLE blog (x int)")
    before = rows()
    for file in files:
        with pytest.raises(BackupRefused, match=r"holds no ledger.*nothing was changed"):
            restore(file)
        assert rows() == before
        assert "blog" not in tables()


SHARED = (
    "CREATE TABLE blog (x int); INSERT INTO blog VALUES (7); "
    "CREATE TABLE _prisma_migrations (migration_name text); "
    "INSERT INTO _prisma_migrations VALUES ('20260101_theirs')"
)


def test_in_a_shared_database_only_ours_is_saved_and_replaced(used_postgres: str, tmp_path: Path) -> None:
    run_there(used_postgres, SHARED)
    file = tmp_path / "ledger.dump"
    sheet = write_backup(file)
    inside = subprocess.run(["pg_restore", "--list", file], capture_output=True, text=True, check=True).stdout
    assert "deliveries_id_seq" in inside
    assert "blog" not in inside
    assert "_prisma_migrations" not in inside
    Ledger().find("2")
    restore(file)
    assert rows() == sheet.rows
    run_there(used_postgres, "INSERT INTO blog VALUES (8)")
    restore(next(tmp_path.glob("saved-*.json")).with_suffix(""))
    assert rows()["processed_tickets"] == 2
    Ledger().sending("3")  # the sequences go on where they were
    with connection():
        assert database.execute_sql("SELECT count(*) FROM blog").fetchone() == (2,)
        assert database.execute_sql("SELECT count(*) FROM _prisma_migrations").fetchone() == (1,)


def test_a_dump_that_holds_others_tables_leaves_what_was_there(used_postgres: str, tmp_path: Path) -> None:
    run_there(used_postgres, SHARED)
    before = rows()
    for form in ("plain", "custom"):
        file = pg_dump(used_postgres, tmp_path / form, f"--format={form}")
        with pytest.raises(BackupFailed, match=r'relation "\w+" already exists; .*as it was; .*--table'):
            restore(file)
        assert rows() == before


def test_what_another_program_left_is_neither_ledger_nor_saved(
    used_postgres: str, new_postgres: Callable[..., str], tmp_path: Path
) -> None:
    file = saved(tmp_path)
    url = new_postgres()
    run_there(url, SHARED + "; CREATE TABLE deliveries (van text)")
    close_database()
    open_database(url)
    with pytest.raises(BackupFailed, match='relation "deliveries" already exists') as raised:
        restore(file)
    assert "saved" not in str(raised.value)
    assert "processed_tickets" not in tables()
    with pytest.raises(BackupRefused, match="holds nothing of ours"):
        write_backup(tmp_path / "two.backup")
    run_there(url, "DROP TABLE deliveries")
    restore_backup(file, overlap=OVERLAP)
    assert list(tmp_path.glob("saved*")) == []


def test_on_sqlite_the_file_of_another_program_is_not_replaced(used: Ledger, tmp_path: Path) -> None:
    if on_postgres():
        pytest.skip("there only our tables are replaced")
    file = saved(tmp_path)
    with connection():
        database.execute_sql("CREATE TABLE blog (x int)")
    with pytest.raises(BackupRefused, match="table blog is in this file"):
        restore(file)
    assert "blog" in tables()


def test_a_table_of_another_shape_is_not_dropped(used: Ledger, tmp_path: Path) -> None:
    file = saved(tmp_path)
    with connection():
        for name in tables():
            database.execute_sql(f'DROP TABLE "{name}"')
        database.execute_sql("CREATE TABLE processed_tickets (a int, b text)")
    with pytest.raises(SchemaForeign, match="of another shape"):
        restore_backup(file, overlap=OVERLAP)
    assert tables() == ["processed_tickets"]


KILLED = """
import os, signal, sys
from datetime import timedelta
from pathlib import Path
from models import backups
from models.database import open_database
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
setattr(backups, sys.argv[3], die)
open_database(sys.argv[1])
file = Path(sys.argv[2])
backups.restore_backup(file, overlap=timedelta(minutes=15), over=lambda: file.with_name("saved"))
"""


def killed_at(place: str, url: str, file: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, url, str(file), place], check=False)
    assert ended.returncode == -SIGKILL


@pytest.mark.parametrize("place", ["open_behind_barrier", "deploy_migrations", "activate", "raise_barrier"])
def test_a_restore_that_is_killed_after_loading_left_its_barrier(
    used: Ledger, store_url: str, tmp_path: Path, place: str
) -> None:
    file = saved(tmp_path)
    started = read_clock()
    close_database()
    killed_at(place, store_url, file)
    open_database(store_url)
    barrier = read_barrier()
    assert barrier is not None
    assert barrier >= started


@pytest.mark.parametrize("place", ["open_behind_barrier", "deploy_migrations", "activate", "raise_barrier"])
def test_an_originals_dump_has_its_barrier_before_it_can_be_migrated(
    originals_url: str, new_postgres: Callable[..., str], tmp_path: Path, place: str
) -> None:
    run_there(originals_url, "INSERT INTO processed_tickets (ticket_id, provider) VALUES ('1', 'local')")
    file = pg_dump(originals_url, tmp_path / "original.sql")
    url = new_postgres()
    killed_at(place, url, file)
    open_database(url)
    if place == "open_behind_barrier":
        with pytest.raises(SchemaBehind, match="restore into this database ended half way; run it again"):
            deploy_migrations()
        restore(file)
    else:
        deploy_migrations()
    assert read_barrier() is not None
    assert rows()["processed_tickets"] == 1


def test_a_restore_that_is_killed_while_it_loads_leaves_what_was_there(
    used_postgres: str, tmp_path: Path
) -> None:
    file = pg_dump(used_postgres, tmp_path / "slow.sql")
    end = "-- PostgreSQL database dump complete"
    file.write_text(file.read_text().replace(end, f"SELECT pg_sleep(1);\n{PIPE_FULL}{end}"))
    before = rows()
    command = [sys.executable, "-c", KILLED, used_postgres, str(file), "open_behind_barrier"]
    with subprocess.Popen(command) as loading:
        sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(1)%%'"
        with connection():
            while database.execute_sql(sleeping).fetchone() == (0,):
                assert loading.poll() is None
                time.sleep(0.02)
        loading.kill()
    time.sleep(1.5)
    assert rows() == before
    assert read_barrier() is None


@pytest.fixture
def app_url(server_url: str, new_postgres: Callable[..., str]) -> str:
    """An empty database that a login of its own owns."""
    url = new_postgres()
    with suppress(Exception):
        with_server(server_url, "CREATE ROLE triage_app LOGIN PASSWORD 'app'")
    with_server(url, "GRANT CREATE ON SCHEMA public TO triage_app")
    return as_app(url)


def as_app(url: str) -> str:
    return re.sub("://[^@]*@", "://triage_app:app@", url)


def test_a_plain_dump_of_another_owner_says_how_to_make_it(
    used_postgres: str, app_url: str, tmp_path: Path
) -> None:
    file, better = tmp_path / "owned.sql", tmp_path / "better.sql"
    pg_dump(used_postgres, file)
    pg_dump(used_postgres, better, "--no-owner", "--no-acl")
    close_database()
    open_database(app_url)
    with pytest.raises(BackupFailed, match=r'SET ROLE "postgres".*--no-owner --no-acl'):
        restore(file)
    assert tables() == []
    restore(better)
    assert rows()["processed_tickets"] == 1


@pytest.mark.parametrize("lacking", ["TEMPORARY ON DATABASE", "CREATE ON SCHEMA"])
def test_a_right_that_is_missing_is_named(
    used_postgres: str, app_url: str, tmp_path: Path, lacking: str
) -> None:
    file = pg_dump(used_postgres, tmp_path / "better.sql", "--no-owner", "--no-acl")
    name = "public" if "SCHEMA" in lacking else parse_dsn(app_url)["dbname"]
    close_database()
    open_database(app_url)
    for whom in ("PUBLIC", "triage_app"):
        run_there(app_url.replace("triage_app:app@", "postgres:@"), f"REVOKE {lacking} {name} FROM {whom}")
    with pytest.raises(
        BackupFailed, match=r"permission denied .*as it was; .*TEMPORARY on the database"
    ) as raised:
        restore(file)
    assert "--no-owner" not in str(raised.value)


def test_a_view_of_our_table_is_named(used_postgres: str, tmp_path: Path) -> None:
    file = saved(tmp_path)
    run_there(used_postgres, "CREATE VIEW told AS SELECT * FROM processed_tickets")
    with pytest.raises(BackupRefused, match="DROP VIEW told"):
        restore(file)
    run_there(used_postgres, "DROP VIEW told")
    restore(file)


@pytest.mark.parametrize(
    "row", [f"{MAIL}\n", f'{MAIL}, "so\nERROR: {MAIL}"\n', f"\\N\n\\.\n{MAIL}\n", f"\\N\n\\.\n\\{MAIL}\n"]
)
def test_no_word_of_a_row_leaves_by_the_error(used_postgres: str, tmp_path: Path, row: str) -> None:
    file = tmp_path / "ledger.sql"
    file.write_text(f"CREATE TABLE notes (n int);\nCOPY notes (n) FROM stdin;\n{row}\\.\n")
    with pytest.raises(StoreError) as raised:
        restore(file)
    assert not re.search(r"Greta|Holm|4111", str(raised.value))
    assert rows()["processed_tickets"] == 1


def test_a_login_that_may_not_read_is_told_what_to_grant(
    used_postgres: str, app_url: str, tmp_path: Path
) -> None:
    close_database()
    open_database(as_app(used_postgres))
    said = "GRANT SELECT ON ALL TABLES IN SCHEMA public TO triage_app, and the same ON ALL SEQUENCES"
    with pytest.raises(BackupRefused, match=said):
        write_backup(tmp_path / "one")
    run_there(used_postgres, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO triage_app")
    with pytest.raises(BackupRefused, match=said):
        write_backup(tmp_path / "one")
    run_there(used_postgres, "GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO triage_app")
    write_backup(tmp_path / "one")


def test_every_form_of_pg_dump_is_taken_or_named(
    used_postgres: str, new_postgres: Callable[..., str], tmp_path: Path
) -> None:
    taken = ["custom", "tar", "plain"]
    for form in (*taken, "directory"):
        pg_dump(used_postgres, tmp_path / form, f"--format={form}")
    (tmp_path / "plain.sql.gz").write_bytes(gzip.compress((tmp_path / "plain").read_bytes()))
    whole = subprocess.run(["pg_dumpall", "-d", used_postgres], capture_output=True, check=True).stdout
    (tmp_path / "whole.sql").write_bytes(whole)
    for name in ("directory", "plain.sql.gz", "whole.sql"):
        with pytest.raises(BackupRefused, match="-Fc, -Ft and plain SQL"):
            restore(tmp_path / name)
    for form in taken:
        close_database()
        open_database(new_postgres())
        restore(tmp_path / form)
        assert rows()["processed_tickets"] == 1


def test_what_is_saved_is_named_for_what_it_is(used: Ledger) -> None:
    name = saved_name(Path("dumps/backup-20261126.sql")).name
    ending = "dump" if on_postgres() else "db"
    assert re.fullmatch(rf"before-restore-\d{{8}}T\d{{6}}Z-backup-20261126\.{ending}", name)


def test_what_is_saved_within_a_second_has_a_name_of_its_own(used: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "one.backup"
    for _ in range(20):
        saved_name(file).touch()
    assert len(list(tmp_path.glob("before-restore-*"))) == 20
