"""The JSON that every address of ours answers with, errors included."""

import json
import re
import uuid
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from starlette.types import Send

REQUEST_ID = re.compile(rb"[\x21-\x7e][\x20-\x7e]{0,99}")
Header = tuple[bytes, bytes]
CLOSE: Header = (b"connection", b"close")
encode = json.JSONEncoder(separators=(",", ":")).encode


class ErrorCode(StrEnum):
    """The ``error`` of an answer, by which a program decides; the message is for people."""

    BAD_REQUEST = "bad_request"  #: not HTTP as we know it
    INVALID_JSON = "invalid_json"
    VALIDATION_ERROR = "validation_error"
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    REQUEST_TIMEOUT = "request_timeout"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    HEADERS_TOO_LARGE = "headers_too_large"
    INTERNAL_ERROR = "internal_error"
    SERVICE_UNAVAILABLE = "service_unavailable"


STATUS = {
    ErrorCode.BAD_REQUEST: 400,
    ErrorCode.INVALID_JSON: 400,
    ErrorCode.VALIDATION_ERROR: 400,
    ErrorCode.UNAUTHORIZED: 401,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.METHOD_NOT_ALLOWED: 405,
    ErrorCode.REQUEST_TIMEOUT: 408,
    ErrorCode.PAYLOAD_TOO_LARGE: 413,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: 415,
    ErrorCode.HEADERS_TOO_LARGE: 431,
    ErrorCode.INTERNAL_ERROR: 500,
    ErrorCode.SERVICE_UNAVAILABLE: 503,
}

MESSAGES = {
    ErrorCode.BAD_REQUEST: "the request is not valid HTTP",
    ErrorCode.NOT_FOUND: "there is nothing at this path",
    ErrorCode.METHOD_NOT_ALLOWED: "this path does not take this method",
    ErrorCode.REQUEST_TIMEOUT: "the request took too long to arrive",
    ErrorCode.HEADERS_TOO_LARGE: "the request line and headers are too long",
    ErrorCode.INTERNAL_ERROR: "the request failed on our side; send it again later",
    ErrorCode.SERVICE_UNAVAILABLE: "too busy to take the request; send it again later",
}


class Refused(Exception):
    """Ends a request with an error's answer. ``details`` quote nothing of what was sent.

    With ``closes`` the connection ends too, since there may be more to come on it that nobody wants.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str = "",
        *,
        details: Sequence[object] = (),
        headers: Sequence[Header] = (),
        closes: bool = False,
    ) -> None:
        super().__init__(code.value)
        self.code = code
        self.message = message or MESSAGES[code]
        self.details = list(details)
        self.headers = [*headers, CLOSE] if closes else list(headers)
        self.closes = closes


def request_id_of(given: bytes | None) -> str:
    """The sender's own id where it is up to 100 printable ASCII characters, else a new one."""
    if given and REQUEST_ID.fullmatch(given):
        return given.decode()
    return uuid.uuid4().hex


def error_body(code: ErrorCode, message: str, details: Sequence[object], request_id: str) -> bytes:
    return encode({"error": code, "message": message, "details": details, "request_id": request_id}).encode()


def json_headers(body: bytes, request_id: str, more: Sequence[Header] = ()) -> list[Header]:
    return [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", request_id.encode()),
        *more,
    ]


async def send_body(
    send: Send, status: int, body: bytes, headers: list[Header], *, ends: bool = True
) -> None:
    """``ends`` False leaves the answer open, though all of it is sent: the connection is not closed yet."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": not ends})


async def send_answer(send: Send, content: dict[str, Any], request_id: str) -> None:
    body = encode(content).encode()
    await send_body(send, 200, body, json_headers(body, request_id))


async def send_error(send: Send, refused: Refused, request_id: str, *, ends: bool = True) -> None:
    body = error_body(refused.code, refused.message, refused.details, request_id)
    headers = json_headers(body, request_id, refused.headers)
    await send_body(send, STATUS[refused.code], body, headers, ends=ends)
