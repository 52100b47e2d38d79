"""The data browser's pages on both databases: what is shown, found, exported, and what may be edited."""

import csv
import io
import re
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from jobs.studio.access import Access
from jobs.studio.app import build_app
from jobs.studio.tables import TABLES
from models import cursors
from models.browsing import primary_value, reading
from models.database import connection, database, on_postgres, read_clock
from models.deliveries import Delivery
from models.drain import drain_events
from models.errors import QuestionRefused, StoreUnreachable
from models.inbox import EventType, WebhookEvent
from models.switches import Switch, take_probe
from models.tickets import ProcessedTicket
from tests.store.conftest import Ledger

NOON = datetime(2026, 11, 23, 12, 0, 0, 123_000, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LEDGERS_TABLES = ("processed_tickets", "deliveries", "hourly_counts", "poll_cursors", "job_runs")


def browser(*, may_write: bool = False) -> FlaskClient:
    return build_app(Access("127.0.0.1", None, may_write)).test_client()


def add(ticket_id: str, minutes: float = 0, **columns: Any) -> None:
    """A settled ticket, so many minutes before noon."""
    at = NOON - minutes * MINUTE
    with connection():
        ProcessedTicket.create(ticket_id=ticket_id, processed_at=at, **columns)


def column(page: str, name: str = "ticket_id") -> list[str]:
    cells = re.findall(rf'<td class="col-{name}">(.*?)</td>', page, re.DOTALL)
    return [re.sub(r"<[^>]+>", "", cell).strip() for cell in cells]


def ids(path: str) -> list[str]:
    answer = browser().get(f"/processed_tickets/{path}")
    assert answer.status_code == 200, answer.text
    return column(answer.text)


def save(path: str, **values: str) -> Any:
    """As a person does who opens the form, fills it in and saves."""
    writer = browser(may_write=True)
    (token,) = re.findall(r'name="csrf_token" value="([^"]+)"', writer.get(path).text)
    return writer.post(path, data={"csrf_token": token, **values}, follow_redirects=True)


def written(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S")


def exported(path: str) -> list[dict[str, str]]:
    with browser().get(path) as answer:
        assert answer.mimetype == "text/csv", answer.data
        return list(csv.DictReader(io.StringIO(answer.data.decode())))


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_is_listed_detailed_sorted_and_exported(ledger: Ledger, table: Any) -> None:
    ledger.sending("1")
    with connection():
        Switch.create(name="discord", key_hash="planted-hash", reason="http_404", set_at=NOON)
        WebhookEvent.create(portal_id="1", event_type="ticket.creation", object_id="1", occurred_at=NOON)
        database.execute_sql("INSERT INTO poll_cursors (name) VALUES ('poll')")
        database.execute_sql("INSERT INTO job_runs (name, runs, failures) VALUES ('poll', 0, 0)")
        row = table.model.select().first()
    one = browser()
    assert table.name in one.get("/").text
    pages = [one.get(f"/{table.name}/?sort={n}&desc={n % 2}") for n in range(len(table.columns))]
    if row is not None:
        pages.append(one.get(f"/{table.name}/details/?id={primary_value(row)}"))
        with connection():
            assert len(exported(f"/{table.name}/export/csv/")) == table.model.select().count()
    assert [page.status_code for page in pages] == [200] * len(pages)
    assert not any("planted-hash" in page.text for page in pages)


def test_times_keys_and_flags_are_shown_as_they_are_kept(ledger: Ledger) -> None:
    add("7", success=True)
    with connection():
        key = ProcessedTicket.get().id
    listed = browser().get("/processed_tickets/").text
    assert column(listed, "processed_at") == ["2026-11-23 12:00:00.123Z"]
    assert column(listed, "reason") == ["-"]
    details = browser().get(f"/processed_tickets/details/?id={key}").text
    assert str(key) in details
    assert re.search(r"success</b>\s*</td>\s*<td>\s*yes", details)
    (row,) = exported("/processed_tickets/export/csv/")
    assert (row["id"], row["processed_at"], row["success"], row["reason"]) == (
        str(key), "2026-11-23T12:00:00.123Z", "True", "",
    )  # fmt: skip


def test_a_ticket_is_found_by_its_id_or_how_it_begins(ledger: Ledger) -> None:
    for ticket_id in ("400", "4001", "4002", "401", "14002", "4_02"):
        add(ticket_id)
    add("9", merged_into="4002")
    assert sorted(ids("?search=4002")) == ["4002", "9"]
    assert sorted(ids("?search=400")) == ["400", "4001", "4002", "9"]
    assert sorted(ids("?search=4001,%20401")) == ["4001", "401"]
    assert ids("?search=4_02") == ["4_02"]
    assert ids("?search=4%25") == []
    assert ids("?search=%27%20OR%20%271%27=%271") == []


def test_filters_by_word_number_and_time_work_together(ledger: Ledger) -> None:
    add("1", 1, state="notified", provider="local", priority="high", source="poll", attempts=1)
    add("2", 2, state="notified", provider="groq", priority="low", source="sweep", attempts=3)
    add("3", 3, state="unconfirmed", provider="groq", priority="low", source="poll", attempts=2)
    add("4", 4, state="skipped", attempts=0)
    assert ids("?flt0_state_equals=unconfirmed") == ["3"]
    assert ids("?flt0_provider_equals=groq&flt1_source_equals=sweep") == ["2"]
    assert ids("?flt0_priority_equals=high") == ["1"]
    assert ids("?flt0_priority_empty=1") == ["4"]
    assert ids("?flt0_attempts_greater_than=1") == ["2", "3"]
    assert ids("?flt0_processed_at_since=2026-11-23+11:58") == ["1", "2"]
    assert ids("?flt0_processed_at_before=2026-11-23T12:57:00.123%2B01:00") == ["4"]
    between = "2026-11-23+11:57:00.123+to+2026-11-23+11:59:00.123"
    assert ids(f"?flt0_processed_at_between={between}") == ["2", "3"]


def test_a_value_that_fits_no_column_is_one_line_and_never_all_rows(ledger: Ledger) -> None:
    add("1")
    for asked in (
        "flt0_attempts_equals=many",
        "flt0_processed_at_since=yesterday",
        "flt0_no_such_filter=1",
        "search=a%00b",
    ):
        for path in ("/processed_tickets/", "/processed_tickets/export/csv/"):
            answer = browser().get(f"{path}?{asked}")
            assert answer.status_code == 400, asked
            assert "SELECT" not in answer.text
    huge = browser().get("/processed_tickets/?flt0_attempts_equals=99999999999999999999")
    assert huge.status_code == (200 if on_postgres() else 400)
    assert column(huge.text) == []
    no_row, no_key = 302, 400
    for path, status in (
        ("/switches/details/?id=7", no_row),
        ("/switches/details/?id=abc", no_key if on_postgres() else no_row),
        ("/switches/details/?id=99999999999999999999", no_row if on_postgres() else no_key),
        ("/processed_tickets/details/?id=no-uuid", no_key if on_postgres() else no_row),
    ):
        assert browser().get(path).status_code == status, path
    assert ids("?page=99999999999999999999") == []


@pytest.mark.parametrize(
    "asked",
    ["endpoint=x", "self=1", "_method=POST", "_external=1", "export_type=x", "modal=1", "id=1&id=2"],
)
def test_an_address_names_nothing_but_what_a_page_has(ledger: Ledger, asked: str) -> None:
    add("1")
    for path in ("/processed_tickets/", "/processed_tickets/details/", "/processed_tickets/export/csv/"):
        answer = browser().get(f"{path}?{asked}")
        assert (answer.status_code, "go back to the table" in answer.text) == (400, True)


def test_an_address_holds_no_more_than_a_person_asks(ledger: Ledger) -> None:
    add("1")
    twice = "flt0_state_equals=notified&flt0_state_equals=found"
    many_filters = "&".join(f"flt{n}_attempts_equals=0" for n in range(51))
    many_words = "search=" + "+".join(["1"] * 51)
    for asked in (twice, many_filters, many_words):
        assert browser().get(f"/processed_tickets/?{asked}").status_code == 400, asked
    assert ids("?search=" + "+".join(["1"] * 50)) == ["1"]
    assert ids("?" + "&".join(f"flt{n}_attempts_equals=0" for n in range(50))) == ["1"]


def test_words_that_a_column_contains_are_taken_as_they_stand(ledger: Ledger) -> None:
    for ticket_id, error in (("1", "http_503"), ("2", "httpx503"), ("3", "100%"), ("4", "=1")):
        add(ticket_id, float(ticket_id), last_error=error)
    assert ids("?flt0_last_error_contains=http_5") == ["1"]
    assert ids("?flt0_last_error_contains=%25") == ["3"]
    assert ids("?flt0_last_error_contains=%3D") == ["4"]


def test_the_newest_are_first_and_empty_values_last(ledger: Ledger) -> None:
    for minutes, ticket_id in enumerate(("c", "a", "b")):
        add(ticket_id, minutes, last_error=None if ticket_id == "a" else ticket_id)
    assert ids("") == ["c", "a", "b"]
    error = TABLES[0].columns.index("last_error")
    assert ids(f"?sort={error}") == ["b", "c", "a"]
    assert ids(f"?sort={error}&desc=1") == ["c", "b", "a"]
    assert ids("?sort=0") == ["a", "b", "c"]
    assert ids("?sort=999&page=-1") == ["c", "a", "b"]


def test_fifty_a_page_and_every_row_on_one_of_them(ledger: Ledger) -> None:
    with connection():
        rows = [{"ticket_id": str(n), "processed_at": NOON} for n in range(120)]
        ProcessedTicket.insert_many(rows).execute()
    pages = [ids(f"?page={page}") for page in range(4)]
    assert [len(page) for page in pages] == [50, 50, 20, 0]
    assert len({one for page in pages for one in page}) == 120


def test_no_page_counts_a_table(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    execute = database.obj.execute_sql

    def listen(sql: str, *values: Any) -> Any:
        asked.append(sql)
        return execute(sql, *values)

    monkeypatch.setattr(database.obj, "execute_sql", listen)
    for path in ("/", "/processed_tickets/?flt0_state_equals=notified&search=1", "/deliveries/?page=3"):
        assert browser().get(path).status_code == 200
    assert any("LIMIT" in sql for sql in asked)
    assert not any("count(" in sql.lower() for sql in asked)


def test_an_export_has_every_row_of_the_filter_and_every_column(ledger: Ledger) -> None:
    with connection():
        rows = [{"ticket_id": str(n), "state": "skipped" if n % 3 else "notified"} for n in range(5_000)]
        for start in range(0, len(rows), 500):
            ProcessedTicket.insert_many(rows[start : start + 500]).execute()
    found = exported("/processed_tickets/export/csv/?flt0_state_equals=notified&sort=0")
    assert [row["ticket_id"] for row in found] == sorted(str(n) for n in range(0, 5_000, 3))
    assert set(found[0]) == set(ProcessedTicket._meta.sorted_field_names)


def test_while_it_reads_the_database_itself_refuses_to_write(ledger: Ledger) -> None:
    add("1")
    with pytest.raises(Exception, match=r"read-?only|cannot execute"), reading(5):
        ProcessedTicket.update(state="found").execute()
    assert ledger.ticket("1").state == "notified"
    ledger.edit("1", state="retry")
    assert ledger.ticket("1").state == "retry"


def test_a_question_that_takes_too_long_is_given_up(ledger: Ledger) -> None:
    if not on_postgres():
        pytest.skip("SQLite has no limit for a statement")
    with pytest.raises(QuestionRefused, match="too long"), reading(0.05):
        database.execute_sql("SELECT pg_sleep(5)")


@pytest.mark.parametrize("may_write", [False, True])
def test_the_ledgers_own_rows_are_never_changed(ledger: Ledger, may_write: bool) -> None:
    ledger.sending("1")
    one = browser(may_write=may_write)
    with one.session_transaction() as session:
        session["csrf"] = "known"
    with connection():
        key, delivery = ProcessedTicket.get().id, primary_value(Delivery.get())
    for table in LEDGERS_TABLES:
        for action in ("new", "edit", "delete", "action", "ajax/update"):
            form = {"csrf_token": "known", "id": key if table == "processed_tickets" else delivery}
            form |= {"state": "notified", "rowid": form["id"], "action": "delete", "list_form_pk": form["id"]}
            answer = one.post(f"/{table}/{action}/?id={form['id']}", data=form)
            assert answer.status_code == 405, (table, action)
        assert "/edit/" not in one.get(f"/{table}/").text
    assert ledger.ticket("1").state == "claimed"
    assert ledger.delivery("1").state == "sending"


def test_a_pause_is_moved_and_no_other_column_with_it(ledger: Ledger) -> None:
    with connection():
        pause = Switch.create(
            name="discord", key_hash="h", reason="http_503", streak=3, set_at=NOON, until_at=NOON
        )
    path = f"/switches/edit/?id={primary_value(pause)}"
    in_an_hour = read_clock().replace(microsecond=0) + timedelta(hours=1)
    answer = save(path, until_at=written(in_an_hour), streak="0", name="other")
    assert "saved" in answer.text
    with connection():
        row = Switch.get()
    assert (row.until_at, row.streak, row.name, row.reason) == (in_an_hour, 3, "discord", "http_503")
    for days in (-1, 1.01, 2_000_000):
        page = save(path, until_at=written(in_an_hour + timedelta(days=days))).text
        assert "of the next 24 hours" in page
    for no_time in ("soon", "0001-01-01T00:00+14:00"):
        assert "write a UTC time" in save(path, until_at=no_time).text
    with connection():
        assert Switch.get().until_at == in_an_hour


def test_an_address_with_a_lines_end_in_it_changes_nothing(ledger: Ledger) -> None:
    with connection():
        pause = Switch.create(name="discord", key_hash="h", reason="http_503", set_at=NOON, until_at=NOON)
    writer, path = browser(may_write=True), f"/switches/edit/?id={primary_value(pause)}"
    (token,) = re.findall(r'name="csrf_token" value="([^"]+)"', writer.get(path).text)
    sent = {"csrf_token": token, "until_at": ""}
    assert writer.post(f"{path}&url=/switches/%0d%0aX:1", data=sent).status_code == 400
    with connection():
        assert Switch.get().until_at == NOON


def test_a_pause_that_is_emptied_is_probed_at_once(ledger: Ledger) -> None:
    later = read_clock() + timedelta(hours=1)
    with connection():
        pause = Switch.create(
            name="discord", key_hash="h", reason="http_503", streak=3, set_at=NOON, until_at=later
        )
    assert not take_probe("discord", "h", 30)
    assert "saved" in save(f"/switches/edit/?id={primary_value(pause)}", until_at=" ").text
    assert take_probe("discord", "h", 30)


def test_an_alarms_row_is_no_pause(ledger: Ledger) -> None:
    with connection():
        alarm = Switch.create(name="alarm:held", reason="alarm", streak=1, set_at=NOON, until_at=NOON)
    answer = save(f"/switches/edit/?id={primary_value(alarm)}", until_at="")
    assert "Only a channel&#39;s pause" in answer.text
    with connection():
        assert Switch.get().until_at == NOON


def test_an_event_set_aside_is_taken_up_again_and_no_other(ledger: Ledger) -> None:
    with connection():
        event = WebhookEvent.create(
            portal_id="1", event_type="ticket.creation", object_id="5", occurred_at=NOON, attempts=5,
            last_error="DataError", set_aside_at=NOON,
        )  # fmt: skip
    path = f"/webhook_inbox/edit/?id={primary_value(event)}"
    assert "tick it" in save(path).text
    assert "saved" in save(path, again="y").text
    with connection():
        row = WebhookEvent.get()
    assert (row.set_aside_at, row.attempts, row.last_error, row.object_id) == (None, 0, "DataError", "5")
    assert "not set aside" in save(path, again="y").text


def test_an_event_taken_up_again_tells_nobody_twice(ledger: Ledger) -> None:
    cursors.bind_portal("1")
    cursors.activate(NOON, NOON - timedelta(hours=1), timedelta(minutes=15))
    ledger.find("5")
    ledger.edit("5", state="notified")
    with connection():
        event = WebhookEvent.create(
            portal_id="1", event_type=EventType.CREATION, object_id="5", occurred_at=NOON, attempts=5,
            set_aside_at=NOON,
        )  # fmt: skip
    assert drain_events(10).moved == 0
    save(f"/webhook_inbox/edit/?id={primary_value(event)}", again="y")
    assert drain_events(10).moved == 1
    assert ledger.ticket("5").state == "notified"


def test_a_database_out_of_reach_is_one_line(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(*_: object) -> None:
        raise StoreUnreachable("the database cannot be reached or was lost (test); check DATABASE_URL")

    monkeypatch.setattr("jobs.studio.views.reading", lose)
    for path in ("/", "/processed_tickets/", "/deliveries/export/csv/"):
        answer = browser().get(path)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert "cannot be reached or was lost" in answer.text


def test_many_at_once_share_the_pool_and_give_everything_back(ledger: Ledger) -> None:
    add("1")
    one = build_app(Access("127.0.0.1", None, may_write=False))
    statuses: list[int] = []

    def look() -> None:
        paths = ("/processed_tickets/", "/deliveries/", "/processed_tickets/export/csv/")
        for path in paths:
            with one.test_client().get(path) as answer:
                statuses.append(answer.status_code)

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 24
    assert database.obj._in_use == {}
