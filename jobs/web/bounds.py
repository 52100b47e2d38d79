"""uvicorn's HTTP protocol with what it leaves open: bounds on heads, connections and slow senders."""

import asyncio
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from jobs.web.answers import STATUS, ErrorCode, Refused, error_body, json_headers, request_id_of

MOST_CONNECTIONS = 512
MOST_HEAD_BYTES = 32_768
MOST_HEADERS = 100
MOST_MESSAGE_BYTES = 4_194_304  # above the largest body, so that most of a larger one is swallowed
HEAD_SECONDS = 10.0
LINGER_SECONDS = 1.0


class HeadTooLarge(Exception):
    """Raised in a callback of the parser's, which then stops."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection. ``head_since`` is the loop's time from which a head is awaited, None in a request."""

    head_since: float | None
    head_bytes = 0
    message_bytes = 0
    refused: ErrorCode | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self.head_since = self.loop.time()
        if len(self.connections) > MOST_CONNECTIONS:
            self.refuse(ErrorCode.SERVICE_UNAVAILABLE)

    def data_received(self, data: bytes) -> None:
        if self.refused or self.transport.is_closing():
            return
        if self.head_since is None and (self.cycle is None or self.cycle.response_complete):
            self.head_since = self.loop.time()
        self.message_bytes += len(data)
        super().data_received(data)
        in_head = self.head_since is not None
        if in_head and self.message_bytes > MOST_HEAD_BYTES:
            self.refuse(ErrorCode.HEADERS_TOO_LARGE)
        elif self.message_bytes > MOST_MESSAGE_BYTES:
            self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.head_bytes = 0
        self.message_bytes = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self.count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self.count_head(len(name) + len(value))

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self.head_since = None

    def count_head(self, number: int) -> None:
        self.head_bytes += number
        if self.head_bytes > MOST_HEAD_BYTES or len(self.headers) > MOST_HEADERS:
            raise HeadTooLarge

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (uvicorn's words)
        too_large = self.head_bytes > MOST_HEAD_BYTES or len(self.headers or ()) > MOST_HEADERS
        self.refuse(ErrorCode.HEADERS_TOO_LARGE if too_large else ErrorCode.BAD_REQUEST)

    def refuse(self, code: ErrorCode) -> None:
        """Answer without the app and close; where an answer is on its way already, only close.

        What still comes is swallowed a while: closed with something unread, the answer would be lost.
        """
        self.refused = code
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(plain_answer(code, self.server_state.default_headers))
        self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.abort)


def plain_answer(code: ErrorCode, more: Iterable[tuple[bytes, bytes]]) -> bytes:
    request_id = request_id_of(None)
    body = error_body(code, Refused(code).message, [], request_id)
    headers = [*more, *json_headers(body, request_id), (b"connection", b"close")]
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    status = STATUS[code]
    first = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
    return first + lines + b"\r\n" + body


def close_slow_heads(connections: Iterable[Any], now: float) -> None:
    """Of a connection that sends nothing, or its head in drops; uvicorn itself waits for ever."""
    for one in list(connections):
        if isinstance(one, BoundedProtocol) and one.head_since and now - one.head_since > HEAD_SECONDS:
            one.refuse(ErrorCode.REQUEST_TIMEOUT)
