"""Reconciling: what the ledger says of tickets that HubSpot shows, and the counts of the last comparison."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any, cast

from models.cursors import Cursor
from models.database import read_clock, rerun_on_conflict
from models.errors import LedgerUnused
from models.job_runs import RECONCILED, JobRun, record_run
from models.tickets import IS_HELD, OPEN_STATES, REOPENED_BY_A_SEARCH, ProcessedTicket, TicketState


@dataclass(slots=True)
class Reconciled:
    """Tickets that HubSpot shows, by what the ledger says of them.

    ``missing`` are those that no source had shown and none would any more; ``older`` those without a row from
    before what the ledger remembers. ``skipped`` is by reason; "" where that was not kept.
    """

    missing: int = 0
    told: int = 0
    held: int = 0
    open: int = 0
    merged: int = 0
    older: int = 0
    skipped: dict[str, int] = field(default_factory=dict)

    @property
    def shown(self) -> int:
        return int(sum(getattr(self, name) for name in NUMBERS)) + sum(self.skipped.values())

    @property
    def line(self) -> str:
        """``47 in HubSpot = 44 told + 2 held + 1 open, 0 missing``; the rest where there is any."""
        parts = [f"{self.told} told", f"{self.held} held", f"{self.open} open"]
        if self.skipped:
            parts.append(f"{sum(self.skipped.values())} skipped{reasons_of(self.skipped)}")
        if self.merged:
            parts.append(f"{self.merged} merged")
        if self.older:
            parts.append(f"{self.older} older than the ledger remembers")
        missing = f"{self.missing} missing, proposed" if self.missing else "0 missing"
        return f"{self.shown} in HubSpot = {' + '.join(parts)}, {missing}"

    @property
    def as_text(self) -> str:
        """Short enough for ``last_result``, and without the reasons: ``missing=0 told=44 held=2 open=1``."""
        numbers = {name: getattr(self, name) for name in NUMBERS} | {"skipped": sum(self.skipped.values())}
        return " ".join(f"{name}={number}" for name, number in numbers.items() if number or name == "missing")


NUMBERS = [one.name for one in fields(Reconciled) if one.name != "skipped"]


def reasons_of(skipped: dict[str, int]) -> str:
    known = ", ".join(f"{number} {reason}" for reason, number in sorted(skipped.items()) if reason)
    return f" ({known})" if known else ""


def parse_reconciled(text: str) -> Reconciled:
    """What ``as_text`` wrote."""
    numbers = {name: int(number) for name, _, number in (part.partition("=") for part in text.split())}
    skipped = numbers.pop("skipped", 0)
    return Reconciled(**numbers, skipped={"": skipped} if skipped else {})


@dataclass(frozen=True, slots=True)
class LastReconciled:
    """The last comparison over all that the ledger remembers; it ended ``seconds`` ago."""

    counts: Reconciled
    ended_at: datetime
    seconds: float


@rerun_on_conflict
def record_reconciled(counts: Reconciled, seconds: float) -> None:
    """Remember the counts of a comparison that took ``seconds`` and ends now."""
    record_run(RECONCILED, seconds, counts.as_text, None)


@rerun_on_conflict
def read_reconciled() -> LastReconciled | None:
    row = JobRun.get_or_none(JobRun.name == RECONCILED)
    if row is None or row.last_finished_at is None:
        return None
    ended_at = cast(datetime, row.last_finished_at)
    seconds = max(0.0, (read_clock() - ended_at).total_seconds())
    return LastReconciled(parse_reconciled(row.last_result or ""), ended_at, seconds)


@dataclass(frozen=True, slots=True)
class Remembered:
    """From when on the ledger remembers what it told, and up to where the poll has looked."""

    since: datetime
    polled_until: datetime
    restored_at: datetime | None

    def forgot(self, created_at: datetime | None) -> bool:
        return created_at is not None and created_at < self.since

    def awaits(self, created_at: datetime | None, overlap: timedelta) -> bool:
        """Whether the poll will look there yet, so that a ticket without a row is not missing."""
        return created_at is not None and created_at >= self.polled_until - overlap


@rerun_on_conflict
def read_remembered() -> Remembered:
    """Raises LedgerUnused before the ledger's activation: nothing can be missing yet."""
    rows = {row.name: row for row in Cursor.select().where(Cursor.name.in_(["ledger", "poll"]))}
    ledger, poll = rows.get("ledger"), rows.get("poll")
    if ledger is None or ledger.activated_at is None:
        raise LedgerUnused(
            "this ledger was never used, so there is nothing to compare; start with: python main.py run-once"
        )
    since = max(ledger.activated_at, ledger.horizon_at or ledger.activated_at)
    polled_until = poll.looked_until_at if poll else None
    return Remembered(since, polled_until or ledger.activated_at, ledger.restored_at)


@dataclass(frozen=True, slots=True)
class KnownTicket:
    """What the ledger says of one ticket."""

    state: TicketState
    reason: str | None
    source: str | None

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES

    @property
    def is_reopened_by_a_search(self) -> bool:
        return self.state is TicketState.SKIPPED and self.reason in REOPENED_BY_A_SEARCH


@rerun_on_conflict
def look_up_tickets(ticket_ids: Iterable[str]) -> dict[str, KnownTicket]:
    """Those of a page's ids that the ledger has a row of."""
    columns = (
        ProcessedTicket.ticket_id,
        ProcessedTicket.state,
        ProcessedTicket.reason,
        ProcessedTicket.source,
    )
    rows = ProcessedTicket.select(*columns).where(ProcessedTicket.ticket_id.in_(list(ticket_ids)))
    return {
        ticket_id: KnownTicket(TicketState(state), reason, source)
        for ticket_id, state, reason, source in cast(Any, rows.tuples())
    }


@rerun_on_conflict
def list_held(limit: int) -> tuple[Sequence[str], int]:
    """The ids of the ``limit`` held tickets that wait longest, and how many there are."""
    held = ProcessedTicket.select(ProcessedTicket.ticket_id).where(IS_HELD)
    oldest = held.order_by(ProcessedTicket.updated_at, ProcessedTicket.ticket_id).limit(limit)
    return [row.ticket_id for row in oldest], int(held.count())
