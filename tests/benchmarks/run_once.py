"""``python -m tests.benchmarks.run_once``: 500 tickets through ``run-once``, the vendors in this process.

Tickets a second, CPU per ticket, database round trips and HubSpot requests; then the same with models that
take 300 ms. Exits 1 where a limit is passed.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from jobs.sandbox.discord import SimulatedDiscord
from jobs.sandbox.hubspot import SimulatedHubSpot
from jobs.sandbox.ollama import SimulatedOllama
from tests.benchmarks.machine import machine, new_postgres
from tests.conftest import connect

ROOT = Path(__file__).resolve().parents[2]
TICKETS, RUNS, THREADS, MODEL_SECONDS = 500, 3, 8, 0.3
LEAST_PER_SECOND, MOST_ROUND_TRIPS, MOST_REQUESTS, LEAST_SHARE = 120, 4, 30, 0.9


@dataclass(frozen=True, slots=True)
class Measured:
    """One run; ``round_trips`` counts committed transactions of the server, which are single statements."""

    per_second: float
    cpu_ms: float
    round_trips: float
    requests: int


def measure(url: str, model_seconds: float = 0.0) -> Measured:
    with (
        SimulatedHubSpot() as hubspot,
        SimulatedOllama() as ollama,
        SimulatedDiscord() as discord,
        tempfile.TemporaryDirectory() as folder,
    ):
        ollama.faults.latency_seconds = model_seconds
        person, company = hubspot.add_contact(firstname="Ada"), hubspot.add_company(name="Engines")
        for one in hubspot.add_many(TICKETS, created_at=datetime.now(UTC) - timedelta(minutes=2)):
            hubspot.associate(one, contact=person, company=company)
        env = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": url,
            "HUBSPOT_BASE_URL": hubspot.url,
            "HUBSPOT_ACCESS_TOKEN": hubspot.access_token,
            "LOCAL_LLM_URL": ollama.url,
            "DISCORD_WEBHOOK_URL": discord.webhook_url,
            "TRIAGE_CONCURRENCY": str(THREADS),
        }
        command = [sys.executable, str(ROOT / "main.py")]
        subprocess.run([*command, "migrate"], cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL)
        before = commits(url)
        process = subprocess.Popen(
            [*command, "run-once", "--json"],
            cwd=folder,
            env=env | {"NOTIFY_SINCE": "2000-01-01"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout is not None
        report = json.loads(process.stdout.read())
        _, _, usage = os.wait4(process.pid, 0)
        process.stdout.close()
        process.returncode = 0
        assert report["notified"] == len(discord.messages) == TICKETS, report
        return Measured(
            TICKETS / report["seconds"],
            (usage.ru_utime + usage.ru_stime) * 1000 / TICKETS,
            (commits(url) - before) / TICKETS,
            sum(hubspot.requests.values()),
        )


def commits(url: str) -> int:
    session = connect(url)
    cursor = session.cursor()
    cursor.execute("SELECT pg_sleep(1.2), pg_stat_force_next_flush()")
    cursor.execute("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
    (count,) = cursor.fetchone() or (0,)
    session.close()
    return int(count)


def main() -> int:
    print(machine())
    instant, slow = [], []
    for _ in range(RUNS):
        with new_postgres() as url:
            instant.append(measure(url))
        with new_postgres() as url:
            slow.append(measure(url, MODEL_SECONDS))
    per_second = statistics.median(one.per_second for one in instant)
    share = statistics.median(one.per_second for one in slow) / (THREADS / MODEL_SECONDS)
    round_trips = statistics.median(one.round_trips for one in instant)
    requests = max(one.requests for one in instant)
    cpu_ms = statistics.median(one.cpu_ms for one in instant)
    print(
        f"instant models: {per_second:.0f} tickets/s (least {LEAST_PER_SECOND}), CPU {cpu_ms:.2f} ms a ticket"
    )
    print(f"database: {round_trips:.2f} round trips a ticket (most {MOST_ROUND_TRIPS})")
    print(f"HubSpot: {requests} requests for {TICKETS} tickets (most {MOST_REQUESTS})")
    print(f"models of {MODEL_SECONDS} s: {share:.2f} of {THREADS} / {MODEL_SECONDS} s (least {LEAST_SHARE})")
    kept = per_second >= LEAST_PER_SECOND and share >= LEAST_SHARE
    return 0 if kept and round_trips <= MOST_ROUND_TRIPS and requests <= MOST_REQUESTS else 1


if __name__ == "__main__":
    sys.exit(main())
