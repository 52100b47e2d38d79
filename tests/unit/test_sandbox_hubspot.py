"""The simulated HubSpot's other reads, its refusals and its faults, over HTTP."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from jobs.sandbox.hubspot import SANDBOX_PORTAL_ID, SimulatedHubSpot
from jobs.sandbox.serving import Drop

# Loading the certificates that nothing here needs costs 30 ms a client.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
ACCOUNT = "/account-info/v3/details"
TICKETS = "/crm/v3/objects/tickets/batch/read"
CONTACTS_OF = "/crm/v4/associations/tickets/contacts/batch/read"


@pytest.fixture
def hubspot() -> Iterator[SimulatedHubSpot]:
    with SimulatedHubSpot() as simulator:
        yield simulator
    assert simulator.crashes == []


@pytest.fixture
def client(hubspot: SimulatedHubSpot) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {hubspot.access_token}"}
    with httpx.Client(verify=PLAIN, base_url=hubspot.url, headers=headers, timeout=5) as client:
        yield client


def inputs(*ids: str, **rest: Any) -> dict[str, Any]:
    return {"inputs": [{"id": one} for one in ids], **rest}


def test_the_account_names_portal_and_ui_domain(client: httpx.Client) -> None:
    account = client.get(ACCOUNT).json()
    assert (account["portalId"], account["uiDomain"]) == (SANDBOX_PORTAL_ID, "app.sandbox.invalid")


@pytest.mark.parametrize("token", ["Bearer wrong", "", "sandbox-no-secret"])
def test_a_wrong_or_missing_token_is_401_in_hubspots_words(client: httpx.Client, token: str) -> None:
    answer = client.get(ACCOUNT, headers={"Authorization": token})
    assert (answer.status_code, answer.json()["category"]) == (401, "INVALID_AUTHENTICATION")


def test_a_batch_read_gives_the_known_tickets_and_names_the_missing(
    hubspot: SimulatedHubSpot, client: httpx.Client
) -> None:
    kept, binned = hubspot.add_many(2)
    hubspot.archive(binned)
    complete = client.post(TICKETS, json=inputs(kept, kept))
    assert (complete.status_code, len(complete.json()["results"])) == (200, 1)
    partial = client.post(TICKETS, json=inputs(kept, binned, "404"))
    assert (partial.status_code, partial.json()["numErrors"]) == (207, 1)
    assert partial.json()["errors"][0]["context"] == {"ids": [binned, "404"]}
    hubspot.restore(binned)
    assert client.post(TICKETS, json=inputs(kept, binned)).status_code == 200


def test_a_batch_read_gives_the_contact_s_own_defaults(
    hubspot: SimulatedHubSpot, client: httpx.Client
) -> None:
    contact = hubspot.add_contact(firstname="Ada", tier="gold")
    path = "/crm/objects/2026-09/contacts/batch/read"
    properties = client.post(path, json=inputs(contact)).json()["results"][0]["properties"]
    assert {"firstname": "Ada", "lastname": None, "email": None}.items() <= properties.items()
    asked = client.post(path, json=inputs(contact, properties=["tier"])).json()["results"][0]["properties"]
    assert set(asked) == {"createdate", "hs_object_id", "lastmodifieddate", "tier"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (TICKETS, inputs(*map(str, range(101)))),
        (TICKETS, inputs("abc")),
        (TICKETS, inputs("1", properties="subject")),
        (TICKETS, {"inputs": []}),
        (TICKETS, []),
        (CONTACTS_OF, inputs(*map(str, range(1_001)))),
    ],
)
def test_a_batch_beyond_its_limit_or_without_ids_is_400(client: httpx.Client, path: str, body: Any) -> None:
    assert client.post(path, json=body).status_code == 400


def test_reading_a_merged_id_gives_the_survivor_with_its_aliases(
    hubspot: SimulatedHubSpot, client: httpx.Client
) -> None:
    a, b, c = hubspot.add_many(3)
    contact = hubspot.add_contact(firstname="Ada")
    hubspot.associate(b, contact=contact)
    first = hubspot.merge(a, b)
    last = hubspot.merge(first, c)
    read = client.post(TICKETS, json=inputs(a, c, properties=["hs_merged_object_ids"]))
    assert read.status_code == 200
    (result,) = read.json()["results"]
    merged = result["properties"]["hs_merged_object_ids"].split(";")
    assert (result["id"], set(merged)) == (last, {a, b, c, first})
    links = client.post(CONTACTS_OF, json=inputs(last)).json()["results"]
    assert links[0]["to"][0]["toObjectId"] == contact
    answer = client.post(CONTACTS_OF, json=inputs(b))
    assert (answer.status_code, answer.json()["results"]) == (207, []), "only by the new id"


def test_a_merge_keeps_the_older_createdate(hubspot: SimulatedHubSpot, client: httpx.Client) -> None:
    old = hubspot.add_ticket("old", created_at=datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC))
    survivor = hubspot.merge(hubspot.add_ticket("new"), old)
    (result,) = client.post(TICKETS, json=inputs(survivor)).json()["results"]
    assert (result["createdAt"], result["properties"]["subject"]) == ("2026-01-02T03:04:05.678Z", "new")


def test_associations_are_207_for_tickets_that_have_none(
    hubspot: SimulatedHubSpot, client: httpx.Client
) -> None:
    alone, together = hubspot.add_many(2)
    hubspot.associate(together, contact=hubspot.add_contact(), company=hubspot.add_company(name="X"))
    assert client.post(CONTACTS_OF, json=inputs(together)).status_code == 200
    answer = client.post(CONTACTS_OF, json=inputs(alone, together))
    assert answer.status_code == 207
    assert [one["from"]["id"] for one in answer.json()["results"]] == [together]
    (error,) = answer.json()["errors"]
    assert error["subCategory"] == "crm.associations.NO_ASSOCIATIONS_FOUND"
    assert error["context"]["fromObjectId"] == [alone]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/crm/v3/objects/tickets"),
        ("PATCH", "/crm/v3/objects/tickets/1"),
        ("DELETE", "/crm/v3/objects/tickets/1"),
        ("POST", "/crm/v3/objects/tickets/batch/update"),
        ("PUT", "/crm/v3/objects/tickets/search"),
    ],
)
def test_whatever_writes_is_refused_and_remembered(
    hubspot: SimulatedHubSpot, client: httpx.Client, method: str, path: str
) -> None:
    assert client.request(method, path, json={}).status_code == 405
    assert hubspot.write_attempts == [f"{method} {path}"]


def test_reads_are_counted_and_are_no_write_attempts(hubspot: SimulatedHubSpot, client: httpx.Client) -> None:
    client.get(ACCOUNT)
    client.post(TICKETS, json=inputs("1"))
    client.post(TICKETS, json=inputs("2"))
    assert client.get("/crm/v3/objects/unicorns").status_code == 404
    assert hubspot.requests["POST", TICKETS] == 2
    assert hubspot.write_attempts == []


def test_failures_are_used_up_in_their_order(hubspot: SimulatedHubSpot, client: httpx.Client) -> None:
    hubspot.faults.fail_next = [500, 429, Drop()]
    assert client.get(ACCOUNT).status_code == 500
    assert client.get(ACCOUNT).json()["policyName"] == "SECONDLY"
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(ACCOUNT)
    assert client.get(ACCOUNT).status_code == 200


def test_an_account_can_be_down_limited_or_behind_a_broken_proxy(
    hubspot: SimulatedHubSpot, client: httpx.Client
) -> None:
    hubspot.faults.down = True
    assert client.get(ACCOUNT).status_code == 503
    hubspot.faults.html_errors = True
    assert client.get(ACCOUNT).text.startswith("<html>")
    hubspot.faults.down, hubspot.faults.html_errors, hubspot.faults.always_429 = False, False, True
    assert client.get(ACCOUNT).json()["errorType"] == "RATE_LIMIT"


def test_the_date_header_can_be_wrong(hubspot: SimulatedHubSpot, client: httpx.Client) -> None:
    hubspot.faults.wrong_date_offset_seconds = -3_600
    said = parsedate_to_datetime(client.get(ACCOUNT).headers["Date"])
    assert abs(datetime.now(UTC) - said - timedelta(hours=1)) < timedelta(seconds=3)


def test_latency_delays_every_answer(hubspot: SimulatedHubSpot, client: httpx.Client) -> None:
    hubspot.faults.latency_seconds = 5
    with pytest.raises(httpx.ReadTimeout):
        client.get(ACCOUNT, timeout=0.05)


def test_an_id_can_be_given_but_not_twice(hubspot: SimulatedHubSpot) -> None:
    assert hubspot.add_ticket(ticket_id="77") == "77"
    with pytest.raises(ValueError, match="already"):
        hubspot.add_ticket(ticket_id="77")
