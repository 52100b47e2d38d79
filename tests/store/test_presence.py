"""Which workers are alive, and what they notice of migrations that were taken back."""

from datetime import timedelta

from jobs.presence import Presence
from models.cursors import Cursor, drop_lease, take_lease
from models.database import connection, database, read_clock
from models.presence import appear, find_presence, leave
from tests.store.conftest import Ledger

ONE, TWO = "host:1:aaaa1111", "host:2:bbbb2222"


def test_each_worker_counts_until_it_leaves_or_its_lease_is_over(ledger: Ledger) -> None:
    assert find_presence() is None
    appear(ONE, 60)
    appear(TWO, 120)
    found = find_presence()
    assert found is not None
    assert found.owner == TWO
    assert abs(found.until - read_clock() - timedelta(seconds=120)) < timedelta(seconds=10)
    leave(TWO)
    found = find_presence()
    assert found is not None
    assert found.owner == ONE
    appear(ONE, -1)
    assert find_presence() is None


def test_what_killed_workers_left_is_cleared_away(ledger: Ledger) -> None:
    appear(ONE, -1)
    appear(TWO, 60)
    with connection():
        assert [row.name for row in Cursor.select(Cursor.name)] == ["migrate", "worker bbbb2222"]


def test_a_run_that_polls_counts_and_a_migration_does_not(ledger: Ledger) -> None:
    assert take_lease("migrate", "one", 60)
    assert find_presence() is None
    assert take_lease("poll", "one", 60)
    assert find_presence() is not None
    drop_lease("poll", "one")
    assert find_presence() is None


def test_a_worker_that_left_does_not_come_back(ledger: Ledger) -> None:
    presence = Presence(ONE)
    presence.renew()
    assert find_presence() is not None
    presence.end()
    presence.renew()
    assert find_presence() is None


def test_a_database_that_fell_behind_is_noticed_and_one_that_came_back_too(ledger: Ledger) -> None:
    presence = Presence(ONE)
    presence.renew()
    assert not presence.is_behind
    with connection():
        database.execute_sql("ALTER TABLE schema_migration RENAME TO away")
    presence.renew()
    assert presence.is_behind
    with connection():
        database.execute_sql("ALTER TABLE away RENAME TO schema_migration")
    presence.renew()
    assert not presence.is_behind
