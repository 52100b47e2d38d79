"""What the ledger's door does with tickets that it may have forgotten, and with creation events."""

from datetime import datetime

import pytest

from jobs.run_report import Result
from models.database import connection
from models.horizon import HeldBack, read_horizon
from models.proposals import Proposal, Proposed, propose
from models.releases import skip_ticket
from models.tickets import ProcessedTicket, SkipReason, Source, TicketState, known_ids
from tests.fakes.hubspot import make_ticket
from tests.fakes.memory import DAY, ago, forget, lay_ticket, left, look, raise_now, write_cursor
from tests.fakes.path import Path, settled_counts
from tests.store.conftest import Ledger

OLD = Proposal("1", ago(30))
OPEN = [TicketState.FOUND, TicketState.CLAIMED, TicketState.RETRY]


@pytest.fixture
def week(ledger: Ledger) -> Ledger:
    """A ledger that remembers seven days, activated a year ago."""
    look()
    raise_now()
    return ledger


@pytest.fixture
def path(week: Ledger) -> Path:
    path = Path(week)
    path.settings = {"activated_at": ago(365), "horizon": read_horizon}
    return path


def tell_and_forget(path: Path, created: float = 30) -> None:
    """Ticket 1 was told then, and retention forgot it."""
    lay_ticket("1", created=created, settled=created)
    assert forget() == []


def event(days: float, ticket_id: str = "1", created_at: datetime | None = None) -> Proposal:
    return Proposal(ticket_id, created_at, ago(days))


def test_old_tickets_edited_in_bulk_after_retention_forgot_them_are_never_told(path: Path) -> None:
    ids = [str(number) for number in range(300)]
    for one in ids[:5]:
        lay_ticket(one, created=30, settled=30)
    assert forget() == []
    swept = propose([Proposal(one, ago(30)) for one in ids], Source.SWEEP)
    assert swept == Proposed(0, 0, 300)
    row = path.ledger.ticket("1")
    assert (row.state, row.reason, row.provider, row.success) == ("skipped", "beyond memory", "none", None)
    assert settled_counts() == {"skipped": 300}
    assert propose([Proposal(one, ago(30)) for one in ids], Source.SWEEP) == Proposed(0, 0, 0)


def test_old_tickets_enrolled_in_a_workflow_again_are_never_told(path: Path) -> None:
    tell_and_forget(path)
    assert propose([Proposal("1")], Source.WEBHOOK) == Proposed(1, 0, 0)
    assert path.handle(ticket=make_ticket("1", created_at=ago(30))).result is Result.SKIPPED
    assert path.ledger.ticket("1").reason == "beyond memory"
    assert path.shown() == [[]]


def test_a_sweep_that_names_the_age_of_a_row_from_a_workflow_does_not_have_it_told(path: Path) -> None:
    tell_and_forget(path)
    propose([Proposal("1")], Source.WEBHOOK)
    propose([OLD], Source.SWEEP)
    assert path.handle(ticket=make_ticket("1", created_at=ago(30))).result is Result.SKIPPED


def test_a_creation_webhook_days_late_overrides_the_horizon(path: Path) -> None:
    assert propose([OLD], Source.SWEEP) == Proposed(0, 0, 1)
    assert propose([event(3.9)], Source.WEBHOOK) == Proposed(0, 1, 0)
    assert path.handle(ticket=make_ticket("1", created_at=ago(30))).result is Result.NOTIFIED
    assert path.shown() == [["1"]]


def test_a_creation_webhook_overrides_activation(path: Path) -> None:
    path.settings["activated_at"] = ago(5)
    propose([Proposal("1", ago(6))], Source.POLL)
    assert path.handle(ticket=make_ticket("1", created_at=ago(6))).result is Result.SKIPPED
    assert path.ledger.ticket("1").reason == "before activation"
    assert propose([event(2)], Source.WEBHOOK) == Proposed(0, 1, 0)
    assert path.handle(ticket=make_ticket("1", created_at=ago(6))).result is Result.NOTIFIED


@pytest.mark.parametrize("first", [True, False])
def test_a_creation_webhook_and_a_sweep_of_a_backdated_ticket_tell_it_in_either_order(
    path: Path, first: bool
) -> None:
    shown = [event(1), OLD] if first else [OLD, event(1)]
    for one in shown:
        propose([one], Source.SWEEP)
    assert path.handle(ticket=make_ticket("1", created_at=ago(30))).result is Result.NOTIFIED


def test_all_that_one_batch_says_of_a_ticket_counts(week: Ledger) -> None:
    assert propose([event(1), OLD, Proposal("1")], Source.WEBHOOK) == Proposed(1, 0, 0)
    row = week.ticket("1")
    assert (row.ticket_created_at is not None, row.creation_event_at is not None) == (True, True)


@pytest.mark.parametrize("days", [4.1, 400])
def test_an_event_too_late_or_from_before_activation_is_a_proposal_like_others(
    week: Ledger, days: float
) -> None:
    assert propose([event(days, created_at=ago(30))], Source.WEBHOOK) == Proposed(0, 0, 1)
    assert propose([event(days, "2")], Source.WEBHOOK) == Proposed(1, 0, 0)
    assert week.ticket("2").creation_event_at is None


def test_an_event_from_before_activation_does_not_count(week: Ledger) -> None:
    write_cursor("ledger", activated_at=ago(1))
    assert propose([event(2, created_at=ago(30))], Source.WEBHOOK) == Proposed(0, 0, 1)


def test_before_the_ledger_was_activated_no_event_counts_and_nothing_is_beyond_memory(
    ledger: Ledger,
) -> None:
    assert propose([event(1), Proposal("2", ago(900))], Source.WEBHOOK) == Proposed(2, 0, 0)
    assert ledger.ticket("1").creation_event_at is None


@pytest.mark.parametrize("reason", SkipReason)
def test_a_creation_event_opens_any_skipped_ticket(week: Ledger, reason: SkipReason) -> None:
    lay_ticket("1", created=30, settled=9, state=TicketState.SKIPPED, reason=reason, provider="none")
    assert propose([event(1)], Source.WEBHOOK) == Proposed(0, 1, 0)
    row = week.ticket("1")
    assert (row.state, row.reason, row.provider) == ("found", None, None)
    assert row.creation_event_at is not None
    assert abs(row.processed_at - ago(0)) < DAY, "found again now"


@pytest.mark.parametrize("state", [TicketState.NOTIFIED, TicketState.UNCONFIRMED])
def test_a_creation_event_changes_nothing_of_a_told_or_held_ticket(week: Ledger, state: TicketState) -> None:
    lay_ticket("1", created=1, settled=1, state=state)
    before = week.ticket("1").updated_at
    assert propose([event(1, created_at=ago(1))], Source.WEBHOOK) == Proposed(0, 0, 0)
    assert (week.ticket("1").state, week.ticket("1").updated_at) == (state, before)


def test_a_merged_ticket_remembers_a_creation_event_once_and_stays_merged(week: Ledger) -> None:
    lay_ticket("1", created=None, settled=1, state=TicketState.MERGED, merged_into="2")
    assert propose([event(1)], Source.WEBHOOK) == Proposed(0, 0, 0, late_parts=1)
    row = week.ticket("1")
    assert (row.state, row.merged_into) == ("merged", "2")
    assert row.creation_event_at is not None
    for shown in (event(1), Proposal("1", ago(1))):
        assert propose([shown], Source.WEBHOOK) == Proposed(0, 0, 0)
    assert week.ticket("1").updated_at == row.updated_at


@pytest.mark.parametrize("state", OPEN)
def test_an_open_ticket_learns_when_it_was_created_and_told_of(week: Ledger, state: TicketState) -> None:
    lay_ticket("1", created=None, state=state)
    assert propose([event(1, created_at=ago(2))], Source.POLL) == Proposed(0, 0, 0)
    row = week.ticket("1")
    assert row.state == state
    assert abs(row.ticket_created_at - ago(2)) < DAY / 1000
    assert abs(row.creation_event_at - ago(1)) < DAY / 1000


def test_a_known_time_is_not_overwritten_and_nothing_is_written(week: Ledger) -> None:
    propose([event(1, created_at=ago(2))], Source.POLL)
    before = [week.ticket("1").updated_at, physical_place()]
    propose([event(0.5, created_at=ago(3)), Proposal("1")], Source.POLL)
    assert [week.ticket("1").updated_at, physical_place()] == before


def physical_place() -> object:
    """PostgreSQL moves a row with every write, and marks it with every lock."""
    from models.database import database, on_postgres

    if not on_postgres():
        return None
    with connection():
        return database.execute_sql("SELECT ctid, xmin, xmax FROM processed_tickets").fetchone()


def test_a_row_skipped_as_gone_and_shown_again_while_it_still_exists_is_told(path: Path) -> None:
    propose([Proposal("1", ago(6))], Source.POLL)
    taken = path.ledger.claim("1")
    assert skip_ticket(taken, SkipReason.GONE, None)
    write_cursor("ledger", horizon_at=ago(4.5))
    assert propose([Proposal("1", ago(6))], Source.SWEEP) == Proposed(0, 1, 0)
    assert path.handle(ticket=make_ticket("1", created_at=ago(6))).result is Result.NOTIFIED


def test_a_ticket_that_waited_longer_than_memory_is_told(path: Path) -> None:
    propose([Proposal("1", ago(6))], Source.POLL)
    write_cursor("ledger", horizon_at=ago(1))
    assert path.handle(ticket=make_ticket("1", created_at=ago(6))).result is Result.NOTIFIED


def test_an_event_that_comes_while_the_ticket_is_being_skipped_is_not_lost(path: Path) -> None:
    propose([Proposal("1")], Source.WEBHOOK)
    taken = path.ledger.claim("1")
    propose([event(1)], Source.WEBHOOK)
    assert not skip_ticket(taken, SkipReason.BEYOND_MEMORY, ago(30))
    assert path.state() == "found"
    assert path.handle(ticket=make_ticket("1", created_at=ago(30))).result is Result.NOTIFIED


def test_a_ticket_of_another_pipeline_stays_untold_whatever_event_names_it(path: Path) -> None:
    propose([event(1)], Source.WEBHOOK)
    there = make_ticket("1", created_at=ago(1), pipeline="8")
    assert path.handle(ticket=there, pipelines=frozenset({"7"})).result is Result.SKIPPED
    assert path.ledger.ticket("1").reason == "other pipeline"


def test_a_worker_down_for_ten_days_loses_nothing(path: Path) -> None:
    look(polled=10)
    write_cursor("ledger", horizon_at=ago(17))
    assert raise_now().held_by is HeldBack.POLL
    forget()
    missed = [Proposal(str(day), ago(day)) for day in range(1, 11)]
    assert propose(missed, Source.POLL) == Proposed(10, 0, 0)
    assert path.handle("10", ticket=make_ticket("10", created_at=ago(10))).result is Result.NOTIFIED


def test_a_held_ticket_is_remembered_however_long_a_person_takes(path: Path) -> None:
    lay_ticket("1", created=50, settled=50, state=TicketState.UNCONFIRMED)
    write_cursor("ledger", horizon_at=ago(60))
    assert raise_now().held_by is HeldBack.HELD_TICKET
    assert forget() == ["1"]
    assert propose([Proposal("2", ago(45))], Source.SWEEP) == Proposed(1, 0, 0), (
        "created after it: remembered"
    )


def test_what_is_beyond_memory_is_itself_forgotten_and_still_not_told(path: Path) -> None:
    propose([OLD], Source.SWEEP)
    path.ledger.edit("1", processed_at=ago(8))
    assert forget() == []
    assert propose([OLD], Source.SWEEP) == Proposed(0, 0, 1)
    assert left() == ["1"]


def test_ten_thousand_old_tickets_enter_at_once(week: Ledger) -> None:
    many = [Proposal(str(number), ago(30 if number % 2 else 1)) for number in range(10_000)]
    assert propose(many, Source.SWEEP) == Proposed(5000, 0, 5000)
    assert len(known_ids([one.ticket_id for one in many[:500]])) == 500
    with connection():
        assert ProcessedTicket.select().where(ProcessedTicket.state == "skipped").count() == 5000
