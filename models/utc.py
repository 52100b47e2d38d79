"""Times as the store keeps them: aware UTC, to the millisecond, on both databases."""

from datetime import UTC, datetime
from typing import Any

from peewee import Field

UTC_MILLISECONDS = "UTC_MILLISECONDS"
NEVER = datetime.min.replace(tzinfo=UTC)  #: before every time there is


class UtcDateTimeField(Field):
    """An aware UTC time to the millisecond: timestamptz(3) on PostgreSQL, sortable text on SQLite."""

    field_type = UTC_MILLISECONDS

    def db_value(self, value: Any) -> Any:
        return to_text(value) if isinstance(value, datetime) else value

    def python_value(self, value: Any) -> datetime | None:
        return to_utc(value)


def to_text(value: datetime) -> str:
    """``2026-11-23 10:00:00.123+00:00``: PostgreSQL reads it, SQLite's text order is its time order."""
    return value.astimezone(UTC).isoformat(sep=" ", timespec="milliseconds")


def to_utc(value: str | datetime | None) -> datetime | None:
    """An aware UTC time of what either driver returns."""
    if value is None:
        return None
    time_read = datetime.fromisoformat(value) if isinstance(value, str) else value
    return time_read.astimezone(UTC)
