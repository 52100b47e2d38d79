"""What PostgreSQL's own statistics say of the ledger's database; nothing of the kind is there on SQLite."""

from dataclasses import dataclass

from models.database import database, on_postgres, rerun_on_conflict

VITALS = """
SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
       current_setting('max_connections')::int,
       coalesce((SELECT extract(epoch FROM max(clock_timestamp() - xact_start)) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()
                   AND backend_type = 'client backend'), 0)::float8,
       coalesce((SELECT extract(epoch FROM max(replay_lag)) FROM pg_stat_replication), 0)::float8,
       extract(epoch FROM clock_timestamp() - coalesce(
           (SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()),
           pg_postmaster_start_time()))::float8"""
# Autovacuum comes once a minute, and analyses as it cleans: what changed since the last ANALYZE it may not
# have seen. One by hand, as retention's, says nothing of it: after that it is given a quarter of an hour.
TABLES = """
SELECT relname, n_live_tup,
       CASE WHEN current_setting('autovacuum') = 'off' THEN n_dead_tup
            WHEN last_analyze > clock_timestamp() - interval '15 minutes' THEN 0
            ELSE greatest(0, n_dead_tup - n_mod_since_analyze) END,
       pg_total_relation_size(relid) FROM pg_stat_user_tables
WHERE schemaname = current_schema()"""
UNUSED = """
SELECT s.indexrelname, s.relname FROM pg_stat_user_indexes s JOIN pg_index i USING (indexrelid)
WHERE s.schemaname = current_schema() AND s.idx_scan = 0 AND NOT i.indisunique ORDER BY 1"""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows as the server counts them, and bytes with indexes.

    ``dead`` leaves out those that came since autovacuum had its last turn.
    """

    name: str
    rows: int
    dead: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Vitals:
    """``unused`` indexes, each with its table, were not read in ``counted_seconds``."""

    connections: int
    most_connections: int
    longest_transaction_seconds: float
    replication_lag_seconds: float
    counted_seconds: float
    tables: tuple[Table, ...] = ()
    unused: tuple[tuple[str, str], ...] = ()


@rerun_on_conflict
def read_vitals() -> Vitals | None:
    """Three queries on the server's statistics; None on SQLite. Of others' work only lengths are read."""
    if not on_postgres():
        return None
    connections, most, longest, lag, counted = database.execute_sql(VITALS).fetchone()
    tables = tuple(Table(*one) for one in database.execute_sql(TABLES).fetchall())
    unused = tuple(database.execute_sql(UNUSED).fetchall())
    return Vitals(connections, most, longest, lag, counted, tables, unused)
