"""Each fault of a database in one line that says what is wrong and what to do; most are provoked for real."""

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from models.cursors import take_lease
from models.database import (
    close_database,
    connection,
    database,
    open_database,
    read_clock,
    require_writable,
    transaction,
)
from models.errors import LoginRefused, StoreError, StoreRefused, StoreUnreachable
from models.migration_runner import HISTORY
from models.postgres import Limits
from models.schema import deploy_migrations, require_current
from models.tickets import list_tickets
from tests.conftest import connect, run_there, with_server

ASKS_FOR_THE_URL = "check DATABASE_URL"
NOBODY = 65534


def name_of(url: str) -> str:
    return url.partition("?")[0].rsplit("/", 1)[1]


def line_of(work: Callable[[], object], fault: type[StoreError] = StoreUnreachable) -> str:
    with pytest.raises(fault) as raised:
        work()
    close_database()
    line = str(raised.value)
    assert "\n" not in line
    return line


def run(sql: str) -> None:
    with connection():
        database.execute_sql(sql)


# What a test cannot bring about everywhere is raised by the server itself, in its own words.
RAISED = {
    "53100": ("could not extend file: No space left on device", "disk is full"),
    "53200": ("out of memory", "DB_POOL_SIZE"),
    "53400": ("temporary file size exceeds temp_file_limit", "its log names it"),
    "40P01": ("deadlock detected", "pg_stat_activity"),
    "57014": ("canceling statement due to user request", "try again"),
}


@pytest.mark.parametrize("code", RAISED)
def test_a_fault_of_the_server_does_not_blame_the_url(new_postgres: Callable[..., str], code: str) -> None:
    said, told = RAISED[code]
    open_database(new_postgres())
    line = line_of(lambda: run(f"DO $$ BEGIN RAISE '{said}' USING ERRCODE = '{code}'; END $$"))
    assert told in line
    assert "DATABASE_URL" not in line


def test_a_statement_that_took_too_long_is_told_with_the_larger_limit(
    new_postgres: Callable[..., str],
) -> None:
    open_database(new_postgres(), limits=Limits(statement=1))
    line = line_of(lambda: run("SELECT pg_sleep(20)"))
    assert all(
        words in line for words in ("statement timeout", "health", "options=-c%20statement_timeout%3D60s")
    )
    assert ASKS_FOR_THE_URL not in line


def test_a_lock_that_is_not_given_is_told(new_postgres: Callable[..., str]) -> None:
    url = new_postgres()
    run_there(url, "CREATE TABLE held (id int)")
    with closing(connect(url)) as other:
        other.cursor().execute("BEGIN; LOCK TABLE held")
        open_database(url, limits=Limits(lock=1))
        line = line_of(lambda: run("SET lock_timeout = 50; SELECT * FROM held"))
    assert "another session holds a lock" in line
    assert ASKS_FOR_THE_URL not in line


def test_a_session_that_was_ended_is_lost_and_not_misnamed(new_postgres: Callable[..., str]) -> None:
    """As by an administrator, or for its silence in a transaction."""
    open_database(new_postgres(), limits=Limits(silent=1))

    def fall_silent() -> None:
        with connection(), transaction():
            run("SELECT 1")
            time.sleep(1.5)
            run("SELECT 1")

    line = line_of(fall_silent)
    assert "was lost" in line
    assert "idle_in_transaction_session_timeout" in line
    assert ASKS_FOR_THE_URL not in line


def test_a_server_that_takes_no_more_connections_says_so(
    server_url: str, new_postgres: Callable[..., str]
) -> None:
    url = new_postgres()
    with_server(server_url, "DROP ROLE IF EXISTS crowded")
    with_server(server_url, "CREATE ROLE crowded LOGIN PASSWORD 'x' CONNECTION LIMIT 0")
    line = line_of(lambda: open_database(f"postgresql://crowded:x@{url.split('@', 1)[1]}"))
    assert "DB_POOL_SIZE" in line
    assert ASKS_FOR_THE_URL not in line


def test_who_may_not_connect_and_what_is_closed_are_told(
    server_url: str, new_postgres: Callable[..., str]
) -> None:
    url = new_postgres()
    with_server(server_url, "DROP ROLE IF EXISTS outsider")
    with_server(server_url, "CREATE ROLE outsider LOGIN PASSWORD 'x'")
    outside = f"postgresql://outsider:x@{url.split('@', 1)[1]}"
    with_server(server_url, f"REVOKE CONNECT ON DATABASE {name_of(url)} FROM PUBLIC")
    assert "GRANT it CONNECT" in line_of(lambda: open_database(outside), LoginRefused)
    with_server(server_url, f"ALTER DATABASE {name_of(url)} ALLOW_CONNECTIONS false")
    assert "ALLOW_CONNECTIONS true" in line_of(lambda: open_database(outside))
    with_server(server_url, f"ALTER DATABASE {name_of(url)} ALLOW_CONNECTIONS true")


def test_what_the_line_names_is_enough_for_a_user_who_lacked_it(
    server_url: str, new_postgres: Callable[..., str]
) -> None:
    url = new_postgres()
    open_database(url)
    deploy_migrations()
    take_lease("poll", "one", 60)
    close_database()
    with_server(server_url, "DROP ROLE IF EXISTS lacking")
    with_server(server_url, "CREATE ROLE lacking LOGIN PASSWORD 'x'")
    run_there(url, f"GRANT SELECT ON {HISTORY} TO lacking")
    lacking = f"postgresql://lacking:x@{url.split('@', 1)[1]}"
    open_database(lacking)
    for work in (lambda: list_tickets(None, 1), lambda: take_lease("poll", "one", 60), deploy_migrations):
        with pytest.raises(StoreRefused, match="GRANT ALL ON ALL TABLES IN SCHEMA"):
            work()
    run_there(url, "GRANT ALL ON ALL TABLES IN SCHEMA public TO lacking")
    assert list_tickets(None, 1) == []
    assert take_lease("poll", "one", 60)
    require_current()
    close_database()
    run_there(url, "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM lacking")


def test_a_read_only_database_is_found_without_a_write(
    server_url: str, new_postgres: Callable[..., str]
) -> None:
    url = new_postgres()
    open_database(url)
    require_writable()
    close_database()
    with_server(server_url, f"ALTER DATABASE {name_of(url)} SET default_transaction_read_only = on")
    open_database(url)
    assert line_of(require_writable) == line_of(lambda: (open_database(url), deploy_migrations()))


def test_who_may_only_read_is_told_before_the_first_write(
    server_url: str, new_postgres: Callable[..., str]
) -> None:
    url = new_postgres()
    with_server(server_url, "DROP ROLE IF EXISTS reader")
    with_server(server_url, "CREATE ROLE reader LOGIN PASSWORD 'x' IN ROLE pg_read_all_data")
    reading = f"postgresql://reader:x@{url.split('@', 1)[1]}"
    open_database(reading)
    assert "CREATE ON SCHEMA" in line_of(require_writable, StoreRefused)
    open_database(url)
    deploy_migrations()
    close_database()

    def refused() -> str:
        open_database(reading)
        return line_of(require_writable, StoreRefused)

    found = refused()
    open_database(reading)
    assert line_of(lambda: take_lease("poll", "one", 60), StoreRefused) == found
    for given in ("INSERT, UPDATE ON ALL TABLES", "DELETE ON ALL TABLES", "ALL ON ALL SEQUENCES"):
        assert refused() == found
        run_there(url, f"GRANT {given} IN SCHEMA public TO reader")
    open_database(reading)
    require_writable()
    close_database()
    run_there(url, "DROP OWNED BY reader")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A migrated SQLite file."""
    file = tmp_path / "triage.db"
    open_database(f"sqlite:////{file}")
    deploy_migrations()
    close_database()
    return file


@pytest.fixture
def ordinary_user(tmp_path: Path) -> Iterator[Path]:
    """A folder of one whom permissions bind: root may write whatever they say."""
    if os.geteuid() != 0:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, 0)
        try:
            yield Path(folder)
        finally:
            os.setresuid(0, 0, 0)


def test_a_sqlite_file_that_may_only_be_read_is_told(ordinary_user: Path) -> None:
    url = f"sqlite:////{ordinary_user}/triage.db"
    open_database(url)
    deploy_migrations()
    require_writable()
    close_database()
    (ordinary_user / "triage.db").chmod(0o444)
    open_database(url)
    found = line_of(require_writable)
    assert "cannot be written" in found
    open_database(url)
    assert line_of(lambda: take_lease("poll", "one", 60)) == found


def test_a_full_disk_under_sqlite_is_told(file: Path) -> None:
    open_database(f"sqlite:////{file}")

    def fill() -> None:
        with connection():
            database.execute_sql("PRAGMA max_page_count = 1")
            run("CREATE TABLE filler (words TEXT)")

    line = line_of(fill)
    assert "is full" in line
    assert "DATABASE_URL" not in line


def test_a_damaged_file_is_told_from_one_that_is_no_database(file: Path) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + b"\x55" * (len(whole) - 4096))
    url = f"sqlite:////{file}"
    assert "damaged" in line_of(lambda: (open_database(url), list_tickets(None, 1)), StoreRefused)
    file.write_bytes(os.urandom(20_000))
    assert "name another file" in line_of(lambda: open_database(url), StoreRefused)


def test_a_sqlite_file_that_another_keeps_locked_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.database.SQLITE_RERUNS", 0)
    open_database(f"sqlite:////{file}")
    locked, over = threading.Event(), threading.Event()

    def hold() -> None:
        with connection(), transaction():
            locked.set()
            over.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert locked.wait(10)
    try:
        with connection():
            database.execute_sql("PRAGMA busy_timeout = 50")
            with pytest.raises(StoreUnreachable, match="write lock for too long") as raised:
                take_lease("poll", "one", 60)
    finally:
        over.set()
        holder.join()
    assert ASKS_FOR_THE_URL not in str(raised.value)
    assert read_clock()
    close_database()


def test_only_where_nobody_answers_the_url_is_in_doubt() -> None:
    line = line_of(lambda: open_database("postgresql://nobody:secret-word@127.0.0.1:1/none"))
    assert "cannot be reached (Connection refused)" in line
    assert ASKS_FOR_THE_URL in line


#: The option in the URL, what the line says, and whether it is for the URL alone to mend.
OPTIONS = {
    "options=-cgeheim%3D1": ("a parameter", StoreRefused),
    "options=-cwork_mem%3Dgeheim": ("a parameter", StoreRefused),
    "options=-z": ("a parameter", StoreRefused),
    "client_encoding=geheim": ("a parameter", StoreRefused),
    "service=geheim": ("service=", StoreRefused),
    "sslmode=geheim": ("cannot be used", StoreRefused),
    "port=geheim": ("cannot be used", StoreRefused),
    "target_session_attrs=standby": ("target_session_attrs", StoreUnreachable),
    "target_session_attrs=read-only": ("target_session_attrs", StoreUnreachable),
}


def with_option(url: str, option: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{option}"


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_of_the_url_is_not_told_as_an_outage(server_url: str, option: str) -> None:
    words, fault = OPTIONS[option]
    line = line_of(lambda: open_database(with_option(server_url, option)), fault)
    assert line.startswith("DATABASE_URL: ")
    assert words in line
    assert "geheim" not in line


def test_a_search_path_to_no_schema_is_told_before_and_at_the_first_write(
    new_postgres: Callable[..., str],
) -> None:
    url = with_option(new_postgres(), "options=-csearch_path%3Dgeheim")
    for work in (require_writable, deploy_migrations):
        open_database(url)
        line = line_of(work, StoreRefused)
        assert "search_path names no schema" in line


def test_a_socket_that_is_not_there_is_told(tmp_path: Path) -> None:
    line = line_of(lambda: open_database(f"postgresql://u@/x?host={tmp_path}"))
    assert "cannot be reached (No such file or directory)" in line
