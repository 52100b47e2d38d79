"""What the ledger says during a run: how much is open, and when a killed worker's tickets are settled."""

import threading
import time
from collections.abc import Collection
from dataclasses import dataclass

from models.database import clock, connection
from models.deliveries import Delivery, DeliveryState
from models.errors import StoreError
from models.switches import Switch
from models.tickets import OPEN_STATES, ProcessedTicket, TicketState

LOOK_SECONDS, HURRY_SECONDS = 0.1, 1.0
LONGEST_SETTLEMENT_SECONDS = 200.0


@dataclass(frozen=True, slots=True)
class Orphan:
    """A ticket that a killed worker held; ``sending`` where its card was written ahead."""

    crashed_at: float
    sending: bool
    alone: bool


@dataclass(frozen=True, slots=True)
class Settlement:
    """``seconds`` from the kill until the ticket was settled; ``alone``: nothing else was struck."""

    seconds: float
    sending: bool
    alone: bool


class Settlements:
    """Looks at the ledger while a thread ``watch``es it; ``open_count`` is what it saw last.

    A ticket is settled once it is told, or held for a person where there is one. Pauses and waits for a next
    try are ended too: a run is not to stand still for half a minute each.
    """

    def __init__(self, *, has_person: bool) -> None:
        self._open = OPEN_STATES if has_person else (*OPEN_STATES, TicketState.UNCONFIRMED)
        self._orphans: dict[str, Orphan] = {}
        self._lock = threading.Lock()
        self._hurried_at = 0.0
        self.settled: list[Settlement] = []
        self.open_count = 0
        self.kills_that_met_work = 0

    def note_crash(self, pid: int, *, alone: bool) -> None:
        """To be called right after the kill: the worker's claims stand until their leases run out."""
        now = time.monotonic()
        try:
            left = {one: Orphan(now, sending, alone) for one, sending in find_claims(pid).items()}
        except StoreError:
            return  # the database is away: this kill is not measured
        with self._lock:
            self.kills_that_met_work += bool(left)
            # One that is orphaned again counts from the first kill.
            self._orphans = left | self._orphans

    def wait_until_settled(self) -> None:
        """Until no ticket of a killed worker is open any more, or for as long as that should take."""
        until = time.monotonic() + LONGEST_SETTLEMENT_SECONDS
        while self._orphans and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)

    def watch(self, over: threading.Event) -> None:
        while not over.wait(LOOK_SECONDS):
            try:
                self._look()
                if time.monotonic() - self._hurried_at > HURRY_SECONDS:
                    hurry()
                    self._hurried_at = time.monotonic()
            except StoreError:
                continue

    def _look(self) -> None:
        with self._lock, connection():
            is_open = ProcessedTicket.state.in_(self._open)
            self.open_count = ProcessedTicket.select().where(is_open).count()
            if not self._orphans:
                return
            orphaned = ProcessedTicket.ticket_id.in_(list(self._orphans))
            for row in ProcessedTicket.select(ProcessedTicket.ticket_id).where(orphaned & ~is_open):
                one = self._orphans.pop(row.ticket_id)
                seconds = time.monotonic() - one.crashed_at
                self.settled.append(Settlement(seconds, one.sending, one.alone))


def find_claims(pid: int) -> dict[str, bool]:
    """What the worker with this process id has claimed, and whether a card of it was written ahead."""
    with connection():
        claimed = ProcessedTicket.select().where(ProcessedTicket.state == TicketState.CLAIMED)
        ids = [row.ticket_id for row in claimed if f":{pid}:" in (row.lease_owner or "")]
        written = Delivery.ticket_id.in_(ids) & (Delivery.state == DeliveryState.SENDING)
        sending = {row.ticket_id for row in Delivery.select(Delivery.ticket_id).where(written)}
    return {one: one in sending for one in ids}


def hurry() -> None:
    """Whoever is waited for is due now: an end of a pause, a next try."""
    with connection():
        Switch.update(until_at=clock()).where(Switch.until_at > clock()).execute()
        waits = (ProcessedTicket.state == TicketState.RETRY) & (ProcessedTicket.next_attempt_at > clock())
        ProcessedTicket.update(next_attempt_at=clock()).where(waits).execute()


def end_leases_of_the_dead(living: Collection[int]) -> None:
    """Time passes for the claims of processes that are not among ``living``."""
    with connection():
        claimed = ProcessedTicket.select().where(ProcessedTicket.state == TicketState.CLAIMED)
        dead = [row for row in claimed if not any(f":{pid}:" in str(row.lease_owner) for pid in living)]
        for row in dead:
            same = (ProcessedTicket.ticket_id == row.ticket_id) & (
                ProcessedTicket.lease_owner == row.lease_owner
            )
            ProcessedTicket.update(lease_expires_at=clock()).where(same).execute()
