"""How the store is reached: connections, the database's clock, and reruns after a conflict."""

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any, ClassVar, NoReturn, ParamSpec, TypeVar, cast
from urllib.parse import unquote, urlsplit

import psycopg2
import psycopg2.extensions
from peewee import (
    SQL,
    Database,
    DatabaseProxy,
    Model,
    OperationalError,
    PostgresqlDatabase,
    SqliteDatabase,
)
from playhouse.pool import PooledSqliteDatabase

from models.errors import StoreRefused, StoreUnreachable, StoreUnsafe
from models.postgres import LIMITS, POOL_WAIT_SECONDS, Limits, open_postgres
from models.store_faults import (
    NO_SCHEMA,
    NOT_ALLOWED,
    READ_ONLY,
    READ_ONLY_FILE,
    STORE_FAULTS,
    driver_error,
    is_known,
    translated,
)
from models.utc import UTC_MILLISECONDS, to_utc

P = ParamSpec("P")
R = TypeVar("R")

CONFLICTS = {"40001", "40P01", "55P03"}  # serialization failure, deadlock, lock not available
RERUNS = 8
SQLITE_RERUNS = 2  # each has waited ten seconds for the lock
#: Of the tables that are there; where none is, whether they may be made.
MAY_WRITE = """
WITH ours AS (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema() AND c.relname = ANY(%s))
SELECT current_schema(), (EXISTS (SELECT FROM ours) OR has_schema_privilege(current_schema(), 'CREATE'))
AND NOT EXISTS (SELECT FROM ours WHERE NOT (has_table_privilege(oid, 'INSERT')
    AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE')))
AND NOT EXISTS (SELECT FROM pg_depend d JOIN ours ON ours.oid = d.refobjid JOIN pg_class s ON s.oid = d.objid
    WHERE CASE s.relkind WHEN 'S' THEN d.deptype = 'a' AND NOT has_sequence_privilege(s.oid, 'USAGE') END)"""

database = DatabaseProxy()


class SqliteLedger(PooledSqliteDatabase):  # type: ignore[misc]
    field_types: ClassVar = {**SqliteDatabase.field_types, UTC_MILLISECONDS: "TEXT"}


class BaseModel(Model):
    class Meta:
        database = database
        legacy_table_names = False


def open_database(url: str, pool_size: int = 12, limits: Limits = LIMITS) -> Database:
    """Bind the models to the database at ``url`` and prove that it answers.

    Accepts ``postgresql://``, ``postgres://`` (libpq's own forms, ``sslmode`` and encoded passwords
    included), ``sqlite:///relative`` and ``sqlite:////absolute``. ``limits`` are PostgreSQL's. Raises
    StoreUnreachable, StoreRefused, or StoreUnsafe where commits are acknowledged before they are durable.
    """
    is_postgres = url.startswith("postgres")
    opened = open_postgres(url, pool_size, limits) if is_postgres else open_sqlite(url, pool_size)
    database.initialize(opened)
    require_durable_commits()
    return opened


def pool_use() -> tuple[int, int]:
    """Connections of this process that are in use now, and the most that may be; zeros while none is open."""
    pool = database.obj
    return (len(pool._in_use), int(pool._max_connections)) if pool is not None else (0, 0)


def close_database() -> None:
    """Close every connection of the pool; safe to call twice and before opening."""
    if database.obj is not None:
        database.close_all()


def open_sqlite(url: str, pool_size: int) -> SqliteLedger:
    path = sqlite_path(url)
    folder = path.resolve().parent
    if not folder.is_dir():
        raise StoreRefused(
            f"DATABASE_URL: the folder {folder} does not exist; create it or name another file"
        )
    pragmas = {"journal_mode": "wal", "synchronous": "full", "busy_timeout": 10_000}
    return SqliteLedger(
        str(path),
        max_connections=pool_size,
        timeout=POOL_WAIT_SECONDS,
        autoconnect=False,
        pragmas=pragmas,
        check_same_thread=False,
    )


def sqlite_path(url: str) -> Path:
    return Path(unquote(urlsplit(url).path.removeprefix("/")))


def may_exist(url: str) -> bool:
    """False for a SQLite file that is not there: to open it would make it. Connects to nothing."""
    return not url.startswith("sqlite") or os.path.exists(sqlite_path(url))


def on_postgres() -> bool:
    return isinstance(database.obj, PostgresqlDatabase)


def clock(plus_seconds: float = 0.0) -> SQL:
    """The database's own time as an SQL expression, ``plus_seconds`` later; it moves within a transaction."""
    if on_postgres():
        return SQL("(clock_timestamp() + %s * interval '1 second')", (plus_seconds,))
    return SQL("strftime('%Y-%m-%d %H:%M:%f+00:00', 'now', ?)", (f"{plus_seconds:+.3f} seconds",))


def rerun_on_conflict(work: Callable[P, R]) -> Callable[P, R]:
    """Give a unit of work a connection, and run it anew when a deadlock or a busy database undid it.

    Within an outer transaction nothing is rerun here: the whole transaction is. Raises StoreUnreachable
    when the connection is lost; then nobody knows whether the work was committed.
    """

    @wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        # What ``connection`` does, written out, and past the proxy: a look-up is 5 to 10 % faster so.
        pool = database.obj
        if pool.in_transaction():
            # A fault goes out as it is: whoever began the transaction knows whether to run all of it again.
            return work(*args, **kwargs)
        try:
            with pool.connection_context():
                for rerun in range(RERUNS if on_postgres() else SQLITE_RERUNS):
                    try:
                        return work(*args, **kwargs)
                    except (OperationalError, psycopg2.OperationalError) as error:
                        if not is_conflict(error):
                            raise
                        time.sleep(random.uniform(0.005, 0.05) * 2**rerun)
                return work(*args, **kwargs)
        except STORE_FAULTS as error:
            raise_fault(error)

    return run


@contextmanager
def connection() -> Iterator[None]:
    """A connection of this thread for one unit of work; nested uses share the outer one."""
    try:
        with database.obj.connection_context():
            yield
    except STORE_FAULTS as error:
        raise_fault(error)


def raise_fault(error: Exception) -> NoReturn:
    """Raise the store's word for what it knows; others as they are."""
    if not is_known(error):
        raise error
    forget_idle_connections()
    raise translated(error) from None


def transaction() -> AbstractContextManager[Any]:
    """All or nothing; on SQLite it takes the write lock at once, or a read before a write could deadlock."""
    if on_postgres():
        return cast(AbstractContextManager[Any], database.atomic())
    return cast(AbstractContextManager[Any], database.atomic("IMMEDIATE"))


@rerun_on_conflict
def read_clock() -> datetime:
    """The database's time, aware UTC."""
    now = clock()
    value = database.execute_sql(f"SELECT {now.sql}", now.params).fetchone()[0]
    return cast(datetime, to_utc(value))


@rerun_on_conflict
def require_durable_commits() -> None:
    if on_postgres() and database.execute_sql("SHOW synchronous_commit").fetchone()[0] == "off":
        raise StoreUnsafe(
            "DATABASE_URL: this PostgreSQL runs with synchronous_commit=off and may forget what was sent; "
            "run ALTER DATABASE ... SET synchronous_commit = on"
        )


@rerun_on_conflict
def require_writable() -> None:
    """Writes nothing itself. Raises StoreUnreachable, or StoreRefused where this user may not write."""
    from models.schema_drift import MODELS  # which needs this module

    if on_postgres():
        if database.execute_sql("SHOW transaction_read_only").fetchone()[0] == "on":
            raise StoreUnreachable(READ_ONLY.line)
        tables = [model._meta.table_name for model in MODELS]
        schema, may_write = database.execute_sql(MAY_WRITE, (tables,)).fetchone()
        if schema is None:
            raise StoreRefused(NO_SCHEMA.line)
        if not may_write:
            raise StoreRefused(NOT_ALLOWED.line)
    elif not os.access(database.obj.database, os.W_OK):
        raise StoreUnreachable(READ_ONLY_FILE.line)


def is_conflict(error: Exception) -> bool:
    if on_postgres():
        return getattr(driver_error(error), "pgcode", None) in CONFLICTS
    return "locked" in str(error) or "busy" in str(error)


def forget_idle_connections() -> None:
    # After one lost connection the pool's others are as dead as it: a server restart closes all of them.
    if on_postgres():
        database.close_idle()
