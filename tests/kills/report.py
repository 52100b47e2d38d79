"""What a run came to: counts, what they allow to say, and whether the promises held."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from models.tickets import TicketState
from tests.kills.arrivals import Way
from tests.kills.blows import Blow
from tests.kills.settlements import Settlement


@dataclass
class Report:
    """``lost`` had no card and were not held as the workers came to rest, before the person's last look.

    ``doubles`` break the promise; ``residuals`` had been sent again while a stopped worker still had them.
    ``unsettled`` are the tickets, by state, that were not told at the very end.
    """

    blows: Counter[Blow]
    interrupts: Counter[str]
    kills_that_met_work: int
    seconds: float
    by_way: Counter[Way]
    accepted: int
    unheard: int
    confirmed: int
    resent: int
    looked_for: Counter[str]
    settled: Sequence[Settlement]
    lease_seconds: float
    lost: list[str]
    cards: Counter[int]
    doubles: list[str]
    residuals: list[str]
    unsettled: dict[str, str]
    ended_alone: list[int]
    exit_codes: list[int | None]
    problems: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        wrong = (self.lost, self.doubles, self.unsettled, self.ended_alone, self.cards[0], self.problems)
        return not any(wrong) and set(self.exit_codes) == {0}

    def __str__(self) -> str:
        tickets, kills = self.by_way.total(), self.blows.total()
        ways = ", ".join(f"{number} by {way}" for way, number in sorted(self.by_way.items()))
        lines = [
            f"{kills} kills in {self.seconds / 60:.1f} min: {listed(self.blows)}",
            f"{self.kills_that_met_work} of those with -9 met tickets at work; "
            f"database: {listed(self.interrupts) or 'not interrupted'}",
            f"{tickets} tickets ({ways}); webhooks: {self.accepted} accepted, {self.unheard} unheard",
            f"cards per ticket: {dict(sorted(self.cards.items()))}; doubles {len(self.doubles)}, "
            f"residual doubles {len(self.residuals)}, lost {len(self.lost)}",
            f"held: {self.confirmed + self.resent}, of them {self.confirmed} with a card (confirmed) and "
            f"{self.resent} without (sent once more); by looks: {listed(self.looked_for) or 'none'}",
            f"upper bounds at 95 %: {3 / max(1, kills):.2%} a kill, {3 / max(1, tickets):.3%} a ticket",
            *settlement_lines(self.settled, self.lease_seconds),
        ]
        wrong = {
            "lost": self.lost,
            "doubles": self.doubles,
            "not told at the end": self.unsettled,
            "workers that ended by themselves, exit codes": self.ended_alone,
            "problems": self.problems,
        }
        lines += [f"WRONG: {name}: {what}" for name, what in wrong.items() if what]
        return "\n".join(
            [*lines, f"exit codes {self.exit_codes}: {'holds' if self.holds else 'DOES NOT HOLD'}"]
        )


def listed(counts: Counter[Blow] | Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items()))


def settlement_lines(settled: Sequence[Settlement], lease_seconds: float) -> list[str]:
    lines = []
    for alone, sending in product((True, False), (False, True)):
        chosen = (one for one in settled if one.sending is sending and one.alone is alone)
        seconds = sorted(one.seconds for one in chosen)
        words = ("in the middle of a send" if sending else "at work") + (
            "" if alone else ", amid other kills,"
        )
        if seconds:
            parts = (percentile(seconds, 0.5), percentile(seconds, 0.95), seconds[-1])
            median, p95, worst = (f"{one:.1f} s ({one / lease_seconds:.1f} leases)" for one in parts)
            lines.append(
                f"a killed worker's {len(seconds)} tickets {words} were settled after: median {median}, "
                f"p95 {p95}, worst {worst}"
            )
    return lines


def percentile(ordered: Sequence[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def find_lost(ids: Sequence[str], cards: Mapping[str, int], states: Mapping[str, str]) -> list[str]:
    """No card, and the ledger does not hold the ticket for a person either."""
    return [one for one in ids if not cards[one] and states.get(one) != TicketState.UNCONFIRMED]
