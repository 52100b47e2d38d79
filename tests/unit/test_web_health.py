"""The health routes and /metrics over a real server."""

import json
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.routing import Route

from jobs.check_health import Check, HealthReport, Status, report_unread
from jobs.observations import Observations
from jobs.settings import load_settings
from jobs.verbs.run import build_parts
from jobs.verbs.worker import build_web
from jobs.version import VERSION
from jobs.web.app import build_app
from jobs.web.health import HealthSource, health_routes
from jobs.web.metrics import CountedObservations, LedgerNow, metrics_routes
from jobs.web.server import WebServer
from jobs.worker import Worker
from models.errors import StoreUnreachable
from models.health import InboxDepth, Standing

ROOT = Path(__file__).resolve().parents[2]
GOOD = HealthReport(Status.HEALTHY, (Check("database", ok=True, line="fine"),), latency_ms=1.23)
HELD = HealthReport(Status.DEGRADED, (Check("held", ok=False, line="2 held: look"),), latency_ms=1.0)


@contextmanager
def served(routes: Sequence[Route]) -> Iterator[str]:
    server = WebServer(build_app(routes), port=0, host="127.0.0.1")
    server.start()
    yield f"http://127.0.0.1:{server.port}"
    assert server.stop(10)


@contextmanager
def health_of(read: Callable[[], HealthReport], **source: Any) -> Iterator[httpx.Client]:
    told = {"is_ready": lambda: True, "is_shutting_down": lambda: False, **source}
    with served(health_routes(HealthSource(read, **told))) as url, client_of(url) as client:
        yield client


def client_of(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, verify=False, trust_env=False, timeout=30)  # noqa: S501 - plain HTTP


def raising(error: Exception) -> Callable[[], HealthReport]:
    def read() -> HealthReport:
        raise error

    return read


def test_health_has_the_promised_shape() -> None:
    observed = CountedObservations()
    observed.service_asked("discord", ok=True, seconds=0.25)
    observed.hubspot_answered(401, 0.1)
    with health_of(lambda: GOOD, observations=observed) as client:
        answer = client.get("/health")
    body = answer.json()
    assert (answer.status_code, body["status"], body["version"]) == (200, "healthy", VERSION)
    assert set(body) == {"status", "timestamp", "version", "uptime_seconds", "dependencies", "warnings"}
    assert answer.headers["cache-control"] == "no-store"
    assert body["uptime_seconds"] >= 0
    services = body["dependencies"]
    assert services["database"] == {"status": "ok", "latency_ms": 1.2}
    assert (services["discord"]["status"], services["discord"]["latency_ms"]) == ("ok", 250.0)
    assert (services["hubspot"]["status"], services["local"]["status"]) == ("failing", "unknown")


def test_a_degraded_worker_still_answers_200_and_says_what_to_do() -> None:
    with health_of(lambda: HELD) as client:
        answer = client.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["warnings"] == ["2 held: look"]


def test_one_that_shuts_down_answers_503() -> None:
    with health_of(lambda: GOOD, is_shutting_down=lambda: True) as client:
        answer = client.get("/health")
        assert (answer.status_code, answer.json()["status"]) == (503, "shutting_down")
        assert client.get("/health/ready").status_code == 503
        assert client.get("/health/live").status_code == 200


def test_a_worker_whose_tables_were_taken_back_is_not_ready(tmp_path: Path) -> None:
    given = {
        "DATABASE_URL": f"sqlite:////{tmp_path}/unused.db",
        "HUBSPOT_ACCESS_TOKEN": "unused",
        "DISCORD_WEBHOOK_URL": "http://127.0.0.1:9/api/webhooks/1/a",
        "LOCAL_LLM_URL": "http://127.0.0.1:9",
    }
    observations = CountedObservations()
    parts = build_parts(load_settings(given, isolated=True), [], threading.Event(), observations)
    worker = Worker(parts)
    web = build_web(worker, observations, 0)
    web.start()
    with client_of(f"http://127.0.0.1:{web.port}") as client:
        worker.is_ready = True
        assert client.get("/health/ready").status_code == 200
        worker.presence.is_behind = True
        assert client.get("/health/ready").status_code == 503
    assert web.stop(10)
    parts.close()


def test_ready_is_when_the_ledger_is_open() -> None:
    is_open = threading.Event()
    with health_of(lambda: GOOD, is_ready=is_open.is_set) as client:
        assert client.get("/health/ready").status_code == 503
        is_open.set()
        assert client.get("/health/ready").status_code == 200


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (StoreUnreachable("the database cannot be reached"), "the database cannot be reached"),
        (RuntimeError("postgresql://user:secret@host"), "health could not be read (RuntimeError)"),
    ],
)
def test_a_database_that_fails_is_told_without_a_secret(error: Exception, line: str) -> None:
    with health_of(raising(error)) as client:
        answer = client.get("/health")
    body = answer.json()
    assert (answer.status_code, body["status"]) == (200, "degraded")
    assert body["warnings"][0].startswith(line)
    assert "secret" not in answer.text
    assert body["dependencies"]["database"] == {"status": "failing", "latency_ms": None}


def test_a_database_that_hangs_is_waited_for_once_and_not_long() -> None:
    hanging, reads = threading.Event(), []

    def read() -> HealthReport:
        reads.append(1)
        hanging.wait(60)
        return GOOD

    with health_of(read) as client:
        for _ in range(2):
            started = time.monotonic()
            body = client.get("/health").json()
            # 1.5 s is the promise's half: the rest is this machine's.
            assert time.monotonic() - started < 10
            assert "did not answer within 1.5 s" in body["warnings"][0]
            assert client.get("/health/live").status_code == 200
        assert len(reads) == 1
        hanging.set()
        deadline = time.monotonic() + 20
        while client.get("/health").json()["status"] != "healthy" and time.monotonic() < deadline:
            time.sleep(0.05)
        assert client.get("/health").json()["status"] == "healthy"


def test_a_flood_of_questions_reads_the_ledger_once() -> None:
    reads: list[int] = []

    def read() -> HealthReport:
        reads.append(1)
        return GOOD

    with health_of(read) as client:
        started = time.monotonic()
        for _ in range(50):
            assert client.get("/health").status_code == 200
        assert len(reads) <= 1 + (time.monotonic() - started) / 2.0


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
def test_only_reads_are_answered(path: str) -> None:
    with health_of(lambda: GOOD) as client:
        assert client.head(path).status_code == 200
        assert client.post(path).status_code == 405


def test_the_version_is_the_projects() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION


def scraped(observed: CountedObservations, **reads: Any) -> dict[str, float]:
    ledger = {"read_now": lambda: LedgerNow(Standing(), InboxDepth()), "read_states": dict, **reads}
    with served(metrics_routes(observed, **ledger)) as url, client_of(url) as client:
        answer = client.get("/metrics")
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/plain")
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_metrics_show_what_was_noted() -> None:
    observed = CountedObservations()
    settled = {"state": "notified", "source": "webhook", "provider": "local", "priority": "high"}
    observed.ticket_settled(**settled, triage_seconds=1.5, card_seconds=4)
    observed.card_answered("discord", ok=True, seconds=0.2)
    observed.ticket_settled(state="skipped")
    observed.job_ended("poll", 0.3, failed=False)
    observed.job_ended("poll", 0.3, failed=True)
    for status in (200, 200, 429):
        observed.hubspot_answered(status, 0.1)
    observed.webhook_answered("200")
    observed.webhook_dropped(3)
    observed.signature_refused()
    observed.model_used("groq", 1000, 200, 0.25, 1.5)
    shown = scraped(observed)
    labels = 'priority="high",provider="local",source="webhook",state="notified"'
    assert shown[f"triage_tickets_settled_total{{{labels}}}"] == 1
    assert shown['triage_verdict_seconds_bucket{le="2.0",provider="local"}'] == 1
    assert shown['triage_verdict_seconds_bucket{le="1.0",provider="local"}'] == 0
    assert shown['triage_delivery_seconds_bucket{le="0.25"}'] == 1
    assert shown['triage_creation_to_card_seconds_bucket{le="5.0"}'] == 1
    assert shown["triage_creation_to_card_seconds_count"] == 1
    assert (shown['triage_job_runs_total{job="poll"}'], shown['triage_job_failures_total{job="poll"}']) == (
        2,
        1,
    )
    assert shown['triage_hubspot_requests_total{code="429"}'] == 1
    assert shown['triage_hubspot_requests_total{code="200"}'] == 2
    assert shown['triage_webhook_answers_total{code="200"}'] == 1
    assert shown["triage_webhook_events_dropped_total"] == 3
    assert shown["triage_webhook_signatures_refused_total"] == 1
    assert shown['triage_tokens_total{direction="in",provider="groq"}'] == 1000
    assert shown['triage_cost_usd_total{provider="groq"}'] == 0.25
    assert shown['triage_model_answer_seconds_sum{provider="groq"}'] == 1.5
    assert shown['triage_model_answer_seconds_bucket{le="1.0",provider="groq"}'] == 0
    assert shown["process_resident_memory_bytes"] > 0


def test_metrics_show_the_ledger_as_it_stands() -> None:
    now = LedgerNow(Standing({"found": 2, "retry": 1}, 4, 0, 33.0), InboxDepth(5, 6, 1.0))
    shown = scraped(CountedObservations(), read_now=lambda: now, read_states=lambda: {"notified": 9})
    assert shown["triage_database_up"] == 1
    assert shown['triage_tickets{state="notified"}'] == 9
    assert (shown["triage_tickets_open"], shown["triage_tickets_unconfirmed"]) == (3, 4)
    assert shown["triage_oldest_open_seconds"] == 33
    assert (shown["triage_inbox_waiting"], shown["triage_inbox_set_aside"]) == (5, 6)


def test_a_database_that_is_down_fails_no_scrape() -> None:
    def down() -> Any:
        raise StoreUnreachable("the database cannot be reached")

    observed = CountedObservations()
    observed.webhook_answered("503")
    shown = scraped(observed, read_now=down, read_states=down)
    assert shown["triage_database_up"] == 0
    assert shown['triage_webhook_answers_total{code="503"}'] == 1
    assert "triage_tickets_open" not in shown


def test_a_database_that_hangs_holds_no_scrape_for_long() -> None:
    hanging = threading.Event()
    started = time.monotonic()
    shown = scraped(
        CountedObservations(), read_now=lambda: hanging.wait(60), read_states=lambda: hanging.wait(60)
    )
    hanging.set()
    assert shown["triage_database_up"] == 0
    assert time.monotonic() - started < 20


def test_two_workers_in_one_process_count_apart() -> None:
    one, other = CountedObservations(), CountedObservations()
    one.signature_refused()
    assert scraped(other)["triage_webhook_signatures_refused_total"] == 0


def test_many_threads_lose_no_count() -> None:
    observed = CountedObservations()

    def work() -> None:
        for _ in range(500):
            observed.webhook_answered("200")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert scraped(observed)['triage_webhook_answers_total{code="200"}'] == 4000


def test_noting_nothing_is_the_default() -> None:
    idle = Observations()
    idle.ticket_settled(state="notified", triage_seconds=1)
    idle.job_ended("poll", 1, failed=True)
    idle.hubspot_answered(500, 0.1)
    idle.service_asked("groq", ok=False)
    assert idle.last_outcomes() == {}
    assert report_unread("x").latency_ms is None


def test_neither_help_nor_run_once_loads_the_web_or_the_metrics() -> None:
    script = (
        "import sys, json; import main; main.build_parser(); import jobs.verbs.run, jobs.observations; "
        "print(json.dumps([m for m in ('prometheus_client', 'starlette', 'uvicorn') if m in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []
