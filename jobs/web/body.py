"""Reads a request's body within bounds of size and time."""

import asyncio
from contextlib import suppress
from typing import Any, cast

from starlette.types import Message, Receive, Send

from jobs.web.answers import ErrorCode, Refused
from jobs.web.deadlines import Deadlines

MOST_BYTES = 1_048_576
BODY_SECONDS = 10.0
# HubSpot's hundred events are some 30 KB. Larger bodies are read only a few at a time, so that many senders
# of whom nothing is known yet cannot fill the memory.
SMALL_BYTES = 65_536
MOST_LARGE = 16
LINGER_SECONDS = 2.0


class Gone(Exception):
    """The sender hung up before all of it was there."""


class BodyReader:
    """Belongs to one event loop and counts the large bodies that are being read in it."""

    def __init__(self) -> None:
        self.large = 0
        self.late: set[asyncio.Task[Any]] = set()
        self.deadlines: Deadlines[asyncio.Task[Any]] = Deadlines(self.end_late)

    async def read(self, receive: Receive) -> bytes:
        """Raises Gone, and Refused for a body that is too large, too slow, or one large one too many."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self.deadlines.add(task, BODY_SECONDS)
        try:
            message = await receive()
            body = bytes_of(message)
            if not message.get("more_body") and len(body) <= MOST_BYTES:
                return body
            return await self.read_rest(receive, bytearray(body))
        except asyncio.CancelledError:
            if task in self.late and task.uncancel() == 0:
                raise Refused(ErrorCode.REQUEST_TIMEOUT, closes=True) from None
            raise  # somebody else ends the task
        finally:
            self.deadlines.remove(task)
            self.late.discard(task)

    def end_late(self, task: "asyncio.Task[Any]") -> None:
        self.late.add(task)
        task.cancel()

    async def read_rest(self, receive: Receive, body: bytearray) -> bytes:
        is_large = False
        try:
            while True:
                if len(body) > MOST_BYTES:
                    raise too_large()
                if len(body) > SMALL_BYTES and not is_large:
                    if self.large >= MOST_LARGE:
                        raise Refused(ErrorCode.SERVICE_UNAVAILABLE, closes=True)
                    self.large += 1
                    is_large = True
                message = await receive()
                body += bytes_of(message)
                if not message.get("more_body") and len(body) <= MOST_BYTES:
                    return bytes(body)
        finally:
            self.large -= is_large


def bytes_of(message: Message) -> bytes:
    if message["type"] != "http.request":
        raise Gone
    body: bytes = message.get("body", b"")
    return body


def require_length(declared: bytes | None) -> None:
    """Refuse what is declared to be too large before any of it is read."""
    if declared and not (declared.isdigit() and len(declared) < 10 and int(declared) <= MOST_BYTES):
        raise too_large()


def too_large() -> Refused:
    return Refused(ErrorCode.PAYLOAD_TOO_LARGE, f"send at most {MOST_BYTES} bytes", closes=True)


async def linger(receive: Receive, send: Send) -> None:
    """Swallow a while what is still coming after an open answer, then end it, which closes the connection.

    A socket that is closed with something unread resets the connection, and the sender loses the answer.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while (await receive()).get("more_body"):
                pass
    await send({"type": "http.response.body", "body": b"", "more_body": False})
