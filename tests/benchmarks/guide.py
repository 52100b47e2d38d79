"""``python -m tests.benchmarks.guide [ROWS ...]``: the original guide's targets, beside what we do.

ROWS (default 10,000 and 1,000,000) settled tickets with a delivery each. An INSERT is a proposal of one
ticket, a SELECT a look-up by its id; the statistics are ours in one query against the guide's three, in
turns: as plain SQL through our driver, and on PostgreSQL, where Node is, as the guide asks them, through
Prisma. Exits 1 above a target, or where ours takes more than 0.7 of Prisma's.
"""

import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE

from rich.console import Console
from rich.table import Table

from models.database import connection, database, on_postgres
from models.proposals import Proposal, propose
from models.stats import read_stats
from models.tickets import Source, look_up_ticket
from tests.benchmarks.machine import machine, new_postgres, new_sqlite, postgres_settings
from tests.benchmarks.node import libpq_variables, node_folder
from tests.benchmarks.retention import FIRST_ID, SMALL, lay_settled, ledger, night

SIZES = (10_000, 1_000_000)
ROUNDS, STATS_ROUNDS, NIGHTS = 300, 15, 3
MOST_OF_THREE = 0.7
LIMITS_MS = {"INSERT": 50.0, "SELECT by ticket_id": 10.0, f"clean-up of {SMALL:,}": 200.0}
PRISMA = "guide_prisma.mjs", "guide_prisma.prisma"
PRISMA_PACKAGES = "prisma@7", "@prisma/client@7", "@prisma/adapter-pg@7"
#: What the original's getProcessingStats asks: a count, a count by provider, and one of those that succeeded.
THE_GUIDES = (
    "SELECT count(*) FROM processed_tickets",
    "SELECT provider, count(*) FROM processed_tickets GROUP BY provider",
    "SELECT count(*) FROM processed_tickets WHERE success",
)


@dataclass(frozen=True, slots=True)
class Figures:
    """Milliseconds: the median and the worst of each operation; of the statistics the medians.

    ``prisma`` is None where it was not asked.
    """

    rows: int
    times: dict[str, tuple[float, float]]
    ours: float
    in_sql: float
    prisma: float | None

    @property
    def within(self) -> bool:
        return all(self.times[name][0] < limit for name, limit in LIMITS_MS.items())


def milliseconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def spread(work: Callable[[int], object], rounds: int) -> tuple[float, float]:
    taken = [milliseconds(lambda number=number: work(number)) for number in range(rounds)]  # type: ignore[misc]
    return statistics.median(taken), max(taken)


def ask_three() -> None:
    with connection():
        for statement in THE_GUIDES:
            database.execute_sql(statement).fetchall()


@contextmanager
def prisma(folder: Path | None, url: str) -> Iterator[Callable[[], float] | None]:
    """Milliseconds of the guide's three as its own client asks them; None where that is not to be had."""
    if folder is None or not on_postgres():
        yield None
        return
    command = ["node", PRISMA[0]]
    env = os.environ | libpq_variables(url)
    with subprocess.Popen(command, cwd=folder, env=env, text=True, stdin=PIPE, stdout=PIPE) as process:
        questions, answers = process.stdin, process.stdout
        assert questions is not None
        assert answers is not None

        def ask() -> float:
            print(file=questions, flush=True)
            answer = json.loads(answers.readline())
            assert answer["total"] >= answer["succeeded"] > SMALL
            return float(answer["taken"])

        yield ask
        questions.close()


@contextmanager
def prisma_client() -> Iterator[Path | None]:
    """A folder with the client that Prisma generates; no engine is needed for it, and none is fetched."""
    with node_folder(PRISMA, PRISMA_PACKAGES) as folder:
        if folder is None:
            yield None
            return
        generate = ["npx", "--no-install", "prisma", "generate", "--schema", PRISMA[1]]
        env = os.environ | {"PRISMA_SCHEMA_ENGINE_BINARY": shutil.which("true") or ""}
        failed = subprocess.run(generate, cwd=folder, env=env, capture_output=True, check=False).returncode
        yield None if failed else folder


def clean_ups(rows: int) -> Iterator[float]:
    """Nights that forget a thousand each; what the laying out left old is forgotten before."""
    night()
    for turn in range(NIGHTS):
        with connection():
            lay_settled(FIRST_ID + rows + turn * 2 * SMALL, 2 * SMALL)
        report = night()
        assert report.tickets == SMALL
        yield report.seconds * 1000


def measure(rows: int, ask_prisma: Callable[[], float] | None) -> Figures:
    new_ids = itertools.count(90_000_000_000)
    times = {
        "INSERT": spread(lambda _: propose([Proposal(str(next(new_ids)))], Source.WEBHOOK), ROUNDS),
        "SELECT by ticket_id": spread(lambda n: look_up_ticket(str(FIRST_ID + n * rows // ROUNDS)), ROUNDS),
    }
    asked = [lambda: milliseconds(read_stats), lambda: milliseconds(ask_three)]
    sides = [*asked, ask_prisma] if ask_prisma else asked
    turns = [[side() for side in sides] for _ in range(STATS_ROUNDS)]
    ours, in_sql, *others = (statistics.median(side) for side in zip(*turns, strict=True))
    nights = list(clean_ups(rows))
    times[f"clean-up of {SMALL:,}"] = statistics.median(nights), max(nights)
    return Figures(rows, times, ours, in_sql, others[0] if others else None)


@contextmanager
def filled(kind: str, rows: int) -> Iterator[tuple[str, str]]:
    """The URL of a ledger of so many rows, and a line that tells what it runs on."""
    with new_postgres() if kind == "PostgreSQL" else new_sqlite() as url, ledger(url, rows):
        with connection():
            about = postgres_settings(database.connection()) if on_postgres() else "SQLite"
        yield url, f"{machine()}, {about}"


def table_of(figures: Figures, about: str) -> Table:
    table = Table("what", "median, ms", "worst, ms", title=f"{figures.rows:,} rows: {about}")
    for name, (median, worst) in figures.times.items():
        table.add_row(name, f"{median:.2f}", f"{worst:.1f}")
    table.add_row("statistics, ours", f"{figures.ours:.1f}", "")
    for name, theirs in (("in SQL", figures.in_sql), ("through Prisma", figures.prisma)):
        if theirs is not None:
            ratio = figures.ours / theirs
            table.add_row(f"the guide's three {name}", f"{theirs:.1f}", f"ours is {ratio:.2f} of it")
    return table


def main() -> int:
    sizes = [int(one) for one in sys.argv[1:]] or SIZES
    console, within = Console(), True
    with prisma_client() as folder:
        for kind, rows in itertools.product(("PostgreSQL", "SQLite"), sizes):
            with filled(kind, rows) as (url, about), prisma(folder, url) as ask_prisma:
                figures = measure(rows, ask_prisma)
            within = within and figures.within
            if kind == "PostgreSQL":
                within = within and figures.ours <= MOST_OF_THREE * (figures.prisma or figures.in_sql)
            console.print(table_of(figures, about))
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
