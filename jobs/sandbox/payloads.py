"""The bodies that HubSpot's reads take and return."""

import time
import uuid
from typing import Any

from jobs.sandbox.portal import Collection, Record, to_iso
from jobs.sandbox.search import Refused
from jobs.sandbox.serving import Answer, json_answer

ASSOCIATION_TYPES = {"contacts": 16, "companies": 26}
SINGULAR = {"tickets": "ticket", "contacts": "contact", "companies": "company"}
_UNAUTHORISED = (
    "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more "
    "details at https://developers.hubspot.com/docs/methods/auth/oauth-overview"
)


def to_object(collection: Collection, record: Record, properties: list[str]) -> dict[str, Any]:
    return {
        "id": str(record.record_id),
        "properties": collection.properties(record, properties),
        "createdAt": to_iso(record.created_ms),
        "updatedAt": to_iso(record.modified_ms),
        "archived": record.archived,
    }


def to_link(other: int, kind: str) -> dict[str, Any]:
    """An id in a string, as the document has it; some portals still answer with a number."""
    spec = {"category": "HUBSPOT_DEFINED", "typeId": ASSOCIATION_TYPES[kind], "label": None}
    return {"toObjectId": str(other), "associationTypes": [spec]}


def parse_inputs(body: Any, limit: int) -> list[int]:
    """The ids asked for, each once; raises Refused, or ValueError for ids that are no numbers."""
    inputs = body.get("inputs") if isinstance(body, dict) else None
    if not isinstance(inputs, list) or not inputs or not all(isinstance(one, dict) for one in inputs):
        raise Refused("inputs must be a list of objects with an id")
    if len(inputs) > limit:
        raise Refused(f"inputs may have {limit} entries")
    return list(dict.fromkeys(int(str(one.get("id"))) for one in inputs))


def not_associated(ticket_id: int, kind: str) -> dict[str, Any]:
    context = {
        "fromObjectId": [str(ticket_id)],
        "fromObjectType": ["ticket"],
        "toObjectType": [SINGULAR[kind]],
    }
    error = _not_found(f"No {SINGULAR[kind]} is associated with ticket {ticket_id}.", context)
    return error | {"subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND"}


def not_found(kind: str, ids: list[str]) -> dict[str, Any]:
    message = f"Could not get some {SINGULAR[kind].upper()} objects, they may be deleted or not exist."
    return _not_found(message, {"ids": ids})


def _not_found(message: str, context: dict[str, list[str]]) -> dict[str, Any]:
    error: dict[str, Any] = {"status": "error", "category": "OBJECT_NOT_FOUND", "message": message}
    return error | {"context": context, "errors": [], "links": {}}


def batch(results: list[Any], errors: list[Any]) -> Answer:
    now = to_iso(int(time.time() * 1000))
    body = {"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now}
    if not errors:
        return json_answer(body)
    return json_answer(body | {"numErrors": len(errors), "errors": errors}, 207)


def error_answer(status: int, category: str, message: str) -> Answer:
    error = {"status": "error", "message": message, "category": category}
    return json_answer(error | {"correlationId": str(uuid.uuid4())}, status)


def to_property(kind: str, name: str) -> dict[str, Any]:
    """A text property as https://developers.hubspot.com/docs/api-reference/crm-properties-v3 shows it."""
    return {
        "name": name,
        "label": name.replace("_", " ").capitalize(),
        "type": "string",
        "fieldType": "text",
        "description": "",
        "groupName": f"{SINGULAR[kind]}information",
        "options": [],
        "displayOrder": -1,
        "calculated": False,
        "externalOptions": False,
        "hasUniqueValue": False,
        "hidden": False,
        "formField": True,
        "archived": False,
        "modificationMetadata": {"archivable": True, "readOnlyDefinition": False, "readOnlyValue": False},
    }


def forbidden() -> Answer:
    return error_answer(403, "MISSING_SCOPES", "This app hasn't been granted all required scopes")


def unauthorised() -> Answer:
    return error_answer(401, "INVALID_AUTHENTICATION", _UNAUTHORISED)


def too_many_requests(policy: str) -> Answer:
    """A 429 has ``errorType`` and ``policyName`` where other errors have ``category``."""
    error = {
        "status": "error",
        "message": f"You have reached your {policy.lower()} limit.",
        "errorType": "RATE_LIMIT",
        "correlationId": str(uuid.uuid4()),
        "policyName": policy,
        "requestId": uuid.uuid4().hex,
    }
    return json_answer(error, 429)
