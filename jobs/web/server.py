"""Runs the HTTP side on uvicorn in a thread of its own."""

import asyncio
import errno
import logging
import socket
import threading
import time

import uvicorn
from starlette.types import ASGIApp

from jobs.errors import SettingsError
from jobs.web.bounds import BoundedProtocol, close_slow_heads

# Longer than the platform's proxy keeps an idle connection: the side that sends must be the one to close.
KEEP_ALIVE_SECONDS = 75
BACKLOG = 512
START_SECONDS = 10.0


class WebServer:
    """``app`` on a port; without ``host`` on every address of IPv6 and IPv4. Port 0 takes a free one."""

    def __init__(self, app: ASGIApp, port: int, host: str | None = None) -> None:
        self.app = app
        self.port = port
        self.host = host
        self.server: uvicorn.Server | None = None
        self.thread: threading.Thread | None = None

    def start(self) -> None:
        """Serve; afterwards ``port`` is the one bound. Raises SettingsError where it cannot be bound."""
        listener = bind(self.host, self.port)
        self.port = listener.getsockname()[1]
        self.server = uvicorn.Server(self.config())
        self.thread = threading.Thread(target=self.server.run, args=([listener],), name="web", daemon=True)
        self.thread.start()
        give_up_at = time.monotonic() + START_SECONDS
        while not self.server.started and self.thread.is_alive() and time.monotonic() < give_up_at:
            time.sleep(0.005)
        if not self.server.started:
            raise RuntimeError("the HTTP side did not start")

    def stop(self, seconds: float) -> bool:
        """Take no more requests, finish those taken, and end; True if that took less than ``seconds``.

        Calling twice is safe.
        """
        if self.server is None or self.thread is None:
            return True
        self.server.config.timeout_graceful_shutdown = seconds  # type: ignore[assignment]
        self.server.should_exit = True
        self.thread.join(seconds + 1)
        return not self.thread.is_alive()

    def config(self) -> uvicorn.Config:
        # Its loggers would write request lines and tracebacks; our own code logs what is worth it.
        quiet = logging.getLogger("uvicorn")
        quiet.handlers, quiet.propagate = [logging.NullHandler()], False
        return uvicorn.Config(
            self.app,
            http=BoundedProtocol,
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            backlog=BACKLOG,
            callback_notify=self.look_after_connections,
            timeout_notify=1,
        )

    async def look_after_connections(self) -> None:
        if self.server is not None:
            close_slow_heads(self.server.server_state.connections, asyncio.get_running_loop().time())


def bind(host: str | None, port: int) -> socket.socket:
    """A listening address; with no host both families on one socket, or IPv4 where there is no IPv6."""
    if host is None:
        try:
            return bind_to("::", port)
        except OSError as error:
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise settings_error(port, error) from None
        host = "0.0.0.0"  # noqa: S104 (the platform's proxy reaches us by any address)
    try:
        return bind_to(host, port)
    except OSError as error:
        raise settings_error(port, error) from None


def bind_to(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, or asyncio leaves Nagle's algorithm on, and each answer costs 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if listener.family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def settings_error(port: int, error: OSError) -> SettingsError:
    match error.errno:
        case errno.EADDRINUSE:
            wrong = "is in use by another program; end that one, or write another PORT"
        case errno.EACCES:
            wrong = "may not be used by this user; write a PORT from 1024 up"
        case _:
            name = errno.errorcode.get(error.errno or 0, "unknown")
            wrong = f"cannot be listened on ({name}); write another PORT"
    return SettingsError(f"PORT: {port} {wrong}")
