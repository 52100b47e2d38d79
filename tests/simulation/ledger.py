"""A ledger for each world and a look at it from outside: a copy of a migrated file on a disk of memory."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from models.database import close_database, open_database
from models.schema import deploy_migrations
from tests.simulation.postgres import PostgresLedgers, Server, postgres
from tests.simulation.watch import WATCH, WATCHED

MEMORY = Path("/dev/shm")
Place = Path | Server


class Outside(Protocol):
    """A look at a world's ledger that is not part of it: it has no effects and no faults."""

    def rows(self, sql: str, *params: Any) -> list[dict[str, Any]]: ...
    def back_up(self) -> None: ...
    def restore(self) -> None: ...


class Ledgers(Protocol):
    """Makes the ledgers of one process, one after the other."""

    def new(self) -> AbstractContextManager[Outside]: ...


class SqliteOutside:
    """The ledger as it stands in the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._session = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._session.row_factory = sqlite3.Row

    def rows(self, sql: str, *params: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in self._session.execute(sql, params).fetchall()]

    def back_up(self) -> None:
        with closing(sqlite3.connect(self._path.with_suffix(".backup"))) as copy:
            self._session.backup(copy)

    def restore(self) -> None:
        """The backup takes the ledger's place; what watched it stays, and says what is lost."""
        watched = {name: self.rows(f"SELECT * FROM {name}") for name in WATCHED}
        with closing(sqlite3.connect(self._path.with_suffix(".backup"))) as copy:
            copy.backup(self._session)
        drained = len(self.rows("SELECT 1 FROM sim_drained"))
        for name, rows in watched.items():
            self._session.execute(f"DELETE FROM {name}")
            for row in rows:
                places = ", ".join("?" * len(row))
                self._session.execute(f"INSERT INTO {name} VALUES ({places})", tuple(row.values()))
        self._session.execute("UPDATE sim_drained SET lost = 1 WHERE rowid > ?", (drained,))

    def close(self) -> None:
        self._session.close()


class SqliteLedgers:
    """Makes the databases of one process; ``folder`` goes with it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._template = folder, folder / "template.db"
        open_database(f"sqlite:////{self._template}")
        deploy_migrations()
        close_database()
        with sqlite3.connect(self._template) as session:
            session.executescript(WATCH)
        session.close()

    @contextmanager
    def new(self) -> Iterator[SqliteOutside]:
        """A migrated ledger, opened as the models' database."""
        path = self._folder / "world.db"
        shutil.copy(self._template, path)
        open_database(f"sqlite:////{path}", pool_size=500)
        outside = SqliteOutside(path)
        try:
            yield outside
        finally:
            outside.close()
            close_database()
            for left in self._folder.glob("world.*"):
                left.unlink()


@contextmanager
def memory_folder() -> Iterator[Path]:
    parent = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="simulation-", dir=parent) as folder:
        yield Path(folder)


@contextmanager
def place_for(url: str | None) -> Iterator[Place]:
    """Where a run makes its ledgers: in memory, or for another ``url`` than None where ``postgres`` says."""
    with memory_folder() if url is None else postgres(url) as place:
        yield place


@cache
def ledgers_at(place: Place) -> Ledgers:
    """This process's own, made at the first call."""
    if isinstance(place, Server):
        return PostgresLedgers(place)
    folder = place / str(os.getpid())
    folder.mkdir()
    return SqliteLedgers(folder)


@contextmanager
def ledgers(url: str | None = None) -> Iterator[Ledgers]:
    with place_for(url) as place:
        yield ledgers_at(place)
