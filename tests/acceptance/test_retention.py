"""``python main.py retention`` in a process of its own."""

from datetime import UTC, datetime, timedelta

from models.cursors import Cursor, ensure_row
from models.deliveries import Delivery
from models.tickets import ProcessedTicket
from tests.acceptance.conftest import Bench


def lay_old(bench: Bench, count: int = 3) -> None:
    """Tickets told ten days ago, one told now, and sources that have looked."""
    now = datetime.now(UTC)
    assert bench.run("migrate").code == 0
    with bench.ledger():
        for name in ("ledger", "poll", "sweep"):
            ensure_row(name)
        looked = {"looked_from_at": now - timedelta(days=3), "looked_until_at": now}
        Cursor.update(activated_at=now - timedelta(days=90), **looked).execute()
        for number in range(count):
            lay(str(number), now - timedelta(days=10))
        lay("new", now)


def lay(ticket_id: str, at: datetime) -> None:
    ProcessedTicket.insert(
        ticket_id=ticket_id, ticket_created_at=at, created_at=at, processed_at=at, provider="local"
    ).execute()
    Delivery.insert(ticket_id=ticket_id, channel="discord", state="sent").execute()


def test_old_tickets_are_counted_by_a_dry_run_and_forgotten_by_a_real_one(bench: Bench) -> None:
    lay_old(bench)
    dry = bench.run("retention", "--dry-run", "--json")
    assert (dry.code, dry.json["tickets"], dry.json["dry_run"], len(bench.states())) == (0, 3, True, 4)
    real = bench.run("retention", "--json")
    assert (real.code, real.json["tickets"], real.json["deliveries"]) == (0, 3, 3)
    assert (real.json["held_back_by"], real.json["retention_days"]) == ("retention", 7)
    assert list(bench.states()) == ["new"]


def test_a_person_gets_a_table_with_what_holds_the_memory(sqlite_bench: Bench) -> None:
    lay_old(sqlite_bench)
    run = sqlite_bench.run("retention")
    assert run.code == 0
    assert "forgotten" in run.out
    assert "as far as the retention allows" in run.out


def test_before_anything_was_polled_nothing_is_forgotten(sqlite_bench: Bench) -> None:
    assert sqlite_bench.run("migrate").code == 0
    run = sqlite_bench.run("retention")
    assert (run.code, "held back by the poll" in run.out) == (0, True)


def test_less_than_four_days_says_that_it_works_like_four(sqlite_bench: Bench) -> None:
    lay_old(sqlite_bench)
    run = sqlite_bench.run("retention", "--days", "2", "--json")
    assert (run.code, run.json["retention_days"], len(run.json["notes"])) == (0, 2, 1)
    assert "less than 4 days works like 4" in run.err
    longer = sqlite_bench.run("retention", "--days", "11", "--json")
    assert longer.json["notes"] == []


def test_wrong_days_and_a_missing_schema_are_one_line_and_exit_2(sqlite_bench: Bench) -> None:
    wrong = sqlite_bench.run("retention", "--days", "0")
    assert (wrong.code, wrong.error_lines) == (2, ["--days: must be 1 to 3650; write --days 7"])
    behind = sqlite_bench.run("retention")
    assert behind.code == 2
    assert "migrate deploy" in behind.err
    assert sqlite_bench.run("retention", "--days", "many").code == 2


def test_a_database_out_of_reach_is_one_line_and_exit_1(sqlite_bench: Bench) -> None:
    run = sqlite_bench.run("retention", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert (run.code, len(run.error_lines)) == (1, 1)


def test_two_at_once_forget_each_ticket_once(postgres_bench: Bench) -> None:
    lay_old(postgres_bench, 600)
    processes = [postgres_bench.start("retention", "--json") for _ in range(2)]
    ends = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ends
    assert list(postgres_bench.states()) == ["new"]
