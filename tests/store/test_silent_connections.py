"""PostgreSQL connections whose other side says nothing more, or nothing that makes sense."""

import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from socket import create_server

import pytest

from models.cursors import take_lease
from models.database import close_database, connection, open_database, transaction
from models.errors import StoreUnreachable
from models.postgres import Limits
from models.schema import deploy_migrations
from tests.conftest import connect


def test_a_client_that_falls_silent_in_a_transaction_keeps_nobody_waiting(
    new_postgres: Callable[..., str],
) -> None:
    """A worker that is suspended, or whose machine is gone, holds row locks that no lease of ours ends."""
    open_database(url := new_postgres())
    deploy_migrations()
    assert take_lease("poll", "silent", 60)
    close_database()
    open_database(url, limits=Limits(silent=1))
    locked, over = threading.Event(), threading.Event()

    def fall_silent() -> bool:
        with connection(), transaction():
            assert take_lease("poll", "silent", 60)
            locked.set()
            return over.wait(60)

    other = connect(url)
    other.cursor().execute("SET lock_timeout = '20s'")
    with ThreadPoolExecutor() as pool:
        silent = pool.submit(fall_silent)
        assert locked.wait(60)
        try:
            other.cursor().execute("DELETE FROM poll_cursors")
        finally:
            over.set()
        with pytest.raises(StoreUnreachable):
            silent.result()
    other.close()
    assert take_lease("poll", "another", 60)
    close_database()


def message(kind: bytes, body: bytes) -> bytes:
    """As in https://www.postgresql.org/docs/current/protocol-message-formats.html."""
    return kind + struct.pack("!I", len(body) + 4) + body


SETTINGS = {"server_version": "18.0", "client_encoding": "UTF8", "DateStyle": "ISO, MDY"}
READY = message(b"Z", b"I")
WELCOME = b"".join(
    [
        message(b"R", struct.pack("!I", 0)),
        *(message(b"S", f"{name}\0{value}\0".encode()) for name, value in SETTINGS.items()),
        READY,
    ]
)
#: What the library itself says of some ways to break has no code, and so no class of its own in the driver.
WORDLESS = message(b"E", b"SFATAL\0Mserver closed the connection unexpectedly\0\0") + READY


@contextmanager
def breaking_server() -> Iterator[str]:
    """The URL of a server that welcomes one client and breaks at its first query."""

    def serve() -> None:
        client, _ = listening.accept()
        with client:
            for answer in (WELCOME, WORDLESS):
                client.recv(8192)
                client.sendall(answer)
            client.recv(8192)

    with create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor() as pool:
        served = pool.submit(serve)
        port = listening.getsockname()[1]
        try:
            yield f"postgresql://user@127.0.0.1:{port}/triage?sslmode=disable&gssencmode=disable"
        finally:
            close_database()
        served.result()


def test_a_connection_that_breaks_without_a_word_of_the_server_is_lost() -> None:
    """An outcome is recorded again after it: only a StoreUnreachable says that nobody knows."""
    with breaking_server() as url, pytest.raises(StoreUnreachable, match="server closed the connection"):
        open_database(url)
