"""On PostgreSQL each hot statement leaves the same rows as the plain queries, which are SQLite's only way."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import models.claims
import models.proposals
import models.sends
from models.claims import Claim, claim
from models.counts import HourlyCount
from models.cursors import Cursor
from models.database import close_database, connection, database, open_database, read_clock
from models.deliveries import Delivery, DeliveryState
from models.proposals import Proposal, propose
from models.sends import record_sent
from models.tickets import ProcessedTicket, SkipReason, Source, TicketState
from models.write_ahead import begin_delivery
from tests.store.conftest import VERDICT

CHANNELS = ["console", "discord"]
DAY = 86_400
DECIDED_AT = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
TIMES = {"processed_at", "created_at", "updated_at", "lease_expires_at", "next_attempt_at"}
SENDS = {"ticket_created_at", "creation_event_at", "first_sending_at", "sending_at", "sent_at", "notice_at"}
MODULES = (models.claims, models.proposals, models.sends)

ticket_rows = st.fixed_dictionaries(
    {
        "state": st.sampled_from(TicketState),
        "reason": st.sampled_from([None, *SkipReason]),
        "owner": st.sampled_from(["me", "other"]),
        "lease": st.sampled_from([-60, 60]),
        "due": st.sampled_from([-60, 60]),
        "attempts": st.integers(0, 2),
        "created": st.sampled_from([None, -20, -6 * DAY]),
        "event": st.sampled_from([None, -20]),
        "deliveries": st.dictionaries(
            st.sampled_from([*CHANNELS, "removed"]),
            st.tuples(st.sampled_from(DeliveryState), st.integers(0, 2), st.sampled_from([None, DECIDED_AT])),
        ),
    }
)


@pytest.fixture(scope="module")
def postgres(server_url: str, template: str) -> Iterator[None]:
    from tests.conftest import renamed, with_server

    name = f"hot_{template}"
    with_server(server_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    open_database(renamed(server_url, name))
    yield
    close_database()
    with_server(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def lay(row: dict[str, Any]) -> None:
    """Empty tables but for one ticket in the state that hypothesis chose."""
    ahead = "clock_timestamp() + interval '1 second' * %s"
    for model in (ProcessedTicket, Delivery, HourlyCount, Cursor):
        model.delete().execute()
    named = ("state", "reason", "attempts", "owner", "created", "event", "lease", "due")
    database.execute_sql(
        "INSERT INTO processed_tickets (ticket_id, state, reason, source, attempts, lease_owner, triage_ms,"
        " ticket_created_at, creation_event_at, lease_expires_at, next_attempt_at) VALUES"
        f" ('1', %s, %s, 'poll', %s, %s, 700, {ahead}, {ahead}, {ahead}, {ahead})",
        [row[name] for name in named],
    )
    for channel, (state, attempts, decided_at) in row["deliveries"].items():
        known = {"state": state, "attempts": attempts, "decided_at": decided_at}
        Delivery.insert(ticket_id="1", channel=channel, **known).execute()


def rows_left() -> list[dict[str, Any]]:
    """Everything but times, of which only presence counts, and random keys."""
    left = []
    for model in (ProcessedTicket, Delivery, HourlyCount):
        for row in cast(Any, model.select().order_by(*key_of(model)).dicts()):
            plain = {name: value for name, value in row.items() if name != "id"}
            left.append(
                {name: value is not None if name in TIMES | SENDS else value for name, value in plain.items()}
            )
    return left


def key_of(model: Any) -> list[Any]:
    if model is Delivery:
        return [Delivery.ticket_id, Delivery.channel]
    return [model.ticket_id] if model is ProcessedTicket else [model.hour]


def compare(row: dict[str, Any], act: Callable[[], object]) -> None:
    left = []
    for hot in (True, False):
        with pytest.MonkeyPatch.context() as patch, connection():
            for module in MODULES:
                patch.setattr(module, "on_postgres", lambda hot=hot: hot)
            # Locking is no part of the rows left, and is asked of the real database.
            patch.setattr(models.claims, "lock_rows", lambda query, **_: query)
            patch.setattr(models.sends, "lock_rows", lambda query: query)
            lay(row)
            answer = act()
            left.append((answer, rows_left()))
    assert left[0] == left[1]


unhurried = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


ledger_rows = st.none() | st.fixed_dictionaries(
    {"horizon": st.sampled_from([None, -5 * DAY]), "activation": st.sampled_from([None, -3 * DAY, -30 * DAY])}
)
shown_times = st.sampled_from([None, -60, -2 * DAY, -6 * DAY])
shown_tickets = st.lists(
    st.tuples(st.sampled_from(["1", "2", "10"]), shown_times, st.sampled_from([None, -30, -DAY, -5 * DAY])),
    max_size=4,
)


def remember(ledger: dict[str, Any] | None) -> None:
    """The ledger's own row, or none, as before its first run."""
    now = read_clock()
    if ledger is not None:
        horizon, activation = (
            None if seconds is None else now + timedelta(seconds=seconds) for seconds in ledger.values()
        )
        Cursor.insert(name="ledger", horizon_at=horizon, activated_at=activation).as_rowcount().execute()


@unhurried
@given(row=ticket_rows, ledger=ledger_rows, shown=shown_tickets)
def test_propose(postgres: None, row: dict[str, Any], ledger: Any, shown: list[Any]) -> None:
    now = datetime.now(UTC)
    given = [
        Proposal(one, *(None if at is None else now + timedelta(seconds=at) for at in times))
        for one, *times in shown
    ]

    def act() -> object:
        remember(ledger)
        return propose(given, Source.SWEEP)

    compare(row, act)


@unhurried
@given(row=ticket_rows, restored_at=st.sampled_from([None, DECIDED_AT]))
def test_claim(postgres: None, row: dict[str, Any], restored_at: datetime | None) -> None:
    def claimed() -> list[tuple[Claim, bool, bool]]:
        Cursor.insert(name="ledger", restored_at=restored_at).as_rowcount().execute()
        times = {"ticket_created_at": None, "creation_event_at": None}
        return [
            (replace(one, **cast(Any, times)), bool(one.ticket_created_at), bool(one.creation_event_at))
            for one in claim(["1", "2"], "me", 60)
        ]

    compare(row, claimed)


@unhurried
@given(row=ticket_rows, channel=st.sampled_from(CHANNELS))
def test_begin(postgres: None, row: dict[str, Any], channel: str) -> None:
    def begin() -> list[int | None]:
        with connection():
            ticket = ProcessedTicket.get(ProcessedTicket.ticket_id == "1")
        (taken,) = models.claims.read_claims([ticket.ticket_id], "me")
        return [begin_delivery(taken, channel, VERDICT, 60, nonce="n", place="p")]

    compare(row, begin)


@unhurried
@given(
    row=ticket_rows, channel=st.sampled_from(CHANNELS), configured=st.sampled_from([CHANNELS, CHANNELS[:1]])
)
def test_record_sent(postgres: None, row: dict[str, Any], channel: str, configured: list[str]) -> None:
    compare(row, lambda: record_sent("1", channel, configured, "m", "here"))
