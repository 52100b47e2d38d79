"""What an examination found: one line for each thing, and the exit code of all of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How a thing is; each finding has one."""

    OK = "ok"
    WARN = "warn"  #: works, and is probably not meant so
    FAIL = "fail"  #: out of reach
    MEND = "mend"  #: fails, and only a setting (or its counterpart) mends it


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; ``line`` says how it is and, unless ok, what to do."""

    name: str
    level: Level
    line: str

    @property
    def shown_level(self) -> str:
        """ok, warn or fail."""
        return Level.FAIL.value if self.level is Level.MEND else self.level.value

    def as_json(self) -> dict[str, object]:
        mend = self.level is Level.MEND
        return {"name": self.name, "level": self.shown_level, "setting": mend, "line": self.line}


def exit_code_of(findings: Iterable[Finding]) -> int:
    """2 where a setting is to be mended, else 1 where something is out of reach, else 0."""
    levels = {finding.level for finding in findings}
    return 2 if Level.MEND in levels else int(Level.FAIL in levels)


def ok(name: str, line: str) -> Finding:
    return Finding(name, Level.OK, line)


def warn(name: str, line: str) -> Finding:
    return Finding(name, Level.WARN, line)


def fail(name: str, line: str, *, mend: bool = False) -> Finding:
    return Finding(name, Level.MEND if mend else Level.FAIL, line)
