"""Behind PgBouncer in transaction mode, where a session is another one at every transaction (P6).

Not in CI: PgBouncer is a package of the machine, not of the product. ``apt-get install pgbouncer`` brings it.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Bench, Vendors
from tests.acceptance.pgbouncer import PgBouncer, find_program, leftovers, pgbouncer_before
from tests.acceptance.test_retention import lay_old
from tests.acceptance.worker import Running, wait_until, worker
from tests.conftest import connect, with_server
from tests.kills.run import Plan, run

pytestmark = [
    pytest.mark.skipif(bool(os.environ.get("CI")), reason="PgBouncer is tried by hand, not in CI"),
    pytest.mark.skipif(find_program() is None, reason="no pgbouncer: apt-get install pgbouncer"),
]


@pytest.fixture(scope="module")
def bouncer(server_url: str) -> Iterator[PgBouncer]:
    with pgbouncer_before(server_url) as one:
        yield one


@pytest.fixture
def pooled_url(bouncer: PgBouncer, new_postgres: Callable[..., str]) -> str:
    """An empty database by way of PgBouncer."""
    database = new_postgres().partition("?")[0].rpartition("/")[2]
    return bouncer.url_of(database)


@pytest.fixture
def pooled_bench(pooled_url: str, tmp_path: Path, vendors: Vendors) -> Iterator[Bench]:
    """A live configuration on it; whatever is run must leave nothing in the sessions that others get next."""
    yield Bench(tmp_path, vendors, {"DATABASE_URL": pooled_url, **vendors.settings})
    assert leftovers(pooled_url) == set()


def test_what_a_session_keeps_reaches_others_here(pooled_url: str) -> None:
    """The control: a store that relied on its session would be found out by ``leftovers``."""
    for statement in (
        "SET statement_timeout = '77s'",
        "SELECT pg_advisory_lock(5)",
        "PREPARE mine AS SELECT 1",
        "LISTEN tickets",
    ):
        session = connect(pooled_url)
        session.cursor().execute(statement)
        session.close()
    assert leftovers(pooled_url) == {
        "setting statement_timeout",
        "lock",
        "prepared mine",
        "listens to tickets",
    }


def test_two_runs_at_once_migrate_and_tell_each_ticket_once(pooled_bench: Bench) -> None:
    bench = pooled_bench
    ids = bench.add(60)
    processes = [bench.start("run-once") for _ in range(2)]
    ends = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ends
    assert bench.cards_of(ids) == [1] * len(ids)
    assert set(bench.states().values()) == {"notified"}
    assert bench.run("migrate", "status").code == 0


def test_two_workers_that_are_killed_and_stopped_lose_and_double_nothing(pooled_bench: Bench) -> None:
    report = run(pooled_bench, Plan(kills=8, seed=20261125))
    assert report.holds, str(report)


def test_retention_health_and_stats_work(pooled_bench: Bench) -> None:
    bench = pooled_bench
    lay_old(bench)
    forgotten = bench.run("retention", "--json")
    assert (forgotten.code, forgotten.json["tickets"]) == (0, 3)
    bench.add(2)
    assert bench.run("run-once").code == 0
    health = bench.run("health", "--json").json
    assert (health["status"], health["database_latency_ms"] > 0) == ("healthy", True), health
    assert bench.run("stats", "--json").json["total"] == 3


def test_pgbouncer_and_the_server_behind_it_may_be_away(
    own_server: Any, tmp_path: Path, vendors: Vendors
) -> None:
    """To the store both are an outage like any other: nothing is sent, and everything follows, once."""
    with_server(own_server.get_uri(), "CREATE DATABASE outage")
    with pgbouncer_before(own_server.get_uri()) as bouncer:
        bench = Bench(tmp_path, vendors, {"DATABASE_URL": bouncer.url_of("outage"), **vendors.settings})
        bench.env["LEASE_SECONDS"] = "5"
        tickets: list[str] = []
        with worker(bench) as running:
            for stop, start in ((bouncer.kill, bouncer.start), (own_server.stop, own_server.start)):
                tickets += endure(bench, running, stop, start)
            wait_until(lambda: bench.cards_of(tickets) == [1] * len(tickets))
            assert running.stop() == 0
        assert set(bench.states().values()) == {"notified"}
        assert leftovers(bench.env["DATABASE_URL"]) == set()


def endure(
    bench: Bench, running: Running, stop: Callable[[], object], start: Callable[[], object]
) -> list[str]:
    """An outage while tickets are told; the tickets."""
    tickets = [bench.hubspot.add_ticket("Question", "Hello") for _ in range(30)]
    assert running.tell(tickets) == 200
    wait_until(lambda: sum(bench.cards_of(tickets)) >= 5)
    stop()
    wait_until(lambda: running.tell(tickets) == 503)
    assert running.get("/health").json()["status"] == "degraded"
    refused = bench.run("stats")
    assert (refused.code, len(refused.error_lines)) == (1, 1), refused.err
    start()
    wait_until(lambda: running.tell(tickets) == 200)
    return tickets
