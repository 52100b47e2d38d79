"""``python -m tests.benchmarks.start``: the time of ``--help``, and what ``run-once`` needs for 400 tickets.

The vendors are simulated in a process of their own, so the memory is the product's alone. Exits 1 where a
limit is passed.
"""

import json
import os
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.machine import machine, new_postgres, new_sqlite

ROOT = Path(__file__).resolve().parents[2]
COMPLAINTS = ROOT.parent / "shared" / "data" / "complaints.jsonl"
HELP_LIMIT_MS, MEMORY_LIMIT_MB = 150, 100
STARTS, RUNS, TICKETS = 15, 3, 400
CLEAN = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that ended well: wall time, the most memory it held, and the JSON it printed."""

    seconds: float
    megabytes: float
    report: dict[str, Any]


def run(arguments: Sequence[str], env: dict[str, str], folder: str) -> Ran:
    """Runs ``python`` with ``arguments`` and what ``env`` adds to a clean environment."""
    with tempfile.TemporaryFile() as out:
        started = time.perf_counter()
        command = [sys.executable, *arguments]
        process = subprocess.Popen(
            command, cwd=folder, env=CLEAN | env, stdout=out, stderr=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, f"{arguments} ended with {process.returncode}"
        out.seek(0)
        text = out.read()
    return Ran(seconds, usage.ru_maxrss / 1024, json.loads(text) if "--json" in arguments else {})


def median_starts() -> tuple[float, float]:
    """Milliseconds of ``--help`` and of a Python that does nothing, in turns."""
    helps, floors = [], []
    for _ in range(STARTS):
        helps.append(run(["main.py", "--help"], {}, str(ROOT)).seconds * 1000)
        floors.append(run(["-c", "pass"], {}, str(ROOT)).seconds * 1000)
    return statistics.median(helps), statistics.median(floors)


@contextmanager
def tickets_file() -> Iterator[Path]:
    """The 400 real complaints, or as many made up ones where those are not at hand."""
    if COMPLAINTS.exists():
        yield COMPLAINTS
        return
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        for number in range(TICKETS):
            ticket = {
                "id": str(10_000 + number),
                "subject": f"Invoice {number}",
                "body": "It is wrong. " * 80,
            }
            file.write(json.dumps(ticket) + "\n")
        file.flush()
        yield Path(file.name)


@contextmanager
def vendors(tickets: Path) -> Iterator[dict[str, str]]:
    """The settings that reach the simulators, which serve until left."""
    command = [sys.executable, "-m", "jobs.sandbox", "--tickets", str(tickets)]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE) as process:
        try:
            yield dict(read_settings(process))
        finally:
            process.terminate()


def read_settings(process: "subprocess.Popen[str]") -> Iterator[tuple[str, str]]:
    assert process.stdout
    for line in process.stdout:
        name, _, value = line.partition("=")
        if not line.startswith("#"):
            yield name, "".join(shlex.split(value))
        if name == "COMPANY_NAME":  # the last one; the process goes on serving
            return


def median_run(settings: dict[str, str], postgres: bool) -> Ran:
    """``run-once`` on an empty ledger, the median of a few by memory."""
    runs = []
    for _ in range(RUNS):
        with (new_postgres if postgres else new_sqlite)() as url, tempfile.TemporaryDirectory() as folder:
            env = settings | {"DATABASE_URL": url}
            runs.append(run([str(ROOT / "main.py"), "run-once", "--json"], env, folder))
        assert runs[-1].report["notified"] == TICKETS
    # Linux lets a new process inherit the peak of the one that started it.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 < min(one.megabytes for one in runs)
    return sorted(runs, key=lambda one: one.megabytes)[RUNS // 2]


def main() -> int:
    print(machine())
    help_ms, floor_ms = median_starts()
    print(f"--help {help_ms:.0f} ms (limit {HELP_LIMIT_MS}), python -c pass {floor_ms:.0f} ms")
    within = help_ms <= HELP_LIMIT_MS
    with tickets_file() as tickets, vendors(tickets) as settings:
        for name, postgres in (("SQLite", False), ("PostgreSQL", True)):
            ran = median_run(settings, postgres)
            within = within and ran.megabytes <= MEMORY_LIMIT_MB
            rate = TICKETS / ran.seconds
            print(
                f"run-once, {TICKETS} tickets, {name}: {ran.megabytes:.1f} MB (limit {MEMORY_LIMIT_MB}), "
                f"{ran.seconds:.1f} s, {rate:.0f} tickets a second"
            )
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
