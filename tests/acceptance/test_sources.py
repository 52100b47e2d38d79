"""Poll, sweep and webhook inbox together: whoever shows a ticket, it is told once."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from jobs.sandbox.hubspot import SimulatedHubSpot
from jobs.sandbox.serving import Outcome, Request
from models.cursors import Cursor, take_lease
from models.inbox import EventType, WebhookEvent, store_events
from models.tickets import ProcessedTicket
from tests.acceptance.conftest import Bench
from tests.fakes.inbox import ReceivedEvent

HALF_AN_HOUR = timedelta(minutes=30)
LONG_AGO = timedelta(days=400)


@contextmanager
def set_back(hubspot: SimulatedHubSpot, ago: timedelta = timedelta(minutes=1)) -> Iterator[None]:
    """What is done meanwhile was done ``ago``: a look ends with the last whole second of HubSpot's clock."""
    hubspot.clock = lambda: time.time() - ago.total_seconds()
    yield
    hubspot.clock = time.time


def swept(bench: Bench) -> bool:
    """Whether a run looked for changes since this was asked last."""
    made, bench.hubspot.requests = dict(bench.hubspot.requests), type(bench.hubspot.requests)()
    return sum(count for (_, path), count in made.items() if path.endswith("/search")) > 1


def make_sweep_due(bench: Bench) -> None:
    """The last completed sweep began two hours earlier than it did."""
    with bench.ledger():
        (row,) = Cursor.select().where(Cursor.name == "sweep")
        row.looked_until_at -= timedelta(hours=2)
        row.save()


def receive(
    bench: Bench, ticket_ids: list[str], calls: int = 1, event_type: str = EventType.CREATION
) -> None:
    """Put into the inbox what the receiver stores of so many calls about each ticket."""
    portal_id, now = str(bench.hubspot.portal_id), datetime.now(UTC)
    events = [
        ReceivedEvent(portal_id, event_type, one, event_id=str(call), occurred_at=now)
        for one in ticket_ids
        for call in range(calls)
    ]
    with bench.ledger():
        assert store_events(events) == len(events)


def sources(bench: Bench) -> dict[str, str | None]:
    with bench.ledger():
        return {row.ticket_id: row.source for row in ProcessedTicket.select()}


def add_unindexed(bench: Bench, ago: timedelta = HALF_AN_HOUR) -> str:
    """A ticket that HubSpot's search does not show before ``show_all``."""
    bench.hubspot.faults.index_lag_seconds = 3_600
    with set_back(bench.hubspot):
        return bench.hubspot.add_ticket("Late", "How do I export?", created_at=datetime.now(UTC) - ago)


def show_all(bench: Bench) -> None:
    bench.hubspot.faults.index_lag_seconds = 0


def test_a_ticket_that_the_index_showed_too_late_for_the_poll_is_told_by_a_later_runs_sweep(
    bench: Bench,
) -> None:
    late = add_unindexed(bench)
    first = bench.run("run-once", "--json")
    assert (first.code, first.json["found"], first.json["swept"]) == (0, 0, 0)
    show_all(bench)
    second = bench.run("run-once", "--json")
    assert (second.code, second.json["found"], second.json["notified"], second.json["swept"]) == (0, 1, 1, 1)
    assert sources(bench) == {late: "sweep"}
    make_sweep_due(bench)
    third = bench.run("run-once", "--json")
    assert (third.json["found"], third.json["notified"], third.json["swept"]) == (0, 0, 1)
    assert bench.cards_of([late]) == [1]


def test_a_ticket_that_flapped_in_the_index_is_told_by_a_later_runs_sweep(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    created_at = datetime.now(UTC) - HALF_AN_HOUR
    with set_back(bench.hubspot):
        ids = [bench.hubspot.add_ticket(f"A {n}", "How?", created_at=created_at) for n in range(5)]
    bench.hubspot.faults.flapping = frozenset(ids[:2])  # missed by the first search, the poll's
    assert bench.run("run-once", "--json").json["notified"] == 3
    bench.hubspot.faults.flapping = 0.0
    second = bench.run("run-once", "--json")
    assert (second.json["found"], second.json["notified"], second.json["swept"]) == (2, 2, 5)
    assert bench.cards_of(ids) == [1] * 5


def test_a_run_sweeps_when_the_last_one_is_older_than_the_interval(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    bench.run("run-once")
    assert not swept(bench)  # its poll has looked from the activation on
    bench.run("run-once")
    assert swept(bench)
    bench.run("run-once")
    assert not swept(bench)
    make_sweep_due(bench)
    bench.run("run-once", SWEEP_INTERVAL_MINUTES="180")
    assert not swept(bench)
    bench.run("run-once")
    assert swept(bench)


def test_old_tickets_that_were_edited_in_bulk_are_skipped_with_their_reason(bench: Bench) -> None:
    bench.run("run-once", NOTIFY_SINCE="")
    edited = bench.hubspot.add_many(30, created_at=datetime.now(UTC) - LONG_AGO)
    with set_back(bench.hubspot, timedelta(days=1)):
        for one in edited:
            bench.hubspot.touch(one, hs_pipeline_stage="2")
    run = bench.run("run-once", "--json", NOTIFY_SINCE="")
    assert (run.code, run.json["found"], run.json["skipped"], run.json["notified"]) == (0, 30, 30, 0)
    with bench.ledger():
        reasons = {row.reason for row in ProcessedTicket.select()}
    assert reasons == {"before activation"}
    make_sweep_due(bench)
    again = bench.run("run-once", "--json", NOTIFY_SINCE="")
    assert (again.json["swept"], again.json["found"], again.json["skipped"]) == (30, 0, 0)
    assert bench.discord.messages == []


def test_received_events_are_drained_and_told(bench: Bench) -> None:
    bench.run("migrate")
    created, enrolled = add_unindexed(bench), add_unindexed(bench)
    receive(bench, [created])
    receive(bench, [enrolled], event_type=EventType.WORKFLOW)
    receive(bench, ["77"], event_type="deletion")
    run = bench.run("run-once", "--json")
    assert run.code == 0
    counts = {name: run.json[name] for name in ("found", "notified", "drained", "dropped", "set_aside")}
    assert counts == {"found": 2, "notified": 2, "drained": 2, "dropped": 1, "set_aside": 0}
    assert sources(bench) == {created: "webhook", enrolled: "webhook"}
    with bench.ledger():
        assert not WebhookEvent.select().exists()
    second = bench.run("run-once", "--json")
    assert (second.json["drained"], second.json["notified"]) == (0, 0)
    assert bench.cards_of([created, enrolled]) == [1, 1]


def test_one_ticket_by_ten_webhooks_poll_and_sweep_at_once_is_one_card(bench: Bench) -> None:
    bench.run("run-once")
    with set_back(bench.hubspot):
        ids = bench.add(3)
    receive(bench, ids, calls=10)
    run = bench.run("run-once", "--json")
    assert (run.json["found"], run.json["notified"]) == (3, 3)
    assert (run.json["drained"], run.json["swept"]) == (30, 3)
    assert bench.cards_of(ids) == [1] * 3


def test_two_processes_with_all_three_sources_tell_each_ticket_once(postgres_bench: Bench) -> None:
    bench = postgres_bench
    bench.run("run-once")
    with set_back(bench.hubspot):
        ids = bench.add(60)
    receive(bench, ids, calls=10)
    processes = [bench.start("run-once") for _ in range(2)]
    ends = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ends
    assert bench.cards_of(ids) == [1] * len(ids)
    assert set(bench.states().values()) == {"notified"}
    with bench.ledger():
        assert not WebhookEvent.select().exists()


class PickySearch(SimulatedHubSpot):
    """Answers 503 to searches whose body holds ``refused``."""

    refused = ""

    def answer(self, request: Request) -> Outcome:
        search = request.path.endswith("/search")
        self.faults.down = search and self.refused in json.dumps(json.loads(request.body)["filterGroups"])
        return super().answer(request)


def test_a_poll_that_fails_does_not_keep_received_tickets_from_being_told(bench: Bench) -> None:
    bench.run("migrate")
    with PickySearch(search_limit_per_second=None) as hubspot:
        one = hubspot.add_ticket("A", "B", created_at=datetime.now(UTC))
        receive(bench, [one])
        run = bench.run("run-once", "--json", HUBSPOT_BASE_URL=hubspot.url)
    assert (run.code, run.json["found"], run.json["notified"]) == (1, 1, 1)
    assert len(run.error_lines) == 1
    assert "HubSpot answered 503" in run.error_lines[0]
    assert bench.cards_of([one]) == [1]


def test_a_sweep_that_fails_does_not_keep_the_others_tickets_from_being_told(bench: Bench) -> None:
    bench.run("run-once")
    with PickySearch(search_limit_per_second=None) as hubspot:
        hubspot.refused = "hs_lastmodifieddate"
        with set_back(hubspot):
            polled = hubspot.add_ticket("A", created_at=datetime.now(UTC) - timedelta(minutes=2))
            received = hubspot.add_ticket("B", created_at=datetime.now(UTC) - LONG_AGO)
        receive(bench, [received])
        run = bench.run("run-once", "--json", HUBSPOT_BASE_URL=hubspot.url)
        assert (run.code, run.json["notified"]) == (1, 2)
        assert len(run.error_lines) == 1
        hubspot.refused = "no such text"
        healed = bench.run("run-once", "--json", HUBSPOT_BASE_URL=hubspot.url)
    assert (healed.code, healed.json["swept"], healed.json["notified"]) == (0, 2, 0)
    assert bench.cards_of([polled, received]) == [1, 1]


def test_a_sweep_that_another_process_does_is_a_note(sqlite_bench: Bench) -> None:
    sqlite_bench.run("run-once")
    with sqlite_bench.ledger():
        assert take_lease("sweep", "another", 600)
    (one,) = sqlite_bench.add()
    run = sqlite_bench.run("run-once", "--json")
    assert (run.code, run.json["notified"], run.json["swept"]) == (0, 1, 0)
    assert any("sweeping now" in note for note in run.json["notes"])
    assert sqlite_bench.cards_of([one]) == [1]
