"""Every fault ends in one clear line, the right exit code, and nothing lost."""

from datetime import UTC, datetime, timedelta

from jobs.sandbox.hubspot import SimulatedHubSpot
from jobs.sandbox.serving import Outcome, Request
from tests.acceptance.conftest import Bench, Finished

RECENT = datetime.now(UTC) - timedelta(minutes=2)


def told_after(bench: Bench) -> Finished:
    """Whatever went wrong before, the next run tells the ticket once."""
    bench.make_due()
    run = bench.run("run-once", "--json")
    assert (run.code, run.json["notified"]) == (0, 1), run.err
    assert [len(bench.discord.cards_for(one)) for one in bench.states()] == [1] * len(bench.states())
    return run


def one_line(run: Finished, code: int, *words: str) -> None:
    assert run.code == code
    assert len(run.error_lines) == 1, run.err
    assert all(word in run.error_lines[0] for word in words), run.error_lines


def test_hubspot_down(bench: Bench) -> None:
    bench.add()
    bench.hubspot.faults.down = True
    one_line(bench.run("run-once"), 1, "HubSpot answered 503", "nothing was lost")
    bench.hubspot.faults.down = False
    told_after(bench)


def test_hubspot_not_there(sqlite_bench: Bench) -> None:
    run = sqlite_bench.run("run-once", HUBSPOT_BASE_URL="http://127.0.0.1:1")
    one_line(run, 1, "HubSpot could not be reached", "HUBSPOT_BASE_URL")


def test_wrong_token(sqlite_bench: Bench) -> None:
    sqlite_bench.add()
    run = sqlite_bench.run("run-once", HUBSPOT_ACCESS_TOKEN="pat-marker-of-a-secret")
    one_line(run, 2, "HUBSPOT_ACCESS_TOKEN", "401")
    assert "marker-of-a-secret" not in run.out + run.err
    told_after(sqlite_bench)


def test_a_scope_is_missing(sqlite_bench: Bench) -> None:
    sqlite_bench.add()
    sqlite_bench.hubspot.faults.fail_next = [403]
    one_line(sqlite_bench.run("run-once"), 2, "HUBSPOT_ACCESS_TOKEN", "403", "crm.objects.contacts.read")
    told_after(sqlite_bench)


def test_a_storm_of_429(sqlite_bench: Bench) -> None:
    sqlite_bench.add()
    sqlite_bench.hubspot.faults.always_429 = True
    one_line(sqlite_bench.run("run-once"), 1, "429", "try again later")
    sqlite_bench.hubspot.faults.always_429 = False
    told_after(sqlite_bench)


def test_a_429_now_and_then_is_waited_out(sqlite_bench: Bench) -> None:
    sqlite_bench.add()
    sqlite_bench.hubspot.faults.fail_next = [429, 503]
    told_after(sqlite_bench)


class NoReads(SimulatedHubSpot):
    """Shows tickets in its search and fails whenever they are read."""

    def answer(self, request: Request) -> Outcome:
        self.faults.down = request.path.endswith("/batch/read")
        return super().answer(request)


def test_hubspot_fails_between_poll_and_read(bench: Bench) -> None:
    with NoReads(search_limit_per_second=None) as hubspot:
        one = hubspot.add_ticket("A", "B", created_at=RECENT)
        run = bench.run("run-once", "--json", HUBSPOT_BASE_URL=hubspot.url)
    one_line(run, 1, "HubSpot answered 503")
    assert (run.json["found"], run.json["notified"], run.json["open"]) == (1, 0, 1)
    bench.hubspot.add_ticket("A", "B", ticket_id=one, created_at=RECENT)
    told_after(bench)


def test_database_unreachable(sqlite_bench: Bench) -> None:
    run = sqlite_bench.run("run-once", DATABASE_URL="postgresql://me:hidden-word@127.0.0.1:1/none")
    one_line(run, 1, "the database cannot be reached", "DATABASE_URL")
    assert "hidden-word" not in run.out + run.err


def test_a_folder_that_is_not_there(sqlite_bench: Bench) -> None:
    one_line(sqlite_bench.run("run-once", DATABASE_URL="sqlite:///no/such/triage.db"), 2, "does not exist")


def test_a_ledger_of_another_portal(bench: Bench) -> None:
    bench.add()
    told_after(bench)
    bench.hubspot.portal_id = 42
    bench.add()
    one_line(bench.run("run-once"), 2, "belongs to HubSpot portal", "42", "another database")
    one_line(bench.run("run-once", "--dry-run"), 2, "belongs to HubSpot portal")


def test_the_model_down_the_ticket_is_told_by_rules(bench: Bench) -> None:
    bench.hubspot.add_ticket("Everything is down", "Outage for all users", created_at=RECENT)
    bench.ollama.faults.status = 503
    run = bench.run("run-once", "--json")
    assert (run.code, run.json["notified"], run.json["failed"]) == (0, 1, 1)
    assert "not AI-triaged" in str(bench.discord.messages[0].embeds)
    assert run.json["notes"]


def test_an_outage_of_the_model_does_not_hold_the_run(sqlite_bench: Bench) -> None:
    for number in range(5):
        sqlite_bench.hubspot.add_ticket(f"A{number}", "B", created_at=RECENT)
    run = sqlite_bench.run("run-once", "--json", LOCAL_LLM_URL="http://127.0.0.1:1")
    assert (run.code, run.json["notified"], run.json["failed"]) == (0, 5, 5)


def test_a_database_that_is_behind(bench: Bench) -> None:
    from models.database import close_database, connection, database, open_database
    from models.schema import INIT, deploy_migrations

    open_database(bench.env["DATABASE_URL"])
    deploy_migrations()
    with connection():
        database.execute_sql(f"DELETE FROM schema_migration WHERE name <> '{INIT}'")
    close_database()
    one_line(bench.run("run-once"), 2, "migration", "python main.py migrate deploy")
    # Without its ids the ledger's tickets would be shown as new.
    one_line(bench.run("run-once", "--dry-run"), 2, "migration", "python main.py migrate deploy")


def test_json_says_what_is_wrong_too(sqlite_bench: Bench) -> None:
    run = sqlite_bench.run("run-once", "--json", HUBSPOT_ACCESS_TOKEN="")
    assert run.code == 2
    assert "HUBSPOT_ACCESS_TOKEN" in run.json["error"]


def test_usage_mistakes_are_told_and_end_with_two(sqlite_bench: Bench) -> None:
    assert sqlite_bench.run("run-twice").code == 2
    one_line(sqlite_bench.run("run-once", "--tickets", "x.jsonl"), 2, "--sandbox")
