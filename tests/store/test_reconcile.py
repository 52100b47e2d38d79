"""Reconcile against a real ledger and the simulated portal over real HTTP."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobs.clock import utc_now
from jobs.errors import SourceError
from jobs.hubspot.client import HubSpotClient
from jobs.hubspot.gateway import HubSpotGateway
from jobs.job_runner import JobRunner
from jobs.look_for_cards import LookOut
from jobs.observations import Observations
from jobs.poll_tickets import poll_tickets
from jobs.presence import Presence
from jobs.propose_pages import never
from jobs.reconcile_tickets import MOST_NAMED, ReconcileReport, is_reconcile_due, reconcile_tickets
from jobs.sandbox.hubspot import SANDBOX_TOKEN
from jobs.settings import load_settings
from jobs.timetable_jobs import TimetableJobs
from jobs.verbs.run import build_parts
from jobs.watchdog import Watchdog
from models import health
from models.barrier import raise_barrier
from models.cursors import Cursor, activate
from models.database import connection, transaction
from models.errors import LedgerUnused, WrongPortal
from models.job_runs import JobRun
from models.proposals import Proposal, propose
from models.reconciliation import Reconciled, list_held, read_reconciled, record_reconciled
from models.tickets import ProcessedTicket, SkipReason, Source, TicketState
from tests.fakes.portal import Portal, to_milliseconds
from tests.store.conftest import Ledger

OVERLAP = timedelta(minutes=15)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MILLISECOND = timedelta(milliseconds=1)


class Comparer:
    """A ledger activated ten days ago whose poll has looked until now, and a portal to compare it with."""

    def __init__(self, portal: Portal, ledger: Ledger) -> None:
        self.portal, self.ledger = portal, ledger
        self.client = HubSpotClient(portal.url, SANDBOX_TOKEN, sleep=lambda _: None)
        self.now = to_milliseconds(datetime.now(UTC))
        self.opened_at = activate(self.now, self.now - 10 * DAY, OVERLAP)
        self.set_cursor("poll", looked_until_at=self.now)

    def set_cursor(self, name: str, **columns: datetime) -> None:
        with connection():
            assert Cursor.update(**columns).where(Cursor.name == name).execute() == 1

    def compare(
        self, *pipelines: str, since: datetime | None = None, stop: Callable[[], bool] = never
    ) -> ReconcileReport:
        return reconcile_tickets(
            HubSpotGateway(self.client, pipelines=pipelines),
            since=since,
            overlap=OVERLAP,
            now=utc_now,
            stop=stop,
        )

    def counts(self, **given: Any) -> Reconciled:
        return self.compare(**given).counts

    def add(self, ago: timedelta, **properties: str | None) -> str:
        return self.portal.add_ticket(created_at=self.now - ago, **properties)

    def add_known(self, ago: timedelta, state: TicketState = TicketState.NOTIFIED, **columns: object) -> str:
        one = self.add(ago)
        propose([Proposal(one, self.now - ago)], Source.POLL)
        self.ledger.edit(one, state=state, **columns)
        return one

    def states(self) -> dict[str, tuple[str, str | None]]:
        with connection():
            return {row.ticket_id: (row.state, row.source) for row in ProcessedTicket.select()}


@pytest.fixture
def comparer(ledger: Ledger, portal: Portal) -> Iterator[Comparer]:
    comparer = Comparer(portal, ledger)
    yield comparer
    comparer.client.close()
    assert portal.properties <= {"createdate"}


def test_a_merged_ticket_that_only_the_next_sweep_shows_is_not_missing(comparer: Comparer) -> None:
    """HubSpot gives it the older part's creation time, where the poll has looked before."""
    told, new = comparer.add_known(HOUR), comparer.add(HOUR)
    became = comparer.portal.merge(told, new)
    another = comparer.portal.merge(comparer.add(HOUR), comparer.add(HOUR))
    report = comparer.compare()
    assert report.counts.line == "2 in HubSpot = 0 told + 0 held + 1 open + 1 merged, 0 missing"
    states = comparer.states()
    assert (states[told][0], states[became][0], states[another][0]) == ("notified", "merged", "found")


def from_filter(value: str) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(value))


def test_every_ticket_is_counted_by_its_state(comparer: Comparer) -> None:
    for state, count in (("notified", 4), ("unconfirmed", 2), ("found", 1), ("claimed", 1), ("retry", 1)):
        for _ in range(count):
            comparer.add_known(HOUR, TicketState(state))
    comparer.add_known(HOUR, TicketState.MERGED)
    comparer.add_known(HOUR, TicketState.SKIPPED, reason=SkipReason.BEFORE_ACTIVATION)
    before = comparer.states()
    assert comparer.compare().counts.line == (
        "11 in HubSpot = 4 told + 2 held + 3 open + 1 skipped (1 before activation) + 1 merged, 0 missing"
    )
    assert comparer.states() == before


def test_a_ticket_that_every_source_missed_is_missing_proposed_and_then_known(comparer: Comparer) -> None:
    missed, told = comparer.add(2 * HOUR), comparer.add_known(HOUR)
    report = comparer.compare()
    assert report.counts == Reconciled(missing=1, told=1)
    assert report.missing_ids == [missed]
    assert comparer.states() == {missed: ("found", "reconcile"), told: ("notified", "poll")}
    assert comparer.ledger.ticket(missed).ticket_created_at == comparer.now - 2 * HOUR
    assert comparer.counts() == Reconciled(told=1, open=1)


def test_what_the_poll_will_still_look_for_is_proposed_but_not_missing(comparer: Comparer) -> None:
    young = comparer.add(OVERLAP)
    old = comparer.add(OVERLAP + MILLISECOND)
    report = comparer.compare()
    assert (report.counts, report.missing_ids) == (Reconciled(missing=1, open=1), [old])
    assert comparer.states() == dict.fromkeys((young, old), ("found", "reconcile"))


def test_while_the_poll_is_behind_nothing_that_it_will_find_is_missing(comparer: Comparer) -> None:
    comparer.set_cursor("poll", looked_until_at=comparer.now - DAY)
    for hours in (1, 5, 24):
        comparer.add(hours * HOUR)
    comparer.add(25 * HOUR)
    assert comparer.counts() == Reconciled(missing=1, open=3)


def test_a_poll_while_it_searches_makes_nothing_missing(comparer: Comparer, portal: Portal) -> None:
    portal.add_many(450, created_at=comparer.now - 2 * HOUR)
    comparer.set_cursor("poll", looked_until_at=comparer.now - 3 * HOUR)

    def poll_meanwhile(search: int) -> None:
        if search == 2:
            portal.before_search = lambda _: None
            poll_tickets(
                HubSpotGateway(comparer.client), "one", lease_seconds=60, overlap=OVERLAP, now=utc_now
            )

    portal.before_search = poll_meanwhile
    assert comparer.counts() == Reconciled(open=450)
    assert Counter(source for _, source in comparer.states().values()) == {"reconcile": 200, "poll": 250}


def test_what_another_process_stores_between_look_and_proposal_is_not_missing(
    comparer: Comparer, portal: Portal
) -> None:
    one = comparer.add(2 * HOUR)
    proposed = threading.Event()

    def propose_slowly() -> None:
        with connection(), transaction():
            propose([Proposal(one, comparer.now - 2 * HOUR)], Source.SWEEP)
            proposed.set()
            time.sleep(0.5)  # reconcile looks, sees nothing yet, and waits to propose

    other = threading.Thread(target=propose_slowly)

    def wait_for_it(_: int) -> None:
        other.start()
        proposed.wait(30)

    portal.before_search = wait_for_it
    assert comparer.counts() == Reconciled(open=1)
    other.join()


def test_several_at_once_propose_each_once(comparer: Comparer, portal: Portal) -> None:
    portal.add_many(450, created_at=comparer.now - 2 * HOUR)
    reports: list[ReconcileReport] = []
    threads = [threading.Thread(target=lambda: reports.append(comparer.compare())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [report.counts.shown for report in reports] == [450] * 3
    assert len(comparer.states()) == 450


def test_what_the_ledger_forgot_or_never_knew_is_older_and_stays_out(comparer: Comparer) -> None:
    horizon_at = comparer.now - 7 * DAY
    comparer.set_cursor("ledger", horizon_at=horizon_at)
    before_activation, forgotten = comparer.add(11 * DAY), comparer.add(7 * DAY + MILLISECOND)
    remembered = comparer.add(7 * DAY)
    assert comparer.counts(since=comparer.now - 30 * DAY) == Reconciled(missing=1, older=2)
    assert set(comparer.states()) == {remembered}
    assert {before_activation, forgotten}.isdisjoint(comparer.states())


def test_without_a_since_it_looks_as_far_back_as_the_ledger_remembers(
    comparer: Comparer, portal: Portal
) -> None:
    comparer.compare()
    assert from_filter(portal.asked[0]["GTE"]) == comparer.opened_at
    horizon_at = comparer.now - 7 * DAY
    comparer.set_cursor("ledger", horizon_at=horizon_at)
    report = comparer.compare()
    assert (report.since, from_filter(portal.asked[1]["GTE"])) == (horizon_at, horizon_at)
    end = from_filter(portal.asked[1]["LT"])
    assert timedelta(seconds=60) <= datetime.now(UTC) - end < timedelta(seconds=150)


def test_the_least_of_the_clocks_ends_it(comparer: Comparer, portal: Portal) -> None:
    portal.faults.wrong_date_offset_seconds = -3600
    comparer.add(30 * timedelta(minutes=1))
    assert comparer.counts() == Reconciled()


def test_an_import_in_one_millisecond_is_compared_page_by_page(comparer: Comparer, portal: Portal) -> None:
    made = portal.add_many(1_001, created_at=comparer.now - HOUR)
    report = comparer.compare()
    assert (report.counts, report.searches) == (Reconciled(missing=1_001), 6)
    assert set(comparer.states()) == set(made)
    assert len(report.missing_ids) == MOST_NAMED


def test_only_the_pipelines_of_the_settings_are_compared(comparer: Comparer) -> None:
    comparer.add(HOUR, hs_pipeline="7")
    wanted = comparer.add(HOUR, hs_pipeline="8")
    assert comparer.compare("8").counts == Reconciled(missing=1)
    assert set(comparer.states()) == {wanted}


def test_what_was_gone_and_is_shown_again_is_opened_again(comparer: Comparer) -> None:
    gone = comparer.add_known(HOUR, TicketState.SKIPPED, reason=SkipReason.GONE)
    assert comparer.counts() == Reconciled(open=1)
    assert comparer.states()[gone] == ("found", "poll")


def test_open_tickets_from_before_a_restore_are_told_apart(comparer: Comparer) -> None:
    raise_barrier(comparer.now - HOUR)
    comparer.add(2 * HOUR)
    comparer.add_known(2 * HOUR, TicketState.RETRY)
    comparer.add_known(2 * HOUR, TicketState.UNCONFIRMED)
    comparer.add(timedelta(minutes=50))
    assert comparer.compare().to_be_held == 2


def test_hubspot_failing_half_way_keeps_what_was_proposed(comparer: Comparer, portal: Portal) -> None:
    portal.add_many(500, created_at=comparer.now - HOUR)

    def break_off(search: int) -> None:
        portal.faults.down = search >= 2

    portal.before_search = break_off
    with pytest.raises(SourceError, match="503"):
        comparer.compare()
    assert (len(comparer.states()), read_reconciled()) == (200, None)


def test_a_stop_between_pages_is_no_comparison(comparer: Comparer, portal: Portal) -> None:
    portal.add_many(500, created_at=comparer.now - HOUR)
    report = comparer.compare(stop=lambda: True)
    assert (report.completed, report.searches, read_reconciled()) == (False, 1, None)


def test_a_whole_comparison_is_remembered_and_one_of_a_part_is_not(comparer: Comparer) -> None:
    comparer.add_known(HOUR)
    comparer.compare(since=comparer.now - DAY)
    assert read_reconciled() is None
    comparer.compare()
    last = read_reconciled()
    assert last is not None
    assert (last.counts.line, last.seconds < 60) == (
        "1 in HubSpot = 1 told + 0 held + 0 open, 0 missing",
        True,
    )
    assert health.read_jobs() == []


def test_a_ledger_that_was_never_used_or_is_anothers_is_refused(ledger: Ledger, portal: Portal) -> None:
    client = HubSpotClient(portal.url, SANDBOX_TOKEN, sleep=lambda _: None)

    def compare() -> ReconcileReport:
        return reconcile_tickets(HubSpotGateway(client), since=None, overlap=OVERLAP, now=utc_now)

    with pytest.raises(LedgerUnused):
        compare()
    activate(datetime.now(UTC), None, OVERLAP)
    with connection():
        Cursor.update(portal_id="42").where(Cursor.name == "ledger").execute()
    with pytest.raises(WrongPortal):
        compare()
    client.close()


def test_held_tickets_are_listed_longest_first_up_to_a_limit(comparer: Comparer) -> None:
    ids = [comparer.add_known(HOUR, TicketState.UNCONFIRMED) for _ in range(3)]
    comparer.ledger.edit(ids[2], updated_at=comparer.now - DAY)
    held, count = list_held(2)
    assert (list(held), count) == ([ids[2], ids[0]], 3)


def test_it_is_due_once_a_night_an_hour_after_retention(ledger: Ledger) -> None:
    night = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)
    assert is_reconcile_due(3, night)
    for ended_at, now, due in (
        (night - MILLISECOND, night - MILLISECOND, False),
        (night - MILLISECOND, night, True),
        (night, night, False),
        (night + HOUR, night + DAY - MILLISECOND, False),
        (night + HOUR, night + DAY, True),
        (night - DAY, night - MILLISECOND, False),
        (night - DAY - MILLISECOND, night - MILLISECOND, True),
    ):
        record_reconciled(Reconciled(), 1.0)
        with connection():
            JobRun.update(last_finished_at=ended_at).execute()
        assert is_reconcile_due(3, now) is due, (ended_at, now)


def test_after_a_retention_at_23_it_is_due_at_midnight(ledger: Ledger) -> None:
    midnight = datetime(2026, 11, 25, tzinfo=UTC)
    record_reconciled(Reconciled(), 1.0)
    with connection():
        JobRun.update(last_finished_at=midnight - HOUR).execute()
    assert not is_reconcile_due(23, midnight - MILLISECOND)
    assert is_reconcile_due(23, midnight)


@pytest.fixture
def night(comparer: Comparer, portal: Portal, store_url: str) -> Iterator[TimetableJobs]:
    """The worker's jobs; what wakes its handle loop stops it, so that no rest is waited for."""
    given = {
        "DATABASE_URL": store_url,
        "HUBSPOT_BASE_URL": portal.url,
        "HUBSPOT_ACCESS_TOKEN": SANDBOX_TOKEN,
        "DISCORD_WEBHOOK_URL": "http://127.0.0.1:9/api/webhooks/1/a",
        "LOCAL_LLM_URL": "http://127.0.0.1:9",
    }
    parts = build_parts(load_settings(given, isolated=True), [], threading.Event())
    runner = JobRunner(Watchdog(lambda: None), Observations())
    lookout = LookOut([], lambda one: one)
    yield TimetableJobs(
        parts,
        "one",
        runner,
        presence=Presence("one"),
        wake=parts.stopping.set,
        lookout=lookout,
        is_well=lambda: True,
    )
    parts.close()


def test_the_nightly_job_proposes_what_is_missing_and_wakes_the_handling(
    night: TimetableJobs, comparer: Comparer, portal: Portal
) -> None:
    missed = comparer.add(HOUR)
    (job,) = [one for one in night.jobs() if one.name == "reconcile"]
    job.run()
    assert comparer.states() == {missed: ("found", "reconcile")}
    assert night.parts.stopping.is_set()
    last = read_reconciled()
    assert last is not None
    assert last.counts.missing == 1
    searches = len(portal.asked)
    job.run()
    assert len(portal.asked) == searches


def test_a_nightly_job_that_meets_a_fault_says_so_and_never_raises(
    night: TimetableJobs, comparer: Comparer, portal: Portal
) -> None:
    portal.access_token = "another"
    (job,) = [one for one in night.jobs() if one.name == "reconcile"]
    job.run()
    with connection():
        assert JobRun.get(JobRun.name == "reconcile").last_result == "SettingsError"
    assert read_reconciled() is None
