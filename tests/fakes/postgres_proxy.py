"""Stands before a real PostgreSQL: speaks TLS, which pip's cannot, or refuses options as PgBouncer does."""

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field

from psycopg2.extensions import parse_dsn

SSL_REQUEST, GSS_REQUEST = 80877103, 80877104
REFUSAL = "unsupported startup parameter in options: statement_timeout"


@dataclass
class Proxy:
    """``startups`` are the startup messages that came, as text; ``encrypted`` counts TLS sessions."""

    server_url: str
    tls: ssl.SSLContext | None = None
    refuses_options: bool = False
    startups: list[str] = field(default_factory=list, init=False)
    encrypted: int = field(default=0, init=False)
    port: int = field(default=0, kw_only=True)
    sessions: list[threading.Thread] = field(default_factory=list, init=False)

    def url_of(self, database: str, query: str = "") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}{query and '?' + query}"

    def serve(self, listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                self.sessions.append(threading.Thread(target=self.handle, args=(client,), daemon=True))
                self.sessions[-1].start()

    def handle(self, client: socket.socket) -> None:
        with suppress(OSError), ExitStack() as opened:
            opened.enter_context(client)
            client, startup = self.welcome(client, opened)
            self.startups.append(startup[8:].replace(b"\0", b" ").decode())
            if self.refuses_options and b"options\0" in startup:
                client.sendall(error_message(REFUSAL))
                return
            with connect_to(self.server_url) as server:
                server.sendall(startup)
                back = threading.Thread(target=pump, args=(server, client), daemon=True)
                back.start()
                pump(client, server)
                back.join()

    def welcome(self, client: socket.socket, opened: ExitStack) -> tuple[socket.socket, bytes]:
        """The client's socket, encrypted where both sides want it, and its startup message."""
        while True:
            message = read_exactly(client, 4)
            message += read_exactly(client, struct.unpack("!I", message)[0] - 4)
            (code,) = struct.unpack("!I", message[4:8])
            if code not in (SSL_REQUEST, GSS_REQUEST):
                return client, message
            if code == SSL_REQUEST and self.tls:
                client.sendall(b"S")
                client = opened.enter_context(self.tls.wrap_socket(client, server_side=True))
                self.encrypted += 1
            else:
                client.sendall(b"N")


@contextmanager
def postgres_proxy(
    server_url: str, tls: ssl.SSLContext | None = None, *, refuses_options: bool = False
) -> Iterator[Proxy]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        proxy = Proxy(server_url, tls, refuses_options, port=listening.getsockname()[1])
        accepting = threading.Thread(target=proxy.serve, args=(listening,), daemon=True)
        accepting.start()
        try:
            yield proxy
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            for thread in (accepting, *proxy.sessions):
                thread.join(10)
                assert not thread.is_alive(), "a session through the proxy was not closed"


def connect_to(url: str) -> socket.socket:
    given = parse_dsn(url)
    host, port = given.get("host", "127.0.0.1"), int(given.get("port", 5432))
    if not host.startswith("/"):
        return socket.create_connection((host, port))
    server = socket.socket(socket.AF_UNIX)
    server.connect(f"{host}/.s.PGSQL.{port}")
    return server


def pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    for one in (source, target):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


def read_exactly(source: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = source.recv(count - len(data))
        if not more:
            raise ConnectionError("the client hung up")
        data += more
    return data


def error_message(text: str) -> bytes:
    """As in https://www.postgresql.org/docs/current/protocol-message-formats.html."""
    body = f"SFATAL\0C08P01\0M{text}\0\0".encode()
    return b"E" + struct.pack("!I", len(body) + 4) + body
