"""What happened, line by line: hashed always, kept where somebody wants to read it."""

from dataclasses import dataclass, field
from zlib import crc32

from tests.simulation.clock import Time, utc


@dataclass(slots=True)
class Trace:
    """``digest`` is the same for the same seed; ``lines`` hold what was said since it was ``kept``."""

    time: Time
    kept: bool = False
    digest: int = 0
    effects: int = 0
    lines: list[str] = field(default_factory=list)

    def remark(self, who: str, what: str) -> None:
        """For a reader alone: it changes no digest."""
        if self.kept:
            self.lines.append(f"{utc(self.time.now):%m-%d %H:%M:%S.%f} {who:<12} {what}")

    def note(self, who: str, what: str, *details: object) -> None:
        """One effect; ``details`` are turned into text only where the trace is kept."""
        self.effects += 1
        self.digest = crc32(f"{self.time.now:.3f} {who} {what}".encode(), self.digest)
        if self.kept:
            told = " ".join(map(str, details))
            self.lines.append(f"{utc(self.time.now):%m-%d %H:%M:%S.%f} {who:<12} {what} {told}".rstrip())
