"""The filters of a column, by its kind; times are UTC."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from flask_admin.contrib.peewee import filters

NUMBERS = {
    "INT": (filters.IntEqualFilter, filters.IntGreaterFilter, filters.IntSmallerFilter),
    "AUTO": (filters.IntEqualFilter, filters.IntGreaterFilter, filters.IntSmallerFilter),
    "FLOAT": (filters.FloatGreaterFilter, filters.FloatSmallerFilter),
    "BOOL": (filters.BooleanEqualFilter,),
}


def parse_utc(text: str) -> datetime:
    """``2026-11-23 10:00`` or any ISO-8601 time, in UTC where it names no zone; else ValueError."""
    found = datetime.fromisoformat(text.strip())
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


class Contains(filters.BasePeeweeFilter):  # type: ignore[misc]
    """As it stands: ``_`` and ``%`` are themselves, and error classes are full of them."""

    def apply(self, query: Any, value: str) -> Any:
        return query.where(self.column.contains(value))

    def operation(self) -> str:
        return "contains"


class Since(filters.BasePeeweeFilter):  # type: ignore[misc]
    def __init__(self, column: Any, name: str) -> None:
        super().__init__(column, name, data_type="datetimepicker")

    def clean(self, value: str) -> datetime:
        return parse_utc(value)

    def apply(self, query: Any, value: datetime) -> Any:
        return query.where(self.column >= value)

    def operation(self) -> str:
        return "since"


class Before(Since):
    def apply(self, query: Any, value: datetime) -> Any:
        return query.where(self.column < value)

    def operation(self) -> str:
        return "before"


class Within(filters.BasePeeweeFilter):  # type: ignore[misc]
    """From the first time on and before the second."""

    def __init__(self, column: Any, name: str) -> None:
        super().__init__(column, name, data_type="datetimerangepicker")

    def clean(self, value: str) -> tuple[datetime, datetime]:
        start, _, end = value.partition(" to ")
        return parse_utc(start), parse_utc(end)

    def apply(self, query: Any, value: tuple[datetime, datetime]) -> Any:
        return query.where(self.column >= value[0], self.column < value[1])

    def operation(self) -> str:
        return "between"


def filters_of(column: Any, label: str, choices: Sequence[str]) -> list[Any]:
    """Equality first; ``choices`` make a list to choose from, and ``empty`` where the column may be so."""
    empty = [filters.FilterEmpty(column, label)] if column.null else []
    if choices:
        options = [(one, one) for one in choices]
        kinds = (filters.FilterEqual, filters.FilterNotEqual)
        return [*(kind(column, label, options=options) for kind in kinds), *empty]
    match column.field_type:
        case "UTC_MILLISECONDS":
            return [Since(column, label), Before(column, label), Within(column, label), *empty]
        case "VARCHAR":
            return [filters.FilterEqual(column, label), Contains(column, label), *empty]
        case kind:
            return [*(one(column, label) for one in NUMBERS.get(kind, ())), *empty]
