"""The server: waitress's threads on one address, until SIGTERM or Ctrl-C."""

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from waitress import wasyncore
from waitress.server import create_server

from jobs.errors import InputError

LOOK_SECONDS = 0.2  #: how late an idle server may see that it is to end
THREADS = 4  #: each holds a connection of the pool while it answers
MOST_BODY_BYTES = 65_536


def serve(app: Callable[..., Any], host: str, port: int, ready: Callable[[str], None]) -> None:
    """Tell ``ready`` the URL and answer until a signal; then what is being answered gets five seconds.

    ``port`` 0 takes a free one. Raises InputError where the address cannot be had.
    """
    logging.getLogger("waitress").setLevel(logging.CRITICAL)
    sockets: dict[int, Any] = {}
    try:
        with told_by_signals() as ended:
            server = listen(app, host, port, sockets)
            ready(url_of(server))
            while not ended:
                wasyncore.loop(timeout=LOOK_SECONDS, map=sockets, count=1)
            server.task_dispatcher.shutdown()
    finally:
        wasyncore.close_all(sockets, ignore_all=True)


def listen(app: Callable[..., Any], host: str, port: int, sockets: dict[int, Any]) -> Any:
    try:
        return create_server(
            app,
            map=sockets,
            host=host,
            port=port,
            threads=THREADS,
            ident=None,
            max_request_body_size=MOST_BODY_BYTES,
        )
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or "no such address"
        raise InputError(f"--port, --host: cannot listen on {host} port {port} ({words})") from None


def url_of(server: Any) -> str:
    """The first address, where a name stands for several."""
    host, port = (
        getattr(server, "effective_listen", None) or [(server.effective_host, server.effective_port)]
    )[0]
    return f"http://{f'[{host}]' if ':' in str(host) else host}:{port}/"


@contextmanager
def told_by_signals() -> Iterator[list[int]]:
    """Gets the numbers of SIGTERM and SIGINT as they come: raised in an accept, they would leave it open."""
    ended: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        ended.append(number)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
