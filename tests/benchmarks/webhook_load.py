"""``python -m tests.benchmarks.webhook_load PORT CONNECTIONS BATCH REQUESTS [flood]``: a sender of webhooks.

Like HubSpot it sends the next request on a connection when the last is answered. It is as light as Python
allows, since it shares the machine with the server: ready-made requests, bare sockets, one selector. Prints
p50 and p99 in ms and requests a second; a flood has bad signatures and goes on until it is stopped.
"""

import base64
import hashlib
import hmac
import itertools
import json
import selectors
import socket
import sys
import time
from collections.abc import Iterator
from typing import cast

SECRET = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
PUBLIC_URL = "https://triage.example.com"
PATH = "/webhook/hubspot"


def build_request(first_id: int, batch: int, secret: str = SECRET) -> bytes:
    """``batch`` created tickets with the ids that follow ``first_id``, signed as HubSpot does it."""
    now_ms = int(time.time() * 1000)
    events = [
        {
            "eventId": 3816279340 + number,
            "subscriptionId": 25,
            "portalId": 62515,
            "appId": 1160452,
            "occurredAt": now_ms,
            "subscriptionType": "ticket.creation",
            "attemptNumber": 0,
            "objectId": number,
            "changeFlag": "CREATED",
            "changeSource": "CRM_UI",
            "sourceId": "userId:45678",
        }
        for number in range(first_id, first_id + batch)
    ]
    body = json.dumps(events).encode()
    signed = b"POST" + (PUBLIC_URL + PATH).encode() + body + str(now_ms).encode()
    signature = base64.b64encode(hmac.digest(secret.encode(), signed, hashlib.sha256)).decode()
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: triage.example.com\r\nContent-Type: application/json\r\n"
        f"User-Agent: HubSpot Connect 2.0\r\nContent-Length: {len(body)}\r\n"
        f"X-HubSpot-Signature-v3: {signature}\r\nX-HubSpot-Request-Timestamp: {now_ms}\r\n\r\n"
    )
    return head.encode() + body


def send_all(
    port: int, connections: int, requests: Iterator[bytes], status: bytes
) -> tuple[list[float], float]:
    """Seconds of each request, and of all. Every answer must have ``status`` and come in one piece."""
    selector = selectors.DefaultSelector()
    sent_at: dict[socket.socket, float] = {}
    taken: list[float] = []
    for _ in range(connections):
        one = socket.create_connection(("127.0.0.1", port))
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(one, selectors.EVENT_READ)
        sent_at[one] = 0.0
    started = time.perf_counter()
    for one in list(sent_at):
        send_next(one, requests, sent_at)
    while sent_at:
        for key, _ in selector.select():
            one = cast(socket.socket, key.fileobj)
            require_answer(one, status)
            taken.append(time.perf_counter() - sent_at[one])
            send_next(one, requests, sent_at)
    return taken, time.perf_counter() - started


def send_next(one: socket.socket, requests: Iterator[bytes], sent_at: dict[socket.socket, float]) -> None:
    request = next(requests, None)
    if request is None:
        del sent_at[one]
        return
    sent_at[one] = time.perf_counter()
    one.sendall(request)


def require_answer(one: socket.socket, status: bytes) -> None:
    answer = one.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 " + status), answer
    while not answer.endswith(b"}"):  # the head may come alone
        more = one.recv(65_536)
        assert more, answer
        answer += more


def main(port: int, connections: int, batch: int, requests: int, *flood: str) -> None:
    if flood:
        bad = build_request(1, batch, "not the secret")
        send_all(port, connections, itertools.repeat(bad), b"401")
    first_ids = range(30_000_000_000, 30_000_000_000 + requests * batch, batch)
    ready = [build_request(first_id, batch) for first_id in first_ids]
    taken, seconds = send_all(port, connections, iter(ready), b"200")
    taken.sort()
    figures = {"p50": len(taken) // 2, "p99": len(taken) * 99 // 100}
    report = {name: taken[place] * 1000 for name, place in figures.items()}
    print(json.dumps(report | {"per_second": len(taken) / seconds}))


if __name__ == "__main__":
    port, connections, batch, requests, *flood = sys.argv[1:]
    main(int(port), int(connections), int(batch), int(requests), *flood)
