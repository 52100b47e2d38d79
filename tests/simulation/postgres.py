"""Ledgers on a real PostgreSQL, whose statements are what production runs; its clock is the world's."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from models.database import close_database, open_database
from models.schema import deploy_migrations
from tests.benchmarks.machine import server
from tests.conftest import connect, renamed, with_server
from tests.simulation.watch_postgres import SCHEMA, WATCH

#: Of each session. Who takes turns holds no lock, so to wait for one is a fault of the simulation.
SESSION = {"search_path": f"{SCHEMA}, pg_catalog, public", "lock_timeout": "'5s'", "jit": "off"}
#: Power is not part of these worlds, and a vacuum's moment would be another in each run.
SERVER = ("fsync = off", "full_page_writes = off", "autovacuum = off")
CONNECTIONS = 30  #: few are in use at once; whoever finds none waits in virtual time


@dataclass(frozen=True, slots=True)
class Server:
    """A server on which one run makes databases, all with names that begin with ``prefix``."""

    url: str
    prefix: str = field(default_factory=lambda: f"simulation_{uuid.uuid4().hex[:8]}")

    def drop_databases(self) -> None:
        """What processes left that ended without cleaning up."""
        session = connect(self.url)
        try:
            cursor = session.cursor()
            cursor.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", (self.prefix,))
            for (name,) in cursor.fetchall():
                cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
        finally:
            session.close()


@contextmanager
def postgres(url: str) -> Iterator[Server]:
    """At ``url``, or where that is empty on TEST_DATABASE_URL's or a server of its own."""
    if url:
        made = Server(url)
        try:
            yield made
        finally:
            made.drop_databases()
        return
    with server() as found, postgres(found) as made:
        if "TEST_DATABASE_URL" not in os.environ:
            for setting in SERVER:
                with_server(found, f"ALTER SYSTEM SET {setting}")
            with_server(found, "SELECT pg_reload_conf()")
        yield made


class PostgresOutside:
    """The ledger as it stands in the database: not part of the world, so it has no effects and no faults."""

    def __init__(self, url: str) -> None:
        self._session = connect(url)
        self._sequences: list[dict[str, Any]] = []
        self._drained = 0

    def rows(self, sql: str, *params: Any) -> list[dict[str, Any]]:
        """Times are texts, as SQLite has them."""
        with self._session.cursor() as cursor:
            cursor.execute(sql.replace("?", "%s"), params)
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, map(plain, row), strict=True)) for row in cursor]

    def _run(self, *statements: str) -> None:
        with self._session.cursor() as cursor:
            cursor.execute(";".join(statements))

    def _tables(self) -> list[str]:
        return [row["tablename"] for row in self.rows("SELECT * FROM pg_tables WHERE schemaname = 'public'")]

    def back_up(self) -> None:
        copies = (f"CREATE TABLE backup.{name} AS TABLE public.{name}" for name in self._tables())
        self._run("DROP SCHEMA IF EXISTS backup CASCADE", "CREATE SCHEMA backup", *copies)
        (newest,) = self.rows("SELECT coalesce(max(number), 0) AS number FROM sim_drained")
        self._drained = newest["number"]
        self._sequences = self.rows("SELECT * FROM pg_sequences WHERE schemaname = 'public'")

    def restore(self) -> None:
        """The backup takes the ledger's place; what watched it stays, and says what is lost."""
        tables = self._tables()
        self._run(
            f"TRUNCATE {', '.join(f'public.{name}' for name in tables)} RESTART IDENTITY",
            *(f"INSERT INTO public.{name} SELECT * FROM backup.{name}" for name in tables),
            *(
                f"SELECT setval('public.{one['sequencename']}', {one['last_value']})"
                for one in self._sequences
                if one["last_value"] is not None
            ),
            f"UPDATE sim_drained SET lost = true WHERE number > {self._drained}",
        )

    def close(self) -> None:
        self._session.close()


def plain(value: Any) -> Any:
    return value.astimezone(UTC).isoformat(sep=" ") if isinstance(value, datetime) else value


class PostgresLedgers:
    """Makes the databases of one process."""

    def __init__(self, server: Server) -> None:
        self._server, self._numbers = server, count(1)
        self._name = f"{server.prefix}_{os.getpid()}"
        with_server(server.url, f"CREATE DATABASE {self._name}")
        url = renamed(server.url, self._name)
        open_database(url)
        deploy_migrations()
        close_database()
        with_server(url, WATCH)

    @contextmanager
    def new(self) -> Iterator[PostgresOutside]:
        """A migrated ledger, opened as the models' database."""
        name = f"{self._name}_{next(self._numbers)}"
        with_server(self._server.url, f"CREATE DATABASE {name} TEMPLATE {self._name}")
        for setting, value in SESSION.items():
            with_server(self._server.url, f"ALTER DATABASE {name} SET {setting} = {value}")
        url = renamed(self._server.url, name)
        open_database(url, pool_size=CONNECTIONS)
        outside = PostgresOutside(url)
        try:
            yield outside
        finally:
            outside.close()
            close_database()
            with_server(self._server.url, f"DROP DATABASE {name} WITH (FORCE)")
