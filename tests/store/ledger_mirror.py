"""The real ledger as the plain model writes it down: the same names, and times in whole tens of seconds.

Nothing here waits. Time passes by moving every stored time back, so that what the model calls ``now`` is the
database's clock. What a step takes for real, some milliseconds, is below the ten seconds and rounds away.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, cast

from peewee import Field

from models.counts import HourlyCount
from models.cursors import Cursor
from models.database import BaseModel, database, on_postgres, read_clock
from models.deliveries import Delivery
from models.drain import NO_TIME
from models.inbox import MERGED_SEPARATOR, WebhookEvent
from models.switches import Switch
from models.tickets import ProcessedTicket, TicketState
from models.utc import UtcDateTimeField, to_text, to_utc
from tests.store.ledger_model import Card, Event, Ledger, Ticket

TABLES: tuple[type[BaseModel], ...] = (ProcessedTicket, Delivery, WebhookEvent, Cursor, Switch, HourlyCount)
Rows = dict[Any, dict[str, Any]]
GRID = 10.0
TICKET_COLUMNS = [one.name for one in fields(Ticket)]
CARD_COLUMNS = [one.name for one in fields(Card)]
CURSOR_COLUMNS = list(Cursor._meta.fields)
EVENT_COLUMNS = [
    "id",
    "portal_id",
    "event_type",
    "object_id",
    "event_id",
    "occurred_at",
    "received_at",
    "merged_ids",
    "set_aside_at",
]


def empty_tables() -> None:
    """DELETE takes a tenth of TRUNCATE's time for so few rows."""
    with database.connection_context(), database.atomic():
        for table in TABLES:
            table.delete().execute()


@dataclass
class Timeline:
    """Which stored time is the model's second 0."""

    zero: datetime
    started: float = field(default_factory=monotonic)

    @classmethod
    def start(cls) -> "Timeline":
        return cls(read_clock())

    def is_late(self) -> bool:
        """The machine stood still for so long that real time shows."""
        return monotonic() - self.started > GRID - 1

    def stored(self, at: float) -> datetime:
        return self.zero + timedelta(seconds=at)

    def maybe_stored(self, at: float | None) -> datetime | None:
        return None if at is None else self.stored(at)

    def told(self, at: datetime | None) -> float | None:
        """The model's second of a stored time."""
        if at is None or at == NO_TIME:
            return None
        return GRID * (((at - self.zero).total_seconds() + 0.005) // GRID)

    def let_pass(self, seconds: float) -> None:
        """Everything that is stored happened ``seconds`` longer ago."""
        self.zero -= timedelta(seconds=seconds)
        with database.connection_context(), database.atomic():
            for table in TABLES[:-1]:
                move_back(table, seconds)


Saved = dict[type[BaseModel], list[tuple[Any, ...]]]


def save_tables() -> Saved:
    """A backup."""
    selects = {table: f"SELECT {columns_of(table)} FROM {name_of(table)}" for table in TABLES}
    with database.connection_context():
        return {table: database.execute_sql(select).fetchall() for table, select in selects.items()}


def restore_tables(saved: Saved, seconds: float) -> None:
    """The backup that was made ``seconds`` ago."""
    empty_tables()
    mark = "%s" if on_postgres() else "?"
    with database.connection_context(), database.atomic():
        for table, rows in saved.items():
            marks = ", ".join([mark] * len(table._meta.sorted_fields))
            insert = f"INSERT INTO {name_of(table)} ({columns_of(table)}) VALUES ({marks})"
            for row in rows:
                database.execute_sql(insert, row)
            if table is not HourlyCount:
                move_back(table, seconds)


def name_of(table: type[BaseModel]) -> str:
    return f'"{table._meta.table_name}"'


def columns_of(table: type[BaseModel]) -> str:
    return ", ".join(f'"{one.column_name}"' for one in table._meta.sorted_fields)


def move_back(table: type[BaseModel], seconds: float) -> None:
    names = [one.column_name for one in table._meta.sorted_fields if isinstance(one, UtcDateTimeField)]
    moved = ", ".join(
        f"{name} = CASE WHEN {name} <> '{to_text(NO_TIME)}' THEN {earlier(name, seconds)} ELSE {name} END"
        for name in names
    )
    database.execute_sql(f'UPDATE "{table._meta.table_name}" SET {moved}')


def earlier(column: str, seconds: float) -> str:
    if on_postgres():
        return f"{column} - interval '{seconds} seconds'"
    # Not %f's own rounding of what it parsed: these are whole milliseconds before and after.
    return f"strftime('%Y-%m-%d %H:%M:%f+00:00', {column}, '-{seconds} seconds')"


def read_rows(table: type[BaseModel], names: Sequence[str], time: Timeline) -> list[dict[str, Any]]:
    """Plain SQL, by id: to let Peewee build these statements takes longer than all the rest of a step."""
    fields_read = [getattr(table, name) for name in names]
    columns = ", ".join(f'"{one.column_name}"' for one in fields_read)
    found = database.execute_sql(f'SELECT {columns} FROM "{table._meta.table_name}" ORDER BY 1').fetchall()
    return [
        {name: told(one, value, time) for name, one, value in zip(names, fields_read, row, strict=True)}
        for row in found
    ]


def told(column: Field, value: Any, time: Timeline) -> Any:
    if isinstance(column, UtcDateTimeField):
        return time.told(to_utc(value))
    return cast(Any, column).python_value(value)


def read_tickets(time: Timeline) -> Rows:
    rows = read_rows(ProcessedTicket, ["ticket_id", *TICKET_COLUMNS], time)
    return {row.pop("ticket_id"): row for row in rows}


def read_cards(time: Timeline) -> Rows:
    rows = read_rows(Delivery, ["ticket_id", "channel", *CARD_COLUMNS], time)
    return {(row.pop("ticket_id"), row.pop("channel")): row for row in rows}


def read_surroundings(time: Timeline) -> dict[str, Any]:
    """Cursors, pauses, the inbox and the counts."""
    cursors = {row["name"]: row for row in read_rows(Cursor, CURSOR_COLUMNS, time)}
    ledger = cursors.get("ledger", dict.fromkeys(CURSOR_COLUMNS))
    switches = read_rows(Switch, ["name", "key_hash", "reason", "streak", "until_at"], time)
    return {
        "portal": ledger["portal_id"],
        "activated": ledger["activated_at"],
        "horizon": ledger["horizon_at"],
        "restored": ledger["restored_at"],
        "leases": {
            name: (row["lease_owner"], row["lease_expires_at"])
            for name, row in cursors.items()
            if row["lease_owner"]
        },
        "looked": {
            name: (row["looked_from_at"], row["looked_until_at"])
            for name, row in cursors.items()
            if row["looked_until_at"] is not None
        },
        "pauses": {
            (row["name"], row["key_hash"]): (row["reason"], row["streak"], row["until_at"])
            for row in switches
        },
        "inbox": [event_of(row) for row in read_rows(WebhookEvent, EVENT_COLUMNS, time)],
        "counts": read_counts(),
    }


def event_of(row: dict[str, Any]) -> Event:
    assert row["set_aside_at"] is None, f"an event failed: {row}"
    parts = tuple(filter(None, (row["merged_ids"] or "").split(MERGED_SEPARATOR)))
    key = row["portal_id"], row["event_type"], row["object_id"], row["event_id"], row["occurred_at"]
    return Event(*key, row["received_at"], parts)


def read_counts() -> Counter[tuple[str, ...]]:
    """Over all hours: the model's clock has none."""
    key = '"source", "provider", "priority", "state"'
    rows = database.execute_sql(f'SELECT {key}, sum("tickets") FROM "hourly_counts" GROUP BY {key}')
    return Counter({tuple(names): int(number) for *names, number in rows.fetchall()})


def modelled_surroundings(ledger: Ledger) -> dict[str, Any]:
    names = ("portal", "activated", "horizon", "restored", "leases", "looked", "pauses", "inbox", "counts")
    return {name: getattr(ledger, name) for name in names}


def modelled_rows(rows: Mapping[Any, Ticket | Card]) -> Rows:
    return {key: dict(vars(row)) for key, row in rows.items()}


def without_leftovers(tickets: Rows) -> Rows:
    """Two columns that mean something in some states only, and are not tidied up in the others."""
    for row in tickets.values():
        if row["state"] != TicketState.RETRY:
            row["next_attempt_at"] = None
        if row["state"] not in (TicketState.RETRY, TicketState.UNCONFIRMED):
            row["last_error"] = None
    return tickets
