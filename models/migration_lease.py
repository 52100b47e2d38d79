"""One process migrates at a time: the lease under which it does, and the table that holds it."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from peewee import DatabaseError, IntegrityError, ProgrammingError

from models.cursors import Cursor, drop_lease, take_lease
from models.database import connection, database, on_postgres, rerun_on_conflict
from models.errors import SchemaBehind, StoreError, StoreUnreachable
from models.migration_runner import lease_table

LEASE_SECONDS = 120
RESTORE = "restore"  #: holds the lease until the barrier stands


@contextmanager
def migration_lease(
    wait_seconds: float, sleep: Callable[[float], None], on_wait: Callable[[], object]
) -> Iterator[None]:
    """Held, and renewed, by this process alone; ``on_wait`` is called once where somebody else holds it."""
    ensure_lease_table()
    owner = f"{socket.gethostname()[:60]}:{os.getpid()}:{time.monotonic_ns()}"
    deadline = time.monotonic() + wait_seconds
    waiting = False
    while not take_lease("migrate", owner, LEASE_SECONDS):
        refuse_half_restored()
        if not waiting:
            waiting = True
            on_wait()
        if time.monotonic() > deadline:
            raise StoreUnreachable("another process has held the migration lease too long; try again later")
        sleep(0.2)
    ended = threading.Event()
    renewing = threading.Thread(target=renew_until, args=(ended, owner), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        ended.set()
        renewing.join()
        drop_lease("migrate", owner)


def refuse_half_restored() -> None:
    """A restore that was killed cannot go on: what is loaded has no barrier yet."""
    if is_half_restored():
        raise SchemaBehind(
            "DATABASE_URL: a restore into this database ended half way; run it again: "
            "python main.py restore FILE --yes"
        )


def is_half_restored() -> bool:
    half = (Cursor.name == "migrate") & (Cursor.lease_owner == RESTORE)
    with connection():
        return bool(Cursor.select(Cursor.name).where(half).exists())


def renew_until(ended: threading.Event, owner: str) -> None:
    """A large index takes longer than the lease; on SQLite the migration's own lock keeps others out."""
    while on_postgres() and not ended.wait(LEASE_SECONDS / 3):
        with suppress(StoreError, DatabaseError):
            take_lease("migrate", owner, LEASE_SECONDS)


def lease_table_exists() -> bool:
    with database.connection_context():
        return "poll_cursors" in database.get_tables()


def ensure_lease_table() -> None:
    """The lease must exist before the first migration does; several processes may create it at once."""
    for last_try in (False, False, False, True):
        try:
            return create_lease_table()
        except (IntegrityError, ProgrammingError):
            # PostgreSQL's IF NOT EXISTS is not atomic: a loser fails on the table's or its type's name.
            if last_try:
                raise
            time.sleep(0.05)
    return None


@rerun_on_conflict
def create_lease_table() -> None:
    database.execute_sql(lease_table(database.obj))
