"""No restored ledger without its barrier, wherever a restore is killed.

What puts the file's tables in their place raises the barrier in the same transaction. A backup from before
``LEDGER``, the original's for one, has no column for it: its migrations are closed until the one that adds
the column raises the barrier too. To restore again opens it as well.
"""

from typing import Any

from models.cursors import drop_lease
from models.database import database, on_postgres, rerun_on_conflict, transaction
from models.migration_lease import RESTORE
from models.migration_runner import LEDGER, lease_table
from models.schema import INIT, ORIGINAL_COLUMNS, is_originals, runner

NO_LEDGER = "TR001"  #: a SQLSTATE of our own

RAISE = """
INSERT INTO poll_cursors (name, restored_at) VALUES ('ledger', {now})
ON CONFLICT (name) DO UPDATE SET restored_at = CASE WHEN poll_cursors.restored_at > excluded.restored_at
    THEN poll_cursors.restored_at ELSE excluded.restored_at END"""
CLOSE = f"""
INSERT INTO poll_cursors (name, lease_owner, lease_expires_at)
VALUES ('migrate', '{RESTORE}', '9999-12-31 00:00:00.000+00:00')
ON CONFLICT (name) DO UPDATE SET
    lease_owner = excluded.lease_owner, lease_expires_at = excluded.lease_expires_at"""
# Whoever held them works on the ledger that was backed up.
FORGET_WORKERS = "DELETE FROM poll_cursors WHERE name LIKE 'worker %'"
FORGET_LEASES = "UPDATE poll_cursors SET lease_owner = NULL, lease_expires_at = NULL"
# Inserts nothing, and fails where a column or the unique key is missing.
PROBE = """
INSERT INTO processed_tickets ({columns}) SELECT {columns} FROM processed_tickets WHERE false
ON CONFLICT (ticket_id) DO NOTHING""".format(columns=", ".join(sorted(ORIGINAL_COLUMNS)))


def seal_of_postgres() -> str:
    """One statement for the loading transaction; ends it with NO_LEDGER where no ledger was loaded."""
    return f"""
DO $seal$
BEGIN
    PERFORM set_config('search_path', quote_ident(current_schema()), true);
    BEGIN {PROBE};
    EXCEPTION WHEN undefined_table OR undefined_column OR invalid_column_reference THEN
        RAISE EXCEPTION 'no ledger' USING ERRCODE = '{NO_LEDGER}';
    END;
    {lease_table(database.obj)};
    {FORGET_WORKERS};
    {FORGET_LEASES};
    BEGIN {RAISE.format(now="clock_timestamp()")};
    EXCEPTION WHEN undefined_column THEN {CLOSE};
    END;
END $seal$;
"""


def seal_sqlite(copy: Any) -> None:
    """The same in a ``copy`` that is to become the ledger."""
    for statement in (lease_table(copy), FORGET_WORKERS, FORGET_LEASES):
        copy.execute_sql(statement)
    columns = {column.name for column in copy.get_columns("poll_cursors")}
    copy.execute_sql(raise_there() if "restored_at" in columns else CLOSE)


def raise_there() -> str:
    now = "clock_timestamp()" if on_postgres() else "strftime('%Y-%m-%d %H:%M:%f+00:00', 'now')"
    return RAISE.format(now=now)


@rerun_on_conflict
def open_behind_barrier() -> list[str]:
    """Migrate what was closed as far as the barrier's column, and raise it; the names applied."""
    with transaction():
        if "restored_at" in {column.name for column in database.get_columns("poll_cursors")}:
            return []
        applied: list[str] = []
        found = runner(applied.append)
        if is_originals(found):
            found.fake(INIT)
        found.up(LEDGER)
        database.execute_sql(raise_there())
        drop_lease("migrate", RESTORE)
        return applied
