"""What Railway does with railway.toml: pre-deploy, start in a shell, health check, SIGTERM."""

import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from tests.acceptance.conftest import PATIENCE_SECONDS, ROOT, Bench
from tests.acceptance.worker import free_port, wait_until

DEPLOY: dict[str, Any] = tomllib.loads((ROOT / "railway.toml").read_text())["deploy"]
AS_RAILWAY = {"Host": "healthcheck.railway.app"}
LOOPBACKS = ["127.0.0.1", "[::1]"]


def start_in_shell(bench: Bench, command: str, port: int) -> "subprocess.Popen[bytes]":
    """As Railpack's image does it, which has ``python`` and ``main.py`` in its working folder.

    The shell has more to do, so it stays as a parent unless the command puts itself in its place; some shells
    do stay for a single command as well.
    """
    link = bench.folder / "main.py"
    if not link.exists():
        link.symlink_to(ROOT / "main.py")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.Popen(
        ["bash", "-c", f"{command}; exit $?"],
        cwd=bench.folder,
        env={"PATH": path, **bench.env, "PORT": str(port)},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


@contextmanager
def deployed(bench: Bench, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    (migrate,) = DEPLOY["preDeployCommand"]
    assert start_in_shell(bench, migrate, port).wait(PATIENCE_SECONDS) == 0
    process = start_in_shell(bench, DEPLOY["startCommand"], port)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # also what a shell left behind
        process.wait()


def check_health(port: int, host: str = "127.0.0.1") -> int | None:
    """The status, or None where nothing listens yet."""
    try:
        url = f"http://{host}:{port}{DEPLOY['healthcheckPath']}"
        return httpx.get(url, headers=AS_RAILWAY, timeout=10).status_code
    except httpx.TransportError:
        return None


def test_a_deploy_on_an_empty_database_becomes_active_tells_and_ends_with_0_by_sigterm(
    postgres_bench: Bench,
) -> None:
    bench, port = postgres_bench, free_port()
    bench.ollama.faults.latency_seconds = 0.5
    tickets = bench.add(4)
    with deployed(bench, port) as process:
        wait_until(lambda: process.poll() is not None or check_health(port) == 200)
        assert process.poll() is None
        assert [check_health(port, host) for host in LOOPBACKS] == [200, 200]
        wait_until(lambda: bench.states())
        sent_at = time.monotonic()
        process.send_signal(signal.SIGTERM)  # to the process that the shell was
        assert process.wait(PATIENCE_SECONDS) == 0
        assert time.monotonic() - sent_at < DEPLOY["drainingSeconds"]
    assert set(bench.states().values()) <= {"notified", "found", "retry"}
    assert max(bench.cards_of(tickets)) <= 1


def test_a_deploy_with_a_token_that_hubspot_refuses_never_becomes_active(postgres_bench: Bench) -> None:
    bench, port = postgres_bench, free_port()
    bench.env["HUBSPOT_ACCESS_TOKEN"] = "pat-eu1-wrong"
    seen = set()
    with deployed(bench, port) as process:
        while process.poll() is None:
            seen.add(check_health(port))
            time.sleep(0.01)
        assert process.returncode == 2
    assert 200 not in seen


def test_a_worker_that_waits_for_hubspot_is_healthy_and_not_ready(postgres_bench: Bench) -> None:
    bench, port = postgres_bench, free_port()
    bench.env["HUBSPOT_BASE_URL"] = f"http://127.0.0.1:{free_port()}"
    with deployed(bench, port) as process:
        wait_until(lambda: check_health(port) == 503)
        assert httpx.get(f"http://127.0.0.1:{port}/health", timeout=10).status_code == 200
        assert process.poll() is None
