"""The database's vital signs judged by the old guide's thresholds, each with its remedy in one line."""

from collections.abc import Iterator

from models.vitals import Table, Vitals

SLOW_MS = 50.0
CROWDED_SHARE = 0.8
BYTES_PER_ROW = 4_000  #: a row with its indexes takes 400 to 700
SMALL_BYTES = 64_000_000
DEAD_SHARE, FEW_ROWS = 0.2, 10_000
UNUSED_AFTER_SECONDS = 7 * 86_400.0
LONG_TRANSACTION_SECONDS = 900.0
LAG_SECONDS = 60.0

SLOW = (
    "a query takes {0:.0f} ms, more than 50: is the database far away or busy? python main.py migrate verify "
    "names a missing index"
)
CROWDED = "{0} of {1} connections are in use; lower DB_POOL_SIZE, or put PgBouncer before the database"
LONG = (
    "a transaction is open for {0:.0f} min and keeps dead rows; find it in pg_stat_activity, end it with "
    "pg_terminate_backend(pid)"
)
BEHIND = (
    "a replica is {0:.0f} s behind: a failover would lose what was told since; look at its disk and network"
)
DEAD = "{0:,} dead rows in {1} ({2:,} live): autovacuum does not keep up; VACUUM {1}"
LARGE = "{1} takes {0:,.0f} MB for {2:,} rows; when the worker is stopped: VACUUM FULL {1}"
UNREAD = "the index {0} of {1} was not read for a week; is it still wanted?"


def find_ailments(latency_ms: float, vitals: Vitals | None) -> Iterator[tuple[str, str]]:
    """Names and lines of what is not well; nothing for what cannot be told yet."""
    if latency_ms > SLOW_MS:
        yield "query_time", SLOW.format(latency_ms)
    if vitals is None:
        return
    if vitals.connections >= CROWDED_SHARE * vitals.most_connections:
        yield "connections", CROWDED.format(vitals.connections, vitals.most_connections)
    if vitals.longest_transaction_seconds > LONG_TRANSACTION_SECONDS:
        yield "long_transaction", LONG.format(vitals.longest_transaction_seconds / 60)
    if vitals.replication_lag_seconds > LAG_SECONDS:
        yield "replication", BEHIND.format(vitals.replication_lag_seconds)
    for table in vitals.tables:
        yield from _of_table(table)
    if vitals.counted_seconds > UNUSED_AFTER_SECONDS:
        large = {table.name for table in vitals.tables if table.rows > FEW_ROWS}
        for index, name in vitals.unused:
            if name in large:
                yield f"index_{index}", UNREAD.format(index, name)


def _of_table(table: Table) -> Iterator[tuple[str, str]]:
    if table.dead > max(FEW_ROWS, DEAD_SHARE * table.rows):
        yield f"dead_rows_{table.name}", DEAD.format(table.dead, table.name, table.rows)
    if table.bytes > max(SMALL_BYTES, BYTES_PER_ROW * table.rows):
        yield f"size_{table.name}", LARGE.format(table.bytes / 1e6, table.name, table.rows)
