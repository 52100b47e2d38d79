"""The database's vital signs: read where there are any, judged by thresholds."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from jobs.check_database import find_ailments
from models.database import close_database, connection, database, on_postgres, open_database
from models.schema import deploy_migrations
from models.vitals import Table, Vitals, read_vitals
from tests.conftest import connect, run_there, with_server
from tests.store.conftest import Ledger

WELL = Vitals(5, 100, 1.0, 0.0, 30 * 86_400.0, (Table("processed_tickets", 50_000, 100, 30_000_000),))


def names(latency_ms: float = 1.0, **changes: object) -> list[str]:
    return [name for name, _ in find_ailments(latency_ms, replace(WELL, **changes))]  # type: ignore[arg-type]


def test_a_database_that_is_well_has_no_ailments() -> None:
    assert names() == []
    assert list(find_ailments(1.0, None)) == []


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("query_time", {"latency_ms": 51.0}),
        ("connections", {"connections": 80}),
        ("long_transaction", {"longest_transaction_seconds": 901.0}),
        ("replication", {"replication_lag_seconds": 61.0}),
        ("dead_rows_t", {"tables": (Table("t", 40_000, 10_001, 1),)}),
        ("size_t", {"tables": (Table("t", 1_000, 0, 65_000_000),)}),
        ("index_i", {"unused": (("i", "processed_tickets"),)}),
    ],
)
def test_each_threshold_is_named_once_it_is_passed(name: str, changes: dict[str, object]) -> None:
    assert names(**changes) == [name]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"latency_ms": 50.0},
        {"connections": 79},
        {"tables": (Table("t", 60_000, 11_000, 1),)},
        {"tables": (Table("t", 100, 0, 60_000_000),)},
        {"unused": (("i", "processed_tickets"),), "counted_seconds": 6 * 86_400.0},
        {"unused": (("i", "job_runs"),)},
    ],
)
def test_what_cannot_be_told_yet_is_not_named(changes: dict[str, object]) -> None:
    assert names(**changes) == []  # type: ignore[arg-type]


def test_every_line_says_what_to_do() -> None:
    ill = Vitals(90, 100, 1e4, 1e4, 1e9, (Table("t", 20_000, 20_000, 10**9),), (("i", "t"),))
    lines = [line for _, line in find_ailments(60.0, ill)]
    assert len(lines) == 7
    assert all(any(mark in line for mark in (";", "?")) for line in lines)


def test_they_are_read_from_the_server(ledger: Ledger) -> None:
    ledger.find("1", "2")
    vitals = read_vitals()
    if not on_postgres():
        assert vitals is None
        return
    assert vitals is not None
    assert 0 < vitals.connections < vitals.most_connections
    assert {"processed_tickets", "deliveries", "webhook_inbox"} <= {table.name for table in vitals.tables}
    assert all(table.bytes > 0 for table in vitals.tables if table.name == "processed_tickets")
    assert ("idx_provider", "processed_tickets") in vitals.unused
    assert "processed_tickets_ticket_id_key" not in dict(vitals.unused)  # unique: it is a rule, used or not


def test_the_longest_transaction_is_that_of_others(new_postgres: Callable[..., str]) -> None:
    url = new_postgres()
    open_database(url)
    deploy_migrations()
    other = connect(url)
    other.autocommit = False
    other.cursor().execute("SELECT 1")
    with connection():
        database.execute_sql("SELECT pg_sleep(0.3)")
    vitals = read_vitals()
    other.close()
    assert vitals is not None
    assert vitals.longest_transaction_seconds >= 0.3
    close_database()


def dead_rows() -> int:
    vitals = read_vitals()
    assert vitals is not None
    return next(table.dead for table in vitals.tables if table.name == "used")


def within(seconds: float, is_so: Callable[[], bool]) -> bool:
    over = time.monotonic() + seconds
    while not (so := is_so()) and time.monotonic() < over:
        time.sleep(0.2)
    return so


def counted(url: str) -> int:
    """Every dead row, as the server counts."""
    session = connect(url)
    cursor = session.cursor()
    cursor.execute("SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'used'")
    (count,) = cursor.fetchone() or (0,)
    session.close()
    return int(count)


@pytest.fixture
def hasty_autovacuum(server_url: str) -> Iterator[None]:
    """It comes every second."""
    with_server(server_url, "ALTER SYSTEM SET autovacuum_naptime = 1")
    with_server(server_url, "SELECT pg_reload_conf()")
    yield
    with_server(server_url, "ALTER SYSTEM RESET autovacuum_naptime")
    with_server(server_url, "SELECT pg_reload_conf()")


def test_dead_rows_are_not_named_before_autovacuum_had_its_turn(new_postgres: Callable[..., str]) -> None:
    url = new_postgres()
    never_yet = "WITH (autovacuum_enabled = false)"
    run_there(
        url, f"CREATE TABLE used {never_yet} AS SELECT n, 0 AS changed FROM generate_series(1, 20000) n"
    )
    run_there(url, "UPDATE used SET changed = 1")
    open_database(url)
    assert within(20, lambda: counted(url) == 20_000)
    assert dead_rows() == 0
    run_there(url, "ANALYZE used")  # as retention does
    assert dead_rows() == 0
    close_database()


@pytest.mark.usefixtures("hasty_autovacuum")
def test_dead_rows_that_autovacuum_could_not_remove_are_named(new_postgres: Callable[..., str]) -> None:
    url = new_postgres()
    run_there(url, "CREATE TABLE used AS SELECT n, 0 AS changed FROM generate_series(1, 20000) n")
    reader = connect(url)
    reader.cursor().execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM used")
    run_there(url, "UPDATE used SET changed = 1")
    open_database(url)
    assert within(60, lambda: dead_rows() > 15_000)
    vitals = read_vitals()
    assert [name for name, _ in find_ailments(1.0, vitals) if "dead" in name] == ["dead_rows_used"]
    reader.close()
    run_there(url, "UPDATE used SET changed = 2")
    assert within(60, lambda: dead_rows() == 0 and counted(url) == 0)
    close_database()
