"""``python -m tests.benchmarks.guide [ROWS ...]``: the original guide's targets, beside what we do.

ROWS (default 10,000 and 1,000,000) settled tickets with a delivery each. An INSERT is a proposal of one
ticket, a SELECT a look-up by its id; the statistics are ours in one query against the guide's three, in
turns. Exits 1 above a target, or where ours takes more than 0.7 of the three on PostgreSQL.
"""

import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from models.database import connection, database, on_postgres
from models.proposals import Proposal, propose
from models.stats import read_stats
from models.tickets import Source, look_up_ticket
from tests.benchmarks.machine import machine, new_postgres, new_sqlite, postgres_settings
from tests.benchmarks.retention import FIRST_ID, SMALL, lay_settled, ledger, night

SIZES = (10_000, 1_000_000)
ROUNDS, STATS_ROUNDS, NIGHTS = 300, 15, 3
MOST_OF_THREE = 0.7
LIMITS_MS = {"INSERT": 50.0, "SELECT by ticket_id": 10.0, f"clean-up of {SMALL:,}": 200.0}
#: What the original's getProcessingStats asks: a count, a count by provider, and one of those that succeeded.
THE_GUIDES = (
    "SELECT count(*) FROM processed_tickets",
    "SELECT provider, count(*) FROM processed_tickets GROUP BY provider",
    "SELECT count(*) FROM processed_tickets WHERE success",
)


@dataclass(frozen=True, slots=True)
class Figures:
    """Milliseconds: the median and the worst of each operation; ``ours`` and ``theirs`` are medians."""

    rows: int
    times: dict[str, tuple[float, float]]
    ours: float
    theirs: float

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs

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


def clean_ups(rows: int) -> Iterator[float]:
    """Nights that forget a thousand each; what the laying out left old is forgotten before."""
    night()
    for turn in range(NIGHTS):
        with connection():
            lay_settled(FIRST_ID + rows + turn * 2 * SMALL, 2 * SMALL)
        report = night()
        assert report.tickets == SMALL
        yield report.seconds * 1000


def measure(rows: int) -> Figures:
    new_ids = itertools.count(90_000_000_000)
    times = {
        "INSERT": spread(lambda _: propose([Proposal(str(next(new_ids)))], Source.WEBHOOK), ROUNDS),
        "SELECT by ticket_id": spread(lambda n: look_up_ticket(str(FIRST_ID + n * rows // ROUNDS)), ROUNDS),
    }
    pairs = [(milliseconds(read_stats), milliseconds(ask_three)) for _ in range(STATS_ROUNDS)]
    ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    nights = list(clean_ups(rows))
    times[f"clean-up of {SMALL:,}"] = statistics.median(nights), max(nights)
    return Figures(rows, times, ours, theirs)


@contextmanager
def filled(kind: str, rows: int) -> Iterator[str]:
    with new_postgres() if kind == "PostgreSQL" else new_sqlite() as url, ledger(url, rows):
        with connection():
            about = postgres_settings(database.connection()) if on_postgres() else "SQLite"
        yield f"{machine()}, {about}"


def main() -> int:
    sizes = [int(one) for one in sys.argv[1:]] or SIZES
    console, within = Console(), True
    for kind, rows in itertools.product(("PostgreSQL", "SQLite"), sizes):
        with filled(kind, rows) as about:
            figures = measure(rows)
        within = within and figures.within and (kind == "SQLite" or figures.ratio <= MOST_OF_THREE)
        table = Table("what", "median, ms", "worst, ms", title=f"{rows:,} rows: {about}")
        for name, (median, worst) in figures.times.items():
            table.add_row(name, f"{median:.2f}", f"{worst:.1f}")
        table.add_row("statistics, ours", f"{figures.ours:.1f}", f"{figures.ratio:.2f} of the guide's three")
        table.add_row("statistics, the guide's three", f"{figures.theirs:.1f}", "")
        console.print(table)
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
