"""Counts over the ledger for reports and ``stats``."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from peewee import SQL, fn

from models.database import database, rerun_on_conflict
from models.tickets import OPEN_STATES, ProcessedTicket, TicketState


@dataclass(frozen=True, slots=True)
class Stats:
    """``total``, ``by_provider`` and ``success_rate`` (0 to 1, None without rows) are over notified rows."""

    total: int
    by_provider: dict[str, int]
    success_rate: float | None
    by_state: dict[str, int]

    @property
    def open(self) -> int:
        return sum(self.by_state.get(state, 0) for state in OPEN_STATES)

    @property
    def unconfirmed(self) -> int:
        return self.by_state.get(TicketState.UNCONFIRMED, 0)

    def as_json(self) -> dict[str, object]:
        providers = [{"provider": name, "count": count} for name, count in self.by_provider.items()]
        return {
            "total": self.total,
            "by_provider": providers,
            "success_rate": self.success_rate,
            "open": self.open,
            "unconfirmed": self.unconfirmed,
            "by_state": self.by_state,
        }


@rerun_on_conflict
def read_stats() -> Stats:
    """One pass over the ledger, which holds a week of tickets."""
    rows = database.execute_sql(grouped_sql()).fetchall()
    told = [row for row in rows if row[0] == TicketState.NOTIFIED]
    total = sum(count for _, _, count, _ in told)
    succeeded = sum(count for *_, count in told)
    return Stats(
        total=total,
        by_provider=summed((provider or "none", count) for _, provider, count, _ in told),
        success_rate=round(succeeded / total, 4) if total else None,
        by_state=summed((state, count) for state, _, count, _ in rows),
    )


@cache
def grouped_sql() -> str:
    """Built once: to build it takes as long as to count a thousand rows. The same on both databases."""
    tickets = fn.COUNT(SQL("*"))
    kinds = (ProcessedTicket.state, ProcessedTicket.provider)
    told = tickets.filter(ProcessedTicket.success)
    statement, _ = ProcessedTicket.select(*kinds, tickets, told).group_by(*kinds).sql()
    return statement


def summed(pairs: Any) -> dict[str, int]:
    sums: dict[str, int] = {}
    for name, count in pairs:
        sums[name] = sums.get(name, 0) + count
    return dict(sorted(sums.items()))
