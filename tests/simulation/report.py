"""Sums over worlds, in lines for a person, and the story of what went wrong in one."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from models.database import on_postgres
from tests.simulation.checks import judge
from tests.simulation.ledger import Ledgers
from tests.simulation.world import World

FATES = ("CRASH", "FREEZE", "DOWNTIME", "LOST", "answer is lost", "log ")


@dataclass
class WorldReport:
    """What came of one seed; picklable, so that another process may have run it."""

    seed: int
    kind: str
    tickets: int
    cards: int
    effects: int
    statements: int
    digest: int
    happened: Counter[str]
    states: Counter[str]
    residuals: Counter[str]
    faults: list[tuple[str, str]]
    lines: list[str] = field(default_factory=list)
    on_postgres: bool = False


def run_world(made: Ledgers, seed: int, *, keep_trace: bool = False) -> WorldReport:
    with made.new() as outside:
        world = World(seed, outside, keep_trace=keep_trace)
        world.run()
        where = on_postgres()
        judged = judge(world)
    return WorldReport(
        seed=seed,
        kind=world.shape.kind,
        tickets=judged.tickets,
        cards=judged.cards,
        effects=world.trace.effects,
        statements=world.wire.statements,
        digest=world.trace.digest,
        happened=happened(world),
        states=judged.states,
        residuals=judged.residuals,
        faults=judged.faults,
        lines=world.trace.lines,
        on_postgres=where,
    )


def happened(world: World) -> Counter[str]:
    sends = [send for group in world.truth.sends.values() for send in group]
    return Counter(
        {
            "crashes": world.effects.crashes,
            "freezes": world.effects.freezes,
            "database faults": world.wire.lost,
            "refused starts": world.refusals,
            "sends": len(sends),
            "unknown outcomes": sum(send.answer in ("unknown", None) for send in sends),
            "persons' words": sum(map(len, world.truth.words.values())),
        }
    )


@dataclass
class Totals:
    worlds: int = 0
    tickets: int = 0
    cards: int = 0
    statements: int = 0
    happened: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    residuals: Counter[str] = field(default_factory=Counter)
    failed: list[WorldReport] = field(default_factory=list)

    def add(self, report: WorldReport) -> None:
        self.worlds += 1
        self.tickets += report.tickets
        self.cards += report.cards
        self.statements += report.statements
        self.happened += report.happened
        self.states += report.states
        self.residuals += report.residuals
        if report.faults:
            self.failed.append(report)

    def lines(self, seconds: float) -> Iterator[str]:
        yield (
            f"{self.worlds} worlds, {self.tickets} tickets, {self.cards} cards, {self.statements} statements "
            f"in {seconds:.0f} s: {self.tickets / seconds:.0f} tickets a second"
        )
        yield "met: " + listed(self.happened)
        yield "ended: " + listed(self.states)
        yield "residuals: " + (listed(self.residuals) or "none")
        if self.failed:
            yield f"FAILED: {len(self.failed)} worlds"
        elif self.tickets:
            yield (
                f"0 doubles and 0 losses beyond the residuals in {self.tickets} tickets: "
                f"by the rule of three less than {3 / self.tickets:.1e} of them, with 95 % confidence"
            )


def listed(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.most_common())


def failure_lines(report: WorldReport) -> Iterator[str]:
    yield f"the world of seed {report.seed} failed:"
    for ticket_id, sentence in report.faults[:10]:
        yield f"  {f'ticket {ticket_id}: ' if ticket_id else ''}{sentence}"
    if len(report.faults) > 10:
        yield f"  and {len(report.faults) - 10} more"
    database = " --postgres" * report.on_postgres
    yield f"replay it with: python -m tests.simulation{database} --replay {report.seed}"


def story(report: WorldReport, ticket_id: str) -> Iterator[str]:
    """The lines about one ticket, with what befell the processes meanwhile."""
    about = [number for number, line in enumerate(report.lines) if ticket_id in line]
    if not about:
        return
    for number in range(about[0], about[-1] + 1):
        line = report.lines[number]
        if ticket_id in line or any(fate in line for fate in FATES):
            yield line[:240]
