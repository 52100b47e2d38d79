"""What becomes of merged tickets that were told on different channels, days later or after a restore."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobs.name_held_tickets import name_held_tickets
from jobs.run_report import Result
from models.database import database
from models.horizon import read_horizon
from models.merges import Merge, join_parts, join_shown
from models.proposals import Proposal, propose
from models.sends import record_sent
from models.switches import lift_pause
from models.tickets import Source
from tests.fakes.channel import (
    DIES_AFTER_SHOWING,
    NOT_SENT,
    UNKNOWN,
    UNKNOWN_BUT_SHOWN,
    FakeChannel,
    ProcessDied,
)
from tests.fakes.hubspot import make_ticket
from tests.fakes.memory import ago, forget, look, write_cursor
from tests.fakes.path import Path
from tests.store.conftest import CREATED, Ledger
from tests.store.test_part_cards import CHANNELS, ONE, OTHER, Channels, became, join, remembering

MERGE = Merge("3", ("1", "2"), CREATED)


@pytest.fixture
def channels(ledger: Ledger) -> Channels:
    return Channels(ledger)


def miss(path: Path, ticket_id: str) -> Result:
    """HubSpot has not known it for a day."""
    path.let_time_pass(ticket_id)
    path.ledger.edit(ticket_id, missing_since_at=path.clock.now() - timedelta(hours=25))
    return path.handle_missing(ticket_id).result


def be_told_late(channels: Channels) -> None:
    """1 is told on one channel; 2, on its way to the other as they become one, arrives there."""
    channels.other.script = [NOT_SENT]
    channels.path.handle("1")
    channels.path.ledger.begin(channels.path.ledger.claim("2", "two"), OTHER)
    join()
    record_sent("2", OTHER, CHANNELS, "m", "here")


def let_weeks_pass(path: Path) -> list[str]:
    """The ids that are remembered; of what 1 is part of, or was, all was created before the horizon."""
    look()
    for one in ("1", "2", "3"):
        created = ago(20 if one == "1" else 30)
        path.ledger.edit(one, ticket_created_at=created, created_at=ago(20), processed_at=ago(9))
    path.settings |= {"activated_at": ago(365), "horizon": read_horizon}
    return forget()


def test_a_gone_ticket_was_told_what_its_parts_were(channels: Channels) -> None:
    be_told_late(channels)
    assert miss(channels.path, "1") is Result.RETRYING
    assert channels.handle() is Result.NOTIFIED
    assert channels.path.shown() == [["1"], []]


def test_a_gone_ticket_does_not_go_on_where_a_forgotten_part_was_told(channels: Channels) -> None:
    path = channels.path
    be_told_late(channels)
    path.ledger.edit("1", state="skipped", reason="gone")
    assert let_weeks_pass(path) == ["1"]
    propose([Proposal("3", ago(30))], Source.SWEEP)
    join_shown([Merge("3", ("1", "2"), ago(30))], Source.SWEEP)
    assert path.state("1") == "skipped"


def test_a_gone_ticket_does_not_go_on_beside_one_that_was_told_and_forgotten(channels: Channels) -> None:
    """HubSpot's new ticket has the age of 2, which nobody remembers."""
    path = remembering(channels)
    propose([Proposal("1", ago(1))], Source.POLL)
    channels.other.script = [NOT_SENT]
    path.handle("1", make_ticket("1", created_at=ago(1)))
    assert miss(path, "1") is Result.SKIPPED
    propose([Proposal("3", ago(20))], Source.SWEEP)
    join_shown([Merge("3", ("1", "2"), ago(20))], Source.SWEEP)
    assert path.state("1") == "skipped"


def test_a_read_of_before_the_merge_is_behind_the_barrier(channels: Channels) -> None:
    """1 is younger than the restore; 2, which became part of it, may have been told before that."""
    path, now = remembering(channels), datetime.now(UTC)
    write_cursor("ledger", restored_at=now - timedelta(hours=1))
    young = now - timedelta(minutes=10)
    propose([Proposal("2", now - timedelta(hours=5)), Proposal("1", young)], Source.POLL)
    channels.other.script = [NOT_SENT]
    read = make_ticket("1", created_at=young)
    assert path.handle("1", read).result is Result.RETRYING
    path.let_time_pass("1")
    join()
    assert path.handle("1", read).result is Result.HELD
    assert channels.other.shown == []


def test_a_gone_parts_resend_is_the_groups(ledger: Ledger) -> None:
    channel = FakeChannel("console", UNKNOWN_BUT_SHOWN)
    path = Path(ledger, channel)
    path.settings = {"resend_unknown": True}
    ledger.find("1", "2")
    assert path.handle("2").result is Result.RETRYING
    lift_pause("console", "")
    assert miss(path, "2") is Result.SKIPPED
    join_parts(MERGE, Source.WEBHOOK)
    channel.script = [UNKNOWN_BUT_SHOWN]
    path.handle("3", became("3"))
    assert path.state("3") == "unconfirmed"


def test_a_parts_resend_is_remembered_while_its_ticket_is_open(channels: Channels) -> None:
    path = channels.path
    path.settings = {"resend_unknown": True}
    channels.tell_apart(UNKNOWN_BUT_SHOWN)
    lift_pause(OTHER, "")
    join()
    assert "2" in let_weeks_pass(path)
    channels.other.script = [UNKNOWN_BUT_SHOWN]
    channels.handle()
    assert path.state("1") == "unconfirmed"


def test_a_crashed_send_is_no_doubt_where_a_part_was_told(channels: Channels) -> None:
    ledger = channels.path.ledger
    taken = ledger.claim("1", "one")
    ledger.begin(taken, ONE)
    record_sent("1", ONE, CHANNELS, "m", "here")
    ledger.begin(taken, OTHER)
    channels.one.script = [NOT_SENT]
    assert channels.path.handle("2").result is Result.RETRYING
    join()
    assert channels.handle() is Result.RETRYING
    assert channels.handle() is Result.NOTIFIED
    assert channels.path.shown() == [[], ["2"]]


def test_a_parts_late_card_ends_a_hold_once_a_search_shows_the_merge(channels: Channels) -> None:
    path = channels.path
    channels.other.script = [UNKNOWN]
    assert path.handle("1").result is Result.HELD
    lift_pause(OTHER, "")
    path.ledger.begin(path.ledger.claim("2", "two"), OTHER)
    join()
    record_sent("2", OTHER, CHANNELS, "m", "here")
    join_shown([MERGE], Source.POLL)
    assert channels.handle() is Result.NOTIFIED
    assert path.shown() == [["1"], []]


def test_a_search_that_shows_a_merge_again_writes_nothing(channels: Channels) -> None:
    ledger = channels.path.ledger
    channels.other.script = [NOT_SENT]
    channels.path.handle("1")
    ledger.begin(ledger.claim("2", "two"), OTHER)
    join()
    ledger.edit("1", updated_at=CREATED)
    join_shown([MERGE], Source.POLL)
    assert ledger.ticket("1").updated_at == CREATED


@pytest.mark.parametrize("written_ahead", [True, False])
def test_a_gone_part_brings_nobody_back_who_was_told_and_forgotten(
    channels: Channels, written_ahead: bool
) -> None:
    path = remembering(channels)
    propose([Proposal("1", ago(1))], Source.POLL)
    if written_ahead:
        channels.one.script, channels.other.script = [NOT_SENT], [NOT_SENT]
        assert path.handle("1", make_ticket("1", created_at=ago(1))).result is Result.RETRYING
    assert miss(path, "1") is Result.SKIPPED
    propose([Proposal("3", ago(20))], Source.SWEEP)
    join_shown([Merge("3", ("1", "2"), ago(20))], Source.SWEEP)
    assert path.state("3") == "skipped"


def test_a_part_in_doubt_that_joins_a_named_ticket_is_named(ledger: Ledger) -> None:
    channel = FakeChannel("console", UNKNOWN)
    path = Path(ledger, channel)
    ledger.find("1", "2")
    assert path.handle("2").result is Result.HELD
    lift_pause("console", "")
    assert name_held_tickets(channel, lambda one: f"link {one}") == 1
    channel.script = [DIES_AFTER_SHOWING]
    with pytest.raises(ProcessDied):
        path.handle("1")
    path.let_time_pass("1")
    path.handle("1", became("1"))
    for named in (1, 0):
        join_shown([MERGE], Source.POLL)
        assert name_held_tickets(channel, lambda one: f"link {one}") == named
    assert channel.announced[1].endswith("- #2 <link 2> or the card of #1, #3")


def test_a_merge_of_what_a_restore_holds_writes_nothing_when_it_is_repeated(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HubSpot names a part that is none in the ledger."""
    path = Path(ledger, FakeChannel("console", UNKNOWN))
    write_cursor("ledger", activated_at=ago(365), restored_at=CREATED - timedelta(hours=1))
    ledger.find("1", "2")
    assert path.handle("1").result is Result.HELD
    ledger.edit("2", state="skipped", reason="before activation")
    join_parts(MERGE, Source.WEBHOOK)
    written: list[str] = []
    execute = database.obj.execute_sql

    def spy(sql: str, *args: Any, **known: Any) -> Any:
        cursor = execute(sql, *args, **known)
        written.extend([sql] if sql.startswith("UPDATE") and cursor.rowcount else [])
        return cursor

    monkeypatch.setattr(database.obj, "execute_sql", spy)
    join_parts(MERGE, Source.WEBHOOK)
    assert written == []
