"""The SQL that migrations would run, without running it.

PostgreSQL: reads pass, everything else is noted and not sent. SQLite cannot do without: the migrations run on
a copy of the schema in memory, which holds no rows.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from peewee import PostgresqlDatabase, SqliteDatabase
from playhouse.migrate import SchemaMigrator
from playhouse.migrations import Migration

from models.migration_runner import HISTORY, faults_of, lease_table

_READ = re.compile(
    r"\s*(?:select|show|with\b(?!.*\b(?:insert|update|delete)\b)|pragma\s+\w+\s*(?:\(|$))", re.I | re.S
)
_CONTROL = re.compile(r"\s*(?:begin|commit|rollback|savepoint|release)\b", re.I)


@dataclass(frozen=True, slots=True)
class Preview:
    """One migration's statements, in order, each in one line or as it is written."""

    name: str
    statements: tuple[str, ...]
    atomic: bool


class NotedPostgres(PostgresqlDatabase):
    noted: list[str]

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        if _READ.match(sql) or _CONTROL.match(sql):
            return super().execute_sql(sql, params)  # type: ignore[no-untyped-call]
        self.noted.append(written(sql, params))
        return super().execute_sql("SELECT 1 WHERE false")  # type: ignore[no-untyped-call]


class NotedSqlite(SqliteDatabase):
    noted: list[str]

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        if not (_READ.match(sql) or _CONTROL.match(sql)):
            self.noted.append(written(sql, params))
        return super().execute_sql(sql, params)  # type: ignore[no-untyped-call]


def preview(database: Any, migrations: Iterable[Migration], direction: str = "up") -> list[Preview]:
    """``database`` is only read. Raises MigrationFailed of a migration that cannot be run."""
    noted = open_noted(database)
    try:
        migrator = SchemaMigrator.from_database(noted)
        found = []
        for migration in migrations:
            with faults_of(migration.name, direction):
                module = migration.load()
                noted.noted = []
                getattr(module, direction)(migrator, noted)
            found.append(Preview(migration.name, tuple(noted.noted), bool(getattr(module, "atomic", True))))
        return found
    finally:
        noted.close()


def open_noted(database: Any) -> Any:
    if isinstance(database, PostgresqlDatabase):
        noted = NotedPostgres(database.database, **database.connect_params)
        noted.noted = []
        noted.connect()
        return noted
    copy: Any = NotedSqlite(":memory:")
    copy.noted = []
    copy.connect()
    return filled(copy, database)


def filled(copy: Any, database: Any) -> Any:
    """With the schema of ``database``, and what there is before any migration."""
    rows = database.execute_sql(
        "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' "
        "ORDER BY type = 'index', rowid"
    ).fetchall()
    first = (lease_table(copy), f"CREATE TABLE IF NOT EXISTS {HISTORY} (id integer PRIMARY KEY)")
    for sql in (*(sql for (sql,) in rows), *first):
        copy.execute_sql(sql)
    return copy


def written(sql: str, params: Any) -> str:
    lines = [line.rstrip() for line in sql.strip().splitlines()]
    indent = min((len(line) - len(line.lstrip()) for line in lines[1:] if line), default=0)
    text = "\n".join([lines[0], *(line[indent:] for line in lines[1:])]).rstrip(";") + ";"
    return f"{text}  -- with {len(params)} values" if params else text
