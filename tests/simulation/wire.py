"""The wire to the database: every statement and COMMIT is an effect, and may be lost, as may its answer."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import psycopg2
from peewee import OperationalError

from models.database import database, on_postgres
from tests.simulation.clock import MachineClock, to_text
from tests.simulation.effects import Effects
from tests.simulation.scheduler import Process

PAUSE_SECONDS = 6.0  #: the longest between two tries of a write that the ledger did not take


class Wire:
    """Lies between Peewee and the driver of the open database; others take turns outside of transactions.

    ``lose_every`` is the mean number of statements between two that are lost, 0 is never. While a process is
    ``cut_off``, or all are while the server ``is_down``, nothing comes through.
    """

    def __init__(self, effects: Effects, clock: MachineClock, rng: random.Random) -> None:
        self._effects, self._clock, self._rng = effects, clock, rng
        self.is_down = False
        self.cut_off: set[Process] = set()
        self.statements = self.lost = 0
        self.lose_every(0)

    def lose_every(self, mean: float) -> None:
        self._every = mean
        self._lose_in = self._rng.expovariate(1 / mean) if mean else float("inf")

    @contextmanager
    def laid(self) -> Iterator[None]:
        wired: Any = database.obj
        if not on_postgres():
            wired.close_idle()  # a connection that is open already would keep the real clock
            wired.register_function(self._now, "strftime", 3)
            wired.register_function(self._process, "sim_process", 0)
        wired.execute_sql, wired.begin, wired.commit = self._execute, self._begin, self._commit
        try:
            yield
        finally:
            del wired.execute_sql, wired.begin, wired.commit

    def _now(self, _: str, __: str, modifier: str) -> str:
        """SQLite's own clock, as ``models.database.clock`` asks for it."""
        return to_text(self._clock.seconds() + float(modifier.partition(" ")[0]))

    def _process(self) -> str:
        return self._effects.scheduler.current.process.name

    def _begin(self, *args: Any) -> None:
        self._effects.pass_point("BEGIN")
        if self._is_cut() or self._is_lost():
            self._lose()
        type(database.obj).begin(database.obj, *args)

    def _execute(self, sql: str, params: Any = None) -> Any:
        opened: Any = database.obj
        self.statements += 1
        if opened.in_transaction():
            self._effects.pass_inner_point(short(sql), params)
            if self._is_cut() or self._is_lost():
                self._lose()
            return self._run(sql, params)
        self._effects.pass_point(short(sql), params)
        if self._is_cut():
            self._lose()
        if not self._is_lost():
            done = self._run(sql, params)
            if on_postgres() or done.description is None:
                # SQLite has not committed what returns rows before they were fetched.
                self._effects.pass_committed()
            return done
        if self._rng.random() < 0.5:
            self._run(sql, params)
        return self._lose()

    def _run(self, sql: str, params: Any) -> Any:
        opened: Any = database.obj
        return type(opened).execute_sql(opened, sql, params)

    def _commit(self) -> None:
        opened: Any = database.obj
        self._effects.pass_inner_point("COMMIT")
        cut = self._is_cut()
        if not cut and not self._is_lost():
            self._commit_at_once()
            self._effects.pass_committed()
            return
        if not cut and self._rng.random() < 0.5:
            self._effects.trace.note("wire", "the COMMIT's answer is lost")
            self._commit_at_once()
        else:
            type(opened).rollback(opened)
        self._lose()

    def _commit_at_once(self) -> None:
        opened: Any = database.obj
        type(opened).commit(opened)
        self._effects.truth.keep_page(self._effects.scheduler.current)

    def _is_cut(self) -> bool:
        process = self._effects.scheduler.current.process
        return process.mortal and (self.is_down or process in self.cut_off)

    def _is_lost(self) -> bool:
        self._lose_in -= 1
        if self._lose_in > 0:
            return False
        self.lose_every(self._every)
        return self._effects.scheduler.current.process.mortal

    def _lose(self) -> Any:
        self._effects.truth.cut_off_page(self._effects.scheduler.current)
        self.lost += 1
        effects = self._effects
        effects.trace.note("wire", "LOST")
        effects.truth.disable(effects.scheduler.current.process.name, self._clock.time.now + PAUSE_SECONDS)
        if not on_postgres():
            raise OperationalError("disk I/O error")
        database.obj.connection().close()
        raise psycopg2.OperationalError("server closed the connection unexpectedly")


@lru_cache(maxsize=1_000)
def short(sql: str) -> str:
    """What a statement is: its verb and the first table it names."""
    words = sql.replace("(", " ( ").split()
    if words[0] in ("SAVEPOINT", "RELEASE", "ROLLBACK"):
        return words[0]  # what follows is random
    tables = [word for word in words if word.startswith('"') and word not in ('"t1"', '"t2"')]
    return f"{words[0]} {tables[0].partition('.')[0] if tables else ''}".rstrip()
