"""The sandbox as a newcomer runs it: no account, no setting, and nothing leaves the machine."""

import json
import re
import signal

import httpx
import pytest

from tests.acceptance.conftest import PATIENCE_SECONDS, SHARED, Bench
from tests.acceptance.worker import free_port, wait_until

COMPLAINTS = SHARED / "data" / "complaints.jsonl"


def test_a_newcomer_sees_a_dozen_cards_and_then_none(sqlite_bench: Bench) -> None:
    first = sqlite_bench.run("run-once", "--sandbox")
    assert first.code == 0
    assert "simulation" in first.out
    assert first.cards >= 12
    assert (sqlite_bench.folder / "sandbox.db").exists()
    assert sqlite_bench.run("run-once", "--sandbox").cards == 0


def test_the_sandbox_needs_no_setting_and_touches_no_live_ledger(sqlite_bench: Bench) -> None:
    env = dict.fromkeys(sqlite_bench.env, "")
    assert sqlite_bench.run("run-once", "--sandbox", **env).code == 0
    live = sqlite_bench.run("run-once", "--sandbox", "--json", DATABASE_URL="sqlite:///live.db")
    assert live.json["found"] == 0
    assert not (sqlite_bench.folder / "live.db").exists()
    assert not sqlite_bench.hubspot.requests


def test_the_sandboxs_worker_tells_tickets_that_keep_arriving_by_webhook(sqlite_bench: Bench) -> None:
    port = free_port()
    process = sqlite_bench.start("worker", "--sandbox", PORT=str(port), **dict.fromkeys(sqlite_bench.env, ""))

    def arrived_by_webhook() -> bool:
        assert process.poll() is None
        try:
            shown = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
        except httpx.TransportError:
            return False
        told = r'^triage_tickets_settled_total{.*source="webhook",state="notified"} [1-9]'
        return re.search(told, shown, re.MULTILINE) is not None

    try:
        wait_until(arrived_by_webhook)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert "Traceback" not in out + err
    assert f"http://127.0.0.1:{port}/health" in out
    assert out.count("Triaged via") > 12
    assert not sqlite_bench.hubspot.requests


def test_a_missing_setting_never_starts_the_sandbox(sqlite_bench: Bench) -> None:
    run = sqlite_bench.run("run-once", **dict.fromkeys(sqlite_bench.env, ""))
    assert run.code == 2
    assert not (sqlite_bench.folder / "sandbox.db").exists()


def test_a_file_of_tickets_is_told_once(sqlite_bench: Bench) -> None:
    lines = [
        {"id": "11", "subject": "One", "body": "First"},
        {"id": 12, "subject": "Two", "body": None, "created_at": "2024-05-01T10:00:00Z"},
    ]
    file = sqlite_bench.folder / "mine.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in lines))
    run = sqlite_bench.run("run-once", "--sandbox", "--tickets", "mine.jsonl", "--json")
    assert (run.code, run.json["notified"]) == (0, 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "no tickets"), ("{", "line 1"), ('{"id": "x"}', "line 1"), ('{"id": "1"}\n{"id": "1"}', "line 2")],
)
def test_a_bad_file_gets_one_line(sqlite_bench: Bench, text: str, words: str) -> None:
    (sqlite_bench.folder / "bad.jsonl").write_text(text)
    run = sqlite_bench.run("run-once", "--sandbox", "--tickets", "bad.jsonl")
    assert run.code == 2
    assert len(run.error_lines) == 1
    assert "bad.jsonl" in run.error_lines[0]
    assert words in run.error_lines[0]


@pytest.mark.skipif(not COMPLAINTS.exists(), reason="../shared/data/complaints.jsonl is not here")
def test_all_real_complaints_are_told_once(sqlite_bench: Bench) -> None:
    first = sqlite_bench.run("run-once", "--sandbox", "--tickets", str(COMPLAINTS), "--json")
    assert (first.code, first.json["notified"], first.cards) == (0, 400, 400)
    second = sqlite_bench.run("run-once", "--sandbox", "--tickets", str(COMPLAINTS), "--json")
    assert (second.code, second.json["notified"], second.cards) == (0, 0, 0)
