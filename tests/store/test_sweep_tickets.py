"""The sweep against a real ledger and the simulated portal over real HTTP."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from jobs.errors import SourceError
from jobs.hubspot.client import HubSpotClient
from jobs.hubspot.gateway import HubSpotGateway
from jobs.propose_pages import Looked, never
from jobs.sandbox.hubspot import SANDBOX_TOKEN
from jobs.sweep_tickets import is_sweep_due, sweep_tickets
from models.cursors import (
    Cursor,
    activate,
    drop_lease,
    has_looked_within,
    lease_is_held,
    move_cursor,
    read_cursor,
    take_lease,
)
from models.database import connection, read_clock
from models.proposals import Proposal, propose
from models.tickets import ProcessedTicket, SkipReason, Source, TicketState
from tests.fakes.portal import Portal, to_milliseconds

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HOURS = 72.0
OVERLAP = timedelta(minutes=15)
CLOSE = timedelta(minutes=1)  # a machine may be busy


class Sweeper:
    """Sweeps with the values that do not matter to a test filled in; the ledger was activated an hour ago."""

    def __init__(self, portal: Portal) -> None:
        self.client = HubSpotClient(portal.url, SANDBOX_TOKEN, sleep=lambda _: None)
        self.opened_at = activate(datetime.now(UTC), to_milliseconds(datetime.now(UTC) - HOUR), OVERLAP)

    def sweep(
        self,
        owner: str = "one",
        *pipelines: str,
        lease_seconds: float = 60,
        worker_clock: datetime | None = None,
        stop: Callable[[], bool] = never,
    ) -> Looked:
        return sweep_tickets(
            HubSpotGateway(self.client, pipelines=pipelines),
            owner,
            lease_seconds=lease_seconds,
            hours=HOURS,
            now=lambda: worker_clock or datetime.now(UTC),
            stop=stop,
        )

    @property
    def looked(self) -> tuple[datetime | None, datetime | None]:
        row = read_cursor("sweep")
        return row.looked_from_at, row.looked_until_at

    @property
    def known(self) -> set[str]:
        with connection():
            return {row.ticket_id for row in ProcessedTicket.select(ProcessedTicket.ticket_id)}


@pytest.fixture
def sweeper(store_url: str, portal: Portal) -> Iterator[Sweeper]:
    sweeper = Sweeper(portal)
    yield sweeper
    sweeper.client.close()
    assert portal.properties <= {"hs_lastmodifieddate"}


def from_filter(value: str) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(value))


def test_the_first_sweep_looks_from_the_activation_less_its_hours(sweeper: Sweeper, portal: Portal) -> None:
    changed = portal.add_changed(3 * DAY)
    portal.add_changed(3 * DAY + 2 * HOUR)
    assert sweeper.sweep() == Looked(found=1, shown=1, searches=1, completed=True)
    assert sweeper.known == set(changed)
    (asked,) = portal.asked
    assert from_filter(asked["GTE"]) == sweeper.opened_at - 3 * DAY


def test_what_was_made_since_the_activation_and_never_changed_is_found(
    sweeper: Sweeper, portal: Portal
) -> None:
    now = datetime.now(UTC)
    portal.clock = lambda: (now - HOUR / 2).timestamp()
    made = portal.add_ticket()
    portal.clock = now.timestamp
    assert sweeper.sweep().found == 1
    with connection():
        (row,) = ProcessedTicket.select()
    assert (row.ticket_id, row.state, row.source) == (made, TicketState.FOUND, "sweep")
    assert abs(row.ticket_created_at - (now - HOUR / 2)) < CLOSE


def test_the_next_sweep_looks_from_where_the_last_began_less_its_hours(
    sweeper: Sweeper, portal: Portal
) -> None:
    sweeper.sweep()
    begun = sweeper.looked[1]
    assert begun is not None
    assert abs(begun - read_clock()) < CLOSE
    sweeper.sweep()
    assert from_filter(portal.asked[1]["GTE"]) == to_milliseconds(begun) - 3 * DAY


def test_a_completed_sweep_stores_its_own_bounds(sweeper: Sweeper, portal: Portal) -> None:
    portal.add_changed(HOUR, count=250)
    sweeper.sweep()
    assert portal.asked[0] == portal.asked[1]
    start, end = sweeper.looked
    assert (from_filter(portal.asked[0]["GTE"]), from_filter(portal.asked[0]["LT"])) == (start, end)


def test_the_bounds_stay_until_the_last_page_is_stored(sweeper: Sweeper, portal: Portal) -> None:
    portal.add_changed(HOUR, count=500)
    seen: list[tuple[tuple[datetime | None, datetime | None], int]] = []
    portal.before_search = lambda _: seen.append((sweeper.looked, len(sweeper.known)))
    sweeper.sweep()
    assert seen == [((None, None), 0), ((None, None), 200), ((None, None), 400)]
    assert None not in sweeper.looked


def test_the_least_of_three_clocks_begins_a_sweep(sweeper: Sweeper, portal: Portal) -> None:
    portal.faults.wrong_date_offset_seconds = -600
    sweeper.sweep()
    begun = sweeper.looked[1]
    assert begun is not None
    assert abs(begun - (read_clock() - timedelta(minutes=10))) < CLOSE
    earlier = to_milliseconds(datetime.now(UTC) - HOUR / 2)
    sweeper.sweep(worker_clock=earlier)
    assert from_filter(portal.asked[1]["LT"]) == earlier
    assert sweeper.looked[1] == begun


def test_a_sweep_that_breaks_off_keeps_what_it_stored_and_is_repeated_whole(
    sweeper: Sweeper, portal: Portal
) -> None:
    made = portal.add_changed(HOUR, count=500)

    def break_off(search: int) -> None:
        portal.faults.down = search >= 2

    portal.before_search = break_off
    with pytest.raises(SourceError, match="503"):
        sweeper.sweep()
    assert sweeper.known == set(made[:200])
    assert sweeper.looked == (None, None)
    assert not lease_is_held("sweep")
    assert is_sweep_due(DAY)
    portal.before_search, portal.faults.down = lambda _: None, False
    assert sweeper.sweep("two") == Looked(found=300, shown=500, searches=3, completed=True)
    assert sweeper.known == set(made)


def test_a_sweep_that_is_stopped_is_repeated_whole(sweeper: Sweeper, portal: Portal) -> None:
    portal.add_changed(HOUR, count=500)
    stopped = sweeper.sweep(stop=lambda: len(portal.asked) == 2)
    assert stopped == Looked(found=400, shown=400, searches=2)
    assert sweeper.looked == (None, None)
    assert not lease_is_held("sweep")
    assert sweeper.sweep() == Looked(found=100, shown=500, searches=3, completed=True)


def test_a_stop_after_the_last_page_is_too_late(sweeper: Sweeper) -> None:
    assert sweeper.sweep(stop=lambda: True).completed


def test_a_sweep_that_another_process_does_is_left_to_it(sweeper: Sweeper, portal: Portal) -> None:
    assert take_lease("sweep", "another", 60)
    assert sweeper.sweep() == Looked(skipped=True)
    assert portal.asked == []
    assert read_cursor("sweep").lease_owner == "another"


def test_a_sweep_that_loses_its_lease_keeps_what_it_found_and_leaves_the_bounds(
    sweeper: Sweeper, portal: Portal
) -> None:
    portal.add_changed(HOUR, count=500)

    def steal(search: int) -> None:
        if search == 3:
            drop_lease("sweep", "one")
            assert take_lease("sweep", "thief", 60)

    portal.before_search = steal
    assert sweeper.sweep() == Looked(found=500, shown=500, searches=3, skipped=True)
    assert sweeper.looked == (None, None)
    assert read_cursor("sweep").lease_owner == "thief"


def test_an_answer_slower_than_the_lease_still_completes(sweeper: Sweeper, portal: Portal) -> None:
    portal.add_changed(HOUR, count=250)
    portal.faults.latency_seconds = 0.6
    assert sweeper.sweep(lease_seconds=0.5).completed
    assert None not in sweeper.looked


def test_the_poll_and_the_sweep_have_leases_of_their_own(sweeper: Sweeper) -> None:
    assert take_lease("poll", "poller", 60)
    assert sweeper.sweep().completed
    assert read_cursor("poll").lease_owner == "poller"
    assert read_cursor("poll").looked_until_at == sweeper.opened_at


def test_known_tickets_stay_as_they_are(sweeper: Sweeper, portal: Portal) -> None:
    (told, gone) = portal.add_changed(HOUR, count=2)
    propose([Proposal(told), Proposal(gone)], Source.POLL)
    with connection():
        ProcessedTicket.update(state=TicketState.NOTIFIED).where(ProcessedTicket.ticket_id == told).execute()
        ProcessedTicket.update(state=TicketState.SKIPPED, reason=SkipReason.GONE).where(
            ProcessedTicket.ticket_id == gone
        ).execute()
    assert sweeper.sweep() == Looked(reopened=1, shown=2, searches=1, completed=True)
    with connection():
        states = {row.ticket_id: row.state for row in ProcessedTicket.select()}
    assert states == {told: TicketState.NOTIFIED, gone: TicketState.FOUND}


def test_pipelines_narrow_the_sweep(sweeper: Sweeper, portal: Portal) -> None:
    portal.add_changed(HOUR, hs_pipeline="7")
    wanted = portal.add_changed(HOUR, hs_pipeline="8")
    assert sweeper.sweep("one", "8").shown == 1
    assert sweeper.known == set(wanted)


def test_a_sweep_is_due_until_one_was_completed_within_the_interval(sweeper: Sweeper) -> None:
    assert is_sweep_due(HOUR)
    assert take_lease("sweep", "another", 60)
    assert is_sweep_due(HOUR)
    drop_lease("sweep", "another")
    sweeper.sweep()
    assert not is_sweep_due(HOUR)
    with connection():
        Cursor.update(looked_until_at=read_clock() - HOUR - CLOSE).where(Cursor.name == "sweep").execute()
    assert is_sweep_due(HOUR)
    assert not is_sweep_due(HOUR + DAY)


def test_where_a_look_began_is_stored_only_together_with_a_higher_end(sweeper: Sweeper) -> None:
    first, second = sweeper.opened_at, sweeper.opened_at + HOUR
    assert take_lease("sweep", "one", 60)
    assert move_cursor("sweep", "one", second, second - DAY)
    assert move_cursor("sweep", "one", first, first - DAY)
    assert not move_cursor("sweep", "two", second + DAY, second)
    assert sweeper.looked == (second - DAY, second)
    assert has_looked_within("sweep", HOUR.total_seconds())
