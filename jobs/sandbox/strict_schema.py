"""What Groq's strict mode asks of a JSON schema (https://console.groq.com/docs/structured-outputs)."""

from collections.abc import Iterator
from typing import Any


def find_schema_faults(schema: Any, where: str = "schema") -> Iterator[str]:
    """A sentence for each object schema, however deep, that strict mode refuses."""
    if isinstance(schema, list):
        for number, one in enumerate(schema):
            yield from find_schema_faults(one, f"{where}.{number}")
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object" or isinstance(schema.get("properties"), dict):
        yield from _find_object_faults(schema, where)
    for name, one in schema.items():
        # What these hold is data, not schemas.
        if name not in ("enum", "const", "default", "examples", "required"):
            yield from find_schema_faults(one, f"{where}.{name}")


def _find_object_faults(schema: dict[str, Any], where: str) -> Iterator[str]:
    if schema.get("additionalProperties") is not False:
        yield f"`{where}`: `additionalProperties:false` must be set on every object"
    if set(schema.get("required") or ()) != set(schema.get("properties") or ()):
        yield f"`{where}`: `required` must be supplied and name every key in `properties`"
