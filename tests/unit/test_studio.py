"""The data browser's guards: whoever may not look or write is refused before the database is asked."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from jobs.studio.access import LOGGED_IN_SECONDS, TRIES, Access, Brake, LoggedIn, is_loopback, is_token
from jobs.studio.app import build_app
from jobs.studio.export import plain, write_csv
from jobs.studio.filters import parse_utc
from jobs.studio.tables import TABLES
from models.schema_drift import MODELS
from tests.fakes.clock import FakeClock

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "a-token-of-this-test"
HERE = "127.0.0.1:5555"


def client(*, host: str = "127.0.0.1", token: str | None = None, may_write: bool = False) -> FlaskClient:
    return build_app(Access(host, token, may_write)).test_client()


def form_token(browser: FlaskClient, path: str = "/login") -> str:
    (found,) = re.findall(r'name="csrf_token" value="([^"]+)"', browser.get(path).text)
    return str(found)


def log_in(browser: FlaskClient, token: str = TOKEN) -> Any:
    return browser.post("/login", data={"csrf_token": form_token(browser), "token": token})


def cookie_name(browser: FlaskClient) -> str:
    return str(browser.application.config["SESSION_COOKIE_NAME"])


def routes_that_write(browser: FlaskClient) -> list[str]:
    rules = browser.application.url_map.iter_rules()
    return [rule.rule for rule in rules if (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}]


def test_every_table_has_a_page_whose_columns_are_the_models() -> None:
    assert [table.model for table in TABLES] == [*MODELS]
    for table in TABLES:
        assert set(table.columns) | set(table.searched) | set(table.choices) <= set(table.fields)


def test_read_only_refuses_every_route_that_writes() -> None:
    browser = client()
    routes = routes_that_write(browser)
    assert len(routes) >= 5 * len(TABLES)
    with browser.session_transaction() as session:
        session["csrf"] = "known"
    for route in set(routes) - {"/login", "/logout"}:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            refused = browser.open(f"{route}?id=1", method=method, data={"csrf_token": "known", "id": "1"})
            assert refused.status_code == 405, (method, route)


def test_with_write_two_edits_alone_are_let_through() -> None:
    browser = client(may_write=True)
    with browser.session_transaction() as session:
        session["csrf"] = "known"
    let_through = []
    for route in routes_that_write(browser):
        answer = browser.post(route, data={"csrf_token": "known"})
        if answer.status_code != 405:
            let_through.append(route)
    assert sorted(let_through) == ["/login", "/logout", "/switches/edit/", "/webhook_inbox/edit/"]


@pytest.mark.parametrize(
    ("sent", "origin"),
    [
        ({}, None),
        ({"csrf_token": ""}, None),
        ({"csrf_token": "wrong"}, None),
        ({"csrf_token": "known"}, "http://evil.example"),
        ({"csrf_token": "known"}, "null"),
    ],
)
def test_a_write_that_another_page_sent_is_refused(sent: dict[str, str], origin: str | None) -> None:
    browser = client(may_write=True)
    with browser.session_transaction() as session:
        session["csrf"] = "known"
    headers = {"Origin": origin} if origin else {}
    assert browser.post("/switches/edit/?id=1", data=sent, headers=headers).status_code == 403


def test_a_browser_without_a_session_has_no_token_to_send() -> None:
    assert client(may_write=True).post("/switches/edit/", data={"csrf_token": ""}).status_code == 403


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (HERE, 404),
        ("localhost:9000", 404),
        ("[::1]:5555", 404),
        ("evil.example", 421),
        ("evil.example:5555", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost:5555@evil.example", 421),
        ("", 421),
    ],
)
def test_on_this_machine_a_strangers_name_is_not_answered(host: str, status: int) -> None:
    answer = client().get("/nope", headers={"Host": host})
    assert answer.status_code == status
    with client().get("/static/admin/admin/js/form.js", headers={"Host": host}) as file:
        assert (file.status_code == 421) == (status == 421)


def test_a_token_opens_this_machine_to_no_strangers_name() -> None:
    assert client(token=TOKEN).get("/login", headers={"Host": "evil.example"}).status_code == 421


def test_elsewhere_any_name_is_answered_and_asked_for_the_token() -> None:
    answer = client(host="0.0.0.0", token=TOKEN).get("/", headers={"Host": "triage.example"})
    assert (answer.status_code, answer.location) == (302, "/login")


def test_nothing_but_the_login_and_bundled_files_is_open_without_the_token() -> None:
    browser = client(host="0.0.0.0", token=TOKEN, may_write=True)
    rules = [rule for rule in browser.application.url_map.iter_rules() if "GET" in (rule.methods or ())]
    is_open = set()
    for rule in rules:
        path = rule.rule.replace("<path:filename>", "admin/js/form.js").replace("<export_type>", "csv")
        answer = browser.get(path)
        if answer.location != "/login":
            is_open.add(path)
        answer.close()
    assert is_open == {"/login", "/favicon.ico", "/static/admin/admin/js/form.js"}
    assert browser.post("/switches/edit/").status_code == 403


def test_the_token_logs_in_and_the_log_out_ends_it_for_a_kept_cookie_too() -> None:
    browser = client(host="0.0.0.0", token=TOKEN)
    answer = log_in(browser)
    assert (answer.status_code, answer.location) == (303, "/")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKEN not in cookie
    assert browser.get("/nope").status_code == 404
    kept = browser.get_cookie(cookie_name(browser))
    assert kept is not None
    with browser.session_transaction() as session:
        session["csrf"] = "known"
    assert browser.post("/logout", data={"csrf_token": "known"}).location == "/login"
    browser.set_cookie(cookie_name(browser), kept.value)
    assert browser.get("/nope").location == "/login"


def test_the_session_of_before_the_login_is_thrown_away() -> None:
    browser = client(host="0.0.0.0", token=TOKEN)
    before = form_token(browser)
    log_in(browser)
    with browser.session_transaction() as session:
        assert session.get("csrf") != before


def test_a_forged_cookie_is_nobody() -> None:
    browser = client(host="0.0.0.0", token=TOKEN)
    other = client(host="0.0.0.0", token=TOKEN)
    log_in(other)
    stolen = other.get_cookie(cookie_name(other))
    assert stolen is not None
    browser.set_cookie(cookie_name(browser), stolen.value)
    assert browser.get("/nope").location == "/login"


def test_two_on_one_machine_keep_cookies_apart() -> None:
    assert cookie_name(client()) != cookie_name(client())


def test_after_five_wrong_tokens_the_right_one_waits_as_well() -> None:
    browser = client(host="0.0.0.0", token=TOKEN)
    assert [log_in(browser, "wrong").status_code for _ in range(TRIES)] == [401] * TRIES
    refused = log_in(browser)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert browser.get("/nope").location == "/login"


def test_the_brake_lets_go_after_a_minute() -> None:
    clock = FakeClock()
    brake = Brake(clock.seconds)
    for _ in range(TRIES - 1):
        brake.count_failure()
    assert brake.seconds_left() == 0
    brake.count_failure()
    assert brake.seconds_left() == 60
    clock.advance(59)
    assert brake.seconds_left() == 1
    clock.advance(1)
    assert brake.seconds_left() == 0


def test_who_is_logged_in_is_so_for_twelve_hours() -> None:
    clock = FakeClock()
    logged_in = LoggedIn(clock.seconds)
    key = logged_in.add()
    clock.advance(LOGGED_IN_SECONDS - 1)
    assert logged_in.holds(key)
    clock.advance(1)
    assert not logged_in.holds(key)
    assert not logged_in.holds("")


def test_every_answer_forbids_frames_caches_and_what_is_not_from_here() -> None:
    for path in ("/nope", "/login", "/static/admin/admin/js/form.js"):
        with client(host="0.0.0.0", token=TOKEN).get(path) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert answer.headers["Referrer-Policy"] == "same-origin"
            assert answer.headers["Cache-Control"] == "no-store"


def test_a_fault_of_ours_shows_one_line_and_nothing_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    browser = client()

    def fail() -> str:
        raise RuntimeError("planted-value")

    browser.application.add_url_rule("/fail", "fail", fail)
    answer = browser.get("/fail")
    assert answer.status_code == 500
    assert "Something failed" in answer.text
    shown = capsys.readouterr()
    assert shown.err.startswith("internal fault: RuntimeError at test_studio.py")
    assert "planted-value" not in answer.text + shown.err + shown.out


@pytest.mark.parametrize(
    ("host", "is_here"),
    [
        ("127.0.0.1", True), ("127.0.0.2", True), ("::1", True), ("localhost", True),
        ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("triage.example", False), ("", False),
    ],
)  # fmt: skip
def test_loopback_is_this_machine_alone(host: str, is_here: bool) -> None:
    assert is_loopback(host) is is_here


def test_a_token_is_compared_whole() -> None:
    assert is_token(TOKEN, TOKEN)
    assert not any(is_token(TOKEN, given) for given in ("", TOKEN[:-1], TOKEN + "x", "é"))


def test_times_are_utc_unless_they_say_otherwise() -> None:
    noon = parse_utc("2026-11-23 12:00")
    assert noon.isoformat() == "2026-11-23T12:00:00+00:00"
    assert parse_utc("2026-11-23T13:00:00+01:00") == noon
    assert parse_utc("2026-11-23").isoformat() == "2026-11-23T00:00:00+00:00"
    with pytest.raises(ValueError, match="Invalid isoformat"):
        parse_utc("yesterday")


def test_an_export_holds_no_formula_and_quotes_what_needs_it() -> None:
    rows = [("=1+1", None, True), ("a,b", "ü", parse_utc("2026-11-23 12:00"))]
    with write_csv(["x", "y", "z"], rows) as file:
        assert file.read().decode() == 'x,y,z\r\n\'=1+1,,True\r\n"a,b",ü,2026-11-23T12:00:00.000Z\r\n'


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_no_sign_of_a_formula_begins_an_exported_text(sign: str) -> None:
    assert plain(f"{sign}1+1") == f"'{sign}1+1"
    assert plain(f"1{sign}1") == f"1{sign}1"


def test_no_other_command_loads_flask() -> None:
    code = (
        "import json, sys, jobs.verbs.worker, jobs.verbs.run, jobs.verbs.studio\n"
        "print(json.dumps([m for m in ('flask', 'flask_admin', 'werkzeug', 'waitress', 'wtforms', 'jinja2') "
        "if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
