"""Sessions with PostgreSQL: their limits, and which of the pool's still live."""

import os
import re
import select
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import psycopg2
import psycopg2.extensions
from peewee import PostgresqlDatabase
from playhouse.pool import PooledPostgresqlDatabase

from models.errors import StoreRefused
from models.utc import UTC_MILLISECONDS

CONNECT_SECONDS = 10
POOL_WAIT_SECONDS = 30
TRUSTED_IDLE_SECONDS = 5.0
PROGRAM = "hubspot-support-triage"  #: in pg_stat_activity, unless the URL names another ``application_name``
NO_OPTIONS = ("startup parameter", "option")  #: in the words of PgBouncer and of RDS Proxy


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
        named = asked.replace("-", "_")
        settings = {
            "idle_in_transaction_session_timeout": f"{self.silent}s",
            "statement_timeout": f"{self.statement}s",
            "lock_timeout": f"{self.lock}s",
        }
        return {name: value for name, value in settings.items() if not re.search(rf"\b{name}\b", named)}


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


def is_surely_alive(session: PostgresSession) -> bool:
    """Idle for a moment only, and nothing came in: a server that ends a session says so, and closes.

    A peer that vanished says nothing, so a longer idle session is asked. The wall clock counts suspension.
    """
    just_returned = 0 <= time.time() - session.returned_at < TRUSTED_IDLE_SECONDS
    return just_returned and not session.closed and not session.incoming.poll(0)


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
