"""The receiver over real HTTP: who is let in, what is answered, and what no sender can do to it."""

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jobs.hubspot.events import WEBHOOK_PATH as PATH
from jobs.hubspot.signature import sign_v2
from jobs.web import body as body_module
from jobs.web import bounds, group_commit, refusals
from jobs.web.body import MOST_BYTES
from jobs.web.receiver import Receiver
from jobs.web.server import WebServer
from models.errors import StoreUnreachable
from tests.unit.web import (
    PUBLIC_URL,
    SECRET,
    TICKET,
    TOKEN,
    TOKENS,
    World,
    exchange,
    post,
    read_reply,
    request,
    serving,
    serving_one,
    signed,
    wait_until,
)

BODY = json.dumps(TICKET).encode()


def event(object_id: int = 7, **other: Any) -> dict[str, Any]:
    return {
        "eventId": object_id,
        "portalId": 62515,
        "occurredAt": 1_795_428_000_123,
        "subscriptionType": "ticket.creation",
        "objectId": object_id,
    } | other


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def server(world: World) -> Iterator[WebServer]:
    with serving(world.parts()) as one:
        yield one


@pytest.fixture
def port(server: WebServer) -> int:
    return server.port


@pytest.fixture(autouse=True)
def prompt_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "SLOWED_SECONDS", 0.0)


def test_a_workflows_ticket_is_stored_before_the_answer_and_wakes_the_drain(port: int, world: World) -> None:
    reply = post(port, TICKET, TOKEN | {"X-Request-ID": "abc 1"})
    expected = {"status": "accepted", "accepted": 1, "ignored": 0, "request_id": "abc 1", "ticket_id": "101"}
    assert (reply.status, reply.json()) == (200, expected)
    assert (world.stored, world.woken, world.answers) == (["101"], 1, ["accepted"])


def test_an_apps_events_are_counted(port: int, world: World) -> None:
    answer = post(port, [event(1), event(2), event(3, subscriptionType="ticket.deletion")]).json()
    assert (answer["accepted"], answer["ignored"], "ticket_id" in answer) == (2, 1, False)
    assert world.stored == ["1", "2"]


def test_what_is_all_ignored_is_accepted_without_a_commit(port: int, world: World) -> None:
    assert post(port, [event(portalId=1)]).json()["ignored"] == 1
    assert (world.commits, world.woken) == ([], 0)


@pytest.mark.parametrize("token", TOKENS)
def test_each_token_is_let_in(port: int, token: str) -> None:
    assert post(port, TICKET, {"X-Webhook-Token": token}).status == 200


@pytest.mark.parametrize("path", [PATH, PATH + "?a=1&b=%20", PATH + "?u=https%3A%2F%2Fx"])
def test_a_v3_signature_over_the_public_url_is_let_in(port: int, path: str) -> None:
    assert post(port, TICKET, signed(BODY, path=path), path=path).status == 200


def test_a_v2_signature_is_let_in_where_there_is_no_v3(port: int) -> None:
    signature = sign_v2(SECRET.encode(), b"POST", (PUBLIC_URL + PATH).encode(), BODY)
    v2 = {"X-HubSpot-Signature": signature.decode()}
    assert post(port, TICKET, v2).status == 200
    assert post(port, TICKET, v2 | signed(BODY, at=time.time() - 400)).status == 401


# Signed in the test: a signature made when the tests were collected would be old by the time it is sent.
NOT_AUTHENTIC: dict[str, Callable[[], dict[str, str]]] = {
    "nothing": dict,
    "a wrong token": lambda: {"X-Webhook-Token": "wrong"},
    "an empty token": lambda: {"X-Webhook-Token": ""},
    "another secret": lambda: signed(BODY, secret="wrong"),
    "another body": lambda: signed(BODY + b" "),
    "another path": lambda: signed(BODY, path="/other"),
    "too old": lambda: signed(BODY, at=time.time() - 400),
    "from the future": lambda: signed(BODY, at=time.time() + 400),
    "a wrong v2": lambda: {"X-HubSpot-Signature": "0" * 64},
    "no time": lambda: {"X-HubSpot-Signature-v3": signed(BODY)["X-HubSpot-Signature-v3"]},
    "no text": lambda: {"X-HubSpot-Signature-v3": "\xff", "X-HubSpot-Request-Timestamp": "\xff"},
}


@pytest.mark.parametrize("what", NOT_AUTHENTIC)
def test_others_get_401_and_nothing_is_stored(port: int, world: World, what: str) -> None:
    reply = post(port, TICKET, NOT_AUTHENTIC[what]())
    assert (reply.status, reply.error(), world.commits) == (401, "unauthorized", [])


def test_with_one_way_in_the_other_is_shut(world: World) -> None:
    with serving(world.parts(client_secret=None)) as one:
        assert post(one.port, TICKET, signed(BODY, secret="")).status == 401
        assert post(one.port, TICKET, TOKEN).status == 200
    with serving(world.parts(tokens=())) as one:
        assert post(one.port, TICKET, {"X-Webhook-Token": ""}).status == 401
        assert post(one.port, TICKET, signed(BODY)).status == 200


def test_without_secret_and_token_it_is_off_and_names_the_settings(world: World) -> None:
    with serving(world.parts(client_secret=None, tokens=())) as one:
        reply = post(one.port, TICKET, {})
    assert (reply.status, reply.error()) == (503, "service_unavailable")
    assert "HUBSPOT_CLIENT_SECRET" in reply.json()["message"]
    assert "HUBSPOT_WEBHOOK_TOKEN" in reply.json()["message"]


def test_refusals_are_counted_and_logged_with_their_source_alone(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("triage"), "propagate", True)
    monkeypatch.setattr(refusals, "PERIOD_SECONDS", 60.0)  # all of it within one
    headers = {"X-Webhook-Token": "guessed", "X-Forwarded-For": "9.9.9.9, 203.0.113.7"}
    with caplog.at_level(logging.WARNING, "triage"), serving(world.parts()) as one:
        for _ in range(30):
            assert post(one.port, TICKET, headers, path=PATH + "?key=hidden").status == 401
    assert world.refused == [30]
    lines = [record for record in caplog.records if record.msg == "webhook refused"]
    assert len(lines) == refusals.MOST_LINES_A_PERIOD
    told = vars(lines[0])
    assert (told["source"], told["forwarded_for"]) == ("127.0.0.1", "203.0.113.7")
    assert told["reason"] == "wrong token"
    everything = str([vars(record) for record in caplog.records])
    assert not any(secret in everything for secret in ("guessed", "hidden", "Words", *TOKENS, SECRET))


def test_the_last_refusals_are_counted_before_it_ends(world: World) -> None:
    def count(number: int) -> None:
        time.sleep(0.3)
        world.refused.append(number)

    with serving(world.parts(on_refused=count)) as one:
        assert post(one.port, TICKET, {}).status == 401
    assert world.refused == [1]


@pytest.mark.parametrize(
    ("sent", "status", "error"),
    [
        (request(BODY, TOKEN, path="/webhook/hubspot/"), 404, "not_found"),
        (request(BODY, TOKEN, path="/"), 404, "not_found"),
        (request(BODY, TOKEN, path="/../%2e%2e/etc/passwd"), 404, "not_found"),
        (request(method="GET"), 405, "method_not_allowed"),
        (request(BODY, TOKEN, method="PUT"), 405, "method_not_allowed"),
        (request(BODY, TOKEN | {"Content-Type": "text/plain"}), 415, "unsupported_media_type"),
        (request(BODY, TOKEN | {"Content-Type": ""}), 415, "unsupported_media_type"),
        (request(BODY, TOKEN | {"Content-Encoding": "gzip"}), 415, "unsupported_media_type"),
        (request(b"", TOKEN), 400, "invalid_json"),
        (request(b"{", TOKEN), 400, "invalid_json"),
        (request(b"[" * 50_000, TOKEN), 400, "invalid_json"),
        (request(b"{}", TOKEN), 400, "validation_error"),
        (request(b"7", TOKEN), 400, "validation_error"),
        (request(b" " * (MOST_BYTES + 1), TOKEN), 413, "payload_too_large"),
        (request(b" " * 3_000_000, TOKEN), 413, "payload_too_large"),
        (request(b"", TOKEN | {"Content-Length": "99999999999"}), 413, "payload_too_large"),
        (request(BODY, TOKEN | {"X-Long": "x" * 40_000}), 431, "headers_too_large"),
        (request(BODY, TOKEN | {f"X-{n}": "1" for n in range(120)}), 431, "headers_too_large"),
        (request(BODY, TOKEN, path=PATH + "?" + "x" * 70_000), 431, "headers_too_large"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), 400, "bad_request"),
        (b"GET / HTTP/9.9\r\n\r\n", 400, "bad_request"),
        (request(BODY, TOKEN | {"Content-Length": "-1"}), 400, "bad_request"),
        (request(BODY, TOKEN | {"Content-Length": "", "Transfer-Encoding": "chunked"}), 400, "bad_request"),
        (b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
        (b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    ],
)
def test_each_mistake_has_its_answer(port: int, world: World, sent: bytes, status: int, error: str) -> None:
    reply = exchange(port, sent)
    assert (reply.status, reply.error()) == (status, error)
    assert world.commits == []
    assert b"Words" not in reply.body
    assert post(port, TICKET).status == 200


def test_a_megabyte_is_not_too_much_and_may_come_in_chunks(port: int) -> None:
    padded = BODY + b" " * (MOST_BYTES - len(BODY))
    assert post(port, padded).status == 200
    head = request(b"", TOKEN | {"Content-Length": "", "Transfer-Encoding": "chunked"})
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (BODY[:5], BODY[5:]))
    assert exchange(port, head + chunks + b"0\r\n\r\n").status == 200
    endless = b"".join(b"%x\r\n%b\r\n" % (100_000, b" " * 100_000) for _ in range(12))
    assert exchange(port, head + endless).error() == "payload_too_large"


@pytest.mark.parametrize(
    ("kind", "kept"), [("json", True), ("JSON; charset=utf-8", True), ("json5", False), ("jsonx", False)]
)
def test_the_content_type_may_have_parameters(port: int, kind: str, kept: bool) -> None:
    reply = post(port, TICKET, TOKEN | {"Content-Type": f"application/{kind}"})
    assert (reply.status == 200) is kept


@pytest.mark.parametrize("given", ["x" * 101, "\x80", ""])
def test_a_request_id_that_is_not_sane_is_replaced(port: int, given: str) -> None:
    answer = post(port, TICKET, TOKEN | {"X-Request-ID": given}).json()
    assert len(answer["request_id"]) == 32


def test_a_store_that_is_away_is_a_503_and_works_again_afterwards(port: int, world: World) -> None:
    world.fault = StoreUnreachable("away")
    reply = post(port, TICKET)
    assert (reply.status, reply.error()) == (503, "service_unavailable")
    world.fault = None
    assert post(port, TICKET).status == 200
    assert world.answers == ["service_unavailable", "accepted"]


def test_one_requests_rows_that_cannot_be_stored_do_not_cost_the_others_theirs(world: World) -> None:
    begun, go_on, in_hand = threading.Event(), threading.Event(), list[Any]()

    def store(events: Any) -> int:
        in_hand.extend(events)
        begun.set()
        go_on.wait(30)
        if any(one.object_id == "13" for one in events):
            raise ValueError
        return world.store(events)

    receiver = Receiver(world.parts(store=store))
    with serving_one(receiver) as one:
        statuses: dict[int, int] = {}

        def send(number: int) -> None:
            statuses[number] = post(one.port, [event(number)]).status

        threads = [threading.Thread(target=send, args=(number,)) for number in range(10, 16)]
        threads[0].start()
        assert begun.wait(10)
        for thread in threads[1:]:
            thread.start()
        wait_until(lambda: len(in_hand) + receiver.committer.waiting_rows == 6)
        go_on.set()
        for thread in threads:
            thread.join()
    assert statuses == {number: 503 if number == 13 else 200 for number in range(10, 16)}
    assert sorted(world.stored) == ["10", "11", "12", "14", "15"]


def test_a_store_that_does_not_answer_is_a_503_in_hubspots_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "WAIT_SECONDS", 0.2)
    go_on = threading.Event()

    def store(events: Any) -> int:
        go_on.wait(20)
        return world.store(events)

    with serving(world.parts(store=store)) as one:
        assert [post(one.port, [event(number)]).status for number in (1, 2)] == [503, 503]
        go_on.set()
        wait_until(lambda: bool(world.stored))
        assert post(one.port, [event(3)]).status == 200
    assert world.stored == ["1", "3"]  # 2 was given up before its turn: it is sent again


def test_many_rows_do_not_wait_for_a_commit_that_takes_its_time(world: World) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def store(events: Any) -> int:
        if len(events) == 1:
            begun.set()
            go_on.wait(10)
        return world.store(events)

    def send_many(first: int) -> int:
        return post(one.port, [event(number) for number in range(first, first + 100)]).status

    with serving(world.parts(store=store)) as one, ThreadPoolExecutor(3) as pool:
        slow = pool.submit(post, one.port, [event(1)])
        assert begun.wait(10)
        assert list(pool.map(send_many, (100, 200))) == [200, 200]
        go_on.set()
        assert slow.result().status == 200
    assert sorted(map(len, world.commits)) == [1, 200]


def test_no_more_requests_wait_than_the_memory_takes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "MOST_WAITING_ROWS", 5)
    with serving(world.parts()) as one:
        assert post(one.port, [event(number) for number in range(1, 7)]).error() == "service_unavailable"
        assert post(one.port, [event(number) for number in range(1, 6)]).status == 200


def test_a_body_that_does_not_come_is_given_up(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "BODY_SECONDS", 0.2)
    reply = exchange(port, request(BODY, TOKEN)[:-5])
    assert (reply.status, reply.error()) == (408, "request_timeout")


def test_large_bodies_are_read_a_few_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "MOST_LARGE", 1)
    large, receiver = request(BODY + b" " * 500_000, TOKEN), Receiver(world.parts())
    with serving_one(receiver) as one, socket.create_connection(("127.0.0.1", one.port), timeout=20) as slow:
        slow.sendall(large[:400_000])
        wait_until(lambda: receiver.bodies.large)
        assert exchange(one.port, large).error() == "service_unavailable"
        assert post(one.port, TICKET).status == 200
        slow.sendall(large[400_000:])
        assert read_reply(slow).status == 200
        assert exchange(one.port, large).status == 200


def test_a_head_that_does_not_come_is_given_up(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "HEAD_SECONDS", 0.2)
    for started in (b"", b"POST /webhook", b"\r\n"):
        assert exchange(port, started).error() == "request_timeout"


def test_beyond_the_most_connections_the_next_is_told_so(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MOST_CONNECTIONS", 1)
    assert server.server is not None
    connections = server.server.server_state.connections
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as first:
        wait_until(lambda: connections)
        assert exchange(server.port, b"").error() == "service_unavailable"
        first.sendall(request(BODY, TOKEN))
        assert read_reply(first).status == 200


def test_a_connection_serves_one_request_after_another_and_pipelined_ones(port: int, world: World) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as one:
        for _ in range(3):
            one.sendall(request(BODY, TOKEN))
            assert read_reply(one).status == 200
        one.sendall(request(BODY, TOKEN | {"Expect": "100-continue"})[: -len(BODY)])
        assert one.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        one.sendall(BODY)
        assert read_reply(one).status == 200
    assert len(world.stored) == 4


def test_a_sender_that_hangs_up_leaves_nothing_behind(port: int, world: World) -> None:
    for cut in (10, 150, -3):
        with socket.create_connection(("127.0.0.1", port)) as one:
            one.sendall(request(BODY, TOKEN)[:cut])
    assert post(port, TICKET).status == 200
    assert world.answers == ["accepted"]


def test_a_flood_of_refusals_does_not_keep_good_ones_out(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "SLOWED_SECONDS", 0.25)
    stop = threading.Event()
    refused: list[int] = []

    def flood() -> None:
        while not stop.is_set():
            refused.append(post(port, TICKET, {"X-Webhook-Token": "wrong"}).status)

    threads = [threading.Thread(target=flood) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        assert [post(port, [event(number)]).status for number in range(1, 30)] == [200] * 29
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(refused) == {401}


@pytest.fixture(scope="module")
def shared() -> Iterator[int]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refusals, "SLOWED_SECONDS", 0.0)
        patch.setattr(body_module, "BODY_SECONDS", 0.5)
        patch.setattr(bounds, "HEAD_SECONDS", 0.5)
        with serving(World().parts()) as one:
            yield one.port


words = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=40).filter(
    lambda text: not set(text) & set("\r\n")
)
names = st.sampled_from(
    ["X-Webhook-Token", "X-HubSpot-Signature-v3", "X-HubSpot-Signature", "X-HubSpot-Request-Timestamp",
     "X-Request-ID", "X-Forwarded-For", "Content-Type", "Content-Length", "Transfer-Encoding", "Expect",
     "Connection", "Upgrade", "Content-Encoding", "Host"]
)  # fmt: skip
hostile = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def is_well_answered(port: int, sent: bytes) -> bool:
    reply = exchange(port, sent)
    assert reply.status == 200 or (400 <= reply.status < 500 and reply.error())
    return True


@hostile
@given(body=st.binary(max_size=300), token=st.booleans())
@example(body=b'{"hs_object_id": "\\ud800"}', token=True)
def test_any_body_gets_an_answer_in_shape(shared: int, body: bytes, token: bool) -> None:
    assert is_well_answered(shared, request(body, TOKEN if token else {}))


@hostile
@given(headers=st.dictionaries(names, words, max_size=5))
@example(headers={"Connection": "upgrade", "Upgrade": "websocket"})
@example(headers={"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c"})
@example(headers={"Transfer-Encoding": "chunked"})
@example(headers={"Content-Length": "3"})
@example(headers={"Content-Length": "3000"})
def test_any_headers_get_an_answer_in_shape(shared: int, headers: dict[str, str]) -> None:
    assert is_well_answered(shared, request(BODY, TOKEN | headers))


@hostile
@given(path=words, method=st.sampled_from(["GET", "POST", "PUT", "OPTIONS", "DELETE", "BREW", "get"]))
def test_any_path_and_method_get_an_answer_in_shape(shared: int, path: str, method: str) -> None:
    assert is_well_answered(shared, request(BODY, TOKEN, path="/" + path, method=method))


@hostile
@given(sent=st.binary(min_size=1, max_size=300))
def test_any_bytes_on_the_socket_get_an_answer_in_shape(shared: int, sent: bytes) -> None:
    assert is_well_answered(shared, sent + b"\r\n\r\n")
