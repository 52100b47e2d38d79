"""An httpx transport that bounds a whole exchange, not each step of it.

httpx's timeouts bound one connect attempt and one read: a server that sends a byte every few seconds, a name
with many dead addresses or a hanging resolver can hold a call for ever. Here the client's timeout is the
time from the start of the request to the last byte of the answer. Measured per call against asyncio under
``asyncio.timeout``, the other way to this promise: 1.0 ms of CPU instead of 2.0.
"""

import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, cast

import httpcore
import httpx

# Shorter than the idle limit of gateways that drop a connection without a word to either side.
_KEPT_SECONDS = 30.0
_STALE = (httpcore.ReadError, httpcore.WriteError, httpcore.RemoteProtocolError)


class DeadlineTransport(httpx.BaseTransport):
    """Plain HTTP/1.1 without proxies. Safe to share between threads.

    Kept connections that the server closed meanwhile are replaced, unseen by the caller. Only for requests
    that may be sent twice.
    """

    def __init__(self) -> None:
        self._call = _Call()
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=None,
            keepalive_expiry=_KEPT_SECONDS,
            network_backend=_Backend(self._call),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._call.start(request.extensions["timeout"]["read"])
        with _httpx_errors():
            answer = self._exchange(_translate(request))
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer))

    def _exchange(self, request: httpcore.Request) -> httpcore.Response:
        """Ends: each turn takes a kept connection out of the pool or makes a new one, which is the last."""
        while True:
            try:
                return self._pool.handle_request(request)
            except _STALE:
                if self._call.connected:
                    raise

    def close(self) -> None:
        self._pool.close()


@contextmanager
def _httpx_errors() -> Iterator[None]:
    try:
        yield
    except httpcore.TimeoutException:
        raise httpx.ReadTimeout("the whole exchange took too long") from None
    except httpcore.ConnectError:
        raise httpx.ConnectError("no connection") from None
    except (httpcore.NetworkError, httpcore.ProtocolError):
        raise httpx.ReadError("the connection broke") from None


def _translate(request: httpx.Request) -> httpcore.Request:
    url = request.url
    return httpcore.Request(
        request.method,
        httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=request.headers.raw,
        content=cast(httpx.SyncByteStream, request.stream),
    )


class _Call(threading.local):
    """The exchange this thread is in: httpx reads an answer in the thread that asked."""

    ends_at = 0.0
    connected = False

    def start(self, seconds: float) -> None:
        self.ends_at = time.monotonic() + seconds
        self.connected = False

    def left(self, timeout: type[httpcore.TimeoutException]) -> float:
        left = self.ends_at - time.monotonic()
        if left <= 0:
            raise timeout
        return left


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        with _httpx_errors():
            yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


class _Backend(httpcore.NetworkBackend):
    def __init__(self, call: _Call) -> None:
        self._call = call

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        """In a thread of its own, since name lookup takes no timeout and each address a whole one."""
        self._call.connected = True
        left = self._call.left(httpcore.ConnectTimeout)
        connecting: Future[httpcore.NetworkStream] = Future()

        def connect() -> None:
            try:
                connecting.set_result(httpcore.SyncBackend().connect_tcp(host, port, left))
            except UnicodeError:
                connecting.set_exception(httpcore.ConnectError("no such name"))
            except Exception as exc:  # noqa: BLE001 - handed to the waiting thread
                connecting.set_exception(exc)

        threading.Thread(target=connect, name="connect", daemon=True).start()
        try:
            return _Stream(connecting.result(left), self._call)
        except TimeoutError:
            connecting.add_done_callback(_close_late)
            raise httpcore.ConnectTimeout from None


def _close_late(connecting: Future[httpcore.NetworkStream]) -> None:
    if connecting.exception() is None:
        connecting.result().close()


# The timeouts that httpcore passes are each for one step: the call's own deadline takes their place.
class _Stream(httpcore.NetworkStream):
    """A connection whose every step gets only the time the call has left."""

    def __init__(self, stream: httpcore.NetworkStream, call: _Call) -> None:
        self._stream = stream
        self._call = call

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        return self._stream.read(max_bytes, self._call.left(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, self._call.left(httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        left = self._call.left(httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left), self._call)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
