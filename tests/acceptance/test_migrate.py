"""``migrate`` and ``restore`` in processes of their own, beside a worker that runs."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from models.cursors import Cursor, take_lease
from models.database import database
from models.presence import WORKER
from models.schema import INIT
from tests.acceptance.conftest import Bench, Finished
from tests.acceptance.worker import Running, worker
from tests.conftest import use_clients

RARELY = {"POLL_INTERVAL_SECONDS": "3600", "SWEEP_INTERVAL_MINUTES": "1000"}


@pytest.fixture
def path_with_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    use_clients(monkeypatch)


@pytest.fixture
def backup(bench: Bench, path_with_clients: None) -> Path:
    """Of a ledger with a ticket told."""
    bench.add(1)
    assert bench.run("run-once").code == 0
    file = bench.folder / "one.backup"
    assert bench.run("backup", str(file)).code == 0
    return file


def roll_back(bench: Bench) -> Finished:
    return bench.run("migrate", "rollback", "--to", INIT, "--yes")


def restore(bench: Bench, file: Path) -> Finished:
    return bench.run("restore", str(file), "--yes")


def is_refused(done: Finished, then: str) -> bool:
    (line,) = done.error_lines
    return done.code == 2 and "a worker is at work" in line and f"stop it, then {then};" in line


def wait_out_the_leases(bench: Bench) -> None:
    """Its own, and that of the poll or sweep in which it was killed."""
    over = datetime(2020, 1, 1, tzinfo=UTC)
    with bench.ledger():
        assert Cursor.update(lease_expires_at=over).where(Cursor.lease_owner.is_null(False)).execute()


def test_nothing_is_reverted_or_restored_beneath_an_idle_worker(bench: Bench, backup: Path) -> None:
    with worker(bench, env=RARELY) as running:
        assert is_refused(roll_back(bench), "roll back")
        assert is_refused(restore(bench, backup), "restore")
        assert_idle(bench, running)
        assert running.stop() == 0
    assert roll_back(bench).code == 0
    assert restore(bench, backup).code == 0


def assert_idle(bench: Bench, running: Running) -> None:
    assert running.is_ready()
    assert set(bench.states().values()) == {"notified"}
    with bench.ledger():
        workers = Cursor.select(Cursor.lease_owner).where(Cursor.name.startswith(WORKER))
        assert [str(row.lease_owner).split(":")[1] for row in workers] == [str(running.process.pid)]


def test_one_that_was_killed_counts_until_its_lease_is_over(bench: Bench, backup: Path) -> None:
    with worker(bench, env=RARELY) as running:
        running.process.kill()
        running.process.wait()
    refused = roll_back(bench)
    assert is_refused(refused, "roll back")
    assert re.search(r"one that was killed counts until \d\d:\d\d:\d\d UTC$", refused.error_lines[0])
    wait_out_the_leases(bench)
    assert roll_back(bench).code == 0


def test_one_worker_that_ends_does_not_hide_another(postgres_bench: Bench) -> None:
    bench = postgres_bench
    with worker(bench, "one", env=RARELY) as one, worker(bench, "two", env=RARELY) as two:
        assert one.stop() == 0
        assert is_refused(roll_back(bench), "roll back")
        assert two.stop() == 0
    assert roll_back(bench).code == 0


def test_a_worker_that_may_not_start_leaves_at_once(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    assert bench.run("migrate").code == 0
    assert bench.run("worker", HUBSPOT_ACCESS_TOKEN="another").code == 2
    assert roll_back(bench).code == 0


def test_a_dry_run_shows_what_is_made_first_and_a_rollback_to_the_newest_has_nothing_to_do(
    sqlite_bench: Bench,
) -> None:
    bench = sqlite_bench
    shown = bench.run("migrate", "dry-run")
    assert shown.out.startswith("-- before any migration\nCREATE TABLE IF NOT EXISTS poll_cursors (")
    assert shown.out.splitlines()[-1].endswith(" pending; nothing was changed")
    names = [one["name"] for one in bench.run("migrate", "dry-run", "--json").json["pending"]]
    assert bench.run("migrate").out.splitlines() == [f"applied {name}" for name in names]
    assert bench.run("migrate").out == "nothing to apply\n"
    newest = bench.run("migrate", "rollback", "--to", names[-1])
    assert (newest.code, newest.out) == (0, "nothing to revert\n")
    reverted = bench.run("migrate", "rollback", "--to", names[-2], "--yes", "--json").json
    assert reverted["reverted"] == [names[-1]]


def test_who_waits_for_another_that_migrates_says_so_once(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    bench.run("migrate")
    with bench.ledger():
        assert take_lease("migrate", "another", 3)
    waited = bench.run("migrate")
    assert (waited.code, waited.out) == (0, "nothing to apply\n")
    assert waited.error_lines == ["another process migrates now; waiting 150 s at most"]


def test_another_programs_database_is_left_as_it_was(bench: Bench) -> None:
    with bench.ledger():
        database.execute_sql("CREATE TABLE processed_tickets (id integer)")
    for action in ("dry-run", "deploy"):
        refused = bench.run("migrate", action)
        assert (refused.code, refused.out) == (2, "")
        assert "of another shape" in refused.err
    with bench.ledger():
        assert database.get_tables() == ["processed_tickets"]
