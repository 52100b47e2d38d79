"""The real worker on a real database, driven over HTTP."""

import ctypes
import os
import platform
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import socket

import httpx
import pytest

from models.cursors import Cursor
from models.health import read_month
from models.job_runs import JobRun
from models.tickets import ProcessedTicket
from tests.acceptance.conftest import Bench
from tests.acceptance.worker import Running, free_port, wait_until, worker
from tests.conftest import use_clients

RARELY = {"POLL_INTERVAL_SECONDS": "3600", "SWEEP_INTERVAL_MINUTES": "1000"}


def told(bench: Bench, ticket_ids: list[str]) -> bool:
    return bench.cards_of(ticket_ids) == [1] * len(ticket_ids)


def wait_for_cards(bench: Bench, ticket_ids: list[str], count: int) -> None:
    wait_until(lambda: sum(bench.cards_of(ticket_ids)) >= count)


def new_ticket(bench: Bench) -> str:
    return bench.hubspot.add_ticket("Question", "How do I export a report?")


def test_polled_tickets_are_told_and_the_worker_ends_with_0(bench: Bench) -> None:
    ids = bench.add(5)
    with worker(bench) as running:
        wait_until(lambda: told(bench, ids))
        later = bench.add(3)
        wait_until(lambda: told(bench, later))
        assert running.stop() == 0
    assert {line["message"] for line in running.lines()} >= {
        "worker started",
        "ticket handled",
        "worker stopped",
    }
    assert set(bench.states().values()) == {"notified"}


def test_a_webhook_brings_its_ticket_without_a_poll(bench: Bench) -> None:
    with worker(bench, env=RARELY) as running:
        wait_until(lambda: running.get("/health").json()["dependencies"]["hubspot"]["status"] == "ok")
        seconds = []
        for number in range(10):
            ticket = new_ticket(bench)
            started = time.monotonic()
            assert running.tell([ticket], event_id=number) == 200
            wait_for_cards(bench, [ticket], 1)
            seconds.append(time.monotonic() - started)
        assert running.stop() == 0
    # Claimed within 200 ms of its arrival, on a machine that may be ten times slower.
    assert sorted(seconds)[len(seconds) // 2] < 2


def test_one_ticket_by_webhook_ten_times_by_poll_and_sweep_and_to_two_workers_is_one_card(
    postgres_bench: Bench,
) -> None:
    bench = postgres_bench
    with (
        worker(bench, "one", env={"SWEEP_INTERVAL_MINUTES": "0.02"}) as one,
        worker(bench, "two", env={"SWEEP_INTERVAL_MINUTES": "0.02"}) as two,
    ):
        tickets = [new_ticket(bench) for _ in range(8)]
        with ThreadPoolExecutor(10) as pool:
            calls = [pool.submit(to.tell, tickets, event_id=at % 3) for at in range(10) for to in (one, two)]
            assert {call.result() for call in calls} == {200}
        wait_until(lambda: told(bench, tickets))
        time.sleep(3)  # three more polls and sweeps
        assert (one.stop(), two.stop()) == (0, 0)
    assert told(bench, tickets)
    assert len(bench.discord.messages) == 8


def test_sigterm_gives_back_what_a_slow_model_keeps(postgres_bench: Bench) -> None:
    bench = postgres_bench
    bench.ollama.faults.latency_seconds = 60
    tickets = bench.add(3)
    with worker(bench, env={"DRAIN_SECONDS": "3", "LEASE_SECONDS": "600"}) as running:
        wait_until(lambda: set(bench.states().values()) == {"claimed"})
        started = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - started < 20
    assert set(bench.states().values()) == {"retry"}
    bench.ollama.faults.latency_seconds = 0
    with worker(bench) as running:
        wait_until(lambda: told(bench, tickets))
        assert running.stop() == 0


def test_a_second_signal_ends_at_once(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    bench.ollama.faults.latency_seconds = 60
    bench.add(1)
    with worker(bench, env={"DRAIN_SECONDS": "60"}) as running:
        wait_until(lambda: set(bench.states().values()) == {"claimed"})
        running.process.send_signal(signal.SIGTERM)
        wait_until(lambda: running.get("/health").status_code == 503)
        assert running.get("/health").json()["status"] == "shutting_down"
        assert running.stop() == 128 + signal.SIGTERM


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the system call has another number there")
def test_a_signal_that_another_thread_takes_is_obeyed(sqlite_bench: Bench) -> None:
    tgkill = 234
    with worker(sqlite_bench) as running:
        process = running.process.pid
        others = [int(task.name) for task in Path(f"/proc/{process}/task").iterdir()]
        other = next(one for one in others if one != process)
        assert ctypes.CDLL(None).syscall(tgkill, process, other, int(signal.SIGTERM)) == 0
        assert running.process.wait(timeout=30) == 0


def test_webhooks_are_kept_while_hubspot_is_away(bench: Bench) -> None:
    tickets = [new_ticket(bench) for _ in range(3)]
    bench.hubspot.faults.down = True
    with worker(bench, awaited=False, env=RARELY) as running:
        for tries, ticket in enumerate(tickets, start=1):
            wait_for_tries(running, tries)
            assert running.tell([ticket]) == 200
        assert running.get("/health/ready").status_code == 503
        assert running.get("/health").json()["dependencies"]["hubspot"]["status"] == "failing"
        bench.hubspot.faults.down = False
        wait_until(lambda: told(bench, tickets))
        assert running.stop() == 0


def wait_for_tries(running: Running, tries: int) -> None:
    wait_until(lambda: running.errors.read_text().count("the ledger is not open yet") >= tries)


@contextmanager
def taken_port() -> Iterator[int]:
    with socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield int(other.getsockname()[1])


def test_a_refused_token_is_one_line_and_exit_2(sqlite_bench: Bench) -> None:
    run = sqlite_bench.run("worker", HUBSPOT_ACCESS_TOKEN="wrong", PORT=str(free_port()))
    assert run.code == 2
    (line,) = run.error_lines
    assert line.startswith("HUBSPOT_ACCESS_TOKEN")


def test_a_taken_port_is_one_line_and_exit_2(sqlite_bench: Bench) -> None:
    with taken_port() as port:
        run = sqlite_bench.run("worker", PORT=str(port))
    assert run.code == 2
    (line,) = run.error_lines
    assert line.startswith(f"PORT: {port} is in use")


def test_without_secrets_the_receiver_is_off_and_says_so(sqlite_bench: Bench) -> None:
    with worker(sqlite_bench, env={"HUBSPOT_CLIENT_SECRET": "", "PUBLIC_URL": ""}) as running:
        assert running.tell([new_ticket(sqlite_bench)]) == 503
        assert running.stop() == 0
    assert "HUBSPOT_WEBHOOK_TOKEN" in running.errors.read_text()


def test_a_nightly_job_that_a_deploy_missed_runs_at_the_start(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    bench.run("migrate")
    long_ago = datetime.now(UTC) - timedelta(hours=30)
    with bench.ledger():
        JobRun.insert(name="retention", last_result="ok", last_finished_at=long_ago, runs=1).execute()

    def retention() -> JobRun:
        with bench.ledger():
            return JobRun.get_by_id("retention")

    with worker(bench) as running:
        wait_until(lambda: retention().runs == 2)
        assert running.stop() == 0
    with worker(bench) as running:
        time.sleep(1)
        assert running.stop() == 0
    again = retention()
    assert (again.runs, again.last_result) == (2, "ok")
    assert again.next_run_at > datetime.now(UTC)


@pytest.mark.parametrize("days", [4, 10])
def test_what_came_while_the_worker_was_down_for_days_is_told_once(bench: Bench, days: int) -> None:
    with worker(bench) as running:
        before = bench.add(2)
        wait_until(lambda: told(bench, before))
        assert running.stop() == 0
    down_since = datetime.now(UTC) - timedelta(days=days)
    age_ledger(bench, down_since)
    missed = [
        bench.hubspot.add_ticket("Late", "Hello", created_at=down_since + timedelta(hours=at * 20))
        for at in range(4)
    ]
    with worker(bench) as running:
        wait_until(lambda: told(bench, missed))
        assert running.stop() == 0
    assert told(bench, before + missed)


def age_ledger(bench: Bench, moment: datetime) -> None:
    """As if the ledger had last been used at ``moment``."""
    with bench.ledger():
        Cursor.update(looked_until_at=moment, looked_from_at=moment - timedelta(hours=72)).execute()
        times = {
            "processed_at": moment,
            "created_at": moment,
            "ticket_created_at": moment - timedelta(minutes=2),
        }
        ProcessedTicket.update(**times).execute()


def test_forgotten_tickets_that_are_edited_or_enrolled_again_stay_silent(bench: Bench) -> None:
    old = datetime.now(UTC) - timedelta(days=30)
    tickets = [bench.hubspot.add_ticket("Old", "Hello", created_at=old) for _ in range(6)]
    bench.run("run-once")
    assert told(bench, tickets)
    age_ledger(bench, old + timedelta(hours=1))
    now = datetime.now(UTC)
    with bench.ledger():
        Cursor.insert(name="sweep").execute()  # as if several had been completed since
        Cursor.update(looked_until_at=now, looked_from_at=now - timedelta(hours=72)).execute()
    assert bench.run("retention", "--json").json["tickets"] == 6
    assert bench.states() == {}
    for ticket in tickets[:3]:
        bench.hubspot.touch(ticket)
    with worker(bench, env={"SWEEP_INTERVAL_MINUTES": "0.02", "HUBSPOT_WEBHOOK_TOKEN": "a-token"}) as running:
        for ticket in tickets[3:]:
            assert enrol(running.url, ticket) == 200
        wait_until(lambda: len(bench.states()) == 6)
        wait_until(lambda: set(bench.states().values()) == {"skipped"})
        assert running.stop() == 0
    assert told(bench, tickets)
    assert len(bench.discord.messages) == 6


def enrol(url: str, ticket_id: str) -> int:
    """A workflow's webhook: one object, a token in a header."""
    headers = {"X-Webhook-Token": "a-token"}
    return httpx.post(f"{url}/webhook/hubspot", json={"hs_object_id": ticket_id}, headers=headers).status_code


def test_what_the_models_took_is_in_metrics_and_ledger(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    bench.ollama.faults.status = 500
    ids = bench.add(3)
    env = {**bench.vendors.groq_settings, "CLOUD_TRIAGE": "full"}
    with worker(bench, env=env) as running:
        wait_until(lambda: told(bench, ids))
        metrics = running.get("/metrics").text
        assert running.stop() == 0
    name = 'triage_cost_usd_total{provider="groq"} '
    (cost,) = [float(line.removeprefix(name)) for line in metrics.splitlines() if line.startswith(name)]
    assert cost > 0
    with bench.ledger():
        month = read_month()
    assert month.tokens_in > 0
    assert month.cost_usd == pytest.approx(cost)
    (took,) = bench.run("stats", "--json").json["last_days"]["models"]
    assert (took["provider"], took["answers"]) == ("groq", len(bench.vendors.groq.chats))
    assert took["seconds"] > 0
    assert 'triage_model_answer_seconds_count{provider="groq"} 3.0' in metrics
    assert " groq   3 " in bench.run("stats").out


def test_a_worker_loads_the_model_before_it_has_a_ticket(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    bench.ollama.faults.load_seconds = 2.0
    with worker(bench, env=RARELY) as running:
        wait_until(lambda: bool(bench.ollama.loaded))
        assert running.get("/health").json()["dependencies"]["hubspot"]["status"] == "ok", "looked meanwhile"
        ticket = new_ticket(bench)
        assert running.tell([ticket], event_id=1) == 200
        wait_until(lambda: told(bench, [ticket]))
        assert running.stop() == 0
    assert bench.ollama.requests_seen[0].path == "/api/generate"
    assert "model loaded" in {line["message"] for line in running.lines()}


def test_a_worker_backs_up_at_its_first_start_and_not_at_the_next(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_clients(monkeypatch)
    folder = bench.folder / "backups"
    for _ in range(2):
        with worker(bench, env={"BACKUP_DIR": str(folder), "PATH": os.environ["PATH"]}) as running:
            wait_until(lambda: list(folder.glob("triage-*.json")))
            wait_until(lambda: running.get("/health").json()["dependencies"]["hubspot"]["status"] == "ok")
            assert running.stop() == 0
        # The next one finds that of this night.
        assert len(list(folder.glob("triage-*.json"))) == 1
    assert list(folder.glob("*.part")) == []
