"""Tickets that keep arriving in the simulated portal, each told by a signed webhook like HubSpot's."""

import hashlib
import hmac
import http.client
import json
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, cycle
from urllib.parse import urlsplit

from jobs.sandbox.hubspot import SANDBOX_PORTAL_ID, SimulatedHubSpot
from jobs.sandbox.tickets import built_in_tickets
from jobs.sandbox.world import add_ticket

WEBHOOK_PATH = "/webhook/hubspot"
CALL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Subscription:
    """Where the portal's app sends its events: ``public_url`` without a path, signed with the secret."""

    public_url: str
    client_secret: str


@contextmanager
def arriving_tickets(
    hubspot: SimulatedHubSpot, subscription: Subscription, every_seconds: float
) -> Iterator[None]:
    """While inside, a ticket now and then. A call that fails is not repeated: the poll finds its ticket."""
    over = threading.Event()
    thread = threading.Thread(target=arrive, args=(hubspot, subscription, over, every_seconds), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(CALL_SECONDS)


def arrive(
    hubspot: SimulatedHubSpot, subscription: Subscription, over: threading.Event, every_seconds: float
) -> None:
    texts, event_ids = cycle(built_in_tickets()), count(1)
    while not over.wait(every_seconds):
        ticket_id = add_ticket(hubspot, next(texts))
        call_webhook(subscription, [creation_event(ticket_id, next(event_ids))])


def creation_event(ticket_id: str, event_id: int, occurred_ms: int | None = None) -> dict[str, object]:
    """An app's ``ticket.creation`` event."""
    return {
        "eventId": event_id,
        "subscriptionId": 1,
        "portalId": SANDBOX_PORTAL_ID,
        "appId": 1,
        "occurredAt": int(time.time() * 1000) if occurred_ms is None else occurred_ms,
        "subscriptionType": "ticket.creation",
        "attemptNumber": 0,
        "objectId": int(ticket_id),
        "changeSource": "CRM_UI",
        "changeFlag": "CREATED",
    }


def call_webhook(
    subscription: Subscription,
    events: list[dict[str, object]],
    now: Callable[[], float] = time.time,
) -> int | None:
    """Send events, signed (v3), to the subscriber; its status, or None where it did not answer."""
    body = json.dumps(events).encode()
    target = urlsplit(subscription.public_url)
    connection = http.client.HTTPConnection(target.hostname or "127.0.0.1", target.port, timeout=CALL_SECONDS)
    try:
        connection.request("POST", WEBHOOK_PATH, body, signed_headers(subscription, body, int(now() * 1000)))
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def signed_headers(subscription: Subscription, body: bytes, now_ms: int) -> dict[str, str]:
    signed = f"POST{subscription.public_url}{WEBHOOK_PATH}".encode() + body + str(now_ms).encode()
    digest = hmac.new(subscription.client_secret.encode(), signed, hashlib.sha256).digest()
    return {
        "Content-Type": "application/json",
        "X-HubSpot-Signature-v3": b64encode(digest).decode(),
        "X-HubSpot-Request-Timestamp": str(now_ms),
    }
