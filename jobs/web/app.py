"""The HTTP side as one ASGI app: the receiver in front, Starlette's routes behind, JSON for every error."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from jobs.hubspot.events import WEBHOOK_PATH
from jobs.web.answers import STATUS, ErrorCode, Refused, error_body, request_id_of
from jobs.web.receiver import Receiver

log = logging.getLogger("triage")

CODES = {status: code for code, status in reversed(STATUS.items())}


def build_app(routes: Sequence[BaseRoute], receiver: Receiver | None = None) -> ASGIApp:
    """``routes`` beside the receiver's own path; the server must run the app's lifespan."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        if receiver is None:
            yield
        else:
            async with receiver.running():
                yield

    handlers = {HTTPException: answer_refused, Exception: answer_failed}
    rest = Starlette(routes=list(routes), exception_handlers=handlers, lifespan=lifespan)  # type: ignore[arg-type]
    rest.router.redirect_slashes = False

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == WEBHOOK_PATH and receiver is not None:
            await receiver(scope, receive, send)
        elif scope["type"] == "http":
            await answer_or_log(rest, scope, receive, send)
        else:
            await rest(scope, receive, send)

    return app


async def answer_or_log(rest: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Starlette answers an error and raises it all the same, and the server would log it with its text."""
    try:
        await rest(scope, receive, send)
    except Exception:
        log.exception("a request failed")


def answer_refused(request: Request, error: HTTPException) -> Response:
    code = CODES.get(error.status_code, ErrorCode.BAD_REQUEST)
    return error_response(request, code, error.status_code, dict(error.headers or {}))


def answer_failed(request: Request, _: Exception) -> Response:
    return error_response(request, ErrorCode.INTERNAL_ERROR, 500, {})


def error_response(request: Request, code: ErrorCode, status: int, headers: dict[str, str]) -> Response:
    given = request.headers.get("x-request-id", "")
    request_id = request_id_of(given.encode("latin-1"))
    body = error_body(code, Refused(code).message, [], request_id)
    headers = {name: value for name, value in headers.items() if name.lower() == "allow"}
    return Response(body, status, headers | {"x-request-id": request_id}, "application/json")
