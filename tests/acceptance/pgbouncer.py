"""A PgBouncer of the Debian package in transaction mode, in a process of its own before a PostgreSQL."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2
from psycopg2.extensions import parse_dsn

from tests.acceptance.worker import free_port, wait_until
from tests.conftest import connect

#: Server connections of the pool: fewer than one worker alone has threads.
POOL_SIZE = 4
SETTINGS = """[databases]
* = {server}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 200
server_login_retry = 1
logfile = {folder}/pgbouncer.log
"""


def find_program() -> str | None:
    """Where ``apt-get install pgbouncer`` puts it is not on everybody's PATH."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@dataclass
class PgBouncer:
    """``start`` may follow ``kill``: it listens on the same port again."""

    program: str
    folder: Path
    server_url: str
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    def url_of(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        settings = self.folder / "pgbouncer.ini"
        server = server_line(self.server_url)
        settings.write_text(
            SETTINGS.format(server=server, port=self.port, pool_size=POOL_SIZE, folder=self.folder)
        )
        self.process = subprocess.Popen([self.program, "-q", *self._as_user(), str(settings)])
        wait_until(lambda: self.answers(), 20)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "pgbouncer ended; its words are on stderr"
        try:
            connect(self.url_of("postgres")).close()
        except psycopg2.OperationalError:
            return False
        return True

    def _as_user(self) -> Sequence[str]:
        """It refuses to run as root; a socket's folder may be its owner's alone."""
        if os.geteuid():
            return ()
        host = Path(parse_dsn(self.server_url).get("host", ""))
        owner = pwd.getpwuid(host.stat().st_uid).pw_name if host.is_absolute() else "nobody"
        shutil.chown(self.folder, owner)
        return ("-u", owner)


@contextmanager
def pgbouncer_before(server_url: str) -> Iterator[PgBouncer]:
    """Running before the server, until left."""
    program = find_program()
    assert program is not None
    # Not below pytest's own temporary folder, which is its owner's alone.
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as folder:
        one = PgBouncer(program, Path(folder), server_url)
        one.start()
        try:
            yield one
        finally:
            one.kill()


def server_line(url: str) -> str:
    """How PgBouncer reaches the server: any database of it, with the URL's user."""
    given = parse_dsn(url)
    given.setdefault("host", "127.0.0.1")
    return " ".join(
        f"{name}={given[name]}" for name in ("host", "port", "user", "password") if given.get(name)
    )


@contextmanager
def pooled_sessions(url: str) -> Iterator[list["psycopg2.extensions.cursor"]]:
    """A cursor on each of the pool's server connections: all of them are taken at the same time."""
    with ExitStack() as open_ones:
        cursors = []
        for _ in range(POOL_SIZE):
            session = connect(url)
            open_ones.callback(session.close)
            cursors.append(session.cursor())
            cursors[-1].execute("BEGIN")
        yield cursors
        for cursor in cursors:
            cursor.execute("ROLLBACK")


#: What outlives a transaction in a session: settings, locks, prepared statements, channels, cursors, tables.
#: The session's name PgBouncer itself sets for each client.
LEFTOVERS = """
SELECT 'setting ' || name FROM pg_settings WHERE source = 'session' AND name <> 'application_name'
UNION ALL SELECT 'lock' FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()
UNION ALL SELECT 'prepared ' || name FROM pg_prepared_statements
UNION ALL SELECT 'listens to ' || c FROM pg_listening_channels() AS c
UNION ALL SELECT 'cursor ' || name FROM pg_cursors WHERE is_holdable
UNION ALL SELECT 'table ' || relname FROM pg_class WHERE relnamespace = pg_my_temp_schema()"""


def leftovers(url: str) -> set[str]:
    """What clients left in the pool's sessions for whoever gets one next."""
    found: set[str] = set()
    with pooled_sessions(url) as cursors:
        for cursor in cursors:
            cursor.execute(LEFTOVERS)
            found |= {str(line) for (line,) in cursor.fetchall()}
    return found
