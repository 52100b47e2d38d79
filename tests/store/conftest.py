"""Shorthands for the ledger's tests."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from models.claims import Claim, claim
from models.cursors import activate
from models.database import connection, read_clock
from models.deliveries import Delivery
from models.proposals import Proposal, propose
from models.tickets import ProcessedTicket, Source
from models.write_ahead import VerdictColumns, begin_delivery
from tests.conftest import use_clients
from tests.fakes.portal import Portal

CREATED = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
VERDICT = VerdictColumns(
    ticket_created_at=CREATED,
    priority="high",
    handling_mode="reply_only",
    confidence=0.8,
    provider="local",
    success=True,
    model="llama3.2",
    triage_ms=1200,
    triage_attempts=1,
)


class Ledger:
    """The steps of a ticket's way, with the values that do not matter to a test filled in."""

    def find(self, *ticket_ids: str, source: Source = Source.POLL) -> None:
        propose([Proposal(one, CREATED) for one in ticket_ids], source)

    def claim(self, ticket_id: str, owner: str = "one", seconds: float = 60) -> Claim:
        (taken,) = claim([ticket_id], owner, seconds)
        return taken

    def begin(self, taken: Claim, channel: str = "console", seconds: float = 60) -> int | None:
        return begin_delivery(taken, channel, VERDICT, seconds)

    def sending(self, ticket_id: str, owner: str = "one", channel: str = "console") -> Claim:
        """A ticket whose first byte may have left."""
        self.find(ticket_id)
        taken = self.claim(ticket_id, owner)
        assert self.begin(taken, channel) == 1
        return taken

    def ticket(self, ticket_id: str) -> ProcessedTicket:
        with connection():
            return ProcessedTicket.get(ProcessedTicket.ticket_id == ticket_id)

    def delivery(self, ticket_id: str, channel: str = "console") -> Delivery:
        with connection():
            return Delivery.get((Delivery.ticket_id == ticket_id) & (Delivery.channel == channel))

    def edit(self, ticket_id: str, **columns: object) -> None:
        """Put a row into a state that time or another version would have brought."""
        with connection():
            ProcessedTicket.update(**columns).where(ProcessedTicket.ticket_id == ticket_id).execute()


@pytest.fixture(scope="module")
def portals() -> Iterator[Portal]:
    """One server for the module: to stop one takes 50 ms."""
    with Portal() as simulator:
        yield simulator


@pytest.fixture
def portal(portals: Portal) -> Iterator[Portal]:
    portals.empty()
    yield portals
    assert portals.write_attempts == []
    assert portals.crashes == []


@pytest.fixture
def ledger(store_url: str) -> Ledger:
    return Ledger()


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL's programs, as new as the server."""
    use_clients(monkeypatch)


def tell_one(ledger: Ledger) -> None:
    """Activate it, and tell ticket 1."""
    activate(read_clock(), None, timedelta(minutes=15))
    ledger.sending("1")
    ledger.edit("1", state="notified", provider="local", success=True)


@pytest.fixture
def expire(ledger: Ledger) -> Callable[[str], None]:
    """Let a ticket's lease run out."""

    def run_out(ticket_id: str) -> None:
        ledger.edit(ticket_id, lease_expires_at=CREATED)

    return run_out
