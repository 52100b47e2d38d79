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
TABLES = """
SELECT relname, n_live_tup, n_dead_tup, pg_total_relation_size(relid) FROM pg_stat_user_tables
WHERE schemaname = current_schema()"""
UNUSED = """
SELECT s.indexrelname, s.relname FROM pg_stat_user_indexes s JOIN pg_index i USING (indexrelid)
WHERE s.schemaname = current_schema() AND s.idx_scan = 0 AND NOT i.indisunique ORDER BY 1"""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows as the server counts them, and bytes with indexes."""

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
