import subprocess
import sys
from datetime import UTC, datetime, timedelta

from tests.acceptance.conftest import ROOT, Bench

RECENT = datetime.now(UTC) - timedelta(minutes=2)


def test_each_new_ticket_is_told_once_and_a_second_run_tells_none(bench: Bench) -> None:
    ids = bench.add(12)
    first = bench.run("run-once", "--json")
    assert first.code == 0
    assert {name: first.json[name] for name in ("found", "notified", "failed", "open", "unconfirmed")} == {
        "found": 12,
        "notified": 12,
        "failed": 0,
        "open": 0,
        "unconfirmed": 0,
    }
    assert bench.cards_of(ids) == [1] * 12

    second = bench.run("run-once", "--json")
    assert (second.code, second.json["found"], second.json["notified"]) == (0, 0, 0)
    assert len(bench.discord.messages) == 12


def test_a_person_gets_a_table(sqlite_bench: Bench) -> None:
    sqlite_bench.add(2)
    run = sqlite_bench.run("run-once")
    assert run.code == 0
    assert "notified" in run.out
    assert "2 local" in run.out


def test_two_runs_at_the_same_moment_tell_each_ticket_once(postgres_bench: Bench) -> None:
    bench = postgres_bench
    ids = bench.add(120)
    processes = [bench.start("run-once") for _ in range(2)]
    ends = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ends
    assert bench.cards_of(ids) == [1] * len(ids)
    assert set(bench.states().values()) == {"notified"}


def test_tickets_before_activation_are_skipped_and_counted(bench: Bench) -> None:
    bench.hubspot.add_ticket("Old", "From before", created_at=datetime.now(UTC) - timedelta(minutes=12))
    bench.hubspot.add_ticket("New", "From after", created_at=datetime.now(UTC) - timedelta(minutes=2))
    run = bench.run("run-once", "--json", NOTIFY_SINCE="")
    assert (run.json["found"], run.json["notified"], run.json["skipped"]) == (2, 1, 1)
    assert "Old" not in run.err
    assert len(bench.discord.messages) == 1


def test_other_pipelines_stay_untold(bench: Bench) -> None:
    bench.hubspot.add_ticket("Sales", "Not ours", created_at=RECENT, hs_pipeline="77")
    bench.hubspot.add_ticket("Support", "Ours", created_at=RECENT, hs_pipeline="0")
    run = bench.run("run-once", "--json", HUBSPOT_PIPELINES="0")
    assert (run.json["notified"], len(bench.discord.messages)) == (1, 1)


def test_a_dry_run_prints_cards_and_records_nothing(sqlite_bench: Bench) -> None:
    sqlite_bench.add(3)
    dry = sqlite_bench.run("run-once", "--dry-run", DISCORD_WEBHOOK_URL="")
    assert (dry.code, dry.cards) == (0, 3)
    assert not (sqlite_bench.folder / "triage.db").exists()
    assert sqlite_bench.discord.messages == []
    assert sqlite_bench.run("run-once", "--json").json["notified"] == 3


def test_a_dry_run_leaves_out_what_the_ledger_knows(bench: Bench) -> None:
    bench.add(3)
    bench.run("run-once")
    bench.add(1)
    dry = bench.run("run-once", "--dry-run", "--json")
    assert (dry.json["found"], dry.cards, dry.json["dry_run"]) == (1, 1, True)
    assert bench.run("run-once", "--json").json["notified"] == 1


def test_hubspot_is_never_written_to(bench: Bench) -> None:
    bench.add(3)
    bench.run("run-once")
    assert bench.hubspot.write_attempts == []


def test_reads_are_batched(sqlite_bench: Bench) -> None:
    sqlite_bench.add(100)
    sqlite_bench.run("run-once")
    assert sum(sqlite_bench.hubspot.requests.values()) <= 7


def test_a_card_shows_the_customer_and_links_to_the_ticket(sqlite_bench: Bench) -> None:
    hubspot = sqlite_bench.hubspot
    person = hubspot.add_contact(firstname="Ada", lastname="Lovelace")
    company = hubspot.add_company(name="Engines Ltd", tier="gold")
    one = hubspot.add_ticket("Export", "How?", created_at=RECENT, contact=person, company=company)
    sqlite_bench.run("run-once", CUSTOMER_TIER_PROPERTY="company.tier")
    (message,) = sqlite_bench.discord.messages
    (embed,) = message.embeds
    assert "Ada Lovelace · Engines Ltd · gold" in [field["value"] for field in embed["fields"]]
    assert embed["url"] == f"https://{hubspot.ui_domain}/contacts/{hubspot.portal_id}/record/0-5/{one}"


def test_the_most_urgent_go_first(sqlite_bench: Bench) -> None:
    sqlite_bench.add(40, "How to", "How do I export a report?")
    urgent = sqlite_bench.add(2, "Outage", "Everything is down for all our users, data breach")
    sqlite_bench.run("run-once", TRIAGE_CONCURRENCY="1")
    first = sqlite_bench.discord.messages[:2]
    assert all(any(message.shows(one) for message in first) for one in urgent)


def test_only_a_critical_pings(sqlite_bench: Bench) -> None:
    sqlite_bench.add(1, "How to", "How do I export a report? @everyone <@&1>")
    sqlite_bench.add(1, "Outage", "Everything is down for all our users since this morning")
    sqlite_bench.run("run-once")
    assert sorted(message.pinged for message in sqlite_bench.discord.messages) == [False, True]


def test_a_run_without_any_output_tells_all_the_same(sqlite_bench: Bench) -> None:
    ids = sqlite_bench.add(2)
    command = f'"{sys.executable}" "{ROOT}/main.py" run-once >&- 2>&-'
    ended = subprocess.run(["sh", "-c", command], cwd=sqlite_bench.folder, env=sqlite_bench.env, check=False)
    assert ended.returncode == 0
    assert sqlite_bench.cards_of(ids) == [1, 1]


def test_the_list_of_tickets_cuts_nothing(sqlite_bench: Bench) -> None:
    sqlite_bench.add(1)
    sqlite_bench.run("run-once")
    (told,) = sqlite_bench.run("tickets", "--json").json["tickets"]
    assert told["processed_at"] in sqlite_bench.run("tickets").out
