"""PostgreSQL's own programs: found, checked for their age, and run without a password on a command line."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extensions

from models.backup_files import Kind, Told
from models.database import database
from models.errors import BackupFailed, BackupRefused

TOLD_SECONDS = 0.5
_VERSION = re.compile(r"(\d+)(?:\.\d+)*")
_PLACES = "/usr/lib/postgresql"


def dump(file: Path, tables: Sequence[str], told: Told) -> dict[str, int]:
    """Write a custom-format dump into ``file``, which is there and empty; rows by table, of that moment."""
    program = client("pg_dump")
    with snapshot() as (name, session):
        rows = {table: count(session, table) for table in tables}
        command = [program, "--format=custom", f"--snapshot={name}", "--no-password", f"--file={file}"]
        run([*command, f"--dbname={without_password()}"], file, told)
    return rows


def restore(file: Path, kind: Kind, told: Told) -> None:
    """All of ``file`` or nothing; the tables it makes must not be there."""
    if kind is Kind.CUSTOM:
        options = [
            "--single-transaction",
            "--exit-on-error",
            "--no-owner",
            "--no-privileges",
            "--no-password",
        ]
        run([client("pg_restore"), *options, f"--dbname={without_password()}", str(file)], None, told)
        return
    options = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction", "--no-password"]
    command = [client("psql"), *options, f"--file={file}", "--output=/dev/null", without_password()]
    run(command, None, told)


@contextmanager
def snapshot() -> Iterator[tuple[str, "psycopg2.extensions.connection"]]:
    """A session of its own: one of the pool's would be ended for its silence while the dump runs."""
    session = psycopg2.connect(database.obj.database)
    try:
        session.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with session.cursor() as cursor:
            cursor.execute("SELECT pg_export_snapshot()")
            yield read(cursor), session
    finally:
        session.close()


def count(session: "psycopg2.extensions.connection", table: str) -> int:
    with session.cursor() as cursor:
        cursor.execute(f'SELECT count(*) FROM "{table}"')
        return int(read(cursor))


def read(cursor: "psycopg2.extensions.cursor") -> Any:
    row = cursor.fetchone()
    return row[0] if row else None


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


def run(command: list[str], growing: Path | None, told: Told) -> None:
    """Raises BackupFailed with the program's first line of complaint."""
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(  # noqa: S603 - the words are ours, the file's name is one argument
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=complaints, env=environment()
        )
        try:
            while process.poll() is None:
                time.sleep(TOLD_SECONDS / 10)
                told(growing.stat().st_size if growing else 0, None)
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            complaints.seek(0)
            line = complaint(complaints.read(10_000).decode("utf-8", "replace"))
            raise BackupFailed(f"{Path(command[0]).name} failed: {line}")


def complaint(said: str) -> str:
    """The first line that names an error, without a row's values (COPY's context and DETAIL follow it)."""
    lines = [line for line in said.splitlines() if "error" in line.lower()] or said.splitlines()
    return lines[0][:300] if lines else "it says nothing"


def without_password() -> str:
    parts = psycopg2.extensions.parse_dsn(database.obj.database)
    parts.pop("password", None)
    return str(psycopg2.extensions.make_dsn(**parts))


def environment() -> dict[str, str]:
    parts = psycopg2.extensions.parse_dsn(database.obj.database)
    secret = {"PGPASSWORD": parts["password"]} if "password" in parts else {}
    return os.environ | secret | {"PGCONNECT_TIMEOUT": "10", "LC_ALL": "C"}
