"""Ollama over real HTTP: what is sent, and every way in which it can fail."""

import gzip
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpcore
import pytest

from jobs.errors import ModelError, SettingsError
from jobs.triage.answer import ANSWER_SCHEMA
from jobs.triage.groq import GroqModel
from jobs.triage.ollama import OllamaModel
from jobs.triage.prompt import ANSWER_TOKENS, Message, fit
from jobs.verdict import Provider

MESSAGES = [Message("system", "Advise."), Message("user", "CUSTOMER-TEXT <data>")]
MARKER = "CUSTOMER-TEXT"

PLAIN_HEADERS = {
    *("host", "accept", "accept-encoding", "connection", "content-type", "content-length", "user-agent")
}

Respond = Callable[["Handler"], None]


@dataclass
class Server:
    """A server that records what it is sent and answers as told."""

    url: str
    respond: Respond
    requests: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)
    connections: int = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    state: Server

    def setup(self) -> None:
        super().setup()
        self.state.connections += 1

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.state.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        self.state.respond(self)

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def drop(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


def chat(content: str = '{"a": 1}', **changes: Any) -> bytes:
    answer = {"message": {"role": "assistant", "content": content}, "done": True, "done_reason": "stop"}
    return json.dumps(answer | changes).encode()


def answering(status: int, body: bytes, **headers: str) -> Respond:
    return lambda handler: handler.answer(status, body, **headers)


@contextmanager
def serve(respond: Respond) -> Iterator[Server]:
    class OwnHandler(Handler):
        pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), OwnHandler)
    http.daemon_threads = True
    OwnHandler.state = Server(f"http://127.0.0.1:{http.server_port}", respond)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield OwnHandler.state
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with serve(answering(200, chat())) as state:
        yield state


@pytest.fixture
def make_model(server: Server) -> Iterator[Callable[..., OllamaModel]]:
    models: list[OllamaModel] = []

    def make(**changes: Any) -> OllamaModel:
        parameters: dict[str, Any] = {"url": server.url, "model": "llama3.2", "timeout_seconds": 5.0}
        models.append(OllamaModel(**(parameters | changes)))
        return models[-1]

    yield make
    for model in models:
        model.close()


def fail(model: OllamaModel | GroqModel) -> ModelError:
    with pytest.raises(ModelError) as caught:
        model.ask(MESSAGES)
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    assert "\n" not in str(error)
    assert MARKER not in str(error)
    return error


def test_the_native_chat_is_asked_with_schema_and_options(
    server: Server, make_model: Callable[..., OllamaModel]
) -> None:
    model = make_model(num_ctx=16_384)
    assert model.ask(MESSAGES) == '{"a": 1}'
    path, headers, body = server.requests[0]
    assert path == "/api/chat"
    assert headers["content-type"] == "application/json"
    assert body["model"] == "llama3.2"
    assert body["format"] == ANSWER_SCHEMA
    assert body["think"] is False
    assert body["stream"] is False
    assert body["options"] == {"temperature": 0.2, "num_ctx": 16_384, "num_predict": ANSWER_TOKENS}
    assert body["keep_alive"] == "30m"
    assert body["messages"] == [
        {"role": "system", "content": "Advise."},
        {"role": "user", "content": "CUSTOMER-TEXT <data>"},
    ]
    assert (model.provider, model.model, model.budget_chars) == (Provider.LOCAL, "llama3.2", fit(16_384))


def test_the_schema_arrives_in_the_order_the_model_should_write(
    server: Server, make_model: Callable[..., OllamaModel]
) -> None:
    make_model().ask(MESSAGES)
    assert next(iter(server.requests[0][2]["format"]["properties"])) == "customer_summary"


def test_bearer_and_cloudflare_headers_are_sent(
    server: Server, make_model: Callable[..., OllamaModel]
) -> None:
    make_model(token="tok", cf_access_id="id.access", cf_access_secret="cf-secret").ask(MESSAGES)
    headers = server.requests[0][1]
    assert headers["authorization"] == "Bearer tok"
    assert headers["cf-access-client-id"] == "id.access"
    assert headers["cf-access-client-secret"] == "cf-secret"


def test_nothing_of_the_environment_changes_a_call(
    server: Server,
    make_model: Callable[..., OllamaModel],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login eve password netrc-secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "OLLAMA_HOST"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("OLLAMA_API_KEY", "env-secret")
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    make_model().ask(MESSAGES)
    assert not set(server.requests[0][1]) - PLAIN_HEADERS


@pytest.mark.parametrize("path", ["", "/", "/ollama", "/ollama/"])
def test_a_path_in_the_url_is_kept(path: str, server: Server, make_model: Callable[..., OllamaModel]) -> None:
    make_model(url=server.url + path).ask(MESSAGES)
    assert server.requests[0][0] == path.rstrip("/") + "/api/chat"


@pytest.mark.parametrize(
    ("respond", "kind"),
    [
        (answering(401, b""), "refused_credential"),
        (answering(403, b"<html>Forbidden</html>"), "refused_credential"),
        (answering(404, b'{"error": "model \'llama3.2\' not found"}'), "model_missing"),
        (answering(404, b"404 page not found"), "model_missing"),
        (answering(413, b""), "too_large"),
        (answering(429, b"slow down", Retry_After="3"), "limited"),
        (answering(503, b'{"error": "server busy"}'), "busy"),
        (answering(500, b'{"error": "CUSTOMER-TEXT"}'), "http_500"),
        (answering(500, b'["CUSTOMER-TEXT"]'), "not_json"),
        (answering(500, b'{"error": {"deep": "CUSTOMER-TEXT"}}'), "http_500"),
        (answering(502, b"<html>CUSTOMER-TEXT</html>"), "http_502"),
        (answering(400, b"[" * 100_000), "not_json"),
        (answering(302, b"", Location="https://login.test/?token=secret"), "http_302"),
        (answering(204, b""), "not_json"),
        (answering(200, b""), "not_json"),
        (answering(200, b"<html>CUSTOMER-TEXT</html>", Content_Type="text/html"), "not_json"),
        (answering(200, b"[1]"), "not_json"),
        (answering(200, b'"CUSTOMER-TEXT"'), "not_json"),
        (answering(200, b"null"), "not_json"),
        (answering(200, b"{}"), "not_json"),
        (answering(200, b'{"error": "CUSTOMER-TEXT"}'), "not_json"),
        (answering(200, b'{"message": "CUSTOMER-TEXT"}'), "not_json"),
        (answering(200, b'{"message": {"role": "assistant", "content": {"x": 1}}}'), "not_json"),
        (answering(200, chat()[:-10]), "not_json"),
        (answering(200, b'{"a":' * 100_000), "not_json"),
        (answering(200, b"\xff\xfe\x00CUSTOMER-TEXT"), "not_json"),
        (answering(200, b"no gzip", Content_Encoding="gzip"), "not_json"),
        (answering(200, chat("")), "empty_answer"),
        (answering(200, chat(" \n")), "empty_answer"),
        (answering(200, chat("", thinking="CUSTOMER-TEXT")), "empty_answer"),
        (answering(200, chat("", done_reason="load")), "empty_answer"),
        (answering(200, b'{"message": {"role": "assistant"}}'), "empty_answer"),
        (answering(200, chat('{"a": "CUSTOMER', done_reason="length")), "cut_answer"),
        (answering(200, chat("", done_reason="length")), "cut_answer"),
        (lambda handler: handler.drop(), "unreachable"),
    ],
)
def test_every_fault_has_its_kind_and_quotes_nothing(
    respond: Respond, kind: str, server: Server, make_model: Callable[..., OllamaModel]
) -> None:
    server.respond = respond
    error = fail(make_model(token="tok-secret"))
    assert error.kind == kind
    assert "secret" not in str(error)


def test_a_model_that_is_missing_is_named_with_what_to_do(
    server: Server, make_model: Callable[..., OllamaModel]
) -> None:
    server.respond = answering(404, b"{}")
    error = fail(make_model(model="qwen{3}"))
    assert "`ollama pull qwen{3}`" in str(error)
    assert error.permanent


def test_only_a_credential_and_a_missing_model_are_settings_faults(
    server: Server, make_model: Callable[..., OllamaModel]
) -> None:
    for status in (302, 400, 401, 403, 404, 413, 429, 500, 503):
        server.respond = answering(status, b"{}")
        assert fail(make_model()).permanent is (status in (401, 403, 404))


def test_redirects_are_not_followed(server: Server, make_model: Callable[..., OllamaModel]) -> None:
    server.respond = answering(307, b"", Location=server.url + "/api/chat")
    assert fail(make_model(token="tok")).kind == "http_307"
    assert len(server.requests) == 1


def test_a_compressed_answer_is_read(server: Server, make_model: Callable[..., OllamaModel]) -> None:
    server.respond = answering(200, gzip.compress(chat()), Content_Encoding="gzip")
    assert make_model().ask(MESSAGES) == '{"a": 1}'


def test_a_closed_port_is_unreachable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        model = OllamaModel(url=f"http://127.0.0.1:{unused.getsockname()[1]}", model="m")
    assert fail(model).kind == "unreachable"


@pytest.mark.parametrize("host", ["nowhere.invalid", "x" * 70 + ".test"])
def test_a_name_without_address_is_unreachable_or_no_url(host: str) -> None:
    assert fail(OllamaModel(url=f"http://{host}", model="m")).kind in {"unreachable", "not_json"}


def test_tls_against_a_plain_server_is_unreachable(
    server: Server, make_model: Callable[..., OllamaModel]
) -> None:
    assert fail(make_model(url=server.url.replace("http:", "https:"))).kind in {"unreachable", "timeout"}


def trickle_headers(handler: Handler) -> None:
    handler.connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(200):
        handler.connection.sendall(f"X-{number}: y\r\n".encode())
        time.sleep(0.05)


def trickle_body(handler: Handler) -> None:
    handler.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(200):
        handler.connection.sendall(b" ")
        time.sleep(0.05)


def trickle_chunks(handler: Handler) -> None:
    handler.connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(200):
        handler.connection.sendall(b"1\r\n \r\n")
        time.sleep(0.05)


def silence(handler: Handler) -> None:
    time.sleep(3)


SLOW = (trickle_headers, trickle_body, trickle_chunks, silence)


def quietly(respond: Respond) -> Respond:
    """For a client that hangs up before the end."""

    def answer(handler: Handler) -> None:
        try:
            respond(handler)
        except OSError:
            handler.close_connection = True

    return answer


@pytest.mark.parametrize("respond", SLOW)
def test_the_limit_bounds_the_whole_call(
    respond: Respond, server: Server, make_model: Callable[..., OllamaModel]
) -> None:
    server.respond = quietly(respond)
    model = make_model(timeout_seconds=0.4)
    with pytest.raises(ModelError) as warming:
        model.ask(MESSAGES)
    started = time.monotonic()
    error = fail(model)
    assert 0.35 < time.monotonic() - started < 1.5
    assert error.kind == warming.value.kind == "timeout"
    assert "0.4 s" in str(error)


def test_a_hanging_name_lookup_does_not_outlast_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def hang(*args: Any, **kwargs: Any) -> None:
        released.wait(5)
        raise httpcore.ConnectError

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", hang)
    model = OllamaModel(url="http://slow.test", model="m", timeout_seconds=0.2)
    started = time.monotonic()
    assert fail(model).kind == "timeout"
    assert time.monotonic() - started < 3, "importing ollama included"
    released.set()


def test_a_call_after_a_timeout_works(server: Server, make_model: Callable[..., OllamaModel]) -> None:
    server.respond = silence
    model = make_model(timeout_seconds=0.3)
    assert fail(model).kind == "timeout"
    server.respond = answering(200, chat())
    assert model.ask(MESSAGES) == '{"a": 1}'


def test_one_connection_is_kept_between_calls(server: Server, make_model: Callable[..., OllamaModel]) -> None:
    model = make_model()
    for _ in range(5):
        model.ask(MESSAGES)
    assert server.connections == 1


def test_kept_connections_that_the_server_drops_are_replaced_unseen(
    server: Server, make_model: Callable[..., OllamaModel]
) -> None:
    model = make_model()
    gate = threading.Barrier(3)

    def together(handler: Handler) -> None:
        gate.wait(5)
        handler.answer(200, chat())

    server.respond = together
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: model.ask(MESSAGES), range(3)))
    kept = server.connections

    def drop_if_kept(handler: Handler) -> None:
        if server.connections > kept:
            handler.answer(200, chat())
        else:
            handler.drop()

    server.respond = drop_if_kept
    assert model.ask(MESSAGES) == '{"a": 1}'
    assert server.connections == kept + 1


def test_a_new_connection_that_breaks_is_not_tried_again(
    server: Server, make_model: Callable[..., OllamaModel]
) -> None:
    server.respond = lambda handler: handler.drop()
    assert fail(make_model()).kind == "unreachable"
    assert len(server.requests) == 1


def test_many_threads_share_one_model(server: Server, make_model: Callable[..., OllamaModel]) -> None:
    def echo(handler: Handler) -> None:
        handler.answer(200, chat(server.requests[-1][2]["model"] and handler.headers["Content-Length"]))

    server.respond = echo
    model = make_model()

    def ask(length: int) -> tuple[int, int]:
        return length, int(model.ask([Message("user", "x" * length)]))

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(1, 81)))
    overhead = {size - length for length, size in answers}
    assert len(overhead) == 1, "each thread got the answer to its own question"


def test_nothing_of_a_ticket_is_logged(
    server: Server, make_model: Callable[..., OllamaModel], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    make_model(token="tok-secret").ask(MESSAGES)
    server.respond = answering(500, b"CUSTOMER-TEXT")
    fail(make_model(token="tok-secret"))
    assert MARKER not in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    "url",
    [*("", "localhost:11434", "ftp://h", "http://", "http://h:99999", "http://[::1", "http://h:0")],
)
def test_a_url_that_cannot_be_called_is_a_settings_fault(url: str) -> None:
    with pytest.raises(SettingsError, match="LOCAL_LLM_URL"):
        OllamaModel(url=url, model="m")


def test_a_password_in_the_url_is_refused_unseen() -> None:
    with pytest.raises(SettingsError, match="LOCAL_LLM_TOKEN") as caught:
        OllamaModel(url="http://user:hunter2@h", model="m")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["token", "cf_access_id", "cf_access_secret"])
def test_a_secret_that_no_header_can_carry_is_a_settings_fault(name: str) -> None:
    for secret in ("line\nbreak", "schlüssel"):
        secrets: dict[str, Any] = {name: secret}
        with pytest.raises(SettingsError) as caught:
            OllamaModel(url="http://h", model="m", **secrets)
        assert secret not in str(caught.value)
