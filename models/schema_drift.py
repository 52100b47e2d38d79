"""Where database, migration files and models do not say the same, as one line each.

Files and models are each built in a place of their own (a PostgreSQL schema that is rolled back, a SQLite
database in memory), so that what is compared is what a database makes of them: types, defaults, nullability,
constraints and the predicates of partial indexes too.
"""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peewee import PostgresqlDatabase
from playhouse.migrate import SchemaMigrator

from models.counts import HourlyCount
from models.cursors import Cursor
from models.database import SqliteLedger
from models.deliveries import Delivery
from models.inbox import WebhookEvent
from models.job_runs import JobRun
from models.migration_runner import LedgerRunner, checksum, lease_table
from models.postgres import PostgresLedger
from models.switches import Switch
from models.tickets import ProcessedTicket

MODELS = (ProcessedTicket, Delivery, WebhookEvent, Cursor, HourlyCount, JobRun, Switch)

COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       coalesce(pg_get_expr(d.adbin, d.adrelid), '')
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relnamespace = to_regnamespace(%s) AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped"""
INDEXES = "SELECT tablename, indexdef, indexname FROM pg_indexes WHERE schemaname = %s"
CHECKS = """
SELECT c.relname, pg_get_constraintdef(k.oid), k.conname
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
WHERE k.connamespace = to_regnamespace(%s) AND k.contype IN ('c', 'f', 'x')"""
_INDEX_NAME = re.compile(r"^(create (?:unique )?index) (?:if not exists )?\S+ on ", re.IGNORECASE)

# Prisma fills these two itself, so an original's table need not; ours names them in every statement. And the
# original's guide tells to make an index of what the unique one holds already.
FILLED_BY_HAND = {("processed_tickets", "id"), ("processed_tickets", "updated_at")}
OF_THE_GUIDE = {("processed_tickets", "create index on processed_tickets using btree ticket_id")}

WHOSE = "<whose>"  #: in a line, where stands what the database differs from
_NOISE = re.compile(r"::(?:character varying|text)(?:\[\])?|[()]", re.IGNORECASE)


@dataclass(slots=True)
class Shape:
    """Of each table: its columns as (type, NOT NULL, default), the names of its indexes and constraints."""

    columns: dict[tuple[str, str], tuple[str, bool, str]] = field(default_factory=dict)
    rules: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def tables(self) -> set[str]:
        return {table for table, _ in self.columns}


def find_drift(database: Any, folder: Path) -> list[str]:
    """Nothing where all agree. ``database`` is read, and on PostgreSQL a schema is made and rolled back."""
    runner = LedgerRunner(database, folder)
    lines = list(_files_against_history(runner))
    if any(one.applied is None or one.path is None for one in runner.status()):
        return lines
    with built_apart(database) as place:
        made = _shape_of_files(place, runner)
        said = _shape_of_models(place)
    found = tolerant(read_shape(database), made)
    by_files = dict(_differences(found, made))
    by_models = dict(_differences(found, said, nullability_only=True))
    for about, line in by_files.items():
        both = by_models.pop(about, None) is not None
        lines.append(line.replace(WHOSE, "the migrations and the models" if both else "the migrations"))
    return lines + [line.replace(WHOSE, "the models") for line in by_models.values()]


def tolerant(found: Shape, made: Shape) -> Shape:
    """``found`` without what an original's database may have, or lack, and nothing here relies on."""
    for key in FILLED_BY_HAND & found.columns.keys() & made.columns.keys():
        kind, required, default = found.columns[key]
        found.columns[key] = kind, required, default or made.columns[key][2]
    for rule in OF_THE_GUIDE & found.rules.keys():
        del found.rules[rule]
    return found


def _files_against_history(runner: LedgerRunner) -> Iterator[str]:
    kept = runner.checksums()
    for one in runner.status():
        if not one.applied:
            yield f"{one.name} is pending; run: python main.py migrate deploy"
        elif one.path is None:
            yield f"{one.name} is applied and its file is gone; use the version of the program that has it"
        elif kept.get(one.name) not in (None, checksum(Path(one.path))):
            yield f"{one.name} was edited after it was applied; restore the file and write a new migration"


def _differences(
    found: Shape, made: Shape, *, nullability_only: bool = False
) -> Iterator[tuple[object, str]]:
    """Lines, each with what it is about: where files and models say the same of that, one line does."""
    for table in sorted(made.tables - found.tables):
        yield table, f"the table {table} is missing; {WHOSE} have it"
    for key in sorted(made.columns.keys() | found.columns.keys()):
        table, column = key
        if table not in made.tables & found.tables:
            continue
        here, there = found.columns.get(key), made.columns.get(key)
        if here is None:
            yield key, f"{table}.{column} is missing; {WHOSE} have it"
        elif there is None:
            yield key, f"{table}.{column} is not known to {WHOSE}"
        elif (here[1] != there[1]) if nullability_only else (here != there):
            yield (key, there[1]), f"{table}.{column} is {_words(here)}; {WHOSE} make it {_words(there)}"
    tables = made.tables & found.tables
    for rules, others, words in (
        (made.rules, found.rules, f"is missing; {WHOSE} have it"),
        (found.rules, made.rules, f"is not known to {WHOSE}"),
    ):
        for table, rule in sorted(rules.keys() - others.keys()):
            if table in tables:
                yield (table, rule), f"{table}: {rules[table, rule]} ({rule}) {words}"


def _words(column: tuple[str, bool, str]) -> str:
    kind, required, default = column
    return f"{kind}{' NOT NULL' if required else ''}{f' DEFAULT {default}' if default else ''}"


class PostgresApart(PostgresLedger):
    """One transaction long; an index that would be built beside it is built in it."""

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        return super().execute_sql(sql.replace(" CONCURRENTLY", ""), params)


@contextmanager
def built_apart(database: Any) -> Iterator[Any]:
    """A database of the same kind in which anything may be built: it is gone at the end."""
    if isinstance(database, PostgresqlDatabase):
        place: Any = PostgresApart(database.database, **database.connect_params)
        place.connect()
        try:
            with place.atomic() as transaction:
                yield place
                transaction.rollback()
        finally:
            place.close()
        return
    memory: Any = SqliteLedger(":memory:")
    memory.connect()
    try:
        yield memory
    finally:
        memory.close()


def _shape_of_files(place: Any, runner: LedgerRunner) -> Shape:
    with _empty(place) as schema:
        place.execute_sql(lease_table(place))
        LedgerRunner(place, Path(runner.directory)).History.create_table()
        migrator = SchemaMigrator.from_database(place)
        for one in runner.status():
            if one.applied and one.path:
                one.load().up(migrator, place)
        return read_shape(place, schema)


def _shape_of_models(place: Any) -> Shape:
    with _empty(place) as schema, place.bind_ctx(MODELS):
        place.create_tables(MODELS, safe=False)
        return read_shape(place, schema)


@contextmanager
def _empty(place: Any) -> Iterator[str]:
    on_postgres = isinstance(place, PostgresqlDatabase)
    if not on_postgres:
        yield ""
        for (name,) in place.execute_sql("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            if not name.startswith("sqlite_"):
                place.execute_sql(f'DROP TABLE "{name}"')
        return
    schema = f"verify_{secrets.token_hex(4)}"
    place.execute_sql(f"CREATE SCHEMA {schema}")
    place.execute_sql(f"SET LOCAL search_path TO {schema}")
    yield schema


def read_shape(database: Any, schema: str = "") -> Shape:
    """The tables of ``schema``, on PostgreSQL the current one where none is named."""
    return (
        _postgres_shape(database, schema)
        if isinstance(database, PostgresqlDatabase)
        else _sqlite_shape(database)
    )


def _postgres_shape(database: Any, schema: str) -> Shape:
    schema = schema or database.execute_sql("SELECT current_schema()").fetchone()[0]
    shape = Shape()
    for table, column, kind, required, default in database.execute_sql(COLUMNS, (schema,)).fetchall():
        shape.columns[table, column] = kind, required, default.replace(f"{schema}.", "")
    for table, definition, name in database.execute_sql(INDEXES, (schema,)).fetchall():
        shape.rules[table, _plain(definition, schema)] = f"the index {name}"
    for table, definition, name in database.execute_sql(CHECKS, (schema,)).fetchall():
        shape.rules[table, _plain(definition, schema)] = f"the constraint {name}"
    return shape


def _sqlite_shape(database: Any) -> Shape:
    shape = Shape()
    rows = database.execute_sql("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
    for kind, name, table, sql in rows:
        if kind == "table" and not name.startswith("sqlite_"):
            for _, column, type_, required, default, key in database.execute_sql(
                f'PRAGMA table_info("{name}")'
            ).fetchall():
                # A model says less of a key's type and of NOT NULL there than SQLite does.
                shape.columns[table, column] = type_.lower(), bool(required or key), default or ""
        elif kind == "index" and sql:
            shape.rules[table, _plain(sql.replace('"', ""), "")] = f"the index {name}"
    return shape


def _plain(definition: str, schema: str) -> str:
    """Without names, casts and brackets: PostgreSQL writes the same predicate anew after each restore."""
    flat = " ".join(definition.split())
    named = flat.replace(f"{schema}.", "") if schema else flat
    return _NOISE.sub("", _INDEX_NAME.sub(r"\1 on ", named)).lower()
