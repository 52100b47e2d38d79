from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

import models.schema
from models.counts import HourlyCount
from models.cursors import Cursor, activate, lease_is_held, take_lease
from models.database import close_database, connection, database, open_database, read_clock
from models.deliveries import Delivery
from models.errors import MigrationFailed, SchemaBehind, SchemaForeign, StoreUnreachable
from models.inbox import WebhookEvent
from models.job_runs import JobRun
from models.schema import (
    INIT,
    Told,
    database_is_empty,
    deploy_migrations,
    ensure_migrated,
    is_current,
    migration_status,
    preview_migrations,
)
from models.switches import Switch
from models.tickets import ProcessedTicket, TicketState, look_up_ticket
from tests.conftest import connect, run_there

MODELS = (ProcessedTicket, Delivery, WebhookEvent, Cursor, HourlyCount, JobRun, Switch)


@pytest.fixture
def opened(empty_url: str) -> str:
    open_database(empty_url)
    return empty_url


def test_an_empty_database_is_migrated_by_the_first_worker(opened: str) -> None:
    assert database_is_empty()
    assert not is_current()
    assert ensure_migrated()[0] == INIT
    assert ensure_migrated() == []
    assert is_current()
    close_database()


def test_status_changes_nothing(opened: str) -> None:
    assert all(one.applied_at is None for one in migration_status())
    with connection():
        assert database.get_tables() == []
    close_database()


def test_the_tables_are_those_of_the_models(opened: str) -> None:
    deploy_migrations()
    with connection():
        for model in MODELS:
            columns = {column.name for column in database.get_columns(model._meta.table_name)}
            assert columns == {field.column_name for field in model._meta.sorted_fields}
            # SQLite calls an INTEGER PRIMARY KEY nullable, and fills it.
            nullable = {
                column.name
                for column in database.get_columns(model._meta.table_name)
                if column.null and column.name != "id"
            }
            assert nullable == {field.column_name for field in model._meta.sorted_fields if field.null}
    close_database()


def test_the_unique_keys_are_those_of_the_models(opened: str) -> None:
    deploy_migrations()
    expected = {
        "processed_tickets": ["ticket_id"],
        "deliveries": ["ticket_id", "channel"],
        "webhook_inbox": ["portal_id", "event_type", "object_id", "event_id", "occurred_at"],
        "hourly_counts": ["hour", "source", "provider", "priority", "state"],
        "switches": ["name", "key_hash"],
    }
    with connection():
        for table, columns in expected.items():
            unique = [index.columns for index in database.get_indexes(table) if index.unique]
            assert columns in unique
    close_database()


def test_processes_that_migrate_at_once_apply_each_migration_once(opened: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        applied = [name for names in threads.map(lambda _: deploy_migrations(), range(4)) for name in names]
    assert sorted(applied) == sorted(one.name for one in migration_status())
    assert not lease_is_held("migrate")
    close_database()


def test_a_held_lease_ends_in_a_clear_line(opened: str) -> None:
    deploy_migrations()
    take_lease("migrate", "somebody", 60)
    waited: list[bool] = []
    with pytest.raises(StoreUnreachable, match="migration lease"):
        deploy_migrations(
            wait_seconds=0.1, sleep=lambda _: None, told=Told(waiting=lambda: waited.append(True))
        )
    assert waited == [True]
    close_database()


@pytest.fixture
def broken_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "migrations"
    folder.mkdir()
    for file in models.schema.FOLDER.glob("[0-9]*.py"):
        (folder / file.name).write_text(file.read_text())
    (folder / "20270101000000_broken.py").write_text(
        "def up(migrator, db):\n"
        "    db.execute_sql('CREATE TABLE half (id integer)')\n"
        "    db.execute_sql('CREATE TABLE half (id integer)')\n"
    )
    monkeypatch.setattr(models.schema, "FOLDER", folder)
    return folder


def test_a_failed_migration_leaves_nothing_of_itself(opened: str, broken_folder: Path) -> None:
    with pytest.raises(MigrationFailed, match="half"):
        deploy_migrations()
    with connection():
        assert "half" not in database.get_tables()
    assert [one.name for one in migration_status() if one.applied_at is None] == ["20270101000000_broken"]
    assert not lease_is_held("migrate")
    close_database()


def test_a_database_that_is_behind_names_the_command(opened: str, broken_folder: Path) -> None:
    (broken_folder / "20270101000000_broken.py").rename(broken_folder / "later")
    deploy_migrations()
    (broken_folder / "later").rename(broken_folder / "20270101000000_later.py")
    with pytest.raises(SchemaBehind, match="migrate deploy"):
        ensure_migrated()
    close_database()


def test_another_table_of_the_same_name_is_left_alone(opened: str) -> None:
    with connection():
        database.execute_sql("CREATE TABLE processed_tickets (id integer)")
    for act in (preview_migrations, deploy_migrations):
        with pytest.raises(SchemaForeign, match="use another database"):
            act()
    with connection():
        assert database.get_tables() == ["processed_tickets"]
    close_database()


@pytest.fixture
def original_url(originals_url: str) -> str:
    run_there(
        originals_url,
        "INSERT INTO processed_tickets (ticket_id, provider, success, processed_at) VALUES"
        " ('1', 'local', true, now() - interval '1 day'), ('2', 'groq', false, now() - interval '1 hour')",
    )
    return originals_url


def test_the_originals_database_is_adopted_and_its_rows_count_as_told(original_url: str) -> None:
    open_database(original_url)
    assert deploy_migrations()[0] == f"{INIT} (adopted)"
    for ticket_id in ("1", "2"):
        entry = look_up_ticket(ticket_id)
        assert entry is not None
        assert entry.state is TicketState.NOTIFIED
    opened_at = activate(read_clock(), None, timedelta(minutes=15))
    age = read_clock() - opened_at
    assert timedelta(minutes=74) < age < timedelta(minutes=76)
    close_database()


def test_a_row_the_original_still_writes_counts_as_told(original_url: str) -> None:
    open_database(original_url)
    deploy_migrations()
    session = connect(original_url)
    session.cursor().execute("INSERT INTO processed_tickets (ticket_id, provider) VALUES ('3', 'local')")
    session.close()
    entry = look_up_ticket("3")
    assert entry is not None
    assert entry.state is TicketState.NOTIFIED
    close_database()
