"""The loopback server under the simulators, over real sockets."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import httpx
import pytest

from jobs.sandbox.serving import (
    BODY_LIMIT,
    Answer,
    Drop,
    Outcome,
    Request,
    Simulator,
    html_answer,
    json_answer,
)

# Loading the certificates that nothing here needs costs 30 ms a client.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Echo(Simulator):
    """Answers with ``outcome``, or with what it was asked."""

    outcome: Outcome | None = None
    handled = 0

    def answer(self, request: Request) -> Outcome:
        self.handled += 1
        if request.path == "/bug":
            raise LookupError
        said = {"method": request.method, "path": request.path, "query": request.query}
        return self.outcome or json_answer(said | {"body": request.body.decode()})


@pytest.fixture
def echo() -> Iterator[Echo]:
    with Echo() as simulator:
        yield simulator


@pytest.fixture
def client(echo: Echo) -> Iterator[httpx.Client]:
    with httpx.Client(verify=PLAIN, base_url=echo.url, timeout=5) as client:
        yield client


def test_a_request_arrives_with_its_method_path_query_and_body(client: httpx.Client) -> None:
    answer = client.patch("/a/b?c=d", content="hello")
    assert answer.json() == {"method": "PATCH", "path": "/a/b", "query": "c=d", "body": "hello"}


def test_the_date_header_is_the_present(client: httpx.Client) -> None:
    said = parsedate_to_datetime(client.get("/").headers["Date"])
    assert abs(said.timestamp() - time.time()) < 3


def test_a_page_with_any_status_can_be_answered(echo: Echo, client: httpx.Client) -> None:
    echo.outcome = html_answer("<h1>Bad gateway</h1>", 502)
    answer = client.get("/")
    assert (answer.status_code, answer.text) == (502, "<h1>Bad gateway</h1>")
    assert answer.headers["Content-Type"].startswith("text/html")


def test_a_date_of_the_answer_replaces_the_right_one(echo: Echo, client: httpx.Client) -> None:
    echo.outcome = json_answer({}, headers={"Date": "Mon, 01 Jan 2001 00:00:00 GMT"})
    assert client.get("/").headers["Date"] == "Mon, 01 Jan 2001 00:00:00 GMT"


def test_a_drop_closes_the_connection_after_the_request_was_handled(echo: Echo, client: httpx.Client) -> None:
    echo.outcome = Drop()
    with pytest.raises(httpx.RemoteProtocolError):
        client.post("/", content="x")
    assert echo.handled == 1


def test_an_answer_can_break_off_within_its_body(echo: Echo, client: httpx.Client) -> None:
    echo.outcome = Answer(200, b"0123456789", body_bytes_sent=4)
    with client.stream("GET", "/") as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            answer.read()


def test_a_delay_holds_the_answer_back(echo: Echo, client: httpx.Client) -> None:
    echo.outcome = Answer(delay_seconds=5)
    with pytest.raises(httpx.ReadTimeout):
        client.get("/", timeout=0.05)


def test_a_simulators_own_bug_is_kept_and_answered_with_500(echo: Echo, client: httpx.Client) -> None:
    assert client.get("/bug").status_code == 500
    assert [type(crash) for crash in echo.crashes] == [LookupError]


def test_a_body_beyond_the_limit_is_refused(echo: Echo) -> None:
    with socket.create_connection(("127.0.0.1", echo.port), timeout=5) as connection:
        connection.sendall(f"POST / HTTP/1.1\r\nContent-Length: {BODY_LIMIT + 1}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_leaves_early_prints_nothing(echo: Echo, capfd: pytest.CaptureFixture[str]) -> None:
    echo.outcome = Answer(body=b"x" * 1_000_000, delay_seconds=0.05)
    for sent in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\nx",
        b"\x16\x03\x01\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", echo.port), timeout=5) as connection:
            connection.sendall(sent)
    time.sleep(0.2)
    assert capfd.readouterr() == ("", "")


def test_one_connection_serves_many_requests(echo: Echo, client: httpx.Client) -> None:
    answers = [client.post("/", content=str(number)).json()["body"] for number in range(500)]
    assert answers == [str(number) for number in range(500)]
    assert echo.connections == 1


def test_stopping_closes_open_connections_and_ends_a_delay(echo: Echo, client: httpx.Client) -> None:
    client.get("/")
    echo.outcome = Answer(delay_seconds=60)
    failures: list[httpx.TransportError] = []

    def ask() -> None:
        try:
            client.get("/")
        except httpx.TransportError as error:
            failures.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.1)
    echo.stop()
    asking.join(timeout=5)
    assert len(failures) == 1


def test_a_stopped_simulator_starts_again_on_its_port() -> None:
    simulator = Echo().start()
    port = simulator.port
    simulator.stop()
    with simulator, httpx.Client(verify=PLAIN, base_url=simulator.url) as client:
        assert simulator.port == port
        assert client.get("/").status_code == 200


def test_a_taken_port_is_an_os_error(echo: Echo) -> None:
    with pytest.raises(OSError, match="in use"), contextlib.closing(socket.socket()):
        Echo(echo.port).start()
