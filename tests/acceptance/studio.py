"""The data browser in a process of its own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from models.database import close_database, connection, open_database
from models.schema import deploy_migrations
from models.switches import Switch
from models.tickets import ProcessedTicket
from tests.acceptance.conftest import PATIENCE_SECONDS, ROOT

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def fill(url: str, tickets: int) -> None:
    """A migrated database with so many tickets, each a minute older than the one before, and a pause."""
    open_database(url)
    deploy_migrations()
    with connection():
        for n in range(tickets):
            ProcessedTicket.create(
                ticket_id=str(40_000_000_000 + n),
                processed_at=NOON - timedelta(minutes=n),
                state="unconfirmed" if n % 7 == 0 else "notified",
                provider="local",
                priority="high",
                source="poll",
            )
        Switch.create(name="discord", reason="http_503", streak=2, set_at=NOON, until_at=NOON)
    close_database()


@dataclass
class Studio:
    """``line`` is what it said when it was ready."""

    process: "subprocess.Popen[str]"
    line: str

    @property
    def url(self) -> str:
        return str(re.findall(r"http://\S+/", self.line)[0]).rstrip("/")

    @property
    def port(self) -> str:
        return self.url.rpartition(":")[2]

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Its exit code, and what it said beside its first line."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode, out + err


def start(url: str, folder: Path, *arguments: str, **env: str) -> "subprocess.Popen[str]":
    clean = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(ROOT / "main.py"), "studio", *arguments],
        cwd=folder,
        env={**clean, "DATABASE_URL": url, **env},
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@contextmanager
def studio(url: str, folder: Path, *arguments: str, **env: str) -> Iterator[Studio]:
    """On a free port; killed in the end if it still runs."""
    process = start(url, folder, "--port", "0", *arguments, **env)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "http://" in line, process.communicate(timeout=PATIENCE_SECONDS)
        yield Studio(process, line)
    finally:
        process.kill()
        process.communicate()


def refusal(url: str, folder: Path, *arguments: str, **env: str) -> tuple[int, list[str]]:
    """Exit code and lines of a start that comes to nothing."""
    process = start(url, folder, *arguments, **env)
    try:
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
    assert out == ""
    return process.returncode, err.splitlines()


def form_token(page: Any) -> str:
    (found,) = re.findall(r'name="csrf_token" value="([^"]+)"', page.text)
    return str(found)
