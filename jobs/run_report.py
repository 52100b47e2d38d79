"""What one run did: counts for people and machines, and the faults in one line each."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from jobs.triage.safety import Fault


class Result(StrEnum):
    """How a handled ticket ended in this run; a later result of the same ticket replaces an earlier one."""

    NOTIFIED = "notified"
    RETRYING = "retrying"
    SKIPPED = "skipped"
    MERGED = "merged"  #: part of another ticket, which is told or was
    HELD = "held"
    LOST = "lost"  #: another worker won it; the ticket is theirs


class Tally(Protocol):
    """Where handled tickets and faults go: the report of one run, or what a worker counts and logs."""

    def record(self, ticket_id: str, result: Result, provider: str | None = None) -> None: ...
    def problem(self, line: str, *, settings_fault: bool = False) -> None: ...


@dataclass
class RunReport:
    """Filled by several threads at once. ``failed`` counts tickets told by rules, part of notified.

    ``found``, ``reopened``, ``beyond_memory`` and ``joined`` (merged into another) are of all sources.
    ``swept`` counts the tickets that the sweep looked at; received events were ``drained`` into the ledger,
    ``dropped`` as none of ours, or ``set_aside`` after five failures.
    """

    found: int = 0
    reopened: int = 0
    beyond_memory: int = 0
    joined: int = 0
    swept: int = 0
    drained: int = 0
    dropped: int = 0
    set_aside: int = 0
    searches: int = 0
    open: int = 0
    unconfirmed: int = 0
    seconds: float = 0.0
    dry_run: bool = False
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    settings_fault: bool = False
    _results: dict[str, Result] = field(default_factory=dict)
    _providers: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def record(self, ticket_id: str, result: Result, provider: str | None = None) -> None:
        with self._lock:
            self._results[ticket_id] = result
            if provider and result is Result.NOTIFIED:
                self._providers[ticket_id] = provider

    def count_proposed(self, found: int, reopened: int, beyond_memory: int = 0, merged: int = 0) -> None:
        self.found += found
        self.reopened += reopened
        self.beyond_memory += beyond_memory
        self.joined += merged

    def problem(self, line: str, *, settings_fault: bool = False) -> None:
        """Add a fault once; a settings fault makes the run end with 2 instead of 1."""
        with self._lock:
            self.settings_fault |= settings_fault
            if line not in self.problems:
                self.problems.append(line)

    def note(self, line: str) -> None:
        self.notes.append(line)

    def note_faults(self, faults: Iterable[Fault]) -> None:
        """What the models lacked: tickets were told by rules, so only a setting to mend is a problem."""
        for fault in faults:
            if fault.settings_fault:
                self.problem(fault.line, settings_fault=True)
            else:
                self.note(fault.line)

    def count(self, result: Result) -> int:
        with self._lock:
            return sum(one is result for one in self._results.values())

    @property
    def handled(self) -> int:
        return len(self._results)

    @property
    def by_provider(self) -> dict[str, int]:
        with self._lock:
            providers = list(self._providers.values())
        return {name: providers.count(name) for name in sorted(set(providers))}

    @property
    def exit_code(self) -> int:
        """0 done; 1 held tickets or a service that could not be reached; 2 a setting to mend."""
        if self.settings_fault:
            return 2
        return 1 if self.problems or self.unconfirmed else 0

    def as_json(self) -> dict[str, object]:
        by_provider = self.by_provider
        return {
            "found": self.found,
            "reopened": self.reopened,
            "notified": self.count(Result.NOTIFIED),
            "failed": by_provider.get("rules", 0),
            "retrying": self.count(Result.RETRYING),
            "skipped": self.count(Result.SKIPPED),
            "merged": self.joined + self.count(Result.MERGED),
            "open": self.open,
            "unconfirmed": self.unconfirmed,
            "by_provider": by_provider,
            "beyond_memory": self.beyond_memory,
            "swept": self.swept,
            "drained": self.drained,
            "dropped": self.dropped,
            "set_aside": self.set_aside,
            "searches": self.searches,
            "seconds": round(self.seconds, 3),
            "dry_run": self.dry_run,
            "notes": self.notes,
            "problems": self.problems,
        }
