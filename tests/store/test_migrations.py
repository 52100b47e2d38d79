"""Every way of migrating, on both databases: what it changes, refuses, leaves, and notices."""

import argparse
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import models.migration_lease
import models.schema
from jobs.verbs import migrate as verb
from models.database import close_database, connection, database, on_postgres, open_database
from models.errors import MigrationDestroys, MigrationFailed, WorkersAtWork
from models.migration_rules import BIG_ROWS, find_destruction, find_locks
from models.migration_runner import invalid_indexes
from models.migration_writer import write_migration
from models.proposals import Proposal, propose
from models.schema import (
    INIT,
    Plan,
    Told,
    count_rows,
    deploy_migrations,
    migration_status,
    preview_migrations,
    rollback_migrations,
)
from models.schema_drift import find_drift, read_shape
from models.tickets import Source
from tests.conftest import connect, run_there
from tests.store.draw_migration_history import FILE, draw

LATER = "20300101000000_later"
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
UP = "def up(migrator, db):\n    db.execute_sql({sql!r})\n"
DOWN = "\n\ndef down(migrator, db):\n    db.execute_sql({sql!r})\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The product's migrations, and room for one more."""
    copy = tmp_path / "migrations"
    copy.mkdir()
    for file in models.schema.FOLDER.glob("[0-9]*.py"):
        (copy / file.name).write_text(file.read_text())
    monkeypatch.setattr(models.schema, "FOLDER", copy)
    return copy


@pytest.fixture
def opened(empty_url: str) -> Iterator[str]:
    open_database(empty_url)
    yield empty_url
    close_database()


@pytest.fixture
def migrated(opened: str, folder: Path) -> str:
    deploy_migrations()
    return opened


def write(folder: Path, up: str, down: str = "", head: str = "") -> None:
    (folder / f"{LATER}.py").write_text(head + UP.format(sql=up) + (DOWN.format(sql=down) if down else ""))


def drift() -> list[str]:
    with connection():
        return find_drift(database.obj, models.schema.FOLDER)


def run(sql: str) -> None:
    with connection():
        database.execute_sql(sql)


def test_what_the_files_and_the_models_make_is_what_is_there(migrated: str) -> None:
    assert drift() == []
    with connection():
        assert len(read_shape(database.obj).tables) == 8


@pytest.mark.parametrize(
    ("sql", "line"),
    [
        ("DROP INDEX processed_tickets_held", "is missing"),
        (
            "CREATE INDEX mine ON deliveries (place)",
            ") is not known to the migrations and the models",
        ),
        ("DROP INDEX idx_provider", "the index idx_provider (create index on processed_tickets"),
        (
            "CREATE INDEX mine ON processed_tickets (success, ticket_id)",
            "processed_tickets: the index mine (create index on processed_tickets",
        ),
        (
            "ALTER TABLE switches ADD COLUMN colour varchar(10)",
            "switches.colour is not known to the migrations and the models",
        ),
        ("ALTER TABLE deliveries DROP COLUMN notice_at", "deliveries.notice_at is missing"),
        ("DROP TABLE job_runs", "the table job_runs is missing"),
    ],
)
def test_a_database_that_was_changed_by_hand_is_noticed(migrated: str, sql: str, line: str) -> None:
    run(sql)
    (told,) = drift()  # once, although files and models both say so
    assert line in told


@pytest.mark.parametrize(
    ("sql", "line"),
    [
        (
            "ALTER TABLE deliveries ADD CHECK (attempts < 9)",
            "the constraint deliveries_attempts_check (check attempts < 9) is not known",
        ),
        ("ALTER TABLE deliveries ALTER COLUMN channel TYPE varchar(50)", "character varying(50)"),
        (
            "ALTER TABLE deliveries ALTER COLUMN channel DROP NOT NULL",
            "; the migrations and the models make it character varying(100) NOT NULL",
        ),
        ("ALTER TABLE processed_tickets ALTER COLUMN state SET DEFAULT 'found'", "DEFAULT 'found'"),
        (
            "DROP INDEX processed_tickets_open; CREATE INDEX processed_tickets_open ON processed_tickets "
            "(created_at, ticket_id) WHERE state IN ('found', 'claimed')",
            "is missing",
        ),
    ],
)
def test_constraints_types_and_predicates_are_compared(migrated: str, sql: str, line: str) -> None:
    if not on_postgres():
        pytest.skip("SQLite changes none of these in place")
    run(sql)
    assert any(line in one for one in drift())


def test_an_edited_file_is_noticed_and_line_breaks_are_not(migrated: str, folder: Path) -> None:
    file = folder / f"{INIT}.py"
    text = file.read_text()
    file.write_bytes(text.replace("\n", "\r\n").encode())
    assert drift() == []
    file.write_text(text + "# later\n")
    assert drift() == [f"{INIT} was edited after it was applied; restore the file and write a new migration"]
    file.unlink()
    assert "its file is gone" in drift()[0]


def test_before_the_first_deploy_what_is_pending_is_all_there_is_to_say(opened: str, folder: Path) -> None:
    assert [line.partition(" ")[0] for line in drift()] == [one.name for one in migration_status()]


def test_what_an_originals_table_has_or_lacks_and_nothing_relies_on_is_no_drift(
    originals_url: str, folder: Path
) -> None:
    run_there(
        originals_url,
        "ALTER TABLE processed_tickets ALTER COLUMN id DROP DEFAULT, ALTER COLUMN updated_at DROP DEFAULT;"
        "CREATE INDEX idx_ticket_id ON processed_tickets (ticket_id)",
    )
    open_database(originals_url)
    deploy_migrations()
    propose([Proposal("1", NOW)], Source.POLL)
    assert drift() == []
    run("ALTER TABLE processed_tickets ALTER COLUMN created_at DROP DEFAULT")
    assert len(drift()) == 1
    close_database()


def test_a_pending_file_is_named(migrated: str, folder: Path) -> None:
    write(folder, "CREATE TABLE later (id integer)")
    assert drift() == [f"{LATER} is pending; run: python main.py migrate deploy"]


def test_a_dry_run_shows_all_sql_and_changes_nothing(opened: str, folder: Path) -> None:
    write(folder, "ALTER TABLE deliveries ADD COLUMN colour varchar(10)")
    plan = preview_migrations()
    previews = plan.pending
    assert [one.name for one in previews] == [one.name for one in migration_status()]
    assert previews[0].statements[0].startswith("CREATE TABLE processed_tickets (")
    assert previews[-1].statements == ("ALTER TABLE deliveries ADD COLUMN colour varchar(10);",)
    with connection():
        assert database.get_tables() == []
    assert len(deploy_migrations()) == len(previews)
    assert preview_migrations() == Plan((), None, [])


def test_a_dry_run_of_peewees_own_operations_is_their_sql(migrated: str, folder: Path) -> None:
    (folder / f"{LATER}.py").write_text(
        "from peewee import CharField\n\n\ndef up(migrator, db):\n"
        "    migrator.migrate(migrator.add_column('switches', 'colour', CharField(null=True)))\n"
        "    migrator.migrate(migrator.drop_column('switches', 'colour'))\n"
    )
    before = read_again()
    (one,) = preview_migrations().pending
    assert "ADD COLUMN" in one.statements[0]
    assert find_destruction(one.statements) or not on_postgres()
    assert read_again() == before


def test_the_sql_of_a_dry_run_makes_what_deploy_makes(new_postgres: Callable[..., str], folder: Path) -> None:
    one, other = new_postgres(), new_postgres()
    open_database(one)
    plan = preview_migrations()
    deploy_migrations()
    deployed = read_again()
    run_there(other, "\n".join([*plan.first, *(sql for each in plan.pending for sql in each.statements)]))
    close_database()
    open_database(other)
    assert read_again() == deployed
    close_database()


def test_a_dry_run_of_an_original_says_what_is_adopted(originals_url: str, folder: Path) -> None:
    open_database(originals_url)
    plan = preview_migrations()
    assert plan.adopted == INIT
    assert [f"{INIT} (adopted)", *(one.name for one in plan.pending)] == deploy_migrations()
    close_database()


def test_each_is_told_once_it_is_done_and_a_failed_one_is_named(migrated: str, folder: Path) -> None:
    (folder / "20290101000000_good.py").write_text(UP.format(sql="CREATE TABLE good (id integer)"))
    for name in ("a", "b"):
        run(f"INSERT INTO switches (name, reason, set_at) VALUES ('{name}', 'x', '2026-01-01')")
    write(folder, "CREATE UNIQUE INDEX later ON switches (reason)")
    told: list[str] = []
    with pytest.raises(MigrationFailed, match=f"^migration {LATER} could not be applied, and nothing of it"):
        deploy_migrations(told=Told(done=told.append))
    assert told == ["20290101000000_good"]
    assert [one.name for one in migration_status() if one.applied_at][-1] == "20290101000000_good"


def test_a_failed_rollback_tells_what_was_reverted_and_where_it_stopped(migrated: str) -> None:
    if not on_postgres():
        pytest.skip("on SQLite a view is not in the way")
    run("CREATE VIEW states AS SELECT state FROM processed_tickets")
    told: list[str] = []
    with pytest.raises(MigrationFailed, match=r"^migration \d+_ledger could not be reverted"):
        rollback_migrations(INIT, may_destroy=True, told=Told(done=told.append))
    assert told == [one.name for one in migration_status() if one.applied_at is None][::-1]
    assert len(told) == len(migration_status()) - 2


def test_what_reads_a_table_that_is_pending_too_cannot_be_shown_and_is_applied_with_yes(
    migrated: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "20290101000000_good.py").write_text(UP.format(sql="CREATE TABLE good (id integer)"))
    write(folder, "INSERT INTO good VALUES (1)")
    reads = "def up(migrator, db):\n    db.execute_sql('SELECT 1 FROM good').fetchall()\n"
    (folder / "20290102000000_reads.py").write_text(reads)
    assert verb.deploy(argparse.Namespace(yes=True, json=False)) == 0
    applied = ["20290101000000_good", "20290102000000_reads", LATER]
    assert capsys.readouterr().out.splitlines() == [f"applied {name}" for name in applied]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("def up(migrator, db):\n    raise ValueError('a secret')\n", "ValueError at {}.py:2"),
        ("def up(migrator, db):\n    int('a secret')\n", "ValueError at {}.py:2"),
        ("import a_secret\n", "ModuleNotFoundError at {}.py:1"),
        ("def up(\n", "SyntaxError at {}.py:1"),
    ],
)
def test_a_migration_that_raises_is_named_with_the_place(
    migrated: str, folder: Path, text: str, fault: str
) -> None:
    (folder / f"{LATER}.py").write_text(text)
    for act in (
        preview_migrations,
        deploy_migrations,
        lambda: deploy_migrations(may_destroy=True),
    ):
        with pytest.raises(MigrationFailed) as raised:
            act()
        line = str(raised.value)
        assert line.startswith(f"migration {LATER} could not be applied")
        assert fault.format(LATER) in line
        assert "secret" not in line


def read_again() -> tuple[dict[tuple[str, str], object], set[tuple[str, str]]]:
    with connection():
        shape = read_shape(database.obj)
    return dict(shape.columns), set(shape.rules)


def test_rolling_back_to_the_original_and_deploying_again_is_the_same(migrated: str) -> None:
    before = read_again()
    with pytest.raises(MigrationDestroys, match=rf"drops the table deliveries.*rollback --to {INIT} --yes"):
        rollback_migrations(INIT)
    assert read_again() == before
    assert rollback_migrations(INIT, may_destroy=True)[-1] == "20261123000000_ledger"
    assert [one.name for one in migration_status() if one.applied_at] == [INIT]
    deploy_migrations()
    assert read_again() == before
    assert drift() == []


def test_the_last_migration_alone_is_rolled_back_where_none_is_named(migrated: str, folder: Path) -> None:
    write(folder, "CREATE TABLE later (id integer)", "DROP TABLE later")
    deploy_migrations()
    with pytest.raises(MigrationDestroys, match="drops the table later"):
        rollback_migrations()
    assert rollback_migrations(may_destroy=True) == [LATER]


@pytest.mark.parametrize(
    ("target", "line"),
    [("20200101000000_none", "is not an applied migration"), (INIT, "has no down")],
)
def test_a_rollback_that_cannot_be_done_changes_nothing(
    migrated: str, folder: Path, target: str, line: str
) -> None:
    write(folder, "CREATE TABLE later (id integer)")
    deploy_migrations()
    before = read_again()
    with pytest.raises(MigrationFailed, match=line):
        rollback_migrations(target, may_destroy=True)
    assert read_again() == before


def test_a_rollback_that_fails_half_way_undoes_its_own_step_alone(migrated: str, folder: Path) -> None:
    write(folder, "CREATE TABLE later (id integer)", "DROP TABLE later")
    deploy_migrations()
    text = (folder / f"{LATER}.py").read_text()
    (folder / f"{LATER}.py").write_text(text + "    db.execute_sql('DROP TABLE nothing')\n")
    with pytest.raises(MigrationFailed, match="nothing"):
        rollback_migrations(INIT, may_destroy=True)
    assert all(one.applied_at for one in migration_status())
    with connection():
        assert "later" in database.get_tables()


def test_nothing_is_rolled_back_while_a_worker_is_at_work(migrated: str) -> None:
    far = "2999-01-01 00:00:00.000+00:00"
    run(
        "INSERT INTO processed_tickets (id, ticket_id, state, lease_owner, lease_expires_at) "
        f"VALUES ('00000000-0000-0000-0000-000000000001', '1', 'claimed', 'one', '{far}')"
    )
    with pytest.raises(WorkersAtWork, match="stop it"):
        rollback_migrations(INIT, may_destroy=True)


def test_what_destroys_asks_first_and_says_what(migrated: str, folder: Path) -> None:
    write(folder, "ALTER TABLE switches DROP COLUMN reason")
    with pytest.raises(MigrationDestroys, match=r"later drops the column reason.*deploy --yes"):
        deploy_migrations()
    assert deploy_migrations(may_destroy=True) == [LATER]


def test_an_index_made_beside_the_work_is_made_or_leaves_nothing(migrated: str, folder: Path) -> None:
    if not on_postgres():
        pytest.skip("SQLite makes indexes within the transaction")
    head = "atomic = False\n\n\n"
    run("INSERT INTO switches (name, reason, set_at) VALUES ('a', 'x', now()), ('b', 'x', now())")
    write(folder, "CREATE UNIQUE INDEX CONCURRENTLY later ON switches (reason)", head=head)
    with pytest.raises(MigrationFailed, match="could not create unique index"):
        deploy_migrations()
    with connection():
        assert invalid_indexes(database.obj) == []
    assert migration_status()[-1].applied_at is None
    run("DELETE FROM switches WHERE name = 'b'")
    assert deploy_migrations() == [LATER]
    assert [line.rpartition(" is ")[2] for line in drift()] == ["not known to the models"]


def test_a_migration_longer_than_the_lease_keeps_it(
    migrated: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not on_postgres():
        pytest.skip("on SQLite the migration's own lock keeps others out")
    monkeypatch.setattr(models.migration_lease, "LEASE_SECONDS", 0.6)
    write(folder, "SELECT pg_sleep(1.5)")
    first = threading.Thread(target=deploy_migrations)
    first.start()
    time.sleep(0.3)
    assert deploy_migrations() == []  # waited for the first, which held the lease all the while
    first.join()
    assert all(one.applied_at for one in migration_status())


def test_rows_of_all_states_become_what_the_original_may_see(migrated: str) -> None:
    """Told or maybe told stays, so that the original does not tell it again; what nobody was told goes."""
    states = {
        "1": ("notified", "'local'", "true", None),
        "2": ("notified", "'rules'", "false", None),
        "3": ("unconfirmed", "'groq'", "NULL", "unconfirmed"),
        "4": ("skipped", "'none'", "NULL", None),
        "5": ("merged", "'none'", "NULL", None),
        "6": ("found", "NULL", "NULL", None),
        "7": ("retry", "NULL", "NULL", "pending"),
        "8": ("retry", "NULL", "NULL", "sent"),
        "9": ("claimed", "NULL", "NULL", "sending"),
    }
    for ticket_id, (state, provider, success, delivery) in states.items():
        number = success if on_postgres() else {"true": "1", "false": "0"}.get(success, success)
        run(
            "INSERT INTO processed_tickets (id, ticket_id, provider, success, state) VALUES "
            f"('{uuid.uuid4()}', '{ticket_id}', {provider}, {number}, '{state}')"
        )
        if delivery:
            columns = f"'{ticket_id}', 'discord', '{delivery}'"
            run(f"INSERT INTO deliveries (ticket_id, channel, state) VALUES ({columns})")
    rollback_migrations(INIT, may_destroy=True)
    with connection():
        rows = database.execute_sql("SELECT ticket_id, provider, success FROM processed_tickets").fetchall()
    assert {row[0]: (row[1], bool(row[2])) for row in rows} == {
        "1": ("local", True),
        "2": ("rules", False),
        "3": ("groq", False),
        "4": ("none", False),
        "5": ("none", False),
        "8": ("none", False),
        "9": ("none", False),
    }


def test_the_original_runs_on_what_a_rollback_leaves(originals_url: str, folder: Path) -> None:
    session = connect(originals_url)
    open_database(originals_url)
    before = read_again()
    deploy_migrations()
    assert drift() == []
    rollback_migrations(INIT, may_destroy=True)
    assert of_tickets(read_again()) == of_tickets(before)
    cursor = session.cursor()
    # The original's four: claim, settle, clean up, count.
    cursor.execute(
        "INSERT INTO processed_tickets (ticket_id, provider) VALUES ('7', 'local') ON CONFLICT DO NOTHING"
    )
    cursor.execute("UPDATE processed_tickets SET provider = 'groq', success = false WHERE ticket_id = '7'")
    cursor.execute("SELECT provider, count(*) FROM processed_tickets GROUP BY provider")
    assert cursor.fetchall() == [("groq", 1)]
    cursor.execute("DELETE FROM processed_tickets WHERE processed_at < now() + interval '7 days'")
    assert cursor.rowcount == 1
    session.close()
    close_database()


def of_tickets(shape: tuple[dict[tuple[str, str], object], set[tuple[str, str]]]) -> list[object]:
    columns, rules = shape
    table = "processed_tickets"
    return [
        sorted(item for item in columns.items() if item[0][0] == table),
        {one for one in rules if one[0] == table},
    ]


def test_a_new_file_is_named_by_its_time_and_comes_last(tmp_path: Path, migrated: str, folder: Path) -> None:
    path = write_migration(folder, "Add team's column!", NOW)
    assert path is not None
    assert path.name == "20261126220001_add_team_s_column.py"  # after the newest, also where that is ahead
    assert [one.name for one in migration_status()][-1] == path.stem
    assert write_migration(tmp_path, "x", NOW) == tmp_path / "20261126120000_x.py"
    for name in ("", "___", "123"):
        with pytest.raises(MigrationFailed, match="NAME"):
            write_migration(folder, name, NOW)
    with pytest.raises(MigrationFailed, match="takes no file"):
        write_migration(tmp_path / "none", "x", NOW)


def test_a_new_file_from_the_models_restores_what_they_say(migrated: str, folder: Path) -> None:
    with connection():
        assert write_migration(folder, "nothing", NOW, database.obj) is None
    run("ALTER TABLE deliveries DROP COLUMN notice_at")
    with connection():
        path = write_migration(folder, "notices", NOW, database.obj)
    assert path is not None
    deploy_migrations()
    with connection():
        assert "notice_at" in {column.name for column in database.get_columns("deliveries")}


@pytest.mark.parametrize(
    ("statement", "advice"),
    [
        ("CREATE INDEX a ON big (x);", "CONCURRENTLY"),
        ('CREATE UNIQUE INDEX "a" ON "big" ("x")', "CONCURRENTLY"),
        ("CREATE INDEX CONCURRENTLY a ON big (x)", None),
        ("CREATE INDEX a ON small (x)", None),
        ("DROP INDEX a", "CONCURRENTLY"),
        ("ALTER TABLE big ALTER COLUMN x TYPE bigint", "anew"),
        ("ALTER TABLE big ALTER COLUMN x SET NOT NULL", "NOT VALID"),
        ("ALTER TABLE big ADD CONSTRAINT c CHECK (x > 0)", "NOT VALID"),
        ("ALTER TABLE big ADD CONSTRAINT c CHECK (x > 0) NOT VALID", None),
        ("ALTER TABLE big ADD CONSTRAINT c UNIQUE (x)", "USING INDEX"),
        ("ALTER TABLE big ADD COLUMN y uuid DEFAULT gen_random_uuid()", "anew"),
        ("ALTER TABLE big ADD COLUMN y integer NOT NULL DEFAULT 0", None),
        ("UPDATE big SET x = 1", "in pieces"),
        ("UPDATE big SET x = 1 WHERE x IS NULL", None),
        ("VACUUM FULL big", "locks big whole"),
    ],
)
def test_what_locks_a_big_table_is_warned_of(statement: str, advice: str | None) -> None:
    lines = find_locks([statement], {"big": BIG_ROWS, "small": 10})
    assert len(lines) == bool(advice)
    assert all((advice or "") in line for line in lines)
    assert find_locks([statement], {"big": 10}) == []


def test_what_is_copied_and_renamed_into_place_is_not_destroyed() -> None:
    remade = ["CREATE TABLE x (id integer)", "DROP TABLE a", "ALTER TABLE x RENAME TO a"]
    assert find_destruction(remade) == []
    assert find_destruction(remade[:2]) == ["drops the table a"]
    assert find_destruction(["TRUNCATE TABLE a", "DELETE FROM b WHERE c"]) == [
        "empties a",
        "deletes rows of b",
    ]


def test_rows_are_counted_by_the_servers_own_estimate(migrated: str) -> None:
    assert count_rows().get("processed_tickets", 0) == 0


def test_the_history_in_the_docs_is_that_of_the_files() -> None:
    assert FILE.read_text(encoding="utf-8") == draw(), "python -m tests.store.draw_migration_history"
