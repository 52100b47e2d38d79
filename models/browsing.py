"""How the data browser asks: read-only for the database itself too, never for long, one unit a request."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, cast

import psycopg2
from peewee import DataError, Expression, Field, Model, ModelSelect, OperationalError

from models.alarms import PREFIX as ALARMS
from models.database import clock, connection, database, on_postgres
from models.errors import QuestionRefused
from models.inbox import WebhookEvent
from models.store_faults import driver_error
from models.switches import Switch

CANCELLED = "57014"
ROWS_AT_ONCE = 2_000
#: Sorts after whatever goes on with a digit, in every collation.
AFTER_DIGITS = "z"


@contextmanager
def reading(seconds: float) -> Iterator[None]:
    """A connection and a read-only transaction of it; on PostgreSQL no statement takes over ``seconds``.

    Raises QuestionRefused for a value that no column takes and for what took too long, else what
    ``connection`` raises.
    """
    with connection(), answerable(), database.atomic():
        if on_postgres():
            database.execute_sql("SET TRANSACTION READ ONLY")
            database.execute_sql(f"SET LOCAL statement_timeout = {int(seconds * 1000)}")
            yield
            return
        database.execute_sql("PRAGMA query_only = 1")
        try:
            yield
        finally:
            database.execute_sql("PRAGMA query_only = 0")


@contextmanager
def writing() -> Iterator[None]:
    """A connection; each edit is one statement, committed before anybody is told so."""
    with connection(), answerable():
        yield


@contextmanager
def answerable() -> Iterator[None]:
    """What a person asked amiss is no fault of the database."""
    try:
        yield
    except (DataError, psycopg2.DataError, OverflowError):
        raise QuestionRefused("no row can hold such a value; correct it") from None
    except (OperationalError, psycopg2.OperationalError) as error:
        if getattr(driver_error(error), "pgcode", None) == CANCELLED:
            raise QuestionRefused("this took too long and was given up; add a filter") from None
        raise


def starts_with(field: Field, word: str) -> Expression:
    """Rows whose ``field`` begins with the digits ``word``, by its index; other words must be equal."""
    if not (word.isascii() and word.isdigit()):
        return field == word
    return (field >= word) & (field < word + AFTER_DIGITS) & field.startswith(word)


def ordered(query: ModelSelect, field: Field, *, descending: bool) -> ModelSelect:
    """By ``field``, empty ones last, and by the key, so that every page follows from the one before."""
    nulls = "LAST" if field.null else None
    first = field.desc(nulls=nulls) if descending else field.asc(nulls=nulls)
    return query.order_by(first, query.model._meta.primary_key)


def each_row(query: ModelSelect) -> Iterator[tuple[Any, ...]]:
    """The selected fields' values of every row, within ``reading``; never all of them in memory."""
    fields = [field.python_value for field in query.selected_columns]
    for row in raw_rows(query):
        yield tuple(read(value) for read, value in zip(fields, row, strict=True))


def raw_rows(query: ModelSelect) -> Iterator[tuple[Any, ...]]:
    statement, values = query.sql()
    if not on_postgres():
        yield from database.execute_sql(statement, values)
        return
    database.execute_sql(f"DECLARE browsed NO SCROLL CURSOR FOR {statement}", values)
    while rows := database.execute_sql(f"FETCH {ROWS_AT_ONCE} FROM browsed").fetchall():
        yield from rows


def move_pause(row: Switch, until_at: datetime | None) -> bool:
    """Let a channel be probed at ``until_at`` (aware UTC; None is at once); False where the pause is over."""
    this = (primary_key(Switch) == primary_value(row)) & ~Switch.name.startswith(ALARMS)
    at = clock() if until_at is None else until_at
    return bool(Switch.update(until_at=at).where(this).execute())


def take_up_again(row: WebhookEvent) -> bool:
    """Give an event that was set aside to the next drain as a new one; False where it is not set aside."""
    this = (primary_key(WebhookEvent) == primary_value(row)) & WebhookEvent.set_aside_at.is_null(False)
    return bool(WebhookEvent.update(set_aside_at=None, attempts=0).where(this).execute())


def primary_value(row: Model) -> Any:
    return getattr(row, primary_key(type(row)).name)


def primary_key(model: type[Model]) -> Field:
    return cast("Field", model._meta.primary_key)
