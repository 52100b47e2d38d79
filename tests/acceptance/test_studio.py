"""``python main.py studio``: the real command over real HTTP."""

import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from jobs.studio.serving import THREADS
from models.database import close_database, connection, open_database
from models.tickets import ProcessedTicket
from tests.acceptance.studio import fill, form_token, refusal, studio
from tests.acceptance.worker import free_port, wait_until
from tests.conftest import renamed, with_server

TOKEN = "a-token-of-this-test"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_line_tells_where_it_is_and_a_signal_ends_it_with_0(
    empty_url: str, tmp_path: Path, number: int
) -> None:
    fill(empty_url, 3)
    with studio(empty_url, tmp_path) as running:
        assert running.line == (
            f"the data browser is at http://127.0.0.1:{running.port}/ (read-only); Ctrl-C ends it\n"
        )
        page = httpx.get(f"{running.url}/processed_tickets/")
        assert page.status_code == 200
        assert page.text.count('<td class="col-ticket_id">') == 3
        assert "server" not in page.headers
        assert running.stop(number) == (0, "")


def test_a_database_that_was_never_migrated_is_told_as_everywhere(empty_url: str, tmp_path: Path) -> None:
    code, lines = refusal(empty_url, tmp_path)
    assert (code, len(lines)) == (2, 1)
    assert "python main.py migrate deploy" in lines[0]


def test_a_database_out_of_reach_is_one_line_and_1(tmp_path: Path) -> None:
    code, lines = refusal("postgresql://u:planted@127.0.0.1:1/x", tmp_path)
    assert (code, len(lines)) == (1, 1)
    assert "planted" not in lines[0]


def test_it_needs_no_setting_but_the_database(tmp_path: Path) -> None:
    fill(f"sqlite:////{tmp_path}/triage.db", 1)
    with studio("", tmp_path, HUBSPOT_BASE_URL="nonsense") as running:
        assert httpx.get(running.url).status_code == 200


def test_a_taken_port_is_one_line_and_2(tmp_path: Path) -> None:
    url = f"sqlite:////{tmp_path}/triage.db"
    fill(url, 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, lines = refusal(url, tmp_path, "--port", port)
    assert (code, lines) == (
        2,
        [f"--port, --host: cannot listen on 127.0.0.1 port {port} (Address already in use)"],
    )
    assert refusal(url, tmp_path, "--port", "70000")[0] == 2
    code, lines = refusal(url, tmp_path, "--host", "no-such-host.invalid", ADMIN_TOKEN=TOKEN)
    assert (code, len(lines)) == (2, 1)


def test_another_address_needs_a_token_that_cannot_be_guessed(tmp_path: Path) -> None:
    url = f"sqlite:////{tmp_path}/triage.db"
    fill(url, 1)
    code, lines = refusal(url, tmp_path, "--host", "0.0.0.0")
    assert (code, len(lines)) == (2, 1)
    assert lines[0].startswith("ADMIN_TOKEN: is missing")
    code, lines = refusal(url, tmp_path, "--host", "0.0.0.0", ADMIN_TOKEN="fifteen-letters")
    assert code == 2
    assert "fewer than 16" in lines[-1]
    assert "fifteen" not in "".join(lines)


def test_with_a_token_it_is_asked_for_and_takes_the_right_one_alone(empty_url: str, tmp_path: Path) -> None:
    fill(empty_url, 2)
    with studio(empty_url, tmp_path, "--host", "0.0.0.0", ADMIN_TOKEN=TOKEN) as running:
        assert "asks for ADMIN_TOKEN" in running.line
        assert TOKEN not in running.line
        with httpx.Client(base_url=f"http://127.0.0.1:{running.port}", follow_redirects=True) as browser:
            login = browser.get("/processed_tickets/export/csv/")
            assert (login.url.path, "40000000000" in login.text) == ("/login", False)
            sent = {"csrf_token": form_token(login), "token": "wrong"}
            assert browser.post("/login", data=sent).status_code == 401
            assert browser.post("/login", data={"token": TOKEN}).status_code == 403
            assert "tables" in browser.post("/login", data={**sent, "token": TOKEN}).text
            assert "40000000000" in browser.get("/processed_tickets/").text
        code, said = running.stop()
        assert (code, TOKEN in said) == (0, False)


def test_a_strangers_name_for_this_machine_is_not_answered(tmp_path: Path) -> None:
    url = f"sqlite:////{tmp_path}/triage.db"
    fill(url, 1)
    with studio(url, tmp_path) as running:
        answer = httpx.get(f"{running.url}/processed_tickets/", headers={"Host": "evil.example"})
        assert (answer.status_code, "40000000000" in answer.text) == (421, False)


def test_writing_is_refused_without_write_and_two_edits_are_taken_with_it(
    empty_url: str, tmp_path: Path
) -> None:
    fill(empty_url, 1)
    edit = "/switches/edit/?id=1"
    in_an_hour = f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%d %H:%M}"
    with studio(empty_url, tmp_path) as running, httpx.Client(base_url=running.url) as browser:
        assert browser.get(edit).status_code == 302
        assert browser.post(edit, data={"until_at": ""}).status_code == 405
    with studio(empty_url, tmp_path, "--write") as running, httpx.Client(base_url=running.url) as browser:
        assert "takes two edits" in running.line
        sent = {"csrf_token": form_token(browser.get(edit)), "until_at": f"{in_an_hour}:00"}
        forged = browser.post(edit, data=sent, headers={"Origin": "http://evil.example"})
        assert forged.status_code == 403
        assert browser.post(edit, data=sent).status_code == 302
        assert f"{in_an_hour}:00.000Z" in browser.get("/switches/").text


def test_downloads_that_stand_still_keep_nobody_waiting(tmp_path: Path) -> None:
    url = f"sqlite:////{tmp_path}/triage.db"
    fill(url, 400)
    open_database(url)
    with connection():
        ProcessedTicket.update(last_error="x" * 100_000).execute()
    close_database()
    with studio(url, tmp_path) as running, ExitStack() as stack:
        for _ in range(THREADS + 1):
            still = stack.enter_context(socket.create_connection(("127.0.0.1", int(running.port))))
            still.sendall(b"GET /processed_tickets/export/csv/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert still.recv(15) == b"HTTP/1.1 200 OK"
        assert httpx.get(running.url, timeout=10).status_code == 200


def test_it_lives_through_a_restart_of_its_database(own_server: Any, tmp_path: Path) -> None:
    with_server(own_server.get_uri(), "CREATE DATABASE browsed")
    url = renamed(own_server.get_uri(), "browsed")
    fill(url, 2)
    with studio(url, tmp_path) as running:
        page = f"{running.url}/processed_tickets/"
        assert httpx.get(page).status_code == 200
        own_server.cleanup()
        down = httpx.get(page, timeout=30)
        assert down.status_code == 503
        assert "the database cannot be reached" in down.text
        assert "Traceback" not in down.text
        own_server.ensure_postgres_running()
        wait_until(lambda: httpx.get(page, timeout=30).status_code == 200, 30)
        code, said = running.stop()
    assert code == 0
    assert said.count("\n") == said.count("the database ") > 0


def test_a_restart_that_nobody_saw_costs_one_page_at_most(
    new_postgres: Callable[..., str], template: str, server_url: str, tmp_path: Path
) -> None:
    url = new_postgres(template)
    fill(url, 1)
    name = url.partition("?")[0].rpartition("/")[2]
    with studio(url, tmp_path) as running:
        assert httpx.get(running.url).status_code == 200
        with_server(
            server_url, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )
        time.sleep(0.2)
        statuses = [httpx.get(f"{running.url}/deliveries/").status_code for _ in range(4)]
        assert statuses[1:] == [200] * 3


def test_a_free_port_is_taken_again_at_once(tmp_path: Path) -> None:
    url = f"sqlite:////{tmp_path}/triage.db"
    fill(url, 1)
    port = str(free_port())
    for _ in range(2):
        with studio(url, tmp_path, "--port", port) as running:
            assert httpx.get(running.url).status_code == 200
            assert running.port == port
            assert running.stop()[0] == 0
