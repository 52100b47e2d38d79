"""What a rollback to the original's migration may not lose: the restore barrier, and tickets unseen."""

from datetime import timedelta

import pytest

from models.backup_seal import CLOSE
from models.barrier import raise_barrier
from models.cursors import activate
from models.database import connection, database, read_clock
from models.errors import MigrationDestroys, MigrationFailed, SchemaBehind
from models.schema import INIT, ensure_migrated, is_ready, rollback_migrations
from tests.store.conftest import Ledger

OVERLAP = timedelta(minutes=15)


def settle(ledger: Ledger, ticket_id: str, after: timedelta) -> None:
    at = read_clock() + after
    ledger.find(ticket_id)
    ledger.edit(ticket_id, state="notified", success=True, provider="rules", processed_at=at)


def test_a_barrier_outlives_a_rollback_that_would_lose_it(ledger: Ledger) -> None:
    activate(read_clock(), None, OVERLAP)
    settle(ledger, "1", timedelta(0))
    raise_barrier()
    with pytest.raises(MigrationFailed, match="settled more than 15 min after"):
        rollback_migrations(INIT, may_destroy=True)
    settle(ledger, "2", timedelta(minutes=14))
    with pytest.raises(MigrationFailed, match="settled more than 15 min after"):
        rollback_migrations(INIT, may_destroy=True)
    with pytest.raises(MigrationFailed, match="settled more than 60 min after"):
        rollback_migrations(INIT, may_destroy=True, overlap=timedelta(hours=1))
    settle(ledger, "3", timedelta(minutes=16))
    assert rollback_migrations(INIT, may_destroy=True)


def test_a_rollback_that_deletes_tickets_nobody_was_told_of_says_so_first(ledger: Ledger) -> None:
    settle(ledger, "1", timedelta(0))
    ledger.find("2")
    ledger.edit("2", ticket_created_at="2026-11-20 10:00:00.000+00:00")
    ledger.find("3")
    with pytest.raises(
        MigrationDestroys, match=r"deletes 2 open tickets .* the oldest of 2026-11-20 10:00:00 UTC"
    ):
        rollback_migrations(INIT)
    assert rollback_migrations(INIT, may_destroy=True)


def test_no_run_begins_on_a_ledger_whose_restore_ended_half_way(ledger: Ledger) -> None:
    assert is_ready()
    with connection():
        database.execute_sql(CLOSE)
    for look in (is_ready, ensure_migrated):
        with pytest.raises(SchemaBehind, match="a restore into this database ended half way"):
            look()
