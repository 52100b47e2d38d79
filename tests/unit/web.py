"""A real server around a receiver with a store of lists, and a client of bare sockets."""

import json
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from jobs.hubspot.events import WEBHOOK_PATH as PATH
from jobs.hubspot.signature import sign_v3
from jobs.web.app import build_app
from jobs.web.receiver import Receiver, ReceiverParts
from jobs.web.server import WebServer
from models.inbox import EventLike

SECRET, TOKENS, PUBLIC_URL = "the-client-secret", ("new-token", "old-token"), "https://triage.example.com"
TOKEN = {"X-Webhook-Token": TOKENS[0]}
TICKET = {"hs_object_id": "101", "subject": "Words of a customer"}
SHAPE = {"error", "message", "details", "request_id"}


@dataclass
class World:
    """What the receiver did: events by commit, and the calls of its callbacks."""

    commits: list[list[EventLike]] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    woken: int = 0
    portal_id: str | None = "62515"
    fault: Exception | None = None

    @property
    def stored(self) -> list[str]:
        return [event.object_id for commit in self.commits for event in commit]

    def store(self, events: Sequence[EventLike]) -> int:
        if self.fault:
            raise self.fault
        self.commits.append(list(events))
        return len(events)

    def wake(self) -> None:
        self.woken += 1

    def parts(self, **more: Any) -> ReceiverParts:
        own: dict[str, Any] = {
            "store": self.store,
            "client_secret": SECRET,
            "tokens": TOKENS,
            "public_url": PUBLIC_URL,
            "portal_id": lambda: self.portal_id,
            "on_stored": self.wake,
            "on_refused": self.refused.append,
            "on_answer": self.answers.append,
        }
        return ReceiverParts(**(own | more))


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        assert self.headers["content-type"] == "application/json"
        answer: dict[str, Any] = json.loads(self.body)
        assert answer["request_id"] == self.headers["x-request-id"]
        return answer

    def error(self) -> str:
        answer = self.json()
        assert set(answer) == SHAPE
        return str(answer["error"])


def wait_until(happened: Callable[[], object], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.005)


@contextmanager
def serving(parts: ReceiverParts, routes: Sequence[Any] = ()) -> Iterator[WebServer]:
    with serving_one(Receiver(parts), routes) as server:
        yield server


@contextmanager
def serving_one(receiver: Receiver, routes: Sequence[Any] = ()) -> Iterator[WebServer]:
    server = WebServer(build_app(routes, receiver), 0, "127.0.0.1")
    server.start()
    try:
        yield server
    finally:
        server.stop(5)


def request(
    body: bytes = b"", headers: dict[str, str] | None = None, *, path: str = PATH, method: str = "POST"
) -> bytes:
    given = {"Host": "x", "Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in (given | (headers or {})).items() if value)
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body


def signed(body: bytes, *, path: str = PATH, at: float | None = None, secret: str = SECRET) -> dict[str, str]:
    stamp = str(int((at or time.time()) * 1000))
    url = (PUBLIC_URL + path).encode()
    signature = sign_v3(secret.encode(), b"POST", url, body, stamp.encode()).decode()
    return {"X-HubSpot-Signature-v3": signature, "X-HubSpot-Request-Timestamp": stamp}


def exchange(port: int, sent: bytes, seconds: float = 20) -> Reply:
    """Sends ``sent`` on a connection of its own and reads one answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as one:
        with suppress(ConnectionError):  # it may have answered and closed before all was sent
            one.sendall(sent)
        return read_reply(one)


def read_reply(one: socket.socket) -> Reply:
    received = b""
    while b"\r\n\r\n" not in received:
        received += read_some(one)
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    while len(body) < int(headers["content-length"]):
        body += read_some(one)
    return Reply(int(first.split()[1]), headers, body)


def read_some(one: socket.socket) -> bytes:
    received = one.recv(65_536)
    assert received, "closed without a whole answer"
    return received


def post(port: int, content: object, headers: dict[str, str] | None = None, *, path: str = PATH) -> Reply:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return exchange(port, request(body, TOKEN if headers is None else headers, path=path))
