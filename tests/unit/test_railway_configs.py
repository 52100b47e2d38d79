"""The Railway configs: keys and types that Railway takes, commands that exist, and time enough to end."""

import re
import shlex
import tomllib
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from apscheduler.triggers.cron import CronTrigger

from jobs.settings import Settings
from main import build_parser

ROOT = Path(__file__).resolve().parents[2]
WORKER, RETENTION, RUN_ONCE = "railway.toml", "docs/railway-retention.toml", "docs/railway-run-once.toml"
FILES = [WORKER, RETENTION, RUN_ONCE]
CRONS = [RETENTION, RUN_ONCE]
GUIDE = (ROOT / "docs/deploy-railway.md").read_text()
# https://docs.railway.com/config-as-code/reference; seconds as text are refused at the deploy, whatever the
# examples there show: https://github.com/railwayapp/docs/issues/1243
KEYS: dict[str, type] = {
    "preDeployCommand": list,
    "startCommand": str,
    "healthcheckPath": str,
    "healthcheckTimeout": int,
    "restartPolicyType": str,
    "restartPolicyMaxRetries": int,
    "cronSchedule": str,
    "drainingSeconds": int,
    "overlapSeconds": int,
}
ENDING_SECONDS = 5
LEAST_INTERVAL = timedelta(minutes=5)


def deploy_of(name: str) -> dict[str, Any]:
    config = tomllib.loads((ROOT / name).read_text())
    assert config.keys() == {"build", "deploy"}
    assert config["build"] == {"builder": "RAILPACK"}
    deploy = config["deploy"]
    assert isinstance(deploy, dict)
    return deploy


def arguments_of(command: str) -> list[str]:
    """What stands behind ``python main.py``; one command alone, with nothing for a shell to do."""
    words = shlex.split(command.removeprefix("exec "))
    assert words[:2] == ["python", "main.py"]
    assert not set(command) & set("&|;<>$`\n")
    return words[2:]


@pytest.mark.parametrize("name", FILES)
def test_railway_knows_every_key_and_its_type(name: str) -> None:
    deploy = deploy_of(name)
    assert {key: type(value) for key, value in deploy.items()} == {key: KEYS[key] for key in deploy}


@pytest.mark.parametrize("name", FILES)
def test_the_start_command_leaves_sigterm_to_python(name: str) -> None:
    assert deploy_of(name)["startCommand"].startswith("exec ")


@pytest.mark.parametrize(
    ("name", "verb"), [(WORKER, "worker"), (RETENTION, "retention"), (RUN_ONCE, "run-once")]
)
def test_the_commands_are_those_of_main(name: str, verb: str) -> None:
    deploy = deploy_of(name)
    assert build_parser().parse_args(arguments_of(deploy["startCommand"])).verb == verb
    before = [build_parser().parse_args(arguments_of(one)) for one in deploy.get("preDeployCommand", [])]
    assert [(one.verb, one.action) for one in before] in ([], [("migrate", "deploy")])


def test_the_worker_is_migrated_before_restarted_after_and_checked_for_readiness() -> None:
    deploy = deploy_of(WORKER)
    assert "cronSchedule" not in deploy
    assert deploy["preDeployCommand"]
    assert deploy["healthcheckPath"] == "/health/ready"
    assert deploy["restartPolicyType"] == "ON_FAILURE"
    # More than ten are not for every plan: https://docs.railway.com/deployments/restart-policy
    assert 1 <= deploy["restartPolicyMaxRetries"] <= 10
    assert deploy["overlapSeconds"] > 0


@pytest.mark.parametrize("name", [WORKER, RUN_ONCE])
def test_there_is_time_to_drain_and_to_end(name: str) -> None:
    drain_seconds = Settings.model_fields["drain_seconds"].default
    assert deploy_of(name)["drainingSeconds"] >= drain_seconds + ENDING_SECONDS


@pytest.mark.parametrize("name", CRONS)
def test_a_cron_service_is_not_restarted_and_waits_for_no_health_check(name: str) -> None:
    deploy = deploy_of(name)
    assert deploy["restartPolicyType"] == "NEVER"
    assert not deploy.keys() & {"healthcheckPath", "overlapSeconds", "restartPolicyMaxRetries"}


@pytest.mark.parametrize("name", CRONS)
def test_a_schedule_is_one_that_railway_takes(name: str) -> None:
    schedule = deploy_of(name)["cronSchedule"]
    assert re.fullmatch(r"[\d*,/-]+( [\d*,/-]+){4}", schedule)
    trigger = CronTrigger.from_crontab(schedule, timezone=UTC)
    at = datetime(2026, 12, 30, tzinfo=UTC)
    times = []
    for _ in range(300):
        at = trigger.get_next_fire_time(at, at)
        times.append(at)
        at += timedelta(seconds=1)
    assert min(later - sooner for sooner, later in pairwise(times)) >= LEAST_INTERVAL


def test_the_retention_runs_once_a_day_and_not_with_the_worker_s() -> None:
    minute, hour, *rest = deploy_of(RETENTION)["cronSchedule"].split()
    assert minute.isdigit()
    assert rest == ["*", "*", "*"]
    assert int(hour) != Settings.model_fields["retention_hour_utc"].default


def test_the_guide_s_table_has_every_value_of_the_files() -> None:
    rows = {row[0].strip("` "): [cell.strip("` ") for cell in row[2:]] for row in table_rows()}
    for column, name in enumerate(FILES):
        told = {key: cells[column] for key, cells in rows.items() if cells[column] not in ("", "-")}
        assert told == {key: shown(value) for key, value in deploy_of(name).items()}, name


def table_rows() -> list[list[str]]:
    return [line.strip("|").split("|") for line in GUIDE.splitlines() if re.match(r"\| `[a-z]+[A-Z]", line)]


def shown(value: object) -> str:
    return str(value[0]) if isinstance(value, list) else str(value)


def test_the_guide_is_short_and_names_settings_and_commands_that_exist() -> None:
    assert len(GUIDE.splitlines()) < 150
    theirs = {"RAILWAY_PUBLIC_DOMAIN", "ON_FAILURE", "NEVER", "RAILPACK", "SIGTERM", "SIGKILL"}
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)*)[`=]|^ *([A-Z_]+)=", GUIDE, re.M))
    named = {quoted or in_block for quoted, in_block in named}
    assert {name for name in named - theirs if name.lower() not in Settings.model_fields} == set()
    for command in re.findall(r"python main\.py [a-z][^`\n|]*", GUIDE):
        build_parser().parse_args(arguments_of(command.partition("&&")[0].strip()))
