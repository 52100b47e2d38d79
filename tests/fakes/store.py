"""A wire to the database that counts statements and can be cut around one of them."""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from peewee import OperationalError

from models.database import database, on_postgres
from models.deliveries import DeliveryState
from tests.conftest import connect


def delivery_becomes(state: DeliveryState, sql: str, params: Sequence[object]) -> bool:
    """True for the statement that writes ``state`` to a delivery, on either database."""
    if '"deliveries"' not in sql or sql.lstrip().startswith("SELECT"):
        return False
    if sql.lstrip().startswith("WITH"):
        return f"SET \"state\" = '{state}'" in sql
    assigned = sql.partition(" WHERE ")[0].count("%s" if on_postgres() else "?")
    return state in list(params)[:assigned]


class Wire:
    """Stands between peewee and the driver of the open database; a cut ends PostgreSQL's real session."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._state: DeliveryState | None = None
        self._committed, self._times = False, 0
        self._losing = threading.local()
        self.statements: Counter[str] = Counter()

    def cut(self, state: DeliveryState, *, committed: bool, times: int = 1) -> None:
        """Lose the store at the next ``times`` writes of ``state``: before them, or after their commit."""
        self._state, self._committed, self._times = state, committed, times

    @contextmanager
    def laid(self) -> Iterator["Wire"]:
        wired: Any = database.obj
        wired.execute_sql, wired.commit = self._execute, self._commit
        try:
            yield self
        finally:
            del wired.execute_sql, wired.commit

    def _execute(self, sql: str, params: Any = None) -> Any:
        opened: Any = database.obj
        with self._lock:
            self.statements[sql] += 1
            hit = self._hit(sql, params)
        if hit and not self._committed:
            self._lose()
        answer = type(opened).execute_sql(opened, sql, params)
        if hit and self._committed:
            if opened.in_transaction():
                self._losing.at_commit = True
            else:
                self._lose()
        return answer

    def _hit(self, sql: str, params: Any) -> bool:
        given = list(params.values()) if isinstance(params, dict) else list(params or ())
        if not self._times or self._state is None or not delivery_becomes(self._state, sql, given):
            return False
        self._times -= 1
        return True

    def _commit(self) -> None:
        opened: Any = database.obj
        type(opened).commit(opened)
        if getattr(self._losing, "at_commit", False):
            self._losing.at_commit = False
            self._lose()

    def _lose(self) -> None:
        if not on_postgres():
            raise OperationalError("disk I/O error")
        opened: Any = database.obj
        killer = connect(self._url)
        pid = opened.connection().info.backend_pid
        killer.cursor().execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        killer.close()
        type(opened).execute_sql(opened, "SELECT 1")
