"""The whole sandbox: both simulators filled and served, in-process and as a command."""

import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from jobs.errors import InputError
from jobs.sandbox.world import sandbox_world

ROOT = Path(__file__).resolve().parents[2]
SEARCH = "/crm/v3/objects/tickets/search"


def search_ids(settings: dict[str, str]) -> list[str]:
    headers = {"Authorization": f"Bearer {settings['HUBSPOT_ACCESS_TOKEN']}"}
    answer = httpx.post(settings["HUBSPOT_BASE_URL"] + SEARCH, json={"limit": 200}, headers=headers)
    return [one["id"] for one in answer.json()["results"]]


def test_the_built_in_world_is_served_with_customers_and_companies() -> None:
    with sandbox_world() as world:
        first, *_ = search_ids(world.settings)
        company = world.hubspot.associated(int(first), "companies")[0]
        record = world.hubspot.collections["companies"].find(company)
        assert record is not None
        assert record.properties["customer_tier"] == "standard"
        assert httpx.get(world.settings["LOCAL_LLM_URL"] + "/api/version").status_code == 200


def test_a_file_of_ones_own_replaces_the_built_in_tickets(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"id": 12, "subject": "Mine"}\n')
    with sandbox_world(path) as world:
        assert search_ids(world.settings) == ["12"]


def test_a_bad_file_starts_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError), sandbox_world(tmp_path / "absent"):
        pytest.fail("it started")


def test_the_command_prints_settings_that_work_and_ends_on_sigterm() -> None:
    command = [sys.executable, "-m", "jobs.sandbox"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines: list[str] = []
        while not lines or not lines[-1].startswith("COMPANY_NAME="):
            lines.append(process.stdout.readline())
        assert "simulation" in lines[0]
        pairs = (shlex.split(line)[0].partition("=") for line in lines if not line.startswith("#"))
        settings = {name: value for name, _, value in pairs}
        assert search_ids(settings)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
        assert process.stderr.read() == ""


def fails(*arguments: str) -> str:
    command = [sys.executable, "-m", "jobs.sandbox", *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    return ended.stderr


def test_the_command_names_a_file_or_port_that_it_cannot_use_in_one_line() -> None:
    assert "/nowhere does not exist" in fails("--tickets", "/nowhere")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "port" in fails("--hubspot-port", str(taken.getsockname()[1]))
