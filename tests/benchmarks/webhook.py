"""``python -m tests.benchmarks.webhook``: the webhook's answer with the rows committed first, on PostgreSQL.

Server and senders are processes of their own. Where Node is, Fastify with node-postgres does the same insert
in the same run, in turns. Then a flood of bad signatures, and what it costs the good ones. Exits 1 beyond a
limit.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from rich.console import Console
from rich.table import Table

from models.database import close_database, open_database
from models.schema import deploy_migrations
from tests.benchmarks.machine import machine, new_postgres, postgres_settings
from tests.benchmarks.node import libpq_variables, node_folder
from tests.benchmarks.webhook_load import PUBLIC_URL, SECRET
from tests.conftest import connect, with_server

ROOT = Path(__file__).resolve().parents[2]
FASTIFY = "webhook_fastify.mjs"
P99_LIMIT_MS, MOST_SLOWED = 15.0, 2.0
ROUNDS, FLOOD_CONNECTIONS = 5, 50


@dataclass(frozen=True, slots=True)
class Case:
    connections: int
    batch: int
    requests: int


LEAST_RATIO = 1.0  #: of Fastify's requests a second
CASES = (
    Case(10, 1, 12_000),
    Case(100, 1, 12_000),
    Case(10, 100, 1_200),
    Case(100, 100, 1_200),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """Milliseconds and requests a second."""

    p50: float
    p99: float
    per_second: float


@contextmanager
def served(command: Sequence[str], env: dict[str, str], folder: Path = ROOT) -> Iterator[tuple[int, int]]:
    """The port and the process id of a server that prints its port."""
    process = subprocess.Popen(command, cwd=folder, env=os.environ | env, text=True, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline()), process.pid
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


@contextmanager
def our_server(url: str) -> Iterator[tuple[int, int]]:
    with served([sys.executable, "-m", "tests.benchmarks.webhook_server"], {"DATABASE_URL": url}) as one:
        yield one


@contextmanager
def fastify(url: str) -> Iterator[int | None]:
    """Its port, or None where Node or its packages are not to be had."""
    with node_folder([FASTIFY], ["fastify@5", "pg@8"]) as folder:
        if folder is None:
            yield None
            return
        command = ["node", FASTIFY, SECRET, PUBLIC_URL]
        with served(command, libpq_variables(url), folder) as (port, _):
            yield port


def load_command(port: int, case: Case, *more: str) -> list[str]:
    module = [sys.executable, "-m", "tests.benchmarks.webhook_load"]
    return [*module, str(port), str(case.connections), str(case.batch), str(case.requests), *more]


def measure(url: str, port: int, case: Case) -> Measured:
    """Send all of the case's requests, and see that each row is there."""
    with_server(url, "TRUNCATE webhook_inbox")
    with_server(url, "CHECKPOINT")
    ran = subprocess.run(load_command(port, case), cwd=ROOT, check=True, stdout=subprocess.PIPE)
    session = connect(url)
    with session.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM webhook_inbox")
        assert cursor.fetchall()[0][0] == case.requests * case.batch
    session.close()
    return Measured(**json.loads(ran.stdout))


def median_of(measured: Sequence[Measured]) -> Measured:
    figures = zip(*((one.p50, one.p99, one.per_second) for one in measured), strict=True)
    return Measured(*map(statistics.median, figures))


def compare(url: str, ours: int, theirs: int | None) -> tuple[Table, bool]:
    table = Table("connections, batch", title="webhook, rows committed before the answer")
    for heading in ("p50 ms", "p99 ms", "requests/s", "Fastify p50", "p99", "requests/s", "ratio"):
        table.add_column(heading, justify="right")
    within = True
    for case in CASES:
        mine, other = [], []
        for _ in range(ROUNDS):
            mine.append(measure(url, ours, case))
            if theirs:
                other.append(measure(url, theirs, case))
        us, them = median_of(mine), median_of(other) if other else None
        cells = [f"{us.p50:.1f}", f"{us.p99:.1f}", f"{us.per_second:.0f}"]
        if case.connections == 10 and case.batch == 1:
            within = within and us.p99 <= P99_LIMIT_MS
        if them:
            ratio = us.per_second / them.per_second
            within = within and ratio >= LEAST_RATIO
            cells += [f"{them.p50:.1f}", f"{them.p99:.1f}", f"{them.per_second:.0f}", f"{ratio:.2f}"]
        table.add_row(f"{case.connections}, {case.batch}", *cells)
    return table, within


def flood_ratio(url: str, port: int) -> tuple[float, Measured, Measured]:
    """How much longer good requests take while others send as many bad ones as they can."""
    case = CASES[0]
    calm, flooded = [], []
    for _ in range(ROUNDS):
        calm.append(measure(url, port, case))
        flood = load_command(port, Case(FLOOD_CONNECTIONS, 1, 0), "flood")
        with subprocess.Popen(flood, cwd=ROOT) as process:
            try:
                flooded.append(measure(url, port, case))
            finally:
                process.terminate()
    before, during = median_of(calm), median_of(flooded)
    return before.per_second / during.per_second, before, during


def main() -> int:
    console = Console(width=120)
    with new_postgres() as url, ExitStack() as stack:
        open_database(url)
        deploy_migrations()
        close_database()
        session = psycopg2.connect(url)
        console.print(f"{machine()}, {postgres_settings(session)}")
        session.close()
        port, pid = stack.enter_context(our_server(url))
        theirs = stack.enter_context(fastify(url))
        memory = megabytes(pid)
        table, within = compare(url, port, theirs)
        console.print(table)
        ratio, before, during = flood_ratio(url, port)
        console.print(f"memory {memory:.0f} MB before, {megabytes(pid):.0f} MB after")
    console.print(
        f"flood of bad signatures on {FLOOD_CONNECTIONS} connections: {before.per_second:.0f} good requests "
        f"a second become {during.per_second:.0f} (ratio {ratio:.2f}, limit {MOST_SLOWED}), "
        f"p99 {before.p99:.1f} ms becomes {during.p99:.1f}"
    )
    return 0 if within and ratio <= MOST_SLOWED else 1


def megabytes(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1_048_576


if __name__ == "__main__":
    sys.exit(main())
