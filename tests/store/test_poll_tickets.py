"""The poll against a real ledger and the simulated portal over real HTTP."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from jobs.errors import SettingsError, SourceError
from jobs.hubspot.client import HubSpotClient
from jobs.hubspot.gateway import HubSpotGateway
from jobs.poll_tickets import PollReport, poll_tickets
from jobs.sandbox.hubspot import SANDBOX_TOKEN
from jobs.sandbox.serving import html_answer, json_answer
from models.cursors import Cursor, activate, drop_lease, lease_is_held, move_cursor, read_cursor, take_lease
from models.database import connection, read_clock
from models.tickets import ProcessedTicket, SkipReason, TicketState
from tests.fakes.portal import Portal, to_milliseconds

OVERLAP = timedelta(minutes=15)
CLOSE = timedelta(seconds=5)
HOUR = timedelta(hours=1)
MILLISECOND = timedelta(milliseconds=1)


class Poller:
    """Polls with the values that do not matter to a test filled in; the ledger was activated an hour ago."""

    def __init__(self, portal: Portal) -> None:
        self.portal = portal
        self.clients: list[HubSpotClient] = []
        self.opened_at = activate(datetime.now(UTC), to_milliseconds(datetime.now(UTC) - HOUR), OVERLAP)

    def gateway(self, *pipelines: str) -> HubSpotGateway:
        """One whose client does not wait and has asked nothing yet."""
        self.clients.append(HubSpotClient(self.portal.url, SANDBOX_TOKEN, sleep=lambda _: None))
        return HubSpotGateway(self.clients[-1], pipelines=pipelines)

    def poll(
        self,
        owner: str = "one",
        *pipelines: str,
        lease_seconds: float = 60,
        worker_ahead: timedelta = timedelta(0),
        worker_clock: datetime | None = None,
    ) -> PollReport:
        return poll_tickets(
            self.gateway(*pipelines),
            owner,
            lease_seconds=lease_seconds,
            overlap=OVERLAP,
            now=lambda: worker_clock or datetime.now(UTC) + worker_ahead,
        )

    def start_over(self) -> None:
        """The portal and the ledger as they were: cheaper than another database."""
        self.portal.empty()
        with connection():
            ProcessedTicket.delete().execute()
            Cursor.update(looked_until_at=self.opened_at, lease_owner=None).where(
                Cursor.name == "poll"
            ).execute()

    @property
    def cursor(self) -> datetime:
        looked_until: datetime = read_cursor("poll").looked_until_at
        return looked_until

    @property
    def known(self) -> set[str]:
        with connection():
            rows = [row.ticket_id for row in ProcessedTicket.select(ProcessedTicket.ticket_id)]
        assert len(rows) == len(set(rows))
        return set(rows)


@pytest.fixture
def poller(store_url: str, portal: Portal) -> Iterator[Poller]:
    poller = Poller(portal)
    yield poller
    for client in poller.clients:
        client.close()


def from_filter(value: str) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(value))


def test_what_was_created_since_the_cursor_is_proposed(poller: Poller, portal: Portal) -> None:
    times = (poller.opened_at, datetime.now(UTC) - CLOSE)
    made = {portal.add_ticket(created_at=moment) for moment in times}
    portal.add_ticket(created_at=poller.opened_at - HOUR)
    assert poller.poll() == PollReport(found=2, searches=1, shown=2)
    assert poller.known == made


def test_a_ticket_keeps_its_creation_time_and_source(poller: Poller, portal: Portal) -> None:
    portal.add_ticket(created_at=poller.opened_at)
    poller.poll()
    with connection():
        (row,) = ProcessedTicket.select()
    assert (row.state, row.source) == (TicketState.FOUND, "poll")
    assert row.ticket_created_at == poller.opened_at


def test_an_import_of_10400_tickets_in_one_millisecond_is_found_whole(poller: Poller, portal: Portal) -> None:
    made = portal.add_many(10_400, created_at=poller.opened_at + timedelta(minutes=1))
    report = poller.poll()
    assert poller.known == set(made)
    assert (report.found, report.searches) == (10_400, 52)
    assert portal.searches <= 60


def test_full_pages_cost_no_search_too_many_and_lose_nothing(poller: Poller, portal: Portal) -> None:
    for count, searches in ((0, 1), (1, 1), (199, 1), (200, 1), (201, 2), (400, 2)):
        made = portal.add_many(count, created_at=poller.opened_at)
        assert poller.poll() == PollReport(found=count, searches=searches, shown=count)
        assert poller.known == set(made)
        poller.start_over()


def test_the_window_reaches_from_the_cursor_less_the_overlap_up_to_the_new_cursor(
    poller: Poller, portal: Portal
) -> None:
    start = poller.opened_at - OVERLAP
    first = portal.add_ticket(created_at=start)
    portal.add_ticket(created_at=start - MILLISECOND)
    poller.poll()
    assert poller.known == {first}
    (asked,) = portal.asked
    assert from_filter(asked["GTE"]) == start
    assert from_filter(asked["LT"]) == to_milliseconds(poller.cursor)


def test_every_page_of_a_poll_asks_for_the_same_window(poller: Poller, portal: Portal) -> None:
    portal.add_many(700, created_at=poller.opened_at)
    poller.poll()
    assert len(portal.asked) == 4
    assert portal.asked.count(portal.asked[0]) == 4


def test_a_ticket_at_the_very_end_of_a_window_is_found_by_the_next_poll_once(
    poller: Poller, portal: Portal
) -> None:
    end = to_milliseconds(datetime.now(UTC) - timedelta(minutes=1))
    before = portal.add_many(3, created_at=end - MILLISECOND)
    at_the_end = portal.add_many(3, created_at=end)
    assert poller.poll(worker_clock=end).found == 3
    assert (poller.known, poller.cursor) == (set(before), end)
    assert poller.poll().found == 3
    assert poller.known == {*before, *at_the_end}


def test_the_least_of_three_clocks_ends_the_window(poller: Poller, portal: Portal) -> None:
    cases = ((-600, 0, -600), (600, 0, 0), (0, -600, -600), (0, 600, 0), (600, 600, 0), (-300, -600, -600))
    for hubspot, worker, least in cases:
        portal.faults.wrong_date_offset_seconds = hubspot
        poller.poll(worker_ahead=timedelta(seconds=worker))
        assert abs(poller.cursor - read_clock() - timedelta(seconds=least)) < CLOSE, (hubspot, worker)
        assert poller.cursor <= read_clock()
        poller.start_over()


def test_a_ticket_that_the_index_shows_late_is_found_by_a_later_poll(poller: Poller, portal: Portal) -> None:
    late = portal.add_ticket(created_at=datetime.now(UTC) - timedelta(minutes=5))
    portal.faults.index_lag_seconds = 60
    assert poller.poll().found == 0
    assert poller.cursor > datetime.now(UTC) - timedelta(minutes=5)
    portal.faults.index_lag_seconds = 0
    assert poller.poll().found == 1
    assert poller.known == {late}


def test_tickets_that_flap_in_the_index_are_found_by_a_later_poll(poller: Poller, portal: Portal) -> None:
    made = portal.add_many(10, created_at=datetime.now(UTC) - timedelta(minutes=5))
    portal.faults.flapping = frozenset(made[3:6])
    assert (poller.poll().found, poller.poll().found, poller.poll().found) == (7, 3, 0)
    assert poller.known == set(made)


def test_pages_that_flap_at_random_heal_within_the_overlap(poller: Poller, portal: Portal) -> None:
    made = portal.add_many(900, created_at=datetime.now(UTC) - timedelta(minutes=5))
    portal.faults.flapping = 0.3
    for _ in range(12):
        poller.poll()
    assert poller.known == set(made)


def test_tickets_created_during_a_poll_are_found_by_the_next(poller: Poller, portal: Portal) -> None:
    made = portal.add_many(300, created_at=poller.opened_at)

    def create(search: int) -> None:
        if search == 2:
            made.append(portal.add_ticket("created now"))
            # Behind the page that was read: a lower id, and a time within the overlap.
            moment = datetime.now(UTC) - OVERLAP / 2
            made.append(portal.add_ticket("back-dated", ticket_id="5", created_at=moment))

    portal.before_search = create
    assert poller.poll().found == 300
    portal.before_search = lambda _: None
    wait_for_the_next_second()
    assert poller.poll().found == 2
    assert poller.known == set(made)


def wait_for_the_next_second() -> None:
    """HubSpot's Date, and with it the window, ends with the last whole second."""
    now = datetime.now(UTC)
    threading.Event().wait(1.05 - now.microsecond / 1_000_000)


def test_the_cursor_moves_with_the_last_page_only(poller: Poller, portal: Portal) -> None:
    portal.add_many(500, created_at=poller.opened_at)
    seen: list[tuple[datetime, int]] = []
    portal.before_search = lambda _: seen.append((poller.cursor, len(poller.known)))
    poller.poll()
    assert seen == [(poller.opened_at, 0), (poller.opened_at, 200), (poller.opened_at, 400)]
    assert poller.cursor > poller.opened_at


def test_a_poll_that_breaks_off_keeps_what_it_stored_and_is_repeated_whole(
    poller: Poller, portal: Portal
) -> None:
    made = portal.add_many(500, created_at=poller.opened_at)

    def break_off(search: int) -> None:
        portal.faults.down = search >= 2

    portal.before_search = break_off
    with pytest.raises(SourceError, match="503"):
        poller.poll()
    assert poller.known == set(made[:200])
    assert poller.cursor == poller.opened_at
    assert not lease_is_held("poll")
    portal.before_search, portal.faults.down = lambda _: None, False
    assert poller.poll("two") == PollReport(found=300, searches=3, shown=500)
    assert poller.known == set(made)


def test_an_answer_that_is_none_does_not_move_the_cursor(poller: Poller, portal: Portal) -> None:
    portal.add_ticket(created_at=poller.opened_at)
    for answer in (html_answer("<p>Welcome"), *map(json_answer, ({}, {"results": None}, []))):
        portal.before_search = lambda _, answer=answer: answer  # type: ignore[misc]
        with pytest.raises(SourceError):
            poller.poll()
        assert poller.cursor == poller.opened_at
    portal.before_search = lambda _: None
    assert poller.poll().found == 1


def test_a_search_that_stands_still_ends_and_does_not_move_the_cursor(poller: Poller, portal: Portal) -> None:
    page = {"results": [{"id": "5"}], "paging": {"next": {"after": "1"}}}
    portal.before_search = lambda _: json_answer(page)
    with pytest.raises(SourceError, match="again and again"):
        poller.poll()
    assert (len(portal.asked), poller.cursor) == (2, poller.opened_at)


def test_a_refused_token_gives_the_lease_back(poller: Poller, portal: Portal) -> None:
    portal.access_token = "another"
    with pytest.raises(SettingsError):
        poller.poll()
    assert not lease_is_held("poll")
    assert poller.cursor == poller.opened_at


def test_a_poll_that_another_process_does_is_left_to_it(poller: Poller, portal: Portal) -> None:
    portal.add_ticket(created_at=poller.opened_at)
    assert take_lease("poll", "another", 60)
    assert poller.poll() == PollReport(skipped=True)
    assert not portal.requests
    assert read_cursor("poll").lease_owner == "another"
    drop_lease("poll", "another")
    assert poller.poll().found == 1


def test_a_poll_that_loses_its_lease_keeps_what_it_found_and_leaves_the_cursor(
    poller: Poller, portal: Portal
) -> None:
    for stolen_at in (1, 2, 3):
        made = portal.add_many(500, created_at=poller.opened_at)
        portal.before_search = partial(steal, stolen_at)
        assert poller.poll().skipped
        assert poller.cursor == poller.opened_at
        assert poller.known == set(made[: stolen_at * 200])
        assert read_cursor("poll").lease_owner == "thief"
        poller.start_over()


def steal(stolen_at: int, search: int) -> None:
    if search == stolen_at:
        drop_lease("poll", "one")
        assert take_lease("poll", "thief", 60)


def test_an_answer_slower_than_the_lease_still_moves_the_cursor(poller: Poller, portal: Portal) -> None:
    for count in (1, 500):
        portal.add_many(count, created_at=poller.opened_at)
        portal.faults.latency_seconds = 0.5
        report = poller.poll(lease_seconds=0.4)
        assert (report.found, report.skipped) == (count, False)
        assert poller.cursor > poller.opened_at
        poller.start_over()


def test_two_polls_at_once_store_each_ticket_once(poller: Poller, portal: Portal) -> None:
    made = portal.add_many(900, created_at=poller.opened_at)
    reports: list[PollReport] = []
    start = threading.Barrier(4)

    def poll(owner: str) -> None:
        start.wait()
        reports.append(poller.poll(owner))

    threads = [threading.Thread(target=poll, args=(f"worker {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reports) == 4
    assert sum(report.found for report in reports) == 900
    assert poller.known == set(made)
    assert not lease_is_held("poll")


def test_two_polls_whose_leases_run_out_still_store_each_ticket_once(poller: Poller, portal: Portal) -> None:
    made = portal.add_many(900, created_at=poller.opened_at)
    portal.faults.latency_seconds = 0.01
    reports: list[PollReport] = []

    def poll(owner: str) -> None:
        reports.append(poller.poll(owner, lease_seconds=0.001))

    threads = [threading.Thread(target=poll, args=(f"worker {number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(report.found for report in reports) == len(poller.known)
    poller.poll()
    assert poller.known == set(made)


def test_a_second_poll_proposes_nothing_new(poller: Poller, portal: Portal) -> None:
    portal.add_many(300, created_at=datetime.now(UTC) - timedelta(minutes=5))
    assert poller.poll().found == 300
    # The least of three clocks may tell a millisecond less the second time.
    again = replace(poller.poll(), behind_seconds=0.0)
    assert again == PollReport(found=0, searches=2, shown=300)


def test_pipelines_narrow_the_poll(poller: Poller, portal: Portal) -> None:
    portal.add_ticket(created_at=poller.opened_at, hs_pipeline="7")
    wanted = {portal.add_ticket(created_at=poller.opened_at, hs_pipeline=one) for one in ("0", "8")}
    assert poller.poll("one", "0", "8").found == 2
    assert poller.known == wanted


def test_a_cursor_never_lowers(poller: Poller, portal: Portal) -> None:
    for ahead, searches in ((timedelta(minutes=10), 1), (HOUR, 0)):
        later = to_milliseconds(datetime.now(UTC) + ahead)
        assert take_lease("poll", "one", 60)
        assert move_cursor("poll", "one", later)
        polled = poller.poll()
        assert (polled.found, polled.searches) == (0, searches)
        assert abs(polled.behind_seconds - ahead.total_seconds()) < 30
        assert poller.cursor == later


def test_a_ticket_that_was_gone_and_is_shown_again_is_opened_again(poller: Poller, portal: Portal) -> None:
    ticket_id = portal.add_ticket(created_at=datetime.now(UTC) - timedelta(minutes=5))
    poller.poll()
    with connection():
        ProcessedTicket.update(state=TicketState.SKIPPED, reason=SkipReason.GONE).execute()
    assert poller.poll() == PollReport(found=0, reopened=1, searches=1, shown=1)
    with connection():
        assert ProcessedTicket.get(ProcessedTicket.ticket_id == ticket_id).state == TicketState.FOUND
