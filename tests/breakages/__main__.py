"""Breaks each rule on a copy of this repository and reports whether a test noticed.

    python -m tests.breakages [--processes N] [WORD ...]

Only breakages whose rule or name holds one of the words, if any are given. First the tests that are to notice
them run on a copy that nothing broke. Ends with 1 if those fail, or if a breakage went unnoticed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.breakages.breakage import Breakage, Edit
from tests.breakages.of_doubts import DOUBTS
from tests.breakages.of_intake import INTAKE
from tests.breakages.of_ledger import LEDGER
from tests.breakages.of_providers import PROVIDERS
from tests.breakages.of_redteam import REDTEAM
from tests.breakages.of_sources import SOURCES
from tests.breakages.of_triage import TRIAGE

ROOT = Path(__file__).resolve().parents[2]
BREAKAGES = (*LEDGER, *DOUBTS, *SOURCES, *INTAKE, *TRIAGE, *PROVIDERS, *REDTEAM)
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "__pycache__", "*.db*", ".*_cache", ".hypothesis")
PATIENCE_SECONDS = 1_800
FAILED = 1  #: pytest's exit code where tests ran and one failed


def chosen(words: Sequence[str]) -> list[Breakage]:
    """Those that a word names, or all."""
    return [one for one in BREAKAGES if not words or any(word in f"{one.rule} {one.name}" for word in words)]


@contextmanager
def broken_copy(breakage: Breakage) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="broken-", ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / "main"
        shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
        for edit in breakage.edits:
            apply(edit, copy)
        yield copy


def apply(edit: Edit, copy: Path) -> None:
    text = (copy / edit.file).read_text()
    if text.count(edit.old) != 1:
        raise ValueError(f"{edit.file} holds this text {text.count(edit.old)} times, not once: {edit.old}")
    (copy / edit.file).write_text(text.replace(edit.old, edit.new))


def is_noticed(breakage: Breakage) -> tuple[bool, str]:
    """Whether a test failed on the broken copy, and the line that pytest says of it.

    A copy that does not even start, or that collects no test, shows nothing: that counts as unnoticed.
    """
    code, line = run_tests(breakage)
    return code == FAILED, line


def run_tests(breakage: Breakage) -> tuple[int, str]:
    """pytest's exit code on the broken copy, and the line of the first failed test, or else its last."""
    with broken_copy(breakage) as copy:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *breakage.tests]
        try:
            done = subprocess.run(
                command,
                cwd=copy,
                capture_output=True,
                text=True,
                timeout=PATIENCE_SECONDS,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            )
        except subprocess.TimeoutExpired:
            return FAILED, f"hung for {PATIENCE_SECONDS} s"
    lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return done.returncode, (lines or done.stdout.splitlines() or ["no output"])[-1]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.breakages")
    parser.add_argument("words", nargs="*")
    parser.add_argument("--processes", type=int, default=1)
    given = parser.parse_args()
    breakages, unnoticed = chosen(given.words), 0
    started = time.monotonic()
    whole = Breakage(
        "-", "nothing is broken", tuple(sorted({test for one in breakages for test in one.tests})), ()
    )
    code, line = run_tests(whole) if breakages else (0, "")
    if code:
        print(f"the tests fail on a copy that nothing broke: {line}")
        return 1
    with ThreadPoolExecutor(given.processes) as pool:
        for breakage, (noticed, line) in zip(breakages, pool.map(is_noticed, breakages), strict=True):
            unnoticed += not noticed
            print(
                f"{'noticed' if noticed else 'UNNOTICED'}  {breakage.rule}: {breakage.name}  [{line[:150]}]"
            )
            sys.stdout.flush()
    seconds = time.monotonic() - started
    print(f"{len(breakages) - unnoticed} of {len(breakages)} breakages noticed, in {seconds:.0f} s")
    return 1 if unnoticed or not breakages else 0


if __name__ == "__main__":
    sys.exit(main())
