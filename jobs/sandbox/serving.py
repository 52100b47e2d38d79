"""A small HTTP/1.1 server on loopback: the floor that every simulated vendor stands on."""

import json
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, TypeAlias

BODY_LIMIT = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are lower case, ``path`` comes without the query, ``hung_up`` looks anew."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    hung_up: Callable[[], bool] = field(default=lambda: False, compare=False)

    def json(self) -> Any:
        """The body as JSON; raises ValueError for anything else."""
        try:
            return json.loads(self.body)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back after ``delay_seconds``.

    ``body_bytes_sent`` sends the status line, the headers and only so much of the body, then drops the
    connection. A ``Date`` in ``headers`` replaces the right one.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json;charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    body_bytes_sent: int | None = None


@dataclass(frozen=True, slots=True)
class Drop:
    """Closes the connection without an answer; return it before or after doing what was asked."""

    delay_seconds: float = 0.0


Outcome: TypeAlias = Answer | Drop


def json_answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, json.dumps(value).encode(), headers=headers or {})


def html_answer(text: str, status: int = 200) -> Answer:
    return Answer(status, text.encode(), "text/html;charset=utf-8")


class Simulator(ABC):
    """A vendor on ``127.0.0.1``; port 0 takes any free one.

    Subclasses write ``answer``, which several threads call at once. An exception in it becomes a plain 500
    and is kept in ``crashes``, so that a test can tell a simulator's bug from a simulated fault. ``stop``
    closes open connections too; a stopped simulator can be started again, on the same port. ``connections``
    counts those ever opened.

    A connection idle for ``idle_close_seconds`` is closed. A request that comes on one idle for longer than
    ``idle_lost_seconds`` is lost unread, as if it had crossed with the closing. None is never.
    """

    idle_close_seconds: float | None = None
    idle_lost_seconds: float | None = None

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.crashes: list[Exception] = []
        self.connections = 0
        self.stopping = threading.Event()
        self._server: _Server | None = None

    @abstractmethod
    def answer(self, request: Request) -> Outcome: ...

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Raises OSError if the port is taken."""
        self.stopping.clear()
        self._server = _Server(self)
        self.port = int(self._server.server_address[1])
        serve = self._server.serve_forever
        threading.Thread(target=serve, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def stop(self) -> None:
        if self._server is not None:
            self.stopping.set()
            self._server.shutdown()
            self._server.server_close()
            self._server.close_connections()
            self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self._connections: set[socket.socket] = set()
        self._idle = threading.Condition()
        super().__init__(("127.0.0.1", simulator.port), _Conversation)

    def server_bind(self) -> None:
        # HTTPServer's own would ask DNS for the host's name here, which can take seconds.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._idle:
            self._connections.add(request)
            self.simulator.connections += 1
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._idle:
            self._connections.discard(request)
            self._idle.notify_all()
        super().shutdown_request(request)

    def close_connections(self) -> None:
        with self._idle:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._idle.wait_for(lambda: not self._connections, timeout=2)


class _Conversation(BaseHTTPRequestHandler):
    """One keep-alive connection.

    An answer is one send, with Nagle off: with two, Nagle and delayed ACK cost 40 ms a request.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server
    answered_at: float | None = None

    def handle(self) -> None:
        with suppress(ConnectionError, TimeoutError, ValueError):
            super().handle()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing: a request line may hold a secret, and the terminal is the product's."""

    def serve(self) -> None:
        self.connection.settimeout(None)
        if self._came_too_late():
            self.close_connection = True
            return None
        length = int(self.headers.get("Content-Length") or 0)
        if self.headers.get("Transfer-Encoding"):
            return self._refuse(HTTPStatus.LENGTH_REQUIRED)
        if not 0 <= length <= BODY_LIMIT:
            return self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(length) if length else b""
        return self._send(self._outcome(Request(self.command, path, query, headers, body, self._hung_up)))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = serve  # noqa: N815 (the names that http.server calls)

    def _hung_up(self) -> bool:
        try:
            return not self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except OSError as error:
            return not isinstance(error, BlockingIOError)

    def _came_too_late(self) -> bool:
        limit = self.server.simulator.idle_lost_seconds
        if limit is None or self.answered_at is None:
            return False
        return time.monotonic() - self.answered_at > limit

    def _refuse(self, status: HTTPStatus) -> None:
        self.close_connection = True
        self._send(json_answer({"message": status.phrase}, status))

    def _outcome(self, request: Request) -> Outcome:
        try:
            return self.server.simulator.answer(request)
        except Exception as error:  # noqa: BLE001
            self.server.simulator.crashes.append(error)
            return json_answer({"message": "the simulator failed"}, 500)

    def _send(self, outcome: Outcome) -> None:
        stopping = self.server.simulator.stopping
        if outcome.delay_seconds:
            stopping.wait(outcome.delay_seconds)
        if isinstance(outcome, Drop) or stopping.is_set():
            self.close_connection = True
            return
        body = b"" if self.command == "HEAD" else outcome.body[: outcome.body_bytes_sent]
        self.close_connection |= outcome.body_bytes_sent is not None
        self.wfile.write(_head(outcome, self.close_connection) + body)
        self.answered_at = time.monotonic()
        self.connection.settimeout(self.server.simulator.idle_close_seconds)


def _head(answer: Answer, closing: bool) -> bytes:
    headers = {
        "Date": http_date(time.time()),
        "Content-Type": answer.content_type,
        "Content-Length": str(len(answer.body)),
        "Connection": "close" if closing else "keep-alive",
        **answer.headers,
    }
    phrase = responses.get(answer.status, "Unknown")
    lines = [f"HTTP/1.1 {answer.status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def http_date(seconds: float) -> str:
    """``seconds`` since the epoch as a ``Date`` header, truncated to the second like every vendor's."""
    return formatdate(int(seconds), usegmt=True)
