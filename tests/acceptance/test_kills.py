"""Runs and workers that are killed with -9 or stopped, again and again: never two cards, nothing lost.

``python -m tests.kills`` does the same for longer, with a PostgreSQL of its own that is interrupted too.
"""

import random
import time

from tests.acceptance.conftest import Bench
from tests.kills.blows import Blow
from tests.kills.run import Plan, run

KILLS = 12
TICKETS_A_ROUND = 40


def wait_for_work(bench: Bench) -> None:
    deadline = time.monotonic() + 10
    while "claimed" not in bench.states().values() and time.monotonic() < deadline:
        time.sleep(0.02)


def test_two_runs_killed_at_any_moment_never_tell_twice_and_lose_nothing(postgres_bench: Bench) -> None:
    bench, dice = postgres_bench, random.Random(20261123)
    bench.ollama.faults.latency_seconds = 0.1
    bench.run("run-once")
    ids: list[str] = []
    cut_off = 0
    for _ in range(KILLS):
        ids += bench.add(TICKETS_A_ROUND)
        started = [bench.start("run-once", LEASE_SECONDS="1") for _ in range(2)]
        wait_for_work(bench)
        time.sleep(dice.uniform(0, 0.3))
        for one in started:
            one.kill()
            one.communicate(timeout=60)
        cut_off += "claimed" in bench.states().values()
    for _ in range(3):
        bench.make_due()
        bench.run("run-once", "--json")

    cards, states = bench.cards_of(ids), bench.states()
    assert cut_off > 0, "no kill met a ticket at work"
    assert max(cards) == 1
    assert set(states.values()) <= {"notified", "unconfirmed"}
    lost = [one for one, count in zip(ids, cards, strict=True) if not count and states[one] == "notified"]
    assert lost == []
    assert states.keys() >= set(ids)


SHORT_BLOWS = {Blow.KILL: 0.7, Blow.SHORT_STOP: 0.15, Blow.LONG_STOP: 0.15}


def test_workers_struck_at_any_moment_never_tell_twice_and_lose_nothing(bench: Bench) -> None:
    on_sqlite = bench.env["DATABASE_URL"].startswith("sqlite")
    bench.env["LEASE_SECONDS"] = "1"
    kills, workers = (6, 1) if on_sqlite else (20, 2)
    report = run(bench, Plan(kills, 20261125, workers, shares=SHORT_BLOWS, cards_away=6))
    assert report.holds, str(report)
    assert report.kills_that_met_work > 0, str(report)
