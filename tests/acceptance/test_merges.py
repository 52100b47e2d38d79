"""Tickets that HubSpot merged, by every way in which a run or a worker comes to know of it (rule 11)."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from jobs.sandbox.arrivals import call_webhook, creation_event
from models.inbox import EventType, store_events
from models.proposals import Proposal, propose
from models.tickets import Source
from tests.acceptance.conftest import Bench
from tests.acceptance.test_sources import LONG_AGO, make_sweep_due, receive, set_back
from tests.acceptance.worker import Running, wait_until, worker
from tests.fakes.inbox import ReceivedEvent

BLIND = {"POLL_INTERVAL_SECONDS": "3600", "SWEEP_INTERVAL_MINUTES": "1000"}


def merge(bench: Bench, one: str, other: str) -> str:
    """As an agent does it, a minute ago."""
    with set_back(bench.hubspot):
        return bench.hubspot.merge(one, other)


def hide_from_search(bench: Bench) -> None:
    bench.hubspot.faults.index_lag_seconds = 86_400


def run(bench: Bench, **env: str) -> dict[str, Any]:
    finished = bench.run("run-once", "--json", **env)
    assert finished.code == 0, finished.err
    return finished.json


def counts(report: dict[str, Any]) -> tuple[int, int, int]:
    return report["found"], report["merged"], report["notified"]


def receive_merge(bench: Bench, became: str, *parts: str) -> None:
    """What the receiver stores of a merge webhook."""
    told = ReceivedEvent(
        str(bench.hubspot.portal_id),
        EventType.MERGE,
        became,
        occurred_at=datetime.now(UTC),
        merged_ids=parts,
    )
    with bench.ledger():
        assert store_events([told]) == 1


def test_a_part_that_is_read_when_it_is_another_ticket_already_is_told_as_that(bench: Bench) -> None:
    """Read alone: no search shows the new ticket, and no webhook tells of the merge."""
    bench.run("migrate")
    one, two = bench.add(2)
    receive(bench, [one])
    became = merge(bench, one, two)
    hide_from_search(bench)
    assert counts(run(bench)) == (1, 1, 1)
    assert bench.cards_of([one, two, became]) == [0, 0, 1]
    assert bench.states() == {one: "merged", two: "merged", became: "notified"}
    receive(bench, [one, two, became])
    assert counts(run(bench)) == (0, 0, 0)


def test_a_poll_that_shows_what_a_told_ticket_became_tells_nobody_again(bench: Bench) -> None:
    one, two = bench.add(2)
    assert counts(run(bench)) == (2, 0, 2)
    three = bench.add(1)[0]
    became = merge(bench, one, three)
    assert counts(run(bench)) == (1, 1, 0)
    assert bench.cards_of([one, two, three, became]) == [1, 1, 0, 0]
    last = merge(bench, became, two)
    assert counts(run(bench)) == (1, 1, 0), "both were told before: no third card"
    assert bench.cards_of([one, two, became, last]) == [1, 1, 0, 0]
    told = bench.run("tickets", "--state", "merged", "--json").json["tickets"]
    assert {row["ticket_id"]: row["merged_into"] for row in told} == {three: became, became: one, last: one}
    stats = bench.run("stats", "--json").json
    assert (stats["total"], stats["by_state"]) == (2, {"merged": 3, "notified": 2})


def test_a_dry_run_leaves_out_what_became_of_a_told_ticket(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    (told,) = bench.add()
    run(bench)
    one, two, three = bench.add(3)
    merge(bench, told, one)
    merge(bench, two, three)
    dry = bench.run("run-once", "--dry-run", "--json")
    assert (dry.code, dry.json["found"], dry.cards) == (0, 2, 1)
    assert any("merged from a ticket that was told" in note for note in dry.json["notes"])


def test_a_sweep_that_shows_a_told_ticket_as_part_of_a_much_older_one_tells_nobody(
    sqlite_bench: Bench,
) -> None:
    bench = sqlite_bench
    (new,) = bench.add()
    run(bench, NOTIFY_SINCE="")
    with set_back(bench.hubspot):
        old = bench.hubspot.add_ticket("Old", created_at=datetime.now(UTC) - LONG_AGO)
    became = merge(bench, old, new)
    report = run(bench, NOTIFY_SINCE="")
    assert (counts(report), report["swept"]) == ((1, 1, 0), 1)
    assert bench.cards_of([old, new, became]) == [0, 1, 0]


def test_a_sweep_that_shows_an_open_ticket_as_part_of_a_much_older_one_has_it_told(
    sqlite_bench: Bench,
) -> None:
    """HubSpot gives the new ticket the old one's creation time."""
    bench = sqlite_bench
    run(bench, NOTIFY_SINCE="")
    (new,) = bench.add()
    with bench.ledger():
        assert propose([Proposal(new, datetime.now(UTC))], Source.POLL).found == 1
    with set_back(bench.hubspot):
        old = bench.hubspot.add_ticket("Old", created_at=datetime.now(UTC) - LONG_AGO)
    became = merge(bench, old, new)
    assert counts(run(bench, NOTIFY_SINCE="")) == (1, 1, 1)
    assert bench.cards_of([old, new, became]) == [0, 0, 1]


def test_merges_of_tickets_from_before_the_ledger_are_no_news_to_a_sweep(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    run(bench, NOTIFY_SINCE="")
    with set_back(bench.hubspot, timedelta(hours=2)):
        old = bench.hubspot.add_many(6, created_at=datetime.now(UTC) - LONG_AGO)
        became = [bench.hubspot.merge(old[at], old[at + 1]) for at in (0, 2, 4)]
    for expected in ((3, 0, 0), (0, 0, 0)):
        assert counts(run(bench, NOTIFY_SINCE="")) == expected
        make_sweep_due(bench)
    assert [bench.states()[one] for one in became] == ["skipped"] * 3
    assert bench.discord.messages == []


def test_a_merge_webhook_is_told_as_the_new_ticket_and_its_late_companions_change_nothing(
    bench: Bench,
) -> None:
    bench.run("migrate")
    one, two = bench.add(2)
    became = merge(bench, one, two)
    hide_from_search(bench)
    receive_merge(bench, became, one, two)
    assert counts(run(bench)) == (1, 0, 1)
    receive(bench, [one, two, became], calls=3)
    receive_merge(bench, became, one)
    assert counts(run(bench)) == (0, 0, 0)
    assert bench.cards_of([one, two, became]) == [0, 0, 1]


def tell_merge(running: Running, became: str, *parts: str) -> int | None:
    primary, *others = (int(one) for one in parts)
    event = creation_event(became, 7) | {
        "subscriptionType": "ticket.merge",
        "primaryObjectId": primary,
        "mergedObjectIds": others,
        "newObjectId": int(became),
        "numberOfPropertiesMoved": 3,
    }
    return call_webhook(running.subscription, [event])


def test_a_worker_takes_merge_webhooks_before_and_after_their_tickets_were_told(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    hide_from_search(bench)
    with worker(bench, env=BLIND) as running:
        one, two, three = bench.add(3)
        first = bench.hubspot.merge(one, two)
        assert tell_merge(running, first, one, two) == 200
        wait_until(lambda: bench.cards_of([first]) == [1])
        last = bench.hubspot.merge(first, three)
        assert running.tell([one, two, three]) == 200
        assert tell_merge(running, last, first, three) == 200
        wait_until(lambda: bench.states().get(last) == "merged")
        wait_until(lambda: set(bench.states().values()) == {"merged", "notified"})
        assert running.stop() == 0
    assert bench.cards_of([one, two, three, first, last]) == [0, 0, 0, 1, 0]


def test_two_workers_that_hear_of_every_merge_from_everywhere_show_one_card_a_group(
    postgres_bench: Bench,
) -> None:
    bench = postgres_bench
    env = {"SWEEP_INTERVAL_MINUTES": "0.02"}
    with worker(bench, "one", env=env) as one, worker(bench, "two", env=env) as two:
        groups = []
        for _ in range(8):
            # Nobody may see the parts before they are one: with two told before, two cards are right.
            with bench.hubspot.lock:
                parts = bench.add(3)
                first = bench.hubspot.merge(parts[0], parts[1])
                groups.append([*parts, first, bench.hubspot.merge(first, parts[2])])
        with ThreadPoolExecutor(8) as pool:
            calls = [pool.submit(to.tell, group[:3]) for group in groups for to in (one, two)]
            for a, b, c, first, last in groups:
                calls += [
                    pool.submit(tell_merge, one, first, a, b),
                    pool.submit(tell_merge, two, last, first, c),
                ]
            assert {call.result() for call in calls} == {200}
        everyone = {ticket for group in groups for ticket in group}
        wait_until(lambda: everyone <= bench.states().keys())
        wait_until(lambda: set(bench.states().values()) == {"merged", "notified"})
        time.sleep(3)  # three more polls and sweeps
        assert (one.stop(), two.stop()) == (0, 0)
    assert [sum(bench.cards_of(group)) for group in groups] == [1] * 8
    assert len(bench.discord.messages) == 8
