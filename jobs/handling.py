"""Keeps the threads busy: reads tickets ahead in batches, claims what threads are free for, renews leases."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from jobs.desk import Desk, Handled
from jobs.errors import SettingsError, TriageError
from jobs.fetch_around import Fetch, fetch_around
from jobs.handle_tickets import handle_ticket
from jobs.run_report import Result, Tally
from jobs.tell_channel import backoff
from jobs.ticket import Ticket
from models import claims, releases
from models.claims import Claim
from models.errors import StoreError

log = logging.getLogger("triage")

READ_BATCH = 100
#: So far is read ahead while threads are at work: in a storm a critical ticket must not wait for older ones.
READ_AHEAD = 1_000
#: Read-ahead saves requests, but a card should show the ticket as it is: older reads are done again.
FRESH_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class ReadTicket:
    """A due ticket as HubSpot showed it at ``read_at`` (monotonic); ``ticket`` is None where it has none.

    The higher ``rank`` goes first. ``unreadable`` marks one that HubSpot failed to serve while it served its
    neighbours.
    """

    ticket_id: str
    ticket: Ticket | None
    rank: int
    read_at: float
    unreadable: bool = False


@dataclass(frozen=True, slots=True)
class InHand:
    ticket_id: str
    since: float


class Handling:
    """Handles due tickets with ``threads`` threads until none is due or ``stop`` says so.

    ``fetch`` reads whole tickets by id, ``urgency`` ranks them (higher goes first). It never raises for a
    single ticket's fault; faults of HubSpot and of the store end the round and stand in the report. A ticket
    that another worker won is left to the next ``run``, or to the next ``wake``.
    """

    def __init__(
        self,
        desk: Desk,
        fetch: Fetch,
        urgency: Callable[[Ticket], int],
        threads: int,
        report: Tally,
        on_handled: Callable[[Handled], object] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._desk, self._fetch, self._urgency, self._threads = desk, fetch, urgency, threads
        self._report, self._on_handled, self._clock = report, on_handled, clock
        self._ready: deque[ReadTicket] = deque()
        self._reading: Future[list[ReadTicket]] | None = None
        self._in_hand: dict[Future[Handled], InHand] = {}
        self._woken: Future[None] = Future()
        self._waking = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._ready.clear()
        self._left_to_others: set[str] = set()
        self._stopped = False  #: asked to stop, or a fault: nothing more is read or claimed
        self._none_due = False  #: the last read found nothing more
        self._outdated = False  #: the last read, since it began, no longer tells whether more is due

    def wake(self) -> None:
        """Something may be due now: look again, also while threads are busy. From any thread."""
        with self._waking:
            if not self._woken.done():
                self._woken.set_result(None)

    def wait_for_wake(self, seconds: float) -> None:
        """Between two runs: return after ``seconds``, at once where somebody woke us since the last read.

        One wake ends one wait: while every channel is paused, no run follows that would take it.
        """
        wait([self._woken], timeout=seconds)
        if self._woken.done():
            self._woken = Future()

    def in_hand(self) -> dict[str, float]:
        """The tickets that threads work on, and since when (monotonic seconds)."""
        return {one.ticket_id: one.since for one in list(self._in_hand.values())}

    def run(self, stop: Callable[[], bool]) -> None:
        self._begin()
        with (
            ThreadPoolExecutor(1, "read") as reader,
            ThreadPoolExecutor(self._threads, "handle") as pool,
            self._renewed_leases(),
        ):
            while True:
                self._stopped = self._stopped or stop()
                self._take_wake()
                self._drop_stale()
                self._read_ahead(reader)
                self._start(pool)
                waiting: list[Future[Any]] = [*self._in_hand, *([self._reading] if self._reading else [])]
                if waiting:
                    wait([*waiting, self._woken], return_when=FIRST_COMPLETED)
                elif self._stopped or (self._none_due and not self._ready):
                    return
                self._take_in()
                self._finish()

    def _take_wake(self) -> None:
        if self._woken.done():
            # The next wake finds a new future before this one is read by: none is lost between.
            self._woken = Future()
            self._none_due, self._outdated = False, True
            self._left_to_others.clear()

    def _drop_stale(self) -> None:
        oldest = self._clock() - FRESH_SECONDS
        fresh = [one for one in self._ready if one.read_at > oldest]
        if len(fresh) < len(self._ready):
            self._ready, self._none_due, self._outdated = deque(fresh), False, True

    def _read_ahead(self, reader: ThreadPoolExecutor) -> None:
        wanted = not (self._stopped or self._none_due) and len(self._ready) < READ_AHEAD
        if wanted and self._reading is None:
            # What is in hand shows as due where its lease ran out under us: reading it again would not end.
            known = self._known() | self._left_to_others
            self._outdated = False
            self._reading = reader.submit(self._read, known)

    def _known(self) -> set[str]:
        return {one.ticket_id for one in self._ready} | {one.ticket_id for one in self._in_hand.values()}

    def _read(self, known: set[str]) -> list[ReadTicket]:
        due = [one for one in claims.find_due(READ_BATCH + len(known)) if one not in known][:READ_BATCH]
        read_at = self._clock()
        tickets, unreadable = fetch_around(self._fetch, due) if due else ({}, set())
        ranks = {one: self._rank(ticket) for one, ticket in tickets.items()}
        return [
            ReadTicket(one, tickets.get(one), ranks.get(one, 0), read_at, one in unreadable) for one in due
        ]

    def _rank(self, ticket: Ticket) -> int:
        try:
            return self._urgency(ticket)
        except Exception:
            log.exception("ticket not ranked", extra={"ticket_id": ticket.ticket_id})
            return 0

    def _take_in(self) -> None:
        if self._reading is None or not self._reading.done():
            return
        reading, self._reading = self._reading, None
        with self._faults_noted():
            read = reading.result()
            known = self._known()
            ready = [*self._ready, *(one for one in read if one.ticket_id not in known)]
            self._ready = deque(sorted(ready, key=attrgetter("rank"), reverse=True))
            self._none_due = not read and not self._outdated

    def _start(self, pool: ThreadPoolExecutor) -> None:
        free = 0 if self._stopped else self._free_threads()
        if not free:
            return
        chosen = {one.ticket_id: one for one in (self._ready.popleft() for _ in range(free))}
        with self._faults_noted():
            taken = claims.claim(list(chosen), self._desk.owner, self._desk.lease_seconds)
            for one in taken:
                future = pool.submit(self._handle, one, chosen[one.ticket_id])
                self._in_hand[future] = InHand(one.ticket_id, self._clock())
            # Not read again in this run: a row that somebody keeps locked would make it a busy loop.
            self._left_to_others |= chosen.keys() - {one.ticket_id for one in taken}

    def _free_threads(self) -> int:
        """How many tickets to claim now: none while every channel is paused, one while one is on trial."""
        free, gates = min(self._threads - len(self._in_hand), len(self._ready)), self._desk.gates
        if gates is None or not free:
            return free
        with self._faults_noted():
            gates.look()
        if self._stopped or not gates.any_open:
            self._ready.clear()
            self._none_due = True
            return 0
        if gates.any_on_trial:
            return 0 if self._in_hand else 1
        return free

    def _handle(self, taken: Claim, read: ReadTicket) -> Handled:
        try:
            if read.unreadable:
                released = releases.release_for_retry(taken, backoff(taken), "unreadable")
                return Handled(Result.RETRYING if released else Result.LOST)
            return handle_ticket(self._desk, taken, read.ticket)
        except StoreError:
            raise
        except Exception:
            # Our own fault with this one ticket: counted (rule 8), tried again later, and others go on.
            log.exception("ticket failed", extra={"ticket_id": taken.ticket_id})
            released = releases.release_for_retry(taken, backoff(taken), "internal_error", crashed=True)
            return Handled(Result.RETRYING if released else Result.LOST)

    def _finish(self) -> None:
        for future in [one for one in self._in_hand if one.done()]:
            ticket_id = self._in_hand.pop(future).ticket_id
            with self._faults_noted():
                handled = future.result()
                self._report.record(ticket_id, handled.result, handled.provider)
                log.info("ticket handled", extra={"ticket_id": ticket_id, **fields_of(handled)})
                self._on_handled(handled)

    @contextmanager
    def _faults_noted(self) -> Iterator[None]:
        try:
            yield
        except (StoreError, TriageError) as error:
            self._report.problem(str(error), settings_fault=isinstance(error, SettingsError))
            self._stopped = True
        except Exception as error:
            log.exception("round failed")
            self._report.problem(f"internal error ({type(error).__name__}); the log has the place")
            self._stopped = True

    @contextmanager
    def _renewed_leases(self) -> Iterator[None]:
        over = threading.Event()
        renewer = threading.Thread(target=self._renew_until, args=(over,), name="renew", daemon=True)
        renewer.start()
        try:
            yield
        finally:
            over.set()
            renewer.join()

    def _renew_until(self, over: threading.Event) -> None:
        while not over.wait(self._desk.lease_seconds / 3):
            held = list(self.in_hand())
            try:
                if held:
                    claims.renew_leases(held, self._desk.owner, self._desk.lease_seconds)
            except Exception:
                # The next turn tries again; a lease lost meanwhile is found out by the write-ahead.
                log.exception("leases not renewed")


def fields_of(handled: Handled) -> dict[str, str]:
    """What a log line says of a handled ticket."""
    provider = {"provider": handled.provider.value} if handled.provider else {}
    return {"result": handled.result.value, **provider}
