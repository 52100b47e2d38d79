"""``POST /webhook/hubspot``: check, commit, answer; and no more, since HubSpot waits and sends ten at a time.

A plain ASGI app: Starlette's routing and request objects would cost as much as all the rest of it.
"""

import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.types import Receive, Scope, Send

from jobs.hubspot.events import InvalidEvents, InvalidJson, Received, parse_body
from jobs.hubspot.signature import check_token, check_v2, check_v3, is_timely
from jobs.web.answers import ErrorCode, Refused, request_id_of, send_answer, send_error
from jobs.web.body import BodyReader, Gone, linger, require_length
from jobs.web.group_commit import GroupCommitter, NotStored, Store
from jobs.web.refusals import Refusals

log = logging.getLogger("triage")

JSON_TYPE = re.compile(rb"application/json\s*(;.*)?", re.IGNORECASE)
OFF = (
    "the webhook receiver is off: set HUBSPOT_CLIENT_SECRET (with PUBLIC_URL) for signatures, "
    "or HUBSPOT_WEBHOOK_TOKEN for a token"
)
UNAUTHORIZED = "the signature or token is missing, wrong or too old"
Headers = Mapping[bytes, bytes]


def do_nothing(*_: object) -> None:
    pass


def know_nothing() -> None:
    return None


@dataclass(frozen=True, slots=True, repr=False)
class ReceiverParts:
    """What the receiver needs of the world.

    ``store`` commits and returns the number of new rows. It, ``on_stored`` (new rows are committed) and
    ``on_refused`` (failed authentications since the last call, at most once a second) are called in
    threads of the receiver's. ``on_answer`` gets ``accepted`` or the error's code for each request, and
    ``portal_id`` gives the portal's id once it is known; both are called in the event loop, so be short.
    """

    store: Store
    client_secret: str | None = None
    tokens: Sequence[str] = ()
    public_url: str = ""
    portal_id: Callable[[], str | None] = know_nothing
    on_stored: Callable[[], None] = do_nothing
    on_refused: Callable[[int], None] = do_nothing
    on_answer: Callable[[str], None] = do_nothing
    clock: Callable[[], float] = time.time


class Receiver:
    """An ASGI app for one path; ``running`` must be entered in its event loop first."""

    def __init__(self, parts: ReceiverParts) -> None:
        self.parts = parts
        self.secret = (parts.client_secret or "").encode()
        self.tokens = [token.encode() for token in parts.tokens if token]
        self.public_url = parts.public_url.rstrip("/").encode()
        self.bodies = BodyReader()
        self.committer = GroupCommitter(parts.store, parts.on_stored)
        self.refusals = Refusals(parts.on_refused, self.committer.run_aside)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Afterwards all that was taken is committed and all that was refused is counted."""
        self.committer.open()
        try:
            yield
        finally:
            self.refusals.end_period()
            await self.committer.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        request_id = request_id_of(headers.get(b"x-request-id"))
        try:
            received = await self.take(scope, headers, receive, request_id)
        except Gone:
            return
        except Exception as error:  # noqa: BLE001 (whatever it was, the sender gets an answer)
            refused = refusal_of(error, request_id)
            self.parts.on_answer(refused.code.value)
            await send_error(send, refused, request_id, ends=not refused.closes)
            if refused.closes:
                await linger(receive, send)
        else:
            self.parts.on_answer("accepted")
            await send_answer(send, accepted(received, request_id), request_id)

    async def take(self, scope: Scope, headers: Headers, receive: Receive, request_id: str) -> Received:
        """Everything up to the commit; raises Refused, Gone, and what the modules below raise."""
        self.require_fit(scope["method"], headers)
        body = await self.bodies.read(receive)
        reason = self.why_refused(scope, headers, body)
        if reason:
            await self.refusals.note(scope, reason, request_id)
            raise Refused(ErrorCode.UNAUTHORIZED, UNAUTHORIZED)
        received = parse_body(body, self.parts.portal_id())
        if received.events:
            await self.committer.commit(received.events)
        return received

    def require_fit(self, method: str, headers: Headers) -> None:
        """Judge what stands before the body; raises Refused."""
        if method != "POST":
            raise Refused(ErrorCode.METHOD_NOT_ALLOWED, headers=[(b"allow", b"POST")], closes=True)
        if not self.secret and not self.tokens:
            # Not a 4xx: HubSpot's workflows would never send again what came before the setting was there.
            raise Refused(ErrorCode.SERVICE_UNAVAILABLE, OFF, closes=True)
        is_json = JSON_TYPE.fullmatch(headers.get(b"content-type", b""))
        if not is_json or headers.get(b"content-encoding", b"identity").lower() != b"identity":
            message = "send application/json, not compressed"
            raise Refused(ErrorCode.UNSUPPORTED_MEDIA_TYPE, message, closes=True)
        require_length(headers.get(b"content-length"))

    def why_refused(self, scope: Scope, headers: Headers, body: bytes) -> str | None:
        """None for an authentic request: a token or a signature is enough.

        A v3 signature decides where there is one, since its age is checked; v2 has none. A replay of v2
        brings rows that the inbox or the ledger knows already.
        """
        token = headers.get(b"x-webhook-token")
        if token is not None and check_token(self.tokens, token):
            return None
        signature = headers.get(b"x-hubspot-signature-v3") or headers.get(b"x-hubspot-signature")
        if not self.secret or not signature:
            return "wrong token" if token else "no token or signature"
        return self.why_unsigned(url_of(self.public_url, scope), headers, body)

    def why_unsigned(self, url: bytes, headers: Headers, body: bytes) -> str | None:
        v3, v2 = headers.get(b"x-hubspot-signature-v3"), headers.get(b"x-hubspot-signature", b"")
        if v3 is None:
            return None if check_v2(self.secret, b"POST", url, body, v2) else "wrong signature"
        timestamp, now_ms = headers.get(b"x-hubspot-request-timestamp", b""), int(self.parts.clock() * 1000)
        if not is_timely(timestamp, now_ms):
            return "too old or from the future"
        fits = check_v3(self.secret, b"POST", url, body, timestamp, v3, now_ms)
        return None if fits else "wrong signature"


def url_of(public_url: bytes, scope: Scope) -> bytes:
    """The URL as HubSpot was told it: what we see behind a proxy has another host and scheme."""
    query: bytes = scope["query_string"]
    path: bytes = scope["raw_path"]
    return public_url + path + (b"?" + query if query else b"")


def accepted(received: Received, request_id: str) -> dict[str, Any]:
    answer = {
        "status": "accepted",
        "accepted": len(received.events),
        "ignored": received.ignored,
        "request_id": request_id,
    }
    return answer | {"ticket_id": received.single_id} if received.single_id else answer


def refusal_of(error: Exception, request_id: str) -> Refused:
    """What to answer to an error; of one that nobody foresaw only the class is logged."""
    match error:
        case Refused():
            return error
        case InvalidJson():
            return Refused(ErrorCode.INVALID_JSON, "the body is not JSON in UTF-8")
        case InvalidEvents():
            return Refused(ErrorCode.VALIDATION_ERROR, "no usable event", details=error.details)
        case NotStored():
            return Refused(ErrorCode.SERVICE_UNAVAILABLE, "not stored; send it again later")
    log.error("a webhook failed", extra={"error": type(error).__name__, "request_id": request_id})
    return Refused(ErrorCode.INTERNAL_ERROR, closes=True)
