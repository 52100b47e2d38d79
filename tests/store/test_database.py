"""How the store is reached, on both databases: times, durability, refusals, and connections that die."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from models.claims import find_due
from models.cursors import take_lease
from models.database import (
    close_database,
    connection,
    database,
    may_exist,
    open_database,
    read_clock,
    rerun_on_conflict,
    transaction,
)
from models.errors import StoreRefused, StoreUnreachable, StoreUnsafe
from models.postgres import is_surely_alive
from models.schema import deploy_migrations
from models.tickets import ProcessedTicket
from models.utc import to_text, to_utc
from tests.conftest import connect, with_server
from tests.store.conftest import CREATED, Ledger


def test_a_time_comes_back_as_it_went_in_utc(ledger: Ledger) -> None:
    ledger.find("1")
    berlin = datetime(2026, 3, 29, 4, 30, 0, 123456, timezone(timedelta(hours=2)))
    ledger.edit("1", next_attempt_at=berlin)
    read = ledger.ticket("1").next_attempt_at
    assert read == datetime(2026, 3, 29, 2, 30, 0, 123000, UTC)
    assert read.tzinfo is UTC


def test_times_compare_in_the_database_as_they_do_here(ledger: Ledger) -> None:
    ledger.find("1")
    with connection():
        for later in (timedelta(milliseconds=1), timedelta(days=4000)):
            found = ProcessedTicket.select().where(ProcessedTicket.ticket_created_at < CREATED + later)
            assert found.count() == 1
        assert not ProcessedTicket.select().where(ProcessedTicket.ticket_created_at < CREATED).exists()


def test_text_and_time_are_each_others_inverse() -> None:
    assert to_utc(to_text(CREATED)) == CREATED
    assert to_text(CREATED) == "2026-11-23 10:00:00.000+00:00"
    assert to_utc(None) is None


def test_the_databases_clock_is_utc_now(ledger: Ledger) -> None:
    assert abs(read_clock() - datetime.now(UTC)) < timedelta(seconds=5)


def test_sqlite_is_durable_and_lets_readers_in(tmp_path: Path) -> None:
    open_database(f"sqlite:////{tmp_path}/triage.db")
    with connection():
        modes = [
            database.execute_sql(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
        ]
    close_database()
    assert modes == ["wal", 2]


def test_both_spellings_of_a_postgres_url_work(new_postgres: Callable[..., str]) -> None:
    url = new_postgres()
    for scheme in ("postgres://", "postgresql://"):
        open_database(scheme + url.split("://", 1)[1])
        assert read_clock().tzinfo is UTC
        close_database()


def test_an_encoded_password_and_sslmode_reach_the_server(
    new_postgres: Callable[..., str], server_url: str
) -> None:
    role = "encoded_user"
    with_server(server_url, f"DROP ROLE IF EXISTS {role}")
    with_server(server_url, f"CREATE ROLE {role} LOGIN PASSWORD 'p@s/s#w%rd'")
    head, _, tail = new_postgres().partition("://")
    place = tail.split("@", 1)[1]
    joined = "&" if "?" in place else "?"
    open_database(f"{head}://{role}:p%40s%2Fs%23w%25rd@{place}{joined}sslmode=prefer")
    with connection():
        raw = database.connection()
        assert raw.info.password == "p@s/s#w%rd"
        assert raw.info.dsn_parameters["sslmode"] == "prefer"
    close_database()


def test_a_server_that_is_not_there_is_unreachable() -> None:
    with pytest.raises(StoreUnreachable, match="Connection refused"):
        open_database("postgresql://nobody:secret-word@127.0.0.1:1/none")


def test_a_refusal_is_told_from_an_outage_and_shows_no_password(new_postgres: Callable[..., str]) -> None:
    place = new_postgres().split("@", 1)[1]
    with pytest.raises(StoreRefused, match="no such database or user") as refused:
        open_database(f"postgresql://no_such_role:secret-word@{place}")
    assert "secret-word" not in str(refused.value)
    close_database()


def test_an_option_that_libpq_does_not_know_is_named_as_such() -> None:
    with pytest.raises(StoreRefused, match="option after the \\?") as refused:
        open_database("postgresql://user:hush@127.0.0.1:1/triage?nonsense=1")
    assert "hush" not in str(refused.value)
    assert refused.value.permanent


def test_a_server_that_may_forget_commits_is_refused(new_postgres: Callable[..., str]) -> None:
    url = new_postgres()
    name = url.partition("?")[0].rsplit("/", 1)[1]
    session = connect(url)
    session.cursor().execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    session.close()
    with pytest.raises(StoreUnsafe, match="synchronous_commit"):
        open_database(url)
    close_database()


def test_a_user_who_may_not_write_and_a_read_only_server_are_told_apart(
    new_postgres: Callable[..., str], server_url: str
) -> None:
    url = new_postgres()
    with_server(server_url, "DROP ROLE IF EXISTS reader")
    with_server(server_url, "CREATE ROLE reader LOGIN PASSWORD 'secret-word'")
    open_database(f"postgresql://reader:secret-word@{url.split('@', 1)[1]}")
    with pytest.raises(StoreRefused, match="GRANT"):
        deploy_migrations()
    close_database()
    name = url.partition("?")[0].rsplit("/", 1)[1]
    with_server(server_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    open_database(url)
    with pytest.raises(StoreUnreachable, match="read-only"):
        deploy_migrations()
    close_database()


def test_a_lock_that_is_not_had_in_time_is_a_conflict_to_run_again(new_postgres: Callable[..., str]) -> None:
    url = new_postgres()
    open_database(url)
    deploy_migrations()
    session = connect(url)
    session.cursor().execute("BEGIN; LOCK TABLE processed_tickets")
    tries: list[int] = []

    @rerun_on_conflict
    def count_rows() -> int:
        tries.append(1)
        if len(tries) > 1:
            session.cursor().execute("ROLLBACK")
        with transaction():
            database.execute_sql("SET LOCAL lock_timeout = 50")
            return int(ProcessedTicket.select().count())

    assert (count_rows(), len(tries)) == (0, 2)
    session.close()
    close_database()


def test_a_deadlock_is_run_again_by_the_one_that_lost_it(new_postgres: Callable[..., str]) -> None:
    open_database(new_postgres())
    deploy_migrations()
    both_hold_one = threading.Barrier(2, timeout=30)
    tries: list[str] = []

    @rerun_on_conflict
    def lock_both(first: str, second: str) -> None:
        tries.append(first)
        with transaction():
            take_lease(first, "one", 60)
            if len(tries) <= 2:
                both_hold_one.wait()
            take_lease(second, "one", 60)

    take_lease("poll", "one", 60)
    take_lease("sweep", "one", 60)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lock_both, ["poll", "sweep"], ["sweep", "poll"]))
    assert len(tries) > 2
    close_database()


def test_only_a_sqlite_file_that_is_not_there_is_known_to_be_missing(tmp_path: Path) -> None:
    url = f"sqlite:////{tmp_path}/a%20name.db"
    assert not may_exist(url)
    assert not list(tmp_path.iterdir())
    open_database(url)
    assert may_exist(url)
    close_database()
    assert [one.name for one in tmp_path.glob("*.db")] == ["a name.db"]
    assert may_exist("postgresql://nobody@127.0.0.1:1/none")


def test_a_folder_that_is_missing_and_a_file_that_is_no_database_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreRefused, match="does not exist"):
        open_database(f"sqlite:////{tmp_path}/none/triage.db")
    (tmp_path / "text.db").write_text("this is a text file, and long enough to be taken for a header" * 20)
    with pytest.raises(StoreRefused, match="not a SQLite database"):
        open_database(f"sqlite:////{tmp_path}/text.db")
    close_database()


KILL_THE_OTHERS = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


def test_connections_that_died_in_the_pool_are_not_handed_out(new_postgres: Callable[..., str]) -> None:
    url = new_postgres()
    open_database(url)
    deploy_migrations()
    session = connect(url)
    session.cursor().execute(KILL_THE_OTHERS)
    session.close()
    assert find_due(1) == []
    close_database()


def test_only_a_session_that_was_just_used_and_was_not_ended_is_trusted(
    new_postgres: Callable[..., str],
) -> None:
    url = new_postgres()
    open_database(url)
    with connection():
        pooled = database.connection()
    assert is_surely_alive(pooled)
    pooled.returned_at -= 3600
    assert not is_surely_alive(pooled)
    with connection():
        assert database.connection() is pooled
    assert is_surely_alive(pooled)
    session = connect(url)
    session.cursor().execute(KILL_THE_OTHERS)
    session.close()
    assert not is_surely_alive(pooled)
    with connection():
        assert database.connection() is not pooled
    close_database()


def test_a_connection_lost_at_work_is_told_and_the_next_work_gets_a_new_one(
    new_postgres: Callable[..., str],
) -> None:
    url = new_postgres()
    open_database(url)
    deploy_migrations()
    session = connect(url)
    lost = pytest.raises(StoreUnreachable, match="was lost")
    with lost, connection():
        session.cursor().execute(KILL_THE_OTHERS)
        find_due(1)
    session.close()
    assert find_due(1) == []
    close_database()
