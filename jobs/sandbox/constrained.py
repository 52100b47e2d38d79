"""Fits a value to a JSON schema, as a model's constrained decoding does."""

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

_EMPTY: dict[str, Any] = {
    "string": "",
    "integer": 0,
    "number": 0.0,
    "boolean": False,
    "array": [],
    "null": None,
}


def fit(value: Any, schema: Schema, root: Schema | None = None) -> Any:
    """The value as it is where the schema allows it, else the nearest thing that it does allow.

    Understands ``$ref`` into the document itself, ``enum``, ``const``, ``anyOf``, ``oneOf``, objects, arrays
    and the upper limits of strings and arrays, both limits of numbers; it ignores the rest.
    """
    root = schema if root is None else root
    schema = _resolve(schema, root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return value if value in schema["enum"] else schema["enum"][0]
    alternatives = schema.get("anyOf") or schema.get("oneOf")
    if alternatives:
        return fit(value, _choose(value, [_resolve(one, root) for one in alternatives]), root)
    return _fit_type(value, _type_for(value, schema), schema, root)


def _resolve(schema: Schema, root: Schema) -> Schema:
    found: Any = schema
    while "$ref" in found:
        path = found["$ref"].removeprefix("#/").split("/")
        found = root
        for part in path:
            found = found[part]
    return found  # type: ignore[no-any-return]


def _choose(value: Any, alternatives: list[Schema]) -> Schema:
    for one in alternatives:
        if "enum" in one and value in one["enum"]:
            return one
        if "enum" not in one and _type_of(value) in _types(one):
            return one
    return next((one for one in alternatives if "null" not in _types(one)), alternatives[0])


def _types(schema: Schema) -> list[str]:
    kind = schema.get("type", "object" if "properties" in schema else [])
    return [kind] if isinstance(kind, str) else list(kind)


def _type_of(value: Any) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")


def _type_for(value: Any, schema: Schema) -> str:
    types, own = _types(schema), _type_of(value)
    if not types or own in types:
        return own
    return next((one for one in types if one != "null"), "null")


def _fit_type(value: Any, kind: str, schema: Schema, root: Schema) -> Any:
    if kind == "object":
        given = value if isinstance(value, dict) else {}
        return {name: fit(given.get(name), one, root) for name, one in schema.get("properties", {}).items()}
    if kind in ("integer", "number") and isinstance(value, int | float):
        return min(schema.get("maximum", value), max(schema.get("minimum", value), value))
    if _type_of(value) != kind:
        return _EMPTY[kind]
    if kind == "string":
        return value[: schema.get("maxLength")]
    if kind == "array":
        return [fit(item, schema.get("items", {}), root) for item in value[: schema.get("maxItems")]]
    return value
