"""One worker's way of a ticket on a real ledger, with fakes for every service."""

from collections.abc import Callable
from typing import Any

from peewee import fn

from jobs.desk import Desk, Handled
from jobs.handle_tickets import handle_ticket
from jobs.ticket import Ticket
from models.counts import HourlyCount
from models.database import connection
from models.deliveries import DeliveryState
from models.errors import StoreUnreachable
from tests.fakes.channel import FakeChannel
from tests.fakes.clock import FakeClock
from tests.fakes.hubspot import CREATED, make_ticket
from tests.fakes.triage import FakeTriage
from tests.store.conftest import Ledger

LEASE = 60.0


def insist(work: Callable[[], object]) -> object:
    """The real one without its pauses; a fault that stays for 50 tries is a test's mistake."""
    for _ in range(50):
        try:
            return work()
        except StoreUnreachable:
            continue
    raise AssertionError("the store did not come back")


class Path:
    """Claims, handles and looks at tickets; every ``handle`` is another worker's."""

    def __init__(self, ledger: Ledger, *channels: FakeChannel) -> None:
        self.ledger, self.channels = ledger, list(channels) or [FakeChannel()]
        self.triage, self.clock = FakeTriage(), FakeClock()
        self.settings: dict[str, Any] = {}
        self.workers = 0

    def desk(self, **settings: Any) -> Desk:
        self.workers += 1
        known: dict[str, Any] = {
            "owner": f"worker {self.workers}",
            "triage": self.triage,
            "channels": self.channels,
            "insist": insist,
            "activated_at": CREATED,
            "lease_seconds": LEASE,
            "now": self.clock.now,
            "lease_clock": self.clock.seconds,
        }
        return Desk(**known | self.settings | settings)

    def handle(self, ticket_id: str = "1", ticket: Ticket | None = None, **settings: Any) -> Handled:
        """Claim a due ticket and handle it as HubSpot shows it."""
        desk = self.desk(**settings)
        taken = self.ledger.claim(ticket_id, desk.owner, desk.lease_seconds)
        return handle_ticket(desk, taken, ticket or make_ticket(ticket_id))

    def handle_missing(self, ticket_id: str = "1") -> Handled:
        desk = self.desk()
        return handle_ticket(desk, self.ledger.claim(ticket_id, desk.owner), None)

    def let_time_pass(self, ticket_id: str = "1") -> None:
        """Whatever the ticket waits for, a lease's end or the next try, is over."""
        with connection():
            self.ledger.edit(ticket_id, lease_expires_at=CREATED, next_attempt_at=CREATED)

    def state(self, ticket_id: str = "1") -> str:
        return str(self.ledger.ticket(ticket_id).state)

    def delivery(self, channel: str = "console", ticket_id: str = "1") -> DeliveryState:
        return DeliveryState(self.ledger.delivery(ticket_id, channel).state)

    def shown(self) -> list[list[str]]:
        return [channel.shown for channel in self.channels]


def settled_counts() -> dict[str, int]:
    """Tickets in hourly_counts by state."""
    with connection():
        tickets = fn.SUM(HourlyCount.tickets).alias("tickets")
        counted = HourlyCount.select(HourlyCount.state, tickets).group_by(HourlyCount.state)
        return {row.state: int(row.tickets) for row in counted}
