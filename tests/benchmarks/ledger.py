"""``python -m tests.benchmarks.ledger``: the ledger's hot operations against their own SQL on bare psycopg2.

Both sides use one server session, since a second one would be the colder, and take turns; who goes first
alternates, so that load and growth of the tables meet both alike. Laying the rows out is not timed. Exits 1
where a ratio of medians is above the limit.
"""

import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from models.claims import CLAIM, Claim, claim
from models.database import close_database, connection, database, open_database
from models.proposals import PROPOSE, Proposal, propose
from models.schema import deploy_migrations
from models.sends import RECORD_SENT, record_sent
from models.tickets import LOOK_UP, ProcessedTicket, Source, TicketState, look_up_ticket
from models.utc import to_text
from models.write_ahead import BEGIN, VerdictColumns, begin_delivery
from tests.benchmarks.machine import machine, new_postgres, new_sqlite, postgres_settings

LIMIT = 1.5
CREATED = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
OWNER, CHANNEL, LEASE_SECONDS = "bench", "console", 120.0
VERDICT = VerdictColumns(CREATED, "high", "reply_only", 0.8, "local", True, "llama3.2", 1200, 1)
NEVER_TRIED = -1

Params = Sequence[object] | Mapping[str, object]
SETTLED = [str(number) for number in range(30_000_000_000, 30_000_005_000)]  #: a week at a busy desk
settled_ids = itertools.cycle(SETTLED)
numbers = itertools.count(40_000_000_000)


@dataclass(frozen=True, slots=True)
class Case:
    """The tickets of one round on one side, with their claims where the operation needs them claimed."""

    ids: list[str]
    claims: list[Claim]


@dataclass(frozen=True, slots=True)
class Operation:
    """``lay`` makes so many tickets for it to start from; ``leaves`` is the state that proves it worked."""

    name: str
    size: int
    rounds: int
    lay: Callable[[int], Case]
    ours: Callable[[Case], object]
    statement: str
    params: Callable[[Case], Params]
    leaves: TicketState


def settled(size: int) -> Case:
    return Case(list(itertools.islice(settled_ids, size)), [])


def unknown(size: int) -> Case:
    return Case([str(number) for number in itertools.islice(numbers, size)], [])


def found(size: int) -> Case:
    case = unknown(size)
    propose(proposals(case.ids), Source.POLL)
    return case


def claimed(size: int) -> Case:
    ids = found(size).ids
    return Case(ids, claim(ids, OWNER, LEASE_SECONDS))


def sending(size: int) -> Case:
    case = claimed(size)
    for one in case.claims:
        begin_delivery(one, CHANNEL, VERDICT, LEASE_SECONDS)
    return case


def proposals(ids: list[str]) -> list[Proposal]:
    return [Proposal(one, CREATED) for one in ids]


def begin_params(case: Case) -> Params:
    verdict = (getattr(VERDICT, name) for name in VerdictColumns.__slots__)
    (one,) = case.claims
    unpaused = (False, CHANNEL, "")
    return (*verdict, LEASE_SECONDS, one.ticket_id, OWNER, one.attempt, *unpaused, CHANNEL, NEVER_TRIED)


def sent_params(case: Case) -> Params:
    return {
        "ticket": case.ids[0],
        "channel": CHANNEL,
        "message": "1",
        "place": "2",
        "configured": [CHANNEL],
    }


def proposing(size: int, rounds: int) -> Operation:
    return Operation(
        f"propose {size}",
        size,
        rounds,
        unknown,
        lambda case: propose(proposals(case.ids), Source.POLL),
        PROPOSE,
        lambda case: (case.ids, [to_text(CREATED)] * size, [None] * size, "poll"),
        TicketState.FOUND,
    )


def claiming(size: int, rounds: int) -> Operation:
    return Operation(
        f"claim {size}",
        size,
        rounds,
        found,
        lambda case: claim(case.ids, OWNER, LEASE_SECONDS),
        CLAIM,
        lambda case: (case.ids, OWNER, LEASE_SECONDS),
        TicketState.CLAIMED,
    )


OPERATIONS = (
    proposing(1, rounds=500),
    proposing(200, rounds=150),
    Operation(
        "look up",
        1,
        2000,
        settled,
        lambda case: look_up_ticket(case.ids[0]),
        LOOK_UP,
        lambda case: (case.ids[0],),
        TicketState.NOTIFIED,
    ),
    claiming(1, rounds=500),
    claiming(50, rounds=200),
    Operation(
        "begin a delivery",
        1,
        500,
        claimed,
        lambda case: begin_delivery(case.claims[0], CHANNEL, VERDICT, LEASE_SECONDS),
        BEGIN,
        begin_params,
        TicketState.CLAIMED,
    ),
    Operation(
        "settle",
        1,
        500,
        sending,
        lambda case: record_sent(case.ids[0], CHANNEL, [CHANNEL], "1", "2"),
        RECORD_SENT,
        sent_params,
        TicketState.NOTIFIED,
    ),
)


def time_of(work: Callable[[], object]) -> float:
    """Milliseconds."""
    started = time.perf_counter()
    answer = work()
    taken = time.perf_counter() - started
    assert answer
    return taken * 1000


def require_done(operation: Operation, ids: set[str]) -> None:
    with connection():
        left = ProcessedTicket.select(ProcessedTicket.ticket_id).where(
            ProcessedTicket.state == operation.leaves
        )
        assert ids <= {row.ticket_id for row in left}, f"{operation.name} did not do its work"


def medians(operation: Operation, session: Any) -> tuple[float, float]:
    """Milliseconds through our function and through psycopg2."""
    ours: list[float] = []
    floor: list[float] = []
    ids: set[str] = set()

    def run_ours(case: Case) -> None:
        ours.append(time_of(lambda: operation.ours(case)))

    def run_floor(case: Case) -> None:
        params = operation.params(case)
        floor.append(time_of(lambda: execute(session, operation.statement, params)))

    for turn in range(operation.rounds):
        mine, bare = operation.lay(operation.size), operation.lay(operation.size)
        ids.update(mine.ids, bare.ids)
        if turn % 2:
            run_floor(bare)
        run_ours(mine)
        if not turn % 2:
            run_floor(bare)
    require_done(operation, ids)
    return statistics.median(ours), statistics.median(floor)


def execute(session: Any, statement: str, params: Params) -> object:
    cursor = session.cursor()
    cursor.execute(statement, params)
    return cursor.fetchall()


def median_alone(operation: Operation) -> float:
    def run(case: Case) -> float:
        return time_of(lambda: operation.ours(case))

    return statistics.median(run(operation.lay(operation.size)) for _ in range(operation.rounds))


@contextmanager
def filled_ledger(url: str) -> Iterator[None]:
    """A migrated ledger with a week of settled tickets in it, opened in this process."""
    open_database(url)
    try:
        deploy_migrations()
        propose(proposals(SETTLED), Source.POLL)
        with connection():
            ProcessedTicket.update(state=TicketState.NOTIFIED).execute()
            database.execute_sql("ANALYZE")
        yield
    finally:
        close_database()


def pooled_session() -> Any:
    """The psycopg2 connection that the pool hands out next: one thread never needs a second."""
    with connection():
        session = database.connection()
    assert session.autocommit
    return session


def against_psycopg2() -> tuple[Table, bool]:
    with new_postgres() as url, filled_ledger(url):
        session = pooled_session()
        table = Table("operation", title=f"{machine()}, {postgres_settings(session)}")
        for heading in ("ratio", "ours ms", "psycopg2 ms", "rounds"):
            table.add_column(heading, justify="right")
        within = True
        for operation in OPERATIONS:
            ours, floor = medians(operation, session)
            within = within and ours <= LIMIT * floor
            figures = (f"{ours / floor:.2f}", f"{ours:.3f}", f"{floor:.3f}", str(operation.rounds))
            table.add_row(operation.name, *figures)
    return table, within


def on_sqlite() -> Table:
    table = Table("operation", title="SQLite, for the record")
    table.add_column("ms", justify="right")
    with new_sqlite() as url, filled_ledger(url):
        for operation in OPERATIONS:
            table.add_row(operation.name, f"{median_alone(operation):.3f}")
    return table


def main() -> int:
    console = Console()
    table, within = against_psycopg2()
    console.print(table)
    console.print(on_sqlite())
    if not within:
        console.print(f"above the limit of {LIMIT}")
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
