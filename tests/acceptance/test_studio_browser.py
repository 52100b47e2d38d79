"""The data browser in a real browser: it looks right, its scripts run, and nothing comes from elsewhere.

Not where there is no Chromium: ``apt-get install chromium`` brings it.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.acceptance.browser import Page, browser, find_browser
from tests.acceptance.studio import Studio, fill, studio

TOKEN = "a-token-of-this-test"
PROGRAM = find_browser()
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no chromium: apt-get install chromium")


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """An empty browser; in the end nothing was blocked, failed, or asked of another machine."""
    with browser(PROGRAM or "", tmp_path / "profile") as one:
        yield one
        assert one.complaints == []
        assert one.requested
        strangers = [url for url in one.requested if not url.startswith(("http://127.0.0.1:", "data:"))]
        assert strangers == []


@pytest.fixture
def url(tmp_path: Path) -> str:
    made = f"sqlite:////{tmp_path}/triage.db"
    fill(made, 60)
    return made


@pytest.fixture
def running(url: str, tmp_path: Path) -> Iterator[Studio]:
    with studio(url, tmp_path, "--write") as one:
        yield one


def choose(page: Page, selector: str, words: str) -> None:
    """Click the element that says ``words``."""
    page.evaluate(
        f"[...document.querySelectorAll({json.dumps(selector)})]"
        f".find(one => one.innerText.trim() === {json.dumps(words)}).click()"
    )


def test_tables_pages_search_and_details_work(page: Page, running: Studio) -> None:
    page.visit(f"{running.url}/")
    assert "one row per ticket" in page.text("table.tables")
    page.act("document.querySelector('table.tables a').click()")
    ids = page.texts("td.col-ticket_id")
    assert (len(ids), ids[0]) == (50, "40000000000")
    assert page.texts("td.col-processed_at")[0] == "2026-11-23 12:00:00.000Z"
    page.act("document.querySelectorAll('.pagination a')[1].click()")
    assert len(page.texts("td.col-ticket_id")) == 10

    page.press("input[name=search]")
    page.write("4000000002")
    page.enter()
    assert page.texts("td.col-ticket_id") == [f"4000000002{n}" for n in range(10)]
    page.act("document.querySelector('td a.icon').click()")
    assert "40000000020" in page.text("table.searchable")


def test_a_filter_is_added_by_its_menu(page: Page, running: Studio) -> None:
    page.visit(f"{running.url}/processed_tickets/")
    page.press("a.dropdown-toggle")
    choose(page, "a.filter", "state")
    page.wait_for("table.filters select.filter-val")
    assert "unconfirmed" in page.texts("table.filters select.filter-val option")
    page.evaluate("jQuery('table.filters select.filter-val').val('unconfirmed').trigger('change').length")
    page.act("document.querySelector('#filter_form button[type=submit]').click()")
    assert set(page.texts("td.col-state")) == {"unconfirmed"}
    assert len(page.texts("td.col-ticket_id")) == 9
    page.visit(f"{running.url}/processed_tickets/")
    choose(page, "a.filter", "processed at")
    page.wait_for("table.filters input.filter-val")
    page.evaluate("document.querySelector('table.filters input.filter-val').value = '2026-11-23 11:58:00'")
    page.act("document.querySelector('#filter_form button[type=submit]').click()")
    assert page.texts("td.col-ticket_id") == ["40000000000", "40000000001", "40000000002"]


def test_a_pause_is_moved_in_its_form(page: Page, running: Studio) -> None:
    page.visit(f"{running.url}/switches/")
    page.act("document.querySelector('a[href*=\"/edit/\"]').click()")
    in_an_hour = f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%d %H:%M}"
    page.evaluate(f"document.querySelector('input[name=until_at]').value = '{in_an_hour}'")
    page.act("document.querySelector('input[type=submit]').click()")
    assert page.texts("td.col-until_at") == [f"{in_an_hour}:00.000Z"]


def test_the_login_form_takes_the_token(page: Page, url: str, tmp_path: Path) -> None:
    with studio(url, tmp_path, ADMIN_TOKEN=TOKEN) as running:
        page.visit(f"{running.url}/processed_tickets/")
        assert page.texts("td.col-ticket_id") == []
        page.press("input[name=token]")
        page.write(TOKEN)
        page.enter()
        assert "one row per ticket" in page.text("table.tables")
        assert page.evaluate("document.cookie") == ""
        page.act("[...document.querySelectorAll('button')].find(b => b.innerText === 'log out').click()")
        assert page.texts("label") == ["ADMIN_TOKEN"]
