"""A rule broken on purpose: which text of which file, and the tests of which one must then fail."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edit:
    """``old``, which stands in ``file`` exactly once, becomes ``new``."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Breakage:
    """``rule`` is the design's own word for it; ``name`` says in a few words what is no longer done.

    ``tests`` are files or pytest node ids, few and fast: with the edits made at least one of them must fail.
    """

    rule: str
    name: str
    tests: tuple[str, ...]
    edits: tuple[Edit, ...]


def broken(rule: str, name: str, file: str, old: str, new: str, *tests: str) -> Breakage:
    """A breakage of one edit."""
    return Breakage(rule, name, tests, (Edit(file, old, new),))
