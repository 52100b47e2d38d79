"""The HTTP side as a whole: where it listens, how it ends, and that no fault of ours shows its inside."""

import json
import logging
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from jobs.errors import SettingsError
from jobs.web.app import build_app
from jobs.web.server import WebServer
from tests.unit.web import TICKET, TOKEN, World, exchange, post, read_reply, request, serving


async def hello(_: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def fail(_: Request) -> PlainTextResponse:
    raise RuntimeError("words of a customer")


ROUTES = [Route("/hello", hello), Route("/fail", fail)]


def get(port: int, path: str, method: str = "GET") -> Any:
    headers = {"Content-Length": "", "X-Request-ID": "r1"}
    return exchange(port, request(headers=headers, path=path, method=method))


def test_other_routes_stand_beside_the_receiver() -> None:
    with serving(World().parts(), ROUTES) as one:
        assert get(one.port, "/hello").body == b"hello"
        assert (get(one.port, "/hello/").status, get(one.port, "/hello/").error()) == (404, "not_found")
        wrong = get(one.port, "/hello", "DELETE")
        assert (wrong.status, wrong.error()) == (405, "method_not_allowed")
        assert set(wrong.headers["allow"].split(", ")) == {"GET", "HEAD"}
        assert wrong.json()["request_id"] == "r1"
        assert post(one.port, TICKET).status == 200


def test_answers_do_not_wait_for_the_senders_delayed_acknowledgement() -> None:
    """asyncio turns Nagle's algorithm off, but only where the socket was made as one of TCP."""
    with serving(World().parts()) as one, socket.create_connection(("127.0.0.1", one.port)) as sender:
        sender.sendall(request(path="/", method="GET"))
        assert read_reply(sender).status == 404
        assert one.server is not None
        (connection,) = one.server.server_state.connections
        accepted = connection.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_without_a_receiver_its_path_is_not_found() -> None:
    server = WebServer(build_app(ROUTES), 0, "127.0.0.1")
    server.start()
    assert post(server.port, TICKET).error() == "not_found"
    assert server.stop(5)


def test_a_fault_of_ours_is_an_internal_error_of_which_only_the_class_is_logged() -> None:
    """In a process of its own, to see all that it writes."""
    program = """
from jobs.logs import start_logging
from tests.unit.test_web_server import ROUTES, TICKET, World, get, post, serving

def portal_id():
    raise RuntimeError("words of a customer")

start_logging("INFO")
world = World()
with serving(world.parts(portal_id=portal_id), ROUTES) as one:
    assert (get(one.port, "/fail").status, get(one.port, "/fail").error()) == (500, "internal_error")
    reply = post(one.port, TICKET)
    assert (reply.status, reply.error()) == (500, "internal_error")
    assert world.answers == ["internal_error"]
"""
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, check=True)
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [(line["message"], line["error"]) for line in lines] == [
        ("a request failed", "RuntimeError"),
        ("a request failed", "RuntimeError"),
        ("a webhook failed", "RuntimeError"),
    ]
    assert b"words" not in ran.stderr + ran.stdout


def test_it_listens_on_both_families_where_there_are_both() -> None:
    server = WebServer(build_app(ROUTES), 0)
    server.start()
    try:
        assert get(server.port, "/hello").status == 200
        if not has_ipv6_loopback():
            pytest.skip("no IPv6 on this machine")
        with socket.create_connection(("::1", server.port), timeout=20) as one:
            one.sendall(request(path="/hello", method="GET"))
            assert read_reply(one).status == 200
    finally:
        server.stop(5)


def has_ipv6_loopback() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_without_ipv6_it_listens_on_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from jobs.web import server as module

    bind_to = module.bind_to

    def without_ipv6(host: str, port: int) -> socket.socket:
        if ":" in host:
            raise OSError(errno.EAFNOSUPPORT, "no such family")
        return bind_to(host, port)

    monkeypatch.setattr(module, "bind_to", without_ipv6)
    server = WebServer(build_app(ROUTES), 0)
    server.start()
    assert get(server.port, "/hello").status == 200
    server.stop(5)


@pytest.mark.parametrize("host", [None, "127.0.0.1"])
def test_a_port_in_use_is_one_line_that_names_the_setting(host: str | None) -> None:
    first = WebServer(build_app(ROUTES), 0, host)
    first.start()
    with pytest.raises(SettingsError, match=rf"^PORT: {first.port} is in use by another program; [^\n]*$"):
        WebServer(build_app(ROUTES), first.port, host).start()
    first.stop(5)
    again = WebServer(build_app(ROUTES), first.port, host)
    again.start()
    assert again.stop(5)


def test_what_was_taken_is_finished_before_it_ends() -> None:
    world, begun = World(), threading.Event()

    def store(events: Any) -> int:
        begun.set()
        time.sleep(0.5)
        return world.store(events)

    statuses: list[int] = []
    with serving(world.parts(store=store)) as one:
        thread = threading.Thread(target=lambda: statuses.append(post(one.port, TICKET).status))
        thread.start()
        assert begun.wait(10)
        assert one.stop(10)
        thread.join()
        assert one.thread is not None
        assert not one.thread.is_alive()
        with pytest.raises(OSError, match="refused"):
            post(one.port, TICKET)
        assert one.stop(1)
    assert (statuses, world.stored) == ([200], ["101"])


def test_a_store_that_hangs_does_not_keep_it_from_ending() -> None:
    go_on, begun = threading.Event(), threading.Event()

    def store(_: Any) -> int:
        begun.set()
        go_on.wait(30)
        return 0

    server = WebServer(build_app([], receiver_of(store)), 0, "127.0.0.1")
    server.start()
    with socket.create_connection(("127.0.0.1", server.port)) as one:
        one.sendall(request(json.dumps(TICKET).encode(), TOKEN))
        assert begun.wait(10)
        started = time.monotonic()
        server.stop(0.5)
        assert time.monotonic() - started < 10
    go_on.set()
    server.stop(10)


def receiver_of(store: Any) -> Any:
    from jobs.web.receiver import Receiver

    return Receiver(World().parts(store=store))


def test_the_servers_own_loggers_write_nothing() -> None:
    with serving(World().parts()):
        assert not logging.getLogger("uvicorn").propagate
        assert not logging.getLogger("uvicorn.access").hasHandlers()
