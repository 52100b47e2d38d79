"""``reconcile`` in a process of its own: what every source missed, and a ledger that was restored or lost."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from models.cursors import Cursor
from models.deliveries import Delivery
from models.proposals import Proposal, propose
from models.tickets import ProcessedTicket, Source
from tests.acceptance.conftest import Bench, Finished
from tests.acceptance.test_discord_bot import by_bot
from tests.acceptance.test_sources import add_unindexed, show_all, sources
from tests.conftest import use_clients, with_server

NEVER_SWEEPS = {"SWEEP_INTERVAL_MINUTES": "1440"}


def one_line(run: Finished, code: int, *words: str) -> None:
    assert run.code == code
    assert len(run.error_lines) == 1, run.err
    assert all(word in run.error_lines[0] for word in words), run.error_lines


def sweep_now(bench: Bench) -> None:
    """The first sweep is over, and with ``NEVER_SWEEPS`` it was the last."""
    bench.run("run-once")
    bench.run("run-once")


def test_what_the_index_showed_too_late_for_every_source_is_found_and_told_once(bench: Bench) -> None:
    sweep_now(bench)
    (told,) = bench.add()
    assert bench.run("run-once", "--json", **NEVER_SWEEPS).json["notified"] == 1
    late = add_unindexed(bench)
    for shown in (False, True):
        if shown:
            show_all(bench)
        assert bench.run("run-once", "--json", **NEVER_SWEEPS).json["found"] == 0
    compared = bench.run("reconcile", "--json")
    assert (compared.code, compared.json["missing"], compared.json["told"]) == (1, 1, 1)
    assert compared.json["line"] == "2 in HubSpot = 1 told + 0 held + 0 open, 1 missing, proposed"
    assert compared.json["missing_tickets"] == [late]
    health = bench.run("health", "--json")
    assert "1 missing, proposed" in " ".join(health.json["warnings"])
    run = bench.run("run-once", "--json", **NEVER_SWEEPS)
    assert (run.code, run.json["notified"]) == (0, 1)
    again = bench.run("reconcile")
    assert again.code == 0
    assert again.out.startswith("2 in HubSpot = 2 told + 0 held + 0 open, 0 missing\ncreated from 2000-01-01")
    assert bench.cards_of([told, late]) == [1, 1]
    assert sources(bench) == {told: "poll", late: "reconcile"}
    assert "2 told" in bench.run("health").out


def test_held_tickets_are_listed_and_end_with_1(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    bench.add(2)
    bench.run("run-once")
    one, _ = bench.states()
    with bench.ledger():
        ProcessedTicket.update(state="unconfirmed").where(ProcessedTicket.ticket_id == one).execute()
    compared = bench.run("reconcile")
    assert compared.code == 1
    assert compared.out.startswith("2 in HubSpot = 1 told + 1 held + 0 open, 0 missing\n")
    assert f"held: {one}; python main.py tickets" in compared.out


def test_a_refused_token_or_anothers_ledger_is_one_line(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    bench.run("run-once")
    one_line(bench.run("reconcile", HUBSPOT_ACCESS_TOKEN="another"), 2, "HUBSPOT_ACCESS_TOKEN")
    bench.hubspot.portal_id = 42
    one_line(bench.run("reconcile"), 2, "belongs to HubSpot portal")


def test_times_that_are_none_and_a_ledger_without_a_past_are_one_line(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    one_line(bench.run("reconcile", "--since", "yesterday"), 2, "--since: is not a time in ISO-8601", "write")
    one_line(bench.run("reconcile", "--since", "2999-01-01"), 2, "--since: lies in the future")
    one_line(bench.run("reconcile", "--restored-at", "noon"), 2, "--restored-at: is not a time", "or now")
    one_line(bench.run("reconcile"), 2, "migrate deploy")
    bench.run("migrate")
    one_line(bench.run("reconcile"), 2, "never used", "run-once")
    without = {"NOTIFY_SINCE": ""}
    one_line(bench.run("reconcile", "--restored-at", "now", **without), 2, "never used", "set NOTIFY_SINCE")
    one_line(bench.run("reconcile", "--restored-at", "2026-01-01"), 2, "--restored-at", "write now")
    bench.run("run-once")
    one_line(bench.run("reconcile", "--restored-at", "2999-01-01"), 2, "--restored-at:", "the future")
    one_line(bench.run("reconcile", "--restored-at", "1999-12-31"), 2, "--restored-at:", "activation")
    error = bench.run("reconcile", "--since", "x", "--json")
    assert (error.code, list(error.json)) == (2, ["error"])
    with bench.ledger():
        assert Cursor.get_by_id("ledger").restored_at is None


@dataclass(frozen=True)
class Backup:
    """A copy of the bench's database, and how to put it in the place of what came after it."""

    make: Callable[[], object]
    restore: Callable[[], object]


def empty_database(bench: Bench) -> None:
    url = bench.env["DATABASE_URL"]
    if url.startswith("sqlite"):
        for left in bench.folder.glob("triage.db*"):
            left.unlink()
    else:
        with_server(url, "DROP SCHEMA public CASCADE")
        with_server(url, "CREATE SCHEMA public")


@pytest.fixture
def backup(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Backup:
    """By the verbs; what came after the backup is lost with the database."""
    use_clients(monkeypatch)
    file = bench.folder / "ledger.backup"

    def make() -> None:
        assert bench.run("backup", str(file), PATH=os.environ["PATH"]).code == 0

    def restore() -> None:
        empty_database(bench)
        finished = bench.run("restore", str(file), PATH=os.environ["PATH"])
        assert finished.code == 0, finished.err
        assert "reconcile --restored-at now" in finished.out

    return Backup(make, restore)


@dataclass(frozen=True)
class Restored:
    """Tickets told before the backup, open in it, and created after it; each was told once in all."""

    before: list[str]
    left_open: list[str]
    gap: list[str]

    @property
    def in_doubt(self) -> list[str]:
        return [*self.left_open, *self.gap]

    @property
    def every(self) -> list[str]:
        return [*self.before, *self.in_doubt]


@pytest.fixture
def restored(bench: Bench, backup: Backup) -> Restored:
    """A ledger that went on telling after its backup was made, and is that backup again."""
    before = bench.add(2)
    assert bench.run("run-once").code == 0
    left_open = bench.add(2, "Left open")
    with bench.ledger():  # one was never tried, one certainly not sent
        propose([Proposal(one, datetime.now(UTC) - timedelta(minutes=2)) for one in left_open], Source.POLL)
        Delivery.insert(ticket_id=left_open[0], channel="discord", state="pending", attempts=1).execute()
    backup.make()
    gap = bench.add(10, "Of the gap")
    assert bench.run("run-once", "--json").json["notified"] == 12
    told = Restored(before, left_open, gap)
    assert bench.cards_of(told.every) == [1] * 14
    backup.restore()
    assert set(bench.states()) == {*before, *left_open}
    return told


def test_what_was_told_after_the_backup_is_held_and_not_told_again(bench: Bench, restored: Restored) -> None:
    barrier = bench.run("reconcile", "--restored-at", "now")
    assert barrier.code == 0
    assert "the ledger counts as restored at" in barrier.out
    assert "12 of these were created before the restore: the next run holds them" in barrier.out
    run = bench.run("run-once", "--json")
    assert (run.code, run.json["notified"], run.json["unconfirmed"]) == (1, 0, 12)
    for policy in ("hold", "resend"):
        bench.make_due()
        assert bench.run("run-once", "--json", UNCONFIRMED_POLICY=policy).json["notified"] == 0
    assert bench.cards_of(restored.every) == [1] * 14
    states = bench.states()
    assert {one for one, state in states.items() if state == "unconfirmed"} == set(restored.in_doubt)
    assert {states[one] for one in restored.before} == {"notified"}
    notices = [message.content or "" for message in bench.discord.messages if not message.embeds]
    assert ["Held after a restore: 12 cards" in notice for notice in notices] == [True]
    compared = bench.run("reconcile", "--json")
    assert (compared.code, compared.json["told"], compared.json["held"]) == (1, 2, 12)
    assert set(compared.json["held_tickets"]) == set(restored.in_doubt)
    listed = bench.run("tickets", "--state", "unconfirmed", "--json").json["tickets"]
    assert {one["ticket_id"] for one in listed} == set(restored.in_doubt)


def test_a_person_releases_them_and_later_tickets_are_told_as_ever(bench: Bench, restored: Restored) -> None:
    there, (lost,) = restored.gap[0], bench.add(1, "Never told")
    bench.run("reconcile", "--restored-at", "now")
    assert bench.run("run-once", "--json").json["unconfirmed"] == 13
    assert bench.run("confirm", there).code == 0
    assert bench.run("resend", lost).code == 0
    later = bench.hubspot.add_ticket("Later", "How do I export?")
    time.sleep(1.1)  # a look ends with the last whole second of HubSpot's clock
    run = bench.run("run-once", "--json")
    assert (run.json["notified"], run.json["unconfirmed"]) == (2, 11)
    states = bench.states()
    assert [states[one] for one in (there, lost, later)] == ["notified"] * 3
    assert bench.cards_of([*restored.every, lost, later]) == [1] * 16
    with bench.ledger():
        assert ProcessedTicket.get(ProcessedTicket.ticket_id == there).provider == "none"


def test_the_barrier_is_written_while_hubspot_is_away_and_only_rises(
    sqlite_bench: Bench,
) -> None:
    bench = sqlite_bench
    bench.run("run-once")
    bench.hubspot.faults.down = True
    moment = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
    away = bench.run("reconcile", "--restored-at", moment.isoformat())
    one_line(away, 1, "HubSpot answered 503")
    assert "the ledger counts as restored at" in away.out
    bench.hubspot.faults.down = False
    earlier = bench.run("reconcile", "--json", "--restored-at", (moment - timedelta(hours=1)).isoformat())
    assert "already" in earlier.err
    assert earlier.json["restored_at"] == moment.isoformat(timespec="milliseconds")


def test_a_dry_run_shows_no_card_that_a_run_would_hold(bench: Bench, restored: Restored) -> None:
    bench.run("reconcile", "--restored-at", "now")
    with bench.ledger():  # as before reconcile proposed what the backup lacks
        ProcessedTicket.delete().where(ProcessedTicket.ticket_id.in_(restored.gap)).execute()
    dry = bench.run("run-once", "--dry-run", "--json")
    assert (dry.cards, dry.json["found"]) == (0, 10)
    assert any("10 of them were created before the restore" in note for note in dry.json["notes"])


@dataclass(frozen=True)
class Lost:
    """Tickets that were told, and those of the outage, when the ledger was gone with all its backups."""

    told: list[str]
    of_the_outage: list[str]

    @property
    def every(self) -> list[str]:
        return [*self.told, *self.of_the_outage]


def lose_ledger(bench: Bench) -> Lost:
    told = bench.add(12)
    assert bench.run("run-once", "--json").json["notified"] == 12
    empty_database(bench)
    return Lost(told, bench.add(3, "Of the outage"))


def start_afresh(bench: Bench) -> Finished:
    """What docs/database.md says; the bench's NOTIFY_SINCE lies before all of it."""
    assert bench.run("migrate", "deploy").code == 0
    barrier = bench.run("reconcile", "--restored-at", "now")
    assert (barrier.code, "15 in HubSpot = 0 told + 0 held + 15 open" in barrier.out) == (0, True)
    assert "the ledger counts as restored at" in barrier.out
    return bench.run("run-once", "--json")


def test_a_fresh_start_after_the_loss_of_everything_tells_nothing_twice_on_a_webhook(bench: Bench) -> None:
    lost = lose_ledger(bench)
    run = start_afresh(bench)
    assert (run.code, run.json["notified"], run.json["unconfirmed"]) == (1, 0, 15)
    assert bench.cards_of(lost.every) == [1] * 12 + [0] * 3
    for ticket in lost.told:
        assert bench.run("confirm", ticket).code == 0
    for ticket in lost.of_the_outage:
        assert bench.run("resend", ticket).code == 0
    later = bench.hubspot.add_ticket("Later", "How do I export?")
    time.sleep(1.1)
    assert bench.run("run-once", "--json").json["notified"] == 4
    assert bench.cards_of([*lost.every, later]) == [1] * 16


def test_a_fresh_start_with_a_bot_is_decided_by_what_its_channel_tells(bench: Bench) -> None:
    by_bot(bench)
    lost = lose_ledger(bench)
    run = start_afresh(bench)
    assert (run.code, run.json["notified"], run.json["unconfirmed"]) == (0, 15, 0)
    assert bench.cards_of(lost.every) == [1] * 15
    assert [message for message in bench.discord.messages if not message.embeds] == [], "nobody was asked"


def test_a_ledger_in_use_is_no_fresh_start(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    bench.run("run-once", NOTIFY_SINCE="")
    with bench.ledger():
        activated_at = Cursor.get_by_id("ledger").activated_at
    assert bench.run("reconcile", "--restored-at", "now").code == 0
    with bench.ledger():
        ledger = Cursor.get_by_id("ledger")
    assert ledger.activated_at == activated_at
    assert ledger.restored_at > activated_at


def test_a_worker_that_was_first_on_the_empty_ledger_is_named(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    bench.run("run-once", NOTIFY_SINCE="")
    asked = bench.run("reconcile", "--restored-at", "now")
    assert "warning: this ledger opened itself at" in asked.err
    assert "empty the database" in asked.err


def test_what_is_decided_while_hubspots_clock_is_ahead_is_decided(bench: Bench) -> None:
    """The barrier lies in the database's future then, and a decision of now counts all the same."""
    by_bot(bench)
    lost = lose_ledger(bench)
    bench.hubspot.faults.wrong_date_offset_seconds = 300
    run = start_afresh(bench)
    assert (run.code, run.json["notified"], run.json["unconfirmed"]) == (0, 15, 0)
    assert bench.cards_of(lost.every) == [1] * 15
    with bench.ledger():
        assert max(row.attempts for row in ProcessedTicket.select()) <= 2
