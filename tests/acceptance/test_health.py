"""``health`` and ``doctor`` as a person and a machine run them."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jobs.sandbox.serving import Answer, Outcome, Request, Simulator, json_answer
from jobs.web.app import build_app
from jobs.web.receiver import Receiver, ReceiverParts
from jobs.web.server import WebServer
from models.job_runs import JobRun
from models.tickets import ProcessedTicket
from tests.acceptance.conftest import Bench, Finished
from tests.conftest import use_clients, with_server


def levels(done: Finished) -> dict[str, str]:
    findings = done.json["findings"]
    assert isinstance(findings, list)
    assert all("\n" not in one["line"] for one in findings)
    return {one["name"]: one["level"] for one in findings}


def line_of(done: Finished, name: str) -> str:
    return next(str(one["line"]) for one in done.json["findings"] if one["name"] == name)


def test_after_a_good_run_all_is_healthy(bench: Bench) -> None:
    bench.add(3)
    bench.run("run-once")
    done = bench.run("health", "--json")
    assert (done.code, done.json["status"], done.json["warnings"]) == (0, "healthy", [])
    assert done.json["database_latency_ms"] >= 0
    shown = bench.run("health")
    assert shown.code == 0
    assert shown.out.startswith("healthy\nok    database: ")


def test_what_waits_and_what_is_held_degrades_it(bench: Bench) -> None:
    bench.add(2)
    bench.run("run-once")
    one, other = bench.states()
    old = datetime.now(UTC) - timedelta(minutes=16)
    with bench.ledger():
        retried = {"state": "retry", "created_at": old, "next_attempt_at": old}
        ProcessedTicket.update(retried).where(ProcessedTicket.ticket_id == one).execute()
        ProcessedTicket.update(state="unconfirmed").where(ProcessedTicket.ticket_id == other).execute()
        JobRun.insert(name="sweep", last_finished_at=old, last_result="SourceError").execute()
    done = bench.run("health", "--json")
    assert (done.code, done.json["status"]) == (1, "degraded")
    unwell = [one["name"] for one in done.json["checks"] if not one["ok"]]
    assert unwell == ["oldest_open", "held", "job_sweep"]


def test_a_paused_channel_degrades_it(sqlite_bench: Bench) -> None:
    sqlite_bench.discord.faults.status = 404
    sqlite_bench.add(1)
    sqlite_bench.run("run-once")
    done = sqlite_bench.run("health", "--json")
    assert done.code == 1
    assert "the channel discord refuses us (http_404)" in " ".join(done.json["warnings"])


def test_a_database_out_of_reach_degrades_it(sqlite_bench: Bench) -> None:
    done = sqlite_bench.run("health", "--json", DATABASE_URL="postgresql://u:planted@127.0.0.1:1/x")
    assert (done.code, done.json["status"]) == (1, "degraded")
    assert "planted" not in done.out + done.err


def test_a_database_that_is_behind_ends_it_with_2(sqlite_bench: Bench) -> None:
    sqlite_bench.run("migrate")
    sqlite_bench.run("migrate", "rollback", "--yes")
    behind = sqlite_bench.run("health", "--json")
    assert behind.code == 2
    assert "1 migration(s) behind" in behind.json["error"]


def test_where_no_service_is_set_the_database_alone_is_judged(bench: Bench) -> None:
    bench.add()
    bench.run("run-once")
    unset = dict.fromkeys(bench.vendors.settings, "")
    done = bench.run("health", "--json", **unset)
    assert (done.code, done.json["status"]) == (0, "healthy"), done.out + done.err
    first, second = done.json["checks"][:2]
    assert (first["name"], first["ok"]) == ("settings", True)
    assert "the database alone was judged" in first["line"]
    assert (second["name"], second["ok"]) == ("database", True)
    late = bench.run("health", "--json", **unset, DATABASE_URL="postgresql://u:planted@127.0.0.1:1/x")
    assert (late.code, late.json["status"]) == (1, "degraded")


@pytest.mark.parametrize("wrong", [{"RETENTION_DAYS": "abc"}, {"DATABASE_URL": "mysql://u@h/x"}])
def test_where_no_service_is_set_none_is_missed_beside_a_mistake(
    sqlite_bench: Bench, wrong: dict[str, str]
) -> None:
    unset = dict.fromkeys(sqlite_bench.vendors.settings, "")
    done = sqlite_bench.run("health", **unset, **wrong)
    assert done.code == 2
    said = done.out + done.err
    assert next(iter(wrong)) in said
    assert "missing" not in said


def test_wrong_settings_end_it_with_2_and_the_database_is_judged_all_the_same(bench: Bench) -> None:
    bench.run("migrate")
    done = bench.run("health", "--json", DISCORD_WEBHOOK_URL="", DISCORD_PING="everyone")
    assert (done.code, done.json["status"]) == (2, "degraded"), done.out + done.err
    names = [one["name"] for one in done.json["checks"] if not one["ok"]]
    assert names == ["settings", "settings"]
    assert [line.split(":")[0] for line in done.json["warnings"]] == ["DISCORD_WEBHOOK_URL", "DISCORD_PING"]
    assert "the database answers in" in bench.run("health", DISCORD_WEBHOOK_URL="").out


def test_wrong_settings_and_a_database_out_of_reach_are_both_told(sqlite_bench: Bench) -> None:
    done = sqlite_bench.run("health", "--json", DISCORD_PING="everyone")
    assert done.code == 2
    assert [one["name"] for one in done.json["checks"]] == ["settings", "database"]
    nothing = sqlite_bench.run("health", PORT="0")
    assert (nothing.code, nothing.out) == (2, "")
    assert "PORT: " in nothing.err


def test_a_read_only_database_is_found_by_health_and_doctor(postgres_bench: Bench, server_url: str) -> None:
    postgres_bench.run("migrate")
    name = postgres_bench.env["DATABASE_URL"].partition("?")[0].rsplit("/", 1)[1]
    with_server(server_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    done = postgres_bench.run("health", "--json")
    assert (done.code, done.json["status"]) == (1, "degraded")
    assert "the database is read-only" in done.json["warnings"][0]
    examined = postgres_bench.run("doctor", "--json")
    assert (examined.code, levels(examined)["database"]) == (1, "fail")
    assert "the database is read-only" in line_of(examined, "database")
    assert levels(examined)["migrations"] == "ok"


def test_who_may_only_read_is_found_by_health_and_doctor(postgres_bench: Bench, server_url: str) -> None:
    postgres_bench.run("migrate")
    with_server(server_url, "DROP ROLE IF EXISTS watcher")
    with_server(server_url, "CREATE ROLE watcher LOGIN PASSWORD 'x' IN ROLE pg_read_all_data")
    url = f"postgresql://watcher:x@{postgres_bench.env['DATABASE_URL'].split('@', 1)[1]}"
    examined = postgres_bench.run("doctor", "--json", DATABASE_URL=url)
    assert (examined.code, levels(examined)["database"]) == (2, "fail")
    assert "this user may not do that here" in line_of(examined, "database")
    assert levels(examined)["migrations"] == "ok"
    done = postgres_bench.run("health", "--json", DATABASE_URL=url)
    assert (done.code, done.json["error"]) == (2, line_of(examined, "database"))


OLD_CLIENT = '#!/bin/sh\necho "$(basename $0) (PostgreSQL) 9.6.1"\n'


def test_backup_programs_that_are_too_old_are_found_before_the_night(
    postgres_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = postgres_bench
    use_clients(monkeypatch)
    good = bench.run("doctor", "--json", BACKUP_DIR=str(bench.folder))
    assert (good.code, levels(good)["backup programs"], levels(good)["backups"]) == (0, "ok", "ok")
    if any(int(one.name) > 17 for one in Path("/usr/lib/postgresql").glob("[0-9]*")):
        pytest.skip("this machine has a client that is found wherever PATH points")
    programs = bench.folder / "bin"
    programs.mkdir()
    for name in ("pg_dump", "pg_restore"):
        (programs / name).write_text(OLD_CLIENT)
        (programs / name).chmod(0o755)
    path = f"{programs}:/usr/bin:/bin"
    old = bench.run("doctor", "--json", BACKUP_DIR=str(bench.folder), PATH=path)
    assert (old.code, levels(old)["backup programs"]) == (2, "fail")
    assert "is too old for this PostgreSQL" in line_of(old, "backup programs")
    assert "backup programs" not in levels(bench.run("doctor", "--json", PATH=path))


@pytest.mark.parametrize(
    ("folder", "level", "words"),
    [
        ("", "ok", "BACKUP_DIR is not set"),
        (".", "ok", "BACKUP_DIR can be written"),
        ("new/backups", "warn", "is not on this machine"),
        ("taken", "fail", "cannot be written"),
        ("taken/backups", "fail", "cannot be written"),
        ("x" * 300, "fail", "a name in it is too long"),
        ("s3:/bucket/x", "fail", "no place on this machine"),
        ("s3://bucket/x", "fail", "no place on this machine"),
        ("~/x", "fail", "~ is not read"),
    ],
)
def test_the_folder_for_backups_is_looked_at_and_not_made(
    sqlite_bench: Bench, folder: str, level: str, words: str
) -> None:
    (sqlite_bench.folder / "taken").write_text("a file")
    done = sqlite_bench.run("doctor", "--json", BACKUP_DIR=folder)
    assert (done.code, levels(done)["backups"]) == (2 if level == "fail" else 0, level)
    assert words in line_of(done, "backups")
    assert not (sqlite_bench.folder / "new").exists()


def test_doctor_finds_nothing_wrong_and_changes_nothing(bench: Bench) -> None:
    done = bench.run("doctor", "--json", **bench.vendors.groq_settings)
    assert done.code == 0, done.out
    assert set(levels(done).values()) == {"ok"}
    assert bench.discord.messages == []
    assert bench.hubspot.write_attempts == []
    if "postgres" in bench.env["DATABASE_URL"]:  # to ask SQLite would make the file
        assert bench.states() == {}
    bench.run("migrate")
    assert "all applied" in line_of(bench.run("doctor", "--json"), "migrations")


def test_procedures_that_no_prompt_can_hold_are_a_warning(sqlite_bench: Bench) -> None:
    (sqlite_bench.folder / "long.md").write_text("Be kind. " * 4_000)
    done = sqlite_bench.run("doctor", "--json", SOP_FILE="long.md")
    assert done.code == 0
    lines = [one["line"] for one in done.json["findings"] if one["name"] == "procedures"]
    assert lines[0].startswith("SOP_FILE has 3")
    assert "characters never reach" in lines[1]


def test_doctor_makes_no_database_file(sqlite_bench: Bench) -> None:
    assert "no file yet" in line_of(sqlite_bench.run("doctor", "--json"), "database")
    assert not (sqlite_bench.folder / "triage.db").exists()


@pytest.mark.parametrize("file", ["x" * 300, "none/new.db", "taken/new.db", "~/new.db"])
def test_doctor_does_not_promise_a_file_that_cannot_be_made(sqlite_bench: Bench, file: str) -> None:
    (sqlite_bench.folder / "taken").write_text("a file")
    done = sqlite_bench.run("doctor", "--json", DATABASE_URL=f"sqlite:///{file}")
    assert (done.code, levels(done)["database"]) == (2, "fail"), done.out + done.err
    assert line_of(done, "database").startswith("DATABASE_URL: ")


@pytest.mark.parametrize(
    "command", ["health", "stats", "tickets", "resend 1", "confirm 1", "retention", "reconcile", "studio"]
)
def test_a_mistyped_path_becomes_no_database(sqlite_bench: Bench, command: str) -> None:
    done = sqlite_bench.run(*command.split(), DATABASE_URL="sqlite:///nofile.db")
    assert done.code == 2, done.out + done.err
    (line,) = done.error_lines
    assert f"{sqlite_bench.folder}/nofile.db is not there" in line
    assert "migrate deploy" in line
    assert not list(sqlite_bench.folder.glob("nofile*"))


def test_a_person_reads_a_line_for_each(sqlite_bench: Bench) -> None:
    done = sqlite_bench.run("doctor")
    assert done.code == 0
    assert "ok    discord: the webhook is there\n" in done.out
    assert done.err == ""


def test_the_test_card_says_so_and_pings_nobody(sqlite_bench: Bench) -> None:
    done = sqlite_bench.run("doctor", "--json", "--send-test-card")
    assert (done.code, levels(done)["discord test card"]) == (0, "ok")
    (message,) = sqlite_bench.discord.messages
    assert message.embeds[0]["title"].startswith("TEST")
    assert not message.pinged


def test_all_is_looked_at_though_everything_fails(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    bench.hubspot.access_token = "another"
    bench.ollama.faults.status = 503
    bench.discord.webhooks.clear()
    groq = {**bench.vendors.groq_settings, "GROQ_MODEL": "no/such"}
    done = bench.run("doctor", "--json", **groq, DATABASE_URL="postgresql://u:planted@127.0.0.1:1/x")
    assert done.code == 2
    found = levels(done)
    failing = {name for name, level in found.items() if level == "fail"}
    assert failing == {"database", "hubspot", "local model", "groq", "discord"}
    assert (found["settings"], found["procedures"], found["webhook"]) == ("ok", "ok", "ok")
    assert "planted" not in done.out + done.err


def test_out_of_reach_alone_is_1(sqlite_bench: Bench) -> None:
    sqlite_bench.ollama.faults.drop = True
    done = sqlite_bench.run("doctor", "--json")
    assert (done.code, levels(done)["local model"]) == (1, "fail")


def test_a_refused_token_alone_is_2(sqlite_bench: Bench) -> None:
    sqlite_bench.hubspot.access_token = "another"
    done = sqlite_bench.run("doctor", "--json")
    assert (done.code, levels(done)["hubspot"]) == (2, "fail")
    assert list(levels(done).values()).count("fail") == 1


def test_bad_settings_are_a_line_each_and_the_database_is_looked_at_all_the_same(bench: Bench) -> None:
    done = bench.run("doctor", "--json", DISCORD_PING="everyone", HUBSPOT_ACCESS_TOKEN="")
    assert done.code == 2
    mistakes = [one["line"] for one in done.json["findings"] if one["name"] == "settings"]
    assert [line.split(":")[0] for line in mistakes] == ["HUBSPOT_ACCESS_TOKEN", "DISCORD_PING"]
    found = levels(done)
    assert (found["database"], found["backups"], found["services"]) == ("ok", "ok", "warn")
    done = bench.run("doctor", "--json", PORT="0")
    assert (done.code, levels(done)["database"]) == (2, "warn")


@pytest.mark.parametrize(
    ("object_type", "scope"),
    [
        ("tickets", "tickets"),
        ("contacts", "crm.objects.contacts.read"),
        ("companies", "crm.objects.companies.read"),
    ],
)
def test_a_missing_scope_is_named(sqlite_bench: Bench, object_type: str, scope: str) -> None:
    sqlite_bench.hubspot.faults.forbidden = frozenset([object_type])
    done = sqlite_bench.run("doctor", "--json")
    assert done.code == 2
    assert line_of(done, f"hubspot {object_type}").endswith(f"scopes {scope}")
    assert list(levels(done).values()).count("fail") == 1


def test_a_misspelt_property_is_found(sqlite_bench: Bench) -> None:
    sqlite_bench.hubspot.add_company(name="Engines", tier="gold")
    wrong = {"CUSTOMER_TIER_PROPERTY": "company.teir", "PRODUCT_AREA_PROPERTY": "company.tier"}
    done = sqlite_bench.run("doctor", "--json", **wrong)
    assert done.code == 2
    assert levels(done)["CUSTOMER_TIER_PROPERTY"] == "fail"
    assert levels(done)["PRODUCT_AREA_PROPERTY"] == "ok"


def test_another_portals_token_is_found(sqlite_bench: Bench) -> None:
    sqlite_bench.run("run-once")
    sqlite_bench.hubspot.portal_id += 1
    done = sqlite_bench.run("doctor", "--json")
    assert (done.code, levels(done)["portal"]) == (2, "fail")


@pytest.mark.parametrize(
    ("model", "code", "words"),
    [
        ("mistral", 2, "ollama pull mistral"),
        ("llama3.2:latest", 0, "valid JSON"),
        ("llama3.2", 0, "valid JSON"),
    ],
)
def test_the_local_model_must_be_there(sqlite_bench: Bench, model: str, code: int, words: str) -> None:
    done = sqlite_bench.run("doctor", "--json", LOCAL_LLM_MODEL=model)
    assert done.code == code
    assert words in line_of(done, "local model")


def test_a_model_that_gives_no_json_is_told(sqlite_bench: Bench) -> None:
    sqlite_bench.ollama.faults.content = "I would be happy to help!"
    done = sqlite_bench.run("doctor", "--json")
    assert (done.code, levels(done)["local model"]) == (1, "fail")


def test_a_model_that_takes_longer_to_load_than_a_ticket_waits_is_waited_for(sqlite_bench: Bench) -> None:
    sqlite_bench.ollama.faults.load_seconds = 12.0
    done = sqlite_bench.run("doctor", "--json")
    assert "valid JSON" in line_of(done, "local model")


def test_groq_refusals_are_told(sqlite_bench: Bench) -> None:
    wrong_key = {**sqlite_bench.vendors.groq_settings, "GROQ_API_KEY": "gsk_wrong"}
    done = sqlite_bench.run("doctor", "--json", **wrong_key)
    assert done.code == 2
    assert "GROQ_API_KEY" in line_of(done, "groq")
    sqlite_bench.vendors.groq.faults.fail_next = [429, 429]
    limited = sqlite_bench.run("doctor", "--json", **sqlite_bench.vendors.groq_settings)
    assert (limited.code, levels(limited)["groq"]) == (1, "fail")


class Front(Simulator):
    """What answers at PUBLIC_URL."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.given, self.seen = answer, list[Request]()

    def answer(self, request: Request) -> Outcome:
        self.seen.append(request)
        return self.given


FRONTS = {
    "another's 401": (json_answer({"message": "who are you"}, 401), 2),
    "redirect": (Answer(301, headers={"Location": "https://www.example.com"}), 2),
    "takes anything": (json_answer({}), 2),
    "nothing there": (Answer(404), 2),
    "down": (Answer(502), 1),
}


@pytest.fixture
def front() -> Iterator[Front]:
    with Front(Answer()) as simulator:
        yield simulator


@pytest.mark.parametrize("name", FRONTS)
def test_the_public_url_must_lead_to_a_worker(sqlite_bench: Bench, front: Front, name: str) -> None:
    front.given, code = FRONTS[name]
    public = {"PUBLIC_URL": front.url, "HUBSPOT_CLIENT_SECRET": "planted-secret"}
    done = sqlite_bench.run("doctor", "--json", **public)
    assert done.code == code, done.out
    assert [(one.method, one.path, one.body) for one in front.seen] == [("POST", "/webhook/hubspot", b"[]")]
    assert not any("signature" in header or "token" in header for header in front.seen[0].headers)
    assert "planted" not in done.out


@pytest.mark.parametrize(("secret", "code"), [("planted-secret", 0), (None, 1)])
def test_a_real_receiver_is_known_by_its_refusal(sqlite_bench: Bench, secret: str | None, code: int) -> None:
    """Also where the worker there, unlike the settings here, has no secret."""
    stored: list[object] = []

    def store(events: Sequence[object]) -> int:
        stored.extend(events)
        return len(events)

    parts = ReceiverParts(store=store, client_secret=secret)
    server = WebServer(build_app([], Receiver(parts)), port=0, host="127.0.0.1")
    server.start()
    public = {"PUBLIC_URL": f"http://127.0.0.1:{server.port}", "HUBSPOT_CLIENT_SECRET": "planted-secret"}
    done = sqlite_bench.run("doctor", "--json", **public)
    assert server.stop(10)
    assert (done.code, stored) == (code, [])
    assert ("neither secret set" in line_of(done, "webhook")) == (code == 1)


def test_nobody_at_the_public_url_is_1(sqlite_bench: Bench) -> None:
    done = sqlite_bench.run("doctor", "--json", PUBLIC_URL="http://127.0.0.1:1", HUBSPOT_WEBHOOK_TOKEN="t")
    assert (done.code, levels(done)["webhook"]) == (1, "fail")


def test_a_webhook_without_a_public_url_cannot_be_seen(sqlite_bench: Bench) -> None:
    done = sqlite_bench.run("doctor", "--json", HUBSPOT_WEBHOOK_TOKEN="t")
    assert (done.code, levels(done)["webhook"]) == (0, "warn")


def test_the_alarms_webhook_is_looked_at(sqlite_bench: Bench) -> None:
    gone = f"{sqlite_bench.discord.webhook_url}x"
    done = sqlite_bench.run("doctor", "--json", ALERT_DISCORD_WEBHOOK_URL=gone)
    assert done.code == 2
    assert line_of(done, "alarms").startswith("ALERT_DISCORD_WEBHOOK_URL: ")


def test_procedures_that_cannot_be_read_are_told(sqlite_bench: Bench) -> None:
    (sqlite_bench.folder / "sop.md").write_bytes(b"\xff\xfe")
    done = sqlite_bench.run("doctor", "--json", SOP_FILE="sop.md")
    assert done.code == 2
    assert "SOP_FILE" in done.out
