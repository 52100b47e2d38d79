"""PostgreSQL's own programs: found, checked for their age, and run without a password on a command line."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import psycopg2.extensions

from models.backup_files import Told
from models.database import database
from models.errors import BackupFailed, BackupRefused

#: What libpq hides too, and takes by no variable: https://www.postgresql.org/docs/current/libpq-envars.html
UNNAMED_SECRETS = ("sslpassword", "scram_client_key", "scram_server_key", "oauth_client_secret")
TOLD_SECONDS = 0.5
_VERSION = re.compile(r"(\d+)(?:\.\d+)*")
#: libpq says where it could not connect before it says why.
_ADDRESS = re.compile(r".*connection to server .* failed: |.*(?:FATAL|ERROR):\s+")
_QUOTED = re.compile(r"[\"\\].*")
_PLACES = "/usr/lib/postgresql"


def client(name: str) -> str:
    """The newest ``name`` of this machine. Raises BackupRefused where there is none, or only older ones."""
    server = database.obj.connection().server_version // 10_000
    found = [path for path in (shutil.which(name), *map(str, Path(_PLACES).glob(f"*/bin/{name}"))) if path]
    versions = {path: version_of(path) for path in dict.fromkeys(found)}
    best = max(versions, key=lambda path: versions[path], default=None)
    if best is None:
        raise BackupRefused(
            f"{name} is not on this machine; install the PostgreSQL client {server} or newer "
            f"(Debian: apt install postgresql-client-{server})"
        )
    if versions[best] < server:
        raise BackupRefused(
            f"{name} {versions[best]} is too old for this PostgreSQL {server}; install the client {server} "
            f"or newer (Debian: apt install postgresql-client-{server})"
        )
    return best


def version_of(path: str) -> int:
    """0 for one that does not say."""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return 0
    found = _VERSION.search(said.stdout)
    return int(found[1]) if found else 0


def run(command: list[str], growing: Path, told: Told) -> None:
    """Raises BackupFailed with the program's first line of complaint."""
    with tempfile.TemporaryFile() as complaints:
        with started(command, stdout=subprocess.DEVNULL, stderr=complaints) as process:
            while process.poll() is None:
                time.sleep(TOLD_SECONDS / 10)
                told(growing.stat().st_size, None)
        if process.returncode:
            said = complaint(process.returncode, text_of(complaints))
            raise BackupFailed(f"{Path(command[0]).name} {said}")


@contextmanager
def started(command: list[str], options: str | None = None, **files: Any) -> Iterator[Any]:
    """Over, at the end, whatever happens; ``options`` are of its sessions, and no file's to leave out."""
    with service_of_secrets() as service:
        env = environment() | service | ({} if options is None else {"PGOPTIONS": options})
        process = subprocess.Popen(command, env=env, **({"stdin": subprocess.DEVNULL} | files))  # noqa: S603
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            for pipe in filter(None, (process.stdin, process.stdout)):
                with suppress(BrokenPipeError):
                    pipe.close()


def text_of(written: IO[bytes]) -> str:
    written.seek(0)
    return written.read().decode("utf-8", "replace")


def complaint(code: int, said: str) -> str:
    """That it failed, and its first line of an error, without the address and what it quotes, as of a row."""
    if code < 0:
        return f"was killed (signal {-code})"
    lines = errors_in(said)
    if not lines:
        return f"failed with code {code}"
    return f"failed: {_QUOTED.sub('...', _ADDRESS.sub('', lines[0]))[:300]}"


def errors_in(said: str) -> list[str]:
    lines = [line for line in said.splitlines() if not line.startswith(("NOTICE", "WARNING", "LOCATION"))]
    return [line for line in lines if "error" in line.lower()] or lines


def without_password(but: str = "") -> str:
    parts = psycopg2.extensions.parse_dsn(database.obj.database)
    for name in ("password", *UNNAMED_SECRETS, but):
        parts.pop(name, None)
    return str(psycopg2.extensions.make_dsn(**parts))


@contextmanager
def service_of_secrets() -> Iterator[dict[str, str]]:
    """A file, for its owner alone and while a program runs, with the secrets that have no variable."""
    parts = psycopg2.extensions.parse_dsn(database.obj.database)
    secrets = {name: parts[name] for name in UNNAMED_SECRETS if name in parts}
    if not secrets:
        yield {}
        return
    if "service" in parts or "PGSERVICE" in os.environ:
        raise BackupRefused(
            f"DATABASE_URL: {next(iter(secrets))} beside a service would be seen on a command line; put it "
            "into the service's file"
        )
    with tempfile.NamedTemporaryFile("w", prefix="triage-service-", encoding="utf-8") as file:
        file.write("".join(["[triage]\n", *(f"{name}={value}\n" for name, value in secrets.items())]))
        file.flush()
        yield {"PGSERVICEFILE": file.name, "PGSERVICE": "triage"}


def environment() -> dict[str, str]:
    parts = psycopg2.extensions.parse_dsn(database.obj.database)
    secret = {"PGPASSWORD": parts["password"]} if "password" in parts else {}
    return os.environ | secret | {"PGCONNECT_TIMEOUT": "10", "LC_ALL": "C"}
