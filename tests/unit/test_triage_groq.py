"""Groq over real HTTP: what is sent, and every way in which it can fail."""

import gzip
import json
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import SettingsError
from jobs.ticket import Ticket
from jobs.triage.answer import ANSWER_SCHEMA
from jobs.triage.chain import Triager
from jobs.triage.groq import ANSWER_TOKENS, TOKENS_PER_MINUTE, GroqModel
from jobs.triage.ollama import OllamaModel
from jobs.triage.prompt import Message, fit
from jobs.verdict import Provider, ProviderFailure
from tests.unit.test_triage_answer import GOOD
from tests.unit.test_triage_ollama import (
    MARKER,
    MESSAGES,
    PLAIN_HEADERS,
    SLOW,
    Handler,
    Respond,
    Server,
    answering,
    fail,
    quietly,
    serve,
)

ROOT = Path(__file__).resolve().parents[2]
KEY = "gsk_secret"
JSON = {"Content_Type": "application/json"}
GPT_OSS = "openai/gpt-oss-120b"


def completion(content: Any = '{"a": 1}', **changes: Any) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
    answer = {"id": "c-1", "object": "chat.completion", "created": 1, "model": GPT_OSS}
    return json.dumps(answer | {"choices": [choice | changes]}).encode()


def saying(body: bytes) -> Respond:
    return answering(200, body, **JSON)


def refusing(status: int, code: str | None = None, **headers: str) -> Respond:
    error = {"message": f"{MARKER} in your request", "type": "invalid_request_error", "code": code}
    if code == "json_validate_failed":
        error["failed_generation"] = MARKER
    return answering(status, json.dumps({"error": error}).encode(), **JSON, **headers)


@pytest.fixture
def server() -> Iterator[Server]:
    with serve(saying(completion())) as state:
        yield state


@pytest.fixture
def make_model(server: Server) -> Iterator[Callable[..., GroqModel]]:
    models: list[GroqModel] = []

    def make(**changes: Any) -> GroqModel:
        parameters: dict[str, Any] = {
            "api_key": KEY,
            "model": GPT_OSS,
            "base_url": server.url,
            "timeout_seconds": 5.0,
        }
        models.append(GroqModel(**(parameters | changes)))
        return models[-1]

    yield make
    for model in models:
        model.close()


def test_the_chat_is_asked_for_the_strict_schema(
    server: Server, make_model: Callable[..., GroqModel]
) -> None:
    model = make_model()
    assert model.ask(MESSAGES) == '{"a": 1}'
    path, headers, body = server.requests[0]
    assert path == "/openai/v1/chat/completions"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert body == {
        "model": GPT_OSS,
        "messages": [
            {"role": "system", "content": "Advise."},
            {"role": "user", "content": "CUSTOMER-TEXT <data>"},
        ],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "advice", "strict": True, "schema": ANSWER_SCHEMA},
        },
        "max_completion_tokens": ANSWER_TOKENS,
        "temperature": 0.2,
        "reasoning_effort": "low",
    }
    sent_schema = body["response_format"]["json_schema"]["schema"]
    assert list(sent_schema["properties"]) == sent_schema["required"], "in the order to write them"
    assert (model.provider, model.model) == (Provider.GROQ, GPT_OSS)


def test_prompt_and_answer_fit_the_minute_of_the_free_plan(make_model: Callable[..., GroqModel]) -> None:
    assert make_model().budget_chars == fit(TOKENS_PER_MINUTE, answer_tokens=ANSWER_TOKENS)


@pytest.mark.parametrize(
    ("model", "effort"),
    [
        (GPT_OSS, "low"),
        ("openai/gpt-oss-20b", "low"),
        ("openai/gpt-oss-safeguard-20b", None),
        ("qwen/qwen3-32b", "none"),
        ("qwen/qwen3.8-27b", "none"),
        ("llama-3.3-70b-versatile", None),
        ("meta-llama/llama-4-scout-17b-16e-instruct", None),
        ("my/gpt-oss-120b", None),
    ],
)
def test_thinking_is_held_down_only_where_the_model_takes_the_parameter(
    model: str, effort: str | None, server: Server, make_model: Callable[..., GroqModel]
) -> None:
    make_model(model=model).ask(MESSAGES)
    assert server.requests[0][2].get("reasoning_effort") == effort


@pytest.mark.parametrize("path", ["", "/", "/openai/v1", "/openai/v1/"])
def test_a_base_url_with_the_sdks_path_works_too(
    path: str, server: Server, make_model: Callable[..., GroqModel]
) -> None:
    make_model(base_url=server.url + path).ask(MESSAGES)
    make_model(base_url=server.url + "/proxy" + path).ask(MESSAGES)
    paths = [request[0] for request in server.requests]
    assert paths == ["/openai/v1/chat/completions", "/proxy/openai/v1/chat/completions"]


def test_nothing_of_the_environment_changes_a_call(
    server: Server, make_model: Callable[..., GroqModel], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login eve password netrc-secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "GROQ_BASE_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("GROQ_API_KEY", "env-secret")
    monkeypatch.setenv("GROQ_CUSTOM_HEADERS", "authorization: Bearer env-secret\nX-Custom: 1")
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    make_model().ask(MESSAGES)
    headers = server.requests[0][1]
    assert set(headers) - PLAIN_HEADERS == {"authorization"}
    assert headers["authorization"] == f"Bearer {KEY}"


FAULTS: list[tuple[Respond, str]] = [
    (refusing(401, "invalid_api_key"), "refused_credential"),
    (answering(403, b"<html>CUSTOMER-TEXT</html>"), "refused_credential"),
    (refusing(404, "model_not_found"), "model_missing"),
    (refusing(400, "model_decommissioned"), "model_missing"),
    (answering(404, b"CUSTOMER-TEXT"), "model_missing"),
    (refusing(400, "json_validate_failed"), "invalid_answer"),
    (refusing(400), "http_400"),
    (answering(400, b"[" * 100_000, **JSON), "http_400"),
    (refusing(413, "rate_limit_exceeded"), "too_large"),
    (refusing(429, "rate_limit_exceeded", Retry_After="3"), "limited"),
    (answering(429, b"<html>CUSTOMER-TEXT</html>", Content_Type="text/html"), "limited"),
    (refusing(422), "http_422"),
    (refusing(498, "capacity_exceeded"), "http_498"),
    (refusing(500), "http_500"),
    (answering(502, b"<html>CUSTOMER-TEXT</html>", Content_Type="text/html"), "http_502"),
    (refusing(503), "busy"),
    (answering(302, b"", Location="https://login.test/?token=secret"), "http_302"),
    (answering(204, b""), "not_json"),
    (answering(200, b"<html>CUSTOMER-TEXT</html>", Content_Type="text/html"), "not_json"),
    (answering(200, b"CUSTOMER-TEXT"), "not_json"),
    (saying(b""), "not_json"),
    (saying(b"<html>CUSTOMER-TEXT</html>"), "not_json"),
    (saying(b"[1]"), "not_json"),
    (saying(b'"CUSTOMER-TEXT"'), "not_json"),
    (saying(b"null"), "not_json"),
    (saying(b"{}"), "not_json"),
    (saying(b'{"error": "CUSTOMER-TEXT"}'), "not_json"),
    (saying(b'{"choices": "CUSTOMER-TEXT"}'), "not_json"),
    (saying(b'{"choices": []}'), "not_json"),
    (saying(b'{"choices": [1]}'), "not_json"),
    (saying(b'{"choices": [{"message": "CUSTOMER-TEXT"}]}'), "not_json"),
    (saying(completion({"deep": "CUSTOMER-TEXT"})), "not_json"),
    (saying(completion()[:-10]), "not_json"),
    (saying(b'{"a":' * 100_000), "not_json"),
    (saying(b"\xff\xfe\x00CUSTOMER-TEXT"), "not_json"),
    (answering(200, b"no gzip", Content_Encoding="gzip", **JSON), "not_json"),
    (saying(completion("")), "empty_answer"),
    (saying(completion(" \n")), "empty_answer"),
    (saying(completion(None, message={"role": "assistant", "reasoning": "CUSTOMER-TEXT"})), "empty_answer"),
    (saying(completion('{"a": "CUSTOMER', finish_reason="length")), "cut_answer"),
    (saying(completion("", finish_reason="length")), "cut_answer"),
    (lambda handler: handler.drop(), "unreachable"),
]


@pytest.mark.parametrize(("respond", "kind"), FAULTS)
def test_every_fault_has_its_kind_is_asked_once_and_quotes_nothing(
    respond: Respond, kind: str, server: Server, make_model: Callable[..., GroqModel]
) -> None:
    server.respond = respond
    error = fail(make_model())
    assert error.kind == kind
    assert "secret" not in str(error)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("respond", "words"),
    [
        (refusing(401, "invalid_api_key"), "GROQ_API_KEY"),
        (refusing(403), "GROQ_API_KEY"),
        (refusing(404, "model_not_found"), "openai/gpt-4; write GROQ_MODEL="),
        (refusing(400, "model_decommissioned"), "openai/gpt-4, or no longer; write GROQ_MODEL="),
        (refusing(400), "openai/gpt-4; maybe it takes no JSON schema; write GROQ_MODEL="),
    ],
)
def test_a_bad_key_and_a_model_that_cannot_be_used_are_settings_faults(
    respond: Respond, words: str, server: Server, make_model: Callable[..., GroqModel]
) -> None:
    server.respond = respond
    error = fail(make_model(model="openai/gpt-4"))
    assert error.permanent
    assert words.partition("; ")[2] in str(error)
    assert words.partition("; ")[0].partition(",")[0] in str(error)


@pytest.mark.parametrize(
    "respond",
    [
        *(refusing(status) for status in (302, 413, 422, 429, 498, 500, 503)),
        refusing(400, "json_validate_failed"),
        answering(400, b"<html>a gateway</html>"),
    ],
)
def test_what_may_pass_is_no_settings_fault(
    respond: Respond, server: Server, make_model: Callable[..., GroqModel]
) -> None:
    server.respond = respond
    assert not fail(make_model()).permanent


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [
        (429, "3", 3.0),
        (429, "2.5", 2.5),
        (503, "20", 20.0),
        (429, "-1", None),
        (429, "nan", None),
        (429, "9" * 400, None),
        (429, "Wed, 21 Oct 2026 07:28:00 GMT", None),
        (500, "3", None),
    ],
)
def test_the_time_to_wait_is_read_from_the_header(
    status: int, header: str, seconds: float | None, server: Server, make_model: Callable[..., GroqModel]
) -> None:
    server.respond = refusing(status, Retry_After=header)
    assert fail(make_model()).retry_after == seconds


def test_behind_a_local_model_in_trouble_groq_answers_after_a_repair(
    server: Server, make_model: Callable[..., GroqModel]
) -> None:
    def answer(handler: Handler) -> None:
        said = "I cannot help." if len(server.requests) == 1 else json.dumps(GOOD)
        handler.answer(200, completion(said), **JSON)

    server.respond = answer
    with serve(answering(503, b"{}")) as busy:
        models = (OllamaModel(url=busy.url, model="m"), make_model())
        triager = Triager(models, company_name="Acme", sop="")
        verdict = triager.triage(Ticket("1", "Help", MARKER, datetime(2026, 11, 1, tzinfo=UTC), ""))
        triager.close()
    assert (verdict.provider, verdict.model, verdict.attempts) == (Provider.GROQ, GPT_OSS, 3)
    assert verdict.failures == (ProviderFailure(Provider.LOCAL, "busy"),)
    roles = [message["role"] for message in server.requests[1][2]["messages"]]
    assert roles == ["system", "user", "assistant", "user"]


def test_redirects_are_not_followed(server: Server, make_model: Callable[..., GroqModel]) -> None:
    server.respond = answering(307, b"", Location=server.url + "/openai/v1/chat/completions")
    assert fail(make_model()).kind == "http_307"
    assert len(server.requests) == 1


def test_an_answer_is_read_compressed_and_without_its_type(
    server: Server, make_model: Callable[..., GroqModel]
) -> None:
    server.respond = answering(200, gzip.compress(completion()), Content_Encoding="gzip")
    assert make_model().ask(MESSAGES) == '{"a": 1}'


def test_a_closed_port_is_unreachable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    assert fail(GroqModel(api_key=KEY, model="m", base_url=url)).kind == "unreachable"


@pytest.mark.parametrize("respond", SLOW)
def test_the_limit_bounds_the_whole_call(
    respond: Respond, server: Server, make_model: Callable[..., GroqModel]
) -> None:
    server.respond = quietly(respond)
    model = make_model(timeout_seconds=0.4)
    fail(model)
    started = time.monotonic()
    error = fail(model)
    assert 0.35 < time.monotonic() - started < 1.5
    assert error.kind == "timeout"
    assert "0.4 s" in str(error)
    assert len(server.requests) == 2


def test_one_connection_is_kept_and_replaced_unseen(
    server: Server, make_model: Callable[..., GroqModel]
) -> None:
    model = make_model()
    for _ in range(5):
        model.ask(MESSAGES)
    assert server.connections == 1

    def drop_if_kept(handler: Handler) -> None:
        if server.connections > 1:
            handler.answer(200, completion(), **JSON)
        else:
            handler.drop()

    server.respond = drop_if_kept
    assert model.ask(MESSAGES) == '{"a": 1}'


def test_many_threads_share_one_model(server: Server, make_model: Callable[..., GroqModel]) -> None:
    server.respond = lambda handler: handler.answer(
        200, completion(handler.headers["Content-Length"]), **JSON
    )
    model = make_model()

    def ask(length: int) -> tuple[int, int]:
        return length, int(model.ask([Message("user", "x" * length)]))

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(1, 41)))
    assert len({size - length for length, size in answers}) == 1, "each got the answer to its own question"


def test_nothing_of_a_ticket_is_logged(
    server: Server, make_model: Callable[..., GroqModel], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    make_model().ask(MESSAGES)
    server.respond = refusing(500)
    fail(make_model())
    assert MARKER not in caplog.text
    assert "secret" not in caplog.text


def test_the_sdks_own_logging_does_not_show_a_ticket(server: Server) -> None:
    script = (
        "from jobs.triage.groq import GroqModel; from jobs.triage.prompt import Message; import sys;"
        f"GroqModel(api_key='{KEY}', model='m', base_url=sys.argv[1]).ask([Message('user', '{MARKER}')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, server.url],
        env={"GROQ_LOG": "debug"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert MARKER in str(server.requests)
    assert MARKER not in done.stdout + done.stderr
    assert KEY not in done.stdout + done.stderr


def test_nothing_heavy_is_imported_before_the_first_question() -> None:
    script = (
        "import sys; from jobs.triage.groq import GroqModel;"
        "GroqModel(api_key='k', model='m', base_url='http://h').close();"
        "sys.exit(bool({'groq', 'httpx', 'httpcore'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


@pytest.mark.parametrize("url", ["", "api.groq.com", "ftp://h", "http://h:99999", "http://[::1"])
def test_a_url_that_cannot_be_called_is_a_settings_fault(url: str) -> None:
    with pytest.raises(SettingsError, match="GROQ_BASE_URL"):
        GroqModel(api_key=KEY, model="m", base_url=url)


@pytest.mark.parametrize("key", ["", "line\nbreak", "schlüssel"])
def test_a_key_that_cannot_be_sent_is_a_settings_fault(key: str) -> None:
    with pytest.raises(SettingsError, match="GROQ_API_KEY") as caught:
        GroqModel(api_key=key, model="m", base_url="http://h")
    assert not key or key not in str(caught.value)
