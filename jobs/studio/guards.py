"""What every request passes: the Host header, the login, the refusal of writes, the token against forgery."""

import hmac
import re
import secrets
from collections.abc import Callable
from urllib.parse import urlsplit

from flask import Flask, Response, abort, redirect, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from jobs.studio.access import Access, LoggedIn, is_loopback

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
#: Bundled files, and what is needed before anybody is logged in.
OPEN_ENDPOINTS = ("login", "favicon", "admin.static")
CSRF_FIELD, CSRF_KEY, LOGIN_KEY = "csrf_token", "csrf", "login"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # With no-referrer a browser would send our own forms with ``Origin: null``.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def add_guards(app: Flask, access: Access, logged_in: LoggedIn, writable: frozenset[str]) -> None:
    """``writable`` are the endpoints that take a write; every other one is refused before it is called."""
    app.before_request(host_guard(access))
    app.before_request(refuse_control_characters)
    app.before_request(login_guard(access, logged_in))
    app.before_request(write_guard(writable))
    app.after_request(add_headers)


def host_guard(access: Access) -> Callable[[], None]:
    """A stranger's name that resolves to this machine (DNS rebinding) must not read what is here."""
    hosts = {"127.0.0.1", "localhost", "[::1]", access.host}

    def check() -> None:
        host = re.sub(r":[0-9]{1,5}\Z", "", request.headers.get("Host", ""))
        if is_loopback(access.host) and host.lower() not in hosts:
            abort(421)

    return check


def refuse_control_characters() -> None:
    """PostgreSQL has no text with a NUL, and no header a line's end; no field of a page sends either."""
    if any(sign in text for pair in request.values.items(multi=True) for text in pair for sign in "\0\r\n"):
        abort(400)


def login_guard(access: Access, logged_in: LoggedIn) -> Callable[[], AnyResponse | None]:
    def check() -> AnyResponse | None:
        if access.token is None or request.endpoint in OPEN_ENDPOINTS:
            return None
        if logged_in.holds(session.get(LOGIN_KEY, "")):
            return None
        if request.method not in SAFE_METHODS:
            abort(403)
        return redirect(url_for("login"))

    return check


def write_guard(writable: frozenset[str]) -> Callable[[], None]:
    def check() -> None:
        if request.method in SAFE_METHODS:
            return
        if request.endpoint not in writable:
            abort(405)
        if not (comes_from_here() and has_our_token()):
            abort(403)

    return check


def comes_from_here() -> bool:
    """Browsers name the page that a form was sent from; other programs name none."""
    origin = request.headers.get("Origin")
    try:
        return origin is None or urlsplit(origin).netloc == request.headers.get("Host")
    except ValueError:
        return False


def has_our_token() -> bool:
    ours = session.get(CSRF_KEY, "")
    given = request.form.get(CSRF_FIELD, "")
    return bool(ours) and hmac.compare_digest(ours.encode(), given.encode())


def csrf_token() -> str:
    """The token of this browser's session, which every form carries."""
    if CSRF_KEY not in session:
        session[CSRF_KEY] = secrets.token_urlsafe(32)
    return str(session[CSRF_KEY])


def add_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers[name] = value
    return response
