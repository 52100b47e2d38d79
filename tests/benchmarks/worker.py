"""``python -m tests.benchmarks.worker [--quick]``: the worker at rest, and from a webhook to its card.

The worker is a process of its own on PostgreSQL, with the settings as shipped; the vendors answer at once, in
this process; the signed webhooks of the storm come from a third one. Exits 1 where a limit is passed.
"""

import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from socket import IPPROTO_TCP, TCP_NODELAY, create_connection

from tests.benchmarks.machine import machine
from tests.benchmarks.webhook_load import build_request, require_answer, send_all
from tests.benchmarks.worker_world import World, world
from tests.conftest import connect

IDLE_MB, GROWTH_MB, CLAIM_MS, P50_MS, P99_MS, LEAST_PER_SECOND = 100, 15, 200, 50, 200, 200
CONNECTIONS, STORM, ROUNDS, GROWTH_BATCH = 20, 500, 5, 4
PER_SECOND, PACED = 5, 200
CORES = os.cpu_count() or 1


def transactions(url: str) -> int:
    """Committed and rolled back ones of the database; nearly all are single statements."""
    session = connect(url)
    cursor = session.cursor()
    cursor.execute(
        "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
    )
    (number,) = cursor.fetchone() or (0,)
    session.close()
    return int(number)


@dataclass(frozen=True, slots=True)
class Idle:
    """Megabytes at the start and the end, then CPU seconds an hour, statements and requests a minute."""

    started_mb: float
    mb: float
    cpu_an_hour: float
    statements: float
    requests: float


def idle(one: World, seconds: float) -> Idle:
    def read() -> tuple[float, float, float]:
        return one.cpu_seconds, transactions(one.url), sum(one.hubspot.requests.values())

    started_mb, before = one.megabytes, read()
    time.sleep(seconds)
    cpu, statements, requests = (now - then for now, then in zip(read(), before, strict=True))
    minutes = seconds / 60
    return Idle(started_mb, one.megabytes, cpu * 3600 / seconds, statements / minutes, requests / minutes)


def storm(port: int, first_id: int, batch: int) -> float:
    """500 webhooks, each on a connection that is free; when the first began (``perf_counter``)."""
    last_id = first_id + STORM * batch
    ready = [build_request(one, batch) for one in range(first_id, last_id, batch)]
    started = time.perf_counter()
    send_all(port, CONNECTIONS, iter(ready), b"200")
    return started


@dataclass(frozen=True, slots=True)
class Stormed:
    """Tickets a second until the last card, and CPU for each: the worker's, this process's, everybody's."""

    per_second: float
    worker_ms: float
    vendors_ms: float
    machine_ms: float


def send_storm(one: World, sender: ProcessPoolExecutor, batch: int = 1) -> Stormed:
    def cpu() -> tuple[float, float, float]:
        return one.cpu_seconds, time.process_time(), machine_cpu_seconds()

    ids, before = one.new_tickets(STORM * batch), cpu()
    # The clock is the machine's: both processes read the same.
    started = sender.submit(storm, one.running.port, ids[0], batch).result()
    one.wait_for_cards(ids)
    used = ((now - then) * 1000 / len(ids) for now, then in zip(cpu(), before, strict=True))
    return Stormed(len(ids) / (max(one.told.at[ticket] for ticket in ids) - started), *used)


def machine_cpu_seconds() -> float:
    """Of all processes; https://man7.org/linux/man-pages/man5/proc_stat.5.html names the columns."""
    first_line = Path("/proc/stat").read_text().split("\n", 1)[0]
    user, nice, system, _idle, _waiting, *interrupts = map(int, first_line.split()[1:8])
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def pace(one: World, number: int) -> tuple[list[float], list[float]]:
    """Milliseconds from a webhook's first byte to its card, and to the model's question, both sorted."""
    ids = one.new_tickets(number)
    connection = create_connection(("127.0.0.1", one.running.port))
    connection.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    sent_at: dict[int, float] = {}
    for ticket in ids:
        request = build_request(ticket, 1)
        sent_at[ticket] = time.perf_counter()
        connection.sendall(request)
        require_answer(connection, b"200")
        time.sleep(max(0.0, sent_at[ticket] + 1 / PER_SECOND - time.perf_counter()))
    one.wait_for_cards(ids)
    connection.close()
    to_card = sorted((one.told.at[ticket] - sent_at[ticket]) * 1000 for ticket in ids)
    return to_card, sorted((one.asked.at[ticket] - sent_at[ticket]) * 1000 for ticket in ids)


def percentile(ordered: Sequence[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def report_rest_and_growth(sender: ProcessPoolExecutor, seconds: float) -> bool:
    with world() as one:
        rest = idle(one, seconds)
        print(
            f"at rest for {seconds:.0f} s: {rest.started_mb:.1f} MB, then {rest.mb:.1f} (most {IDLE_MB}), "
            f"CPU {rest.cpu_an_hour:.0f} s an hour, {rest.statements:.0f} database transactions and "
            f"{rest.requests:.1f} HubSpot requests a minute"
        )
        send_storm(one, sender, GROWTH_BATCH)
        growth = one.megabytes - rest.mb
        print(f"after {STORM * GROWTH_BATCH} tickets: {growth:+.1f} MB (most {GROWTH_MB})")
    return rest.mb <= IDLE_MB and growth <= GROWTH_MB


def report_speed(sender: ProcessPoolExecutor, paced: int) -> bool:
    with world() as one:
        pace(one, 10)  # what is imported with the first ticket
        to_card, to_model = pace(one, paced)
        storms = [send_storm(one, sender) for _ in range(ROUNDS)]
    p50, p99, claimed = percentile(to_card, 0.5), percentile(to_card, 0.99), percentile(to_model, 0.99)
    print(
        f"{paced} webhooks, {PER_SECOND} a second: card p50 {p50:.0f} ms (most {P50_MS}), p99 {p99:.0f} "
        f"(most {P99_MS}), worst {to_card[-1]:.0f}; claimed and the model asked p50 "
        f"{percentile(to_model, 0.5):.0f} ms, p99 {claimed:.0f} (most {CLAIM_MS})"
    )
    per_second, worker_ms, vendors_ms, machine_ms = (
        statistics.median(getattr(one, name) for one in storms) for name in Stormed.__slots__
    )
    print(
        f"{STORM} webhooks on {CONNECTIONS} connections: {per_second:.0f} tickets/s until the last card "
        f"(least {LEAST_PER_SECOND}), median of {', '.join(f'{one.per_second:.0f}' for one in storms)}; "
        f"CPU a ticket: worker {worker_ms:.1f} ms, vendors {vendors_ms:.1f}, with PostgreSQL and whatever "
        f"else runs {machine_ms:.1f} of {CORES * 1000 / per_second:.1f}"
    )
    return p50 <= P50_MS and p99 <= P99_MS and claimed <= CLAIM_MS and per_second >= LEAST_PER_SECOND


def main(*options: str) -> int:
    quick = "--quick" in options
    print(machine())
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as sender:
        within = report_rest_and_growth(sender, 60 if quick else 120)
        fast = report_speed(sender, 25 if quick else PACED)
    return 0 if within and fast else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
