"""The database's vital signs: read where there are any, judged by thresholds."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from jobs.check_database import find_ailments
from models.database import close_database, connection, database, on_postgres, open_database
from models.schema import deploy_migrations
from models.vitals import Table, Vitals, read_vitals
from tests.conftest import connect
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
