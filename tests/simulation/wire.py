"""The wire to the database: every statement and COMMIT is an effect, and may be lost, as may its answer."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import psycopg2
from peewee import OperationalError
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from models.database import database, is_conflict, on_postgres
from models.proposals import PROPOSE
from tests.simulation.clock import MachineClock, to_text, utc
from tests.simulation.effects import Effects
from tests.simulation.scheduler import Process

WAIT_SECONDS = 0.05
PAUSE_SECONDS = 6.0  #: the longest between two tries of a write that the ledger did not take


class Wire:
    """Lies between Peewee and the driver of the open database; others take turns outside of transactions.

    ``lose_every`` is the mean number of statements between two that are lost, 0 is never. While a process is
    ``cut_off``, or all are while the server ``is_down``, nothing comes through.
    """

    def __init__(self, effects: Effects, clock: MachineClock, rng: random.Random) -> None:
        self._effects, self.clock, self._rng = effects, clock, rng
        self.is_down = False
        self.cut_off: set[Process] = set()
        self.statements = self.lost = 0
        self._begins = False
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
        wired.connect = self._connect
        wired.execute_sql, wired.begin, wired.commit = self._execute, self._begin, self._commit
        try:
            yield
        finally:
            del wired.connect, wired.execute_sql, wired.begin, wired.commit

    def _now(self, _: str, __: str, modifier: str) -> str:
        """SQLite's own clock, as ``models.database.clock`` asks for it."""
        return to_text(self.clock.seconds() + float(modifier.partition(" ")[0]))

    def _process(self) -> str:
        return self._effects.scheduler.current.process.name

    def _connect(self, *args: Any) -> Any:
        """A pool that is exhausted would wait in real time, in which nobody gives a connection back."""
        opened: Any = database.obj
        while len(opened._in_use) >= opened._max_connections:
            self._effects.scheduler.sleep(WAIT_SECONDS)
        return type(opened).connect(opened, *args)

    def _begin(self, *args: Any) -> None:
        self._effects.pass_point("BEGIN")
        if self._is_cut() or self._is_lost():
            self._lose()
        self._begins = True  # on PostgreSQL by a statement, which is not another effect
        try:
            type(database.obj).begin(database.obj, *args)
        finally:
            self._begins = False

    def _execute(self, sql: str, params: Any = None) -> Any:
        opened: Any = database.obj
        if self._begins:
            return self._run(sql, params)
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
            done = self._run_at_once(sql, params)
            if on_postgres() or done.description is None:
                # SQLite has not committed what returns rows before they were fetched.
                self._effects.pass_committed()
            return done
        if self._rng.random() < 0.5:
            self._run_at_once(sql, params)
        return self._lose()

    def _run_at_once(self, sql: str, params: Any) -> Any:
        """A statement that is a transaction by itself, as a page's is on PostgreSQL."""
        done = self._run(sql, params)
        if sql == PROPOSE:
            self._effects.truth.keep_page(self._effects.scheduler.current)
        return done

    def _run(self, sql: str, params: Any) -> Any:
        opened: Any = database.obj
        if not on_postgres():
            return type(opened).execute_sql(opened, sql, params)
        if not opened.in_transaction():
            # In the same message, as the time may have moved; within a transaction it stands.
            now, process = utc(self.clock.seconds()).isoformat(), self._process()
            sql = f"SET sim.now = '{now}'; SET sim.process = '{process}'; {sql}"
        try:
            return type(opened).execute_sql(opened, sql, params)
        except Exception as error:
            if is_conflict(error):
                self._effects.truth.offences.append(f"a conflict, where nobody else has a turn: {error}")
            raise

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
        effects.truth.disable(effects.scheduler.current.process.name, self.clock.time.now + PAUSE_SECONDS)
        if not on_postgres():
            raise OperationalError("disk I/O error")
        session = database.obj.connection()
        if session.get_transaction_status() != TRANSACTION_STATUS_IDLE:
            # The server would do so by itself, but a moment later, and others would find its rows locked.
            type(database.obj).rollback(database.obj)
        session.close()
        raise psycopg2.OperationalError("server closed the connection unexpectedly")


@lru_cache(maxsize=1_000)
def short(sql: str) -> str:
    """What a statement is: its verb and the first table it names."""
    words = sql.replace("(", " ( ").split()
    if words[0] in ("SAVEPOINT", "RELEASE", "ROLLBACK"):
        return words[0]  # what follows is random
    tables = [word for word in words if word.startswith('"') and word not in ('"t1"', '"t2"')]
    return f"{words[0]} {tables[0].partition('.')[0] if tables else ''}".rstrip()
