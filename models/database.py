"""How the store is reached: connections, the database's clock, UTC times, and reruns after a conflict."""

import os
import random
import select
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
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
    Field,
    Model,
    OperationalError,
    PostgresqlDatabase,
    SqliteDatabase,
)
from playhouse.pool import PooledPostgresqlDatabase, PooledSqliteDatabase

from models.errors import StoreRefused, StoreUnreachable, StoreUnsafe
from models.store_faults import STORE_FAULTS, driver_error, is_lost, translated

P = ParamSpec("P")
R = TypeVar("R")

UTC_MILLISECONDS = "UTC_MILLISECONDS"
CONFLICTS = {"40001", "40P01", "55P03"}  # serialization failure, deadlock, lock not available
READ_ONLY, NOT_ALLOWED = "25006", "42501"
RERUNS = 8
SQLITE_RERUNS = 2  # each has waited ten seconds for the lock
CONNECT_SECONDS = 10
POOL_WAIT_SECONDS = 30
TRUSTED_IDLE_SECONDS = 5.0
PROGRAM = "hubspot-support-triage"  #: in pg_stat_activity, unless the URL names another ``application_name``
NO_OPTIONS = ("startup parameter", "option")  #: in the words of PgBouncer and of RDS Proxy

database = DatabaseProxy()


@dataclass(frozen=True, slots=True)
class Limits:
    """What PostgreSQL ends by itself, in whole seconds; 0 is no limit.

    Who is silent for so long within a transaction is suspended or gone, and others wait for its rows. Who
    waits so long for a lock runs its work again.
    """

    silent: int = 30
    statement: int = 30
    lock: int = 10

    def by_name(self, asked: str = "") -> dict[str, str]:
        """PostgreSQL's settings, but for those that somebody ``asked`` for otherwise."""
        settings = {
            "idle_in_transaction_session_timeout": f"{self.silent}s",
            "statement_timeout": f"{self.statement}s",
            "lock_timeout": f"{self.lock}s",
        }
        return {name: value for name, value in settings.items() if name not in asked.replace("-", "_")}


LIMITS = Limits()
UNHURRIED = Limits(statement=0)  #: for what a person waits for: migrations, backups


class PostgresSession(psycopg2.extensions.connection):
    """A driver's connection that knows when the pool got it back, and sees what comes in meanwhile."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.returned_at = 0.0
        self.incoming = select.poll()
        self.incoming.register(self.fileno(), select.POLLIN)


class PostgresLedger(PooledPostgresqlDatabase):  # type: ignore[misc]
    """Peewee asks the server before each use of a pooled connection; here only where it may have died."""

    field_types: ClassVar = {**PostgresqlDatabase.field_types, UTC_MILLISECONDS: "TIMESTAMPTZ(3)"}
    settings: Mapping[str, str] = LIMITS.by_name()
    asked_options = ""

    def begin(self, isolation_level: int | None = None) -> None:  # noqa: ARG002
        # One message and no round trip more; it ends with the transaction, so PgBouncer takes it.
        limits = (f"SET LOCAL {name} = '{value}'" for name, value in self.settings.items())
        self.execute_sql("; ".join(("BEGIN", *limits)))

    def _connect(self) -> PostgresSession:
        """With the limits for single statements too, but where a proxy between refuses options."""
        try:
            return cast(PostgresSession, super()._connect())
        except psycopg2.OperationalError as error:
            refused = any(word in str(error) for word in NO_OPTIONS)
            if not refused or self.connect_params["options"] == self.asked_options:
                raise
            # What was asked for stays, refused or not: another search_path is another ledger.
            self.connect_params["options"] = self.asked_options
            return cast(PostgresSession, super()._connect())

    def _can_reuse(self, session: PostgresSession) -> bool:
        session.returned_at = time.time()
        idle = session.get_transaction_status() == psycopg2.extensions.TRANSACTION_STATUS_IDLE
        return idle or bool(super()._can_reuse(session))

    def _is_closed(self, session: PostgresSession) -> bool:
        return not is_surely_alive(session) and bool(super()._is_closed(session))


class SqliteLedger(PooledSqliteDatabase):  # type: ignore[misc]
    field_types: ClassVar = {**SqliteDatabase.field_types, UTC_MILLISECONDS: "TEXT"}


def is_surely_alive(session: PostgresSession) -> bool:
    """Idle for a moment only, and nothing came in: a server that ends a session says so, and closes.

    A peer that vanished says nothing, so a longer idle session is asked. The wall clock counts suspension.
    """
    just_returned = 0 <= time.time() - session.returned_at < TRUSTED_IDLE_SECONDS
    return just_returned and not session.closed and not session.incoming.poll(0)


class UtcDateTimeField(Field):
    """An aware UTC time to the millisecond: timestamptz(3) on PostgreSQL, sortable text on SQLite."""

    field_type = UTC_MILLISECONDS

    def db_value(self, value: Any) -> Any:
        return to_text(value) if isinstance(value, datetime) else value

    def python_value(self, value: Any) -> datetime | None:
        return to_utc(value)


class BaseModel(Model):
    class Meta:
        database = database
        legacy_table_names = False


def to_text(value: datetime) -> str:
    """``2026-11-23 10:00:00.123+00:00``: PostgreSQL reads it, SQLite's text order is its time order."""
    return value.astimezone(UTC).isoformat(sep=" ", timespec="milliseconds")


def to_utc(value: str | datetime | None) -> datetime | None:
    """An aware UTC time of what either driver returns."""
    if value is None:
        return None
    time_read = datetime.fromisoformat(value) if isinstance(value, str) else value
    return time_read.astimezone(UTC)


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


def open_postgres(url: str, pool_size: int, limits: Limits) -> PostgresLedger:
    dsn = "postgresql://" + url.split("://", 1)[1]
    try:
        asked = psycopg2.extensions.parse_dsn(dsn)
    except psycopg2.ProgrammingError:
        # Its text quotes the URL.
        raise StoreRefused(
            "DATABASE_URL: PostgreSQL does not know an option after the ?; correct it or leave it out"
        ) from None
    # libpq reads PGOPTIONS only where nobody gives it options.
    theirs = asked.get("options") or os.environ.get("PGOPTIONS", "")
    settings = limits.by_name(theirs)
    opened = PostgresLedger(
        dsn,
        max_connections=pool_size,
        timeout=POOL_WAIT_SECONDS,
        autoconnect=False,
        connection_factory=PostgresSession,
        connect_timeout=CONNECT_SECONDS,
        keepalives_idle=30,
        tcp_user_timeout=30_000,  # a dead peer is noticed by TCP, whatever the server's limits are
        fallback_application_name=PROGRAM,
        options=" ".join([*(f"-c {name}={value}" for name, value in settings.items()), theirs]),
    )
    opened.settings, opened.asked_options = settings, theirs
    return opened


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
    return not url.startswith("sqlite") or sqlite_path(url).exists()


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
    """Raise the store's word for a lost connection or a file that is no database; others as they are."""
    if is_lost(error):
        forget_idle_connections()
        raise translated(error) from None
    if "not a database" in str(error) or "malformed" in str(error):
        raise StoreRefused("DATABASE_URL: this file is not a SQLite database; name another file") from None
    state = getattr(driver_error(error), "pgcode", None)
    if state == READ_ONLY:
        forget_idle_connections()
        raise StoreUnreachable("the database is read-only, as after a failover; check DATABASE_URL") from None
    if state == NOT_ALLOWED:
        raise StoreRefused(
            "DATABASE_URL: this user may not do that here; GRANT it CREATE on the schema and its tables"
        ) from None
    raise error


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


def is_conflict(error: Exception) -> bool:
    if on_postgres():
        return getattr(driver_error(error), "pgcode", None) in CONFLICTS
    return "locked" in str(error) or "busy" in str(error)


def forget_idle_connections() -> None:
    # After one lost connection the pool's others are as dead as it: a server restart closes all of them.
    if on_postgres():
        database.close_idle()
