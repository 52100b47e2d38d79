"""A database of the original, as its own SQL made it: taken over, used, and given back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.acceptance.conftest import Bench
from tests.conftest import connect, run_originals_schema

ROWS = 10_000
TOLD_BY_THE_ORIGINAL = """
INSERT INTO processed_tickets (ticket_id, provider, success, processed_at)
SELECT id, CASE WHEN mod(n, 5) = 0 THEN 'groq' ELSE 'local' END, mod(n, 50) <> 0,
       now() - interval '4 minutes' - n * interval '0.9 minutes'
FROM unnest(%s::text[]) WITH ORDINALITY AS t(id, n)"""
#: The original's four: whether it knows a ticket, that it told one, what it forgets, what it counts.
KNOWS = "SELECT 1 FROM processed_tickets WHERE ticket_id = %s"
TELLS = (
    "INSERT INTO processed_tickets (ticket_id, provider, success) VALUES (%s, 'local', true) "
    "ON CONFLICT DO NOTHING"
)
FORGETS = "DELETE FROM processed_tickets WHERE processed_at < now() - interval '7 days'"
COUNTS = "SELECT count(*), count(*) FILTER (WHERE success), count(DISTINCT provider) FROM processed_tickets"


@pytest.fixture
def told(postgres_bench: Bench) -> list[str]:
    """What the original told within the last week, most of which HubSpot still has."""
    run_originals_schema(postgres_bench.env["DATABASE_URL"])
    recent = [
        postgres_bench.hubspot.add_ticket(
            f"Told {n}", "x", created_at=datetime.now(UTC) - timedelta(minutes=5 + n)
        )
        for n in range(200)
    ]
    ids = [*recent, *(str(10**9 + n) for n in range(ROWS - len(recent)))]
    with cursor(postgres_bench) as run:
        run(TOLD_BY_THE_ORIGINAL, (ids,))
    return recent


@contextmanager
def cursor(bench: Bench) -> Iterator[Callable[..., Any]]:
    session = connect(bench.env["DATABASE_URL"])
    made = session.cursor()

    def run(sql: str, values: tuple[object, ...] | None = None) -> Any:
        made.execute(sql, values)
        return made.fetchall() if made.description else made.rowcount

    try:
        yield run
    finally:
        session.close()


def test_what_the_original_told_is_not_told_again_and_the_switch_over_is(
    postgres_bench: Bench, told: list[str]
) -> None:
    bench = postgres_bench
    assert bench.run("run-once").code == 2  # names the command, and touches nothing
    migrated = bench.run("migrate", "deploy")
    assert (migrated.code, migrated.out.splitlines()[0]) == (0, "applied 20251214000000_init (adopted)")
    assert bench.run("migrate", "verify").code == 0
    since = bench.add(3, "Of the switch-over")  # the original had stopped
    run = bench.run("run-once", "--json", NOTIFY_SINCE="")
    assert (run.code, run.json["notified"]) == (0, 3), run.err
    assert bench.cards_of([*told, *since]) == [0] * len(told) + [1] * 3
    stats = bench.run("stats", "--json").json
    assert (stats["total"], stats["open"]) == (ROWS + 3, 0)


def test_the_original_goes_on_where_it_is_given_back(postgres_bench: Bench, told: list[str]) -> None:
    bench = postgres_bench
    bench.run("migrate", "deploy")
    ours = bench.add(2, "Ours")
    bench.run("run-once", NOTIFY_SINCE="")
    assert bench.run("migrate", "rollback", "--to", "20251214000000_init", "--yes").code == 0
    with cursor(bench) as run:
        assert all(run(KNOWS, (one,)) for one in [*told, *ours])
        assert (run(TELLS, ("42",)), run(TELLS, ("42",))) == (1, 0)
        assert run(FORGETS) == 0  # ours forgot nothing younger, and the original's rows are of this week
        total, successes, providers = run(COUNTS)[0]
        assert (total > len(told), 0 < successes < total, providers) == (True, True, 2)
        assert run("SELECT success FROM processed_tickets WHERE ticket_id = '42'") == [(True,)]
    # And forth again: what it told meanwhile is known.
    assert bench.run("migrate", "deploy").code == 0
    later = bench.hubspot.add_ticket("Later", "x", ticket_id="42", created_at=datetime.now(UTC))
    bench.run("run-once", NOTIFY_SINCE="")
    assert bench.cards_of([later, *ours]) == [0, 1, 1]
