"""HubSpot's search: what it refuses, which tickets match, and in which order.

https://developers.hubspot.com/docs/api-reference/search/guide: limits, operators and paging.
"""

import operator
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from jobs.sandbox.portal import Record

MAX_BODY, MAX_LIMIT, MAX_GROUPS, MAX_FILTERS, MAX_RESULTS = 3_000, 200, 5, 6, 10_000
DEFAULT_LIMIT = 10
_NUMBER = re.compile(r"-?[0-9]{1,300}(\.[0-9]{1,300})?")

Key = Callable[[Record], Any]
Keep = Callable[[list[Record]], list[Record]]


class Refused(Exception):
    """HubSpot would answer 400; the text is its message."""


@dataclass(frozen=True, slots=True)
class Search:
    """A checked search; ``groups`` are alternatives, the steps within one all apply."""

    groups: tuple[tuple[Keep, ...], ...]
    sort_key: Key
    descending: bool
    limit: int
    after: int
    properties: list[str]

    def run(self, records: list[Record]) -> list[Record]:
        """All matches in order; ``records`` must be in the order of ids."""
        return sorted(self._matching(records), key=self.sort_key, reverse=self.descending)

    def page(self, matches: list[Record]) -> list[Record]:
        return matches[self.after : self.after + self.limit]

    def _matching(self, records: list[Record]) -> Iterable[Record]:
        if not self.groups:
            return records
        found: dict[int, Record] = {}
        for group in self.groups:
            kept = records
            for keep in group:
                kept = keep(kept)
            found.update((record.record_id, record) for record in kept)
        return found.values()


def parse_search(body: Any, known: set[str]) -> Search:
    """Raises Refused where HubSpot answers 400. ``known`` are the portal's ticket properties."""
    _require(isinstance(body, dict), "Invalid input JSON: not an object")
    limit, after = body.get("limit", DEFAULT_LIMIT), body.get("after") or "0"
    _require(isinstance(limit, int) and 0 < limit <= MAX_LIMIT, f"limit must be 1 to {MAX_LIMIT}")
    _require(str(after).isascii() and str(after).isdigit(), "after must be a paging cursor of this search")
    _require(int(after) + limit <= MAX_RESULTS, "Paging beyond 10,000 results is not possible")
    properties = parse_properties(body)
    key, descending = _parse_sort(body.get("sorts") or [], known)
    groups = tuple(_parse_groups(body.get("filterGroups") or [], known))
    return Search(groups, key, descending, limit, int(after), properties)


def parse_properties(body: dict[str, Any]) -> list[str]:
    properties = body.get("properties") or []
    _require(_all(properties, str), "properties must be a list of names")
    return list(properties)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise Refused(message)


def _all(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)


def _parse_sort(sorts: Any, known: set[str]) -> tuple[Key, bool]:
    _require(isinstance(sorts, list) and len(sorts) <= 1, "a search takes at most one sort")
    if not sorts:
        return _sort_key("createdate"), False
    sort = sorts[0]
    if isinstance(sort, str):
        sort = {"propertyName": sort.lstrip("-"), "direction": "DESCENDING" if sort[0] == "-" else ""}
    name = sort.get("propertyName") if isinstance(sort, dict) else None
    _require(name in known, "a sort must name a known property")
    return _sort_key(str(name)), sort.get("direction") == "DESCENDING"


def _parse_groups(groups: Any, known: set[str]) -> Iterator[tuple[Keep, ...]]:
    _require(_all(groups, dict) and len(groups) <= MAX_GROUPS, f"a search takes {MAX_GROUPS} filterGroups")
    for group in groups:
        filters = group.get("filters")
        _require(_all(filters, dict) and len(filters) <= MAX_FILTERS, f"a group takes {MAX_FILTERS} filters")
        yield tuple(_parse_filter(one, known) for one in filters)


def _parse_filter(one: dict[str, Any], known: set[str]) -> Keep:
    name, verb = one.get("propertyName"), one.get("operator")
    _require(isinstance(name, str), "a filter must name a property")
    _require(verb in _VERBS, "a filter must have a supported operator")
    keep = _VERBS[str(verb)](_key(str(name)), _Values(one, _reader(str(name))))
    return keep if name in known else _nothing


def _nothing(_: list[Record]) -> list[Record]:
    return []


class _Values:
    """A filter's values, each read the way its property compares."""

    def __init__(self, one: dict[str, Any], read: Callable[[str], Any]) -> None:
        self._one, self._read = one, read

    def one(self, name: str = "value") -> Any:
        value = self._one.get(name)
        _require(isinstance(value, str | int) and value != "", f"this operator needs {name}")
        return self._understood(value)

    def many(self) -> set[Any]:
        values = self._one.get("values")
        _require(isinstance(values, list) and bool(values), "this operator needs values")
        return {self._understood(value) for value in values or []}

    def _understood(self, value: object) -> Any:
        try:
            return self._read(str(value))
        except ValueError as error:
            raise Refused("a filter value does not fit its property") from error


def _compare(compare: Callable[[Any, Any], bool]) -> Callable[[Key, _Values], Keep]:
    def parse(key: Key, values: _Values) -> Keep:
        bound = values.one()
        return lambda records: [r for r in records if (v := key(r)) is not None and compare(v, bound)]

    return parse


def _between(key: Key, values: _Values) -> Keep:
    low, high = values.one(), values.one("highValue")
    return lambda records: [r for r in records if (v := key(r)) is not None and low <= v <= high]


def _in(key: Key, values: _Values) -> Keep:
    wanted = values.many()
    return lambda records: [r for r in records if key(r) in wanted]


def _not_in(key: Key, values: _Values) -> Keep:
    unwanted = values.many()
    return lambda records: [r for r in records if (v := key(r)) is not None and v not in unwanted]


def _has(key: Key, _: _Values) -> Keep:
    return lambda records: [r for r in records if key(r) is not None]


def _has_not(key: Key, _: _Values) -> Keep:
    return lambda records: [r for r in records if key(r) is None]


_VERBS: dict[str, Callable[[Key, _Values], Keep]] = {
    "EQ": _compare(operator.eq),
    "NEQ": _compare(operator.ne),
    "LT": _compare(operator.lt),
    "LTE": _compare(operator.le),
    "GT": _compare(operator.gt),
    "GTE": _compare(operator.ge),
    "BETWEEN": _between,
    "IN": _in,
    "NOT_IN": _not_in,
    "HAS_PROPERTY": _has,
    "NOT_HAS_PROPERTY": _has_not,
}

_COLUMNS: dict[str, Key] = {
    "hs_object_id": operator.attrgetter("record_id"),
    "createdate": operator.attrgetter("created_ms"),
    "hs_lastmodifieddate": operator.attrgetter("modified_ms"),
}


def _key(name: str) -> Key:
    return _COLUMNS.get(name) or (lambda record: _comparable(record.properties.get(name) or ""))


def _sort_key(name: str) -> Key:
    key = _key(name)
    return key if name in _COLUMNS else lambda record: key(record) or (-1, "")


def _reader(name: str) -> Callable[[str], Any]:
    if name in _COLUMNS:
        return int if name == "hs_object_id" else _to_milliseconds
    return _comparable


@lru_cache(maxsize=4_096)
def _comparable(text: str) -> tuple[int, float | str] | None:
    """Numbers compare as numbers, before all text; an empty value is none, as in HubSpot."""
    if _NUMBER.fullmatch(text):
        return 0, float(text)
    return (1, text) if text else None


def _to_milliseconds(value: str) -> int:
    if _NUMBER.fullmatch(value):
        return int(value)
    return int(datetime.fromisoformat(value).timestamp() * 1000)
