"""The long-running worker in a process of its own, driven over HTTP."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import IO, Any

import httpx

from jobs.sandbox.arrivals import Subscription, call_webhook, creation_event
from tests.acceptance.conftest import ROOT, Bench

PATIENCE_SECONDS = 90.0
CLIENT_SECRET = "a-client-secret"


def free_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(happened: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    """Fails where it did not happen in ``seconds``, which only a broken program needs."""
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


@dataclass
class Running:
    """A worker; ``errors`` is the file of its log lines."""

    process: "subprocess.Popen[str]"
    port: int
    errors: Path
    log: IO[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def subscription(self) -> Subscription:
        return Subscription(self.url, CLIENT_SECRET)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=10)

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.errors.read_text()
        try:
            return self.get("/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def tell(self, ticket_ids: Sequence[str], event_id: int = 1) -> int | None:
        """One signed call with a creation event for each ticket; its status."""
        return call_webhook(self.subscription, [creation_event(one, event_id) for one in ticket_ids])

    def lines(self) -> list[dict[str, Any]]:
        text = self.errors.read_text()
        assert "Traceback" not in text, text
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        try:
            return self.process.wait(PATIENCE_SECONDS)
        finally:
            self.process.kill()
            self.process.wait()
            self.log.close()


@contextmanager
def worker(
    bench: Bench, name: str = "one", *, awaited: bool = True, env: dict[str, str] | None = None
) -> Iterator[Running]:
    """Runs until left, then is killed if it still runs. Polls every second unless told otherwise."""
    port = free_port()
    settings = {
        "PORT": str(port),
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "HUBSPOT_CLIENT_SECRET": CLIENT_SECRET,
        "POLL_INTERVAL_SECONDS": "1",
        **(env or {}),
    }
    clean = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    errors = bench.folder / f"{name}.log"
    log = errors.open("a")
    process = subprocess.Popen(
        [sys.executable, "-W", "error::ResourceWarning", str(ROOT / "main.py"), "worker"],
        cwd=bench.folder,
        env={**clean, **bench.env, **settings},
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
    )
    running = Running(process, port, errors, log)
    try:
        if awaited:
            wait_until(running.is_ready)
        yield running
    finally:
        process.kill()
        process.wait()
        log.close()
