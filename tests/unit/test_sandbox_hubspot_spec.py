"""Every answer of the simulated HubSpot has the shape of HubSpot's published OpenAPI documents."""

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from jobs.sandbox.hubspot import SimulatedHubSpot

# Loading the certificates that nothing here needs costs 30 ms a client.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
SPECS = Path(__file__).resolve().parents[2] / "../shared/specs"
TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}
# The documents call it an object without properties; HubSpot answers with text such as
# crm.associations.NO_ASSOCIATIONS_FOUND.
REALLY_TEXT = {"subCategory"}

pytestmark = pytest.mark.skipif(
    not SPECS.exists(), reason="../shared/specs with the OpenAPI documents is absent"
)


class Document:
    def __init__(self, name: str) -> None:
        self.content = json.loads((SPECS / name).read_text())

    def faults(self, value: Any, schema: dict[str, Any], where: str = "$") -> Iterator[str]:
        """What is wrong with the value, place by place; unknown keys are wrong too."""
        while "$ref" in schema:
            schema = self.content["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        expected = schema.get("type", "object")
        if not isinstance(value, TYPES[expected]):
            yield f"{where} is no {expected}"
        elif schema.get("enum") and value not in schema["enum"]:
            yield f"{where} is none of its values"
        elif isinstance(value, list):
            for number, item in enumerate(value):
                yield from self.faults(item, schema["items"], f"{where}[{number}]")
        elif isinstance(value, dict):
            yield from self._faults_of_members(value, schema, where)

    def _faults_of_members(self, value: dict[str, Any], schema: dict[str, Any], where: str) -> Iterator[str]:
        known, more = schema.get("properties", {}), schema.get("additionalProperties")
        yield from (f"{where}.{name} is missing" for name in schema.get("required", []) if name not in value)
        for name, member in value.items():
            if name not in known and more is None:
                yield f"{where}.{name} is unknown"
            elif name not in REALLY_TEXT and not (member is None and name not in schema.get("required", [])):
                yield from self.faults(member, known.get(name, more), f"{where}.{name}")

    def schema(self, path: str, method: str, status: int) -> dict[str, Any]:
        answers = self.content["paths"][path][method]["responses"]
        # The dated documents name no 207, but their 200 has its errors.
        content = answers.get(str(status), answers["200"])["content"]
        found: dict[str, Any] = content["application/json"]["schema"]
        return found


@pytest.fixture
def hubspot() -> Iterator[SimulatedHubSpot]:
    with SimulatedHubSpot(search_limit_per_second=None) as simulator:
        simulator.add_contact(contact_id="5", firstname="Ada", email="ada@example.invalid")
        simulator.add_company(company_id="6", name="Engines", tier="gold")
        simulator.add_ticket("One", "text", ticket_id="1", contact="5", company="6")
        simulator.add_ticket(None, None, ticket_id="2")
        yield simulator


def ask(
    hubspot: SimulatedHubSpot, method: str, path: str, body: Any = None, token: str = ""
) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token or hubspot.access_token}"}
    with httpx.Client(verify=PLAIN, base_url=hubspot.url, headers=headers) as client:
        return client.request(method, path, json=body)


def ids(*numbers: int) -> dict[str, Any]:
    return {
        "inputs": [{"id": str(number)} for number in numbers],
        "properties": [],
        "propertiesWithHistory": [],
    }


V3, DATED = "/crm/v3/objects", "/crm/objects/2026-09"
V4 = "/crm/v4/associations"
ACCOUNT_FILE, TICKETS_FILE = "hubspot-account-info-v3.json", "hubspot-tickets-v3.json"
DATED_FILE, LINKS_FILE = "hubspot-tickets-2026-09.json", "hubspot-associations-v4.json"


@pytest.mark.parametrize(
    ("file", "documented", "path", "body", "status"),
    [
        (ACCOUNT_FILE, "/account-info/v3/details", "/account-info/v3/details", None, 200),
        (TICKETS_FILE, f"{V3}/tickets/search", f"{V3}/tickets/search", {"limit": 1}, 200),
        (TICKETS_FILE, f"{V3}/tickets/batch/read", f"{V3}/tickets/batch/read", ids(1, 2), 200),
        (TICKETS_FILE, f"{V3}/tickets/batch/read", f"{V3}/tickets/batch/read", ids(1, 3), 207),
        (TICKETS_FILE, f"{V3}/tickets/batch/read", f"{V3}/contacts/batch/read", ids(5), 200),
        (TICKETS_FILE, f"{V3}/tickets/batch/read", f"{V3}/companies/batch/read", ids(6, 7), 207),
        (DATED_FILE, f"{DATED}/{{objectType}}/search", f"{DATED}/tickets/search", {"limit": 1}, 200),
        (DATED_FILE, f"{DATED}/{{objectType}}/batch/read", f"{DATED}/tickets/batch/read", ids(1), 200),
        (DATED_FILE, f"{DATED}/{{objectType}}/batch/read", f"{DATED}/tickets/batch/read", ids(3), 207),
        (
            LINKS_FILE,
            f"{V4}/{{fromObjectType}}/{{toObjectType}}/batch/read",
            f"{V4}/tickets/contacts/batch/read",
            ids(1),
            200,
        ),
        (
            LINKS_FILE,
            f"{V4}/{{fromObjectType}}/{{toObjectType}}/batch/read",
            f"{V4}/tickets/companies/batch/read",
            ids(1, 2),
            207,
        ),
    ],
)
def test_an_answer_has_the_documented_shape(
    hubspot: SimulatedHubSpot, file: str, documented: str, path: str, body: Any, status: int
) -> None:
    document, method = Document(file), "GET" if body is None else "POST"
    answer = ask(hubspot, method, path, body)
    assert answer.status_code == status
    assert list(document.faults(answer.json(), document.schema(documented, method.lower(), status))) == []


@pytest.mark.parametrize(
    ("method", "path", "token", "status"),
    [
        ("GET", "/account-info/v3/details", "wrong", 401),
        ("GET", "/crm/v3/nothing", "", 404),
        ("POST", f"{V3}/tickets/search", "", 400),
        ("POST", f"{V3}/tickets", "", 405),
    ],
)
def test_an_error_has_the_documented_shape(
    hubspot: SimulatedHubSpot, method: str, path: str, token: str, status: int
) -> None:
    document = Document(TICKETS_FILE)
    answer = ask(hubspot, method, path, {"limit": 999} if method == "POST" else None, token)
    assert answer.status_code == status
    error = answer.json()
    # Real errors also carry status, which the document leaves out.
    assert error.pop("status") == "error"
    assert list(document.faults(error, {"$ref": "#/components/schemas/Error"})) == []
