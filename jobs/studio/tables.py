"""The tables as they are shown: columns, order, what is searched, which words a column can hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jobs.verdict import Priority, Provider
from models.counts import Event, HourlyCount
from models.cursors import Cursor
from models.deliveries import Delivery, DeliveryState
from models.inbox import WebhookEvent
from models.job_runs import JobRun
from models.switches import Switch
from models.tickets import ProcessedTicket, SkipReason, Source, TicketState

PROVIDERS = (*Provider, "none")


@dataclass(frozen=True, slots=True)
class Table:
    """The list has ``columns``, ``newest`` first or by key; details and export have all but ``hidden``."""

    model: Any
    words: str
    columns: tuple[str, ...]
    searched: tuple[str, ...]
    newest: str | None = None
    hidden: tuple[str, ...] = ()
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.model._meta.table_name)

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(name for name in self.model._meta.sorted_field_names if name not in self.hidden)


TABLES = (
    Table(
        ProcessedTicket,
        "one row per ticket",
        (
            "ticket_id", "state", "provider", "priority", "source", "attempts", "reason", "last_error",
            "next_attempt_at", "ticket_created_at", "processed_at",
        ),
        ("ticket_id", "merged_into"),
        newest="processed_at",
        choices={
            "state": tuple(TicketState),
            "provider": PROVIDERS,
            "priority": tuple(Priority),
            "source": tuple(Source),
            "reason": tuple(SkipReason),
        },
    ),
    Table(
        Delivery,
        "one row per ticket and channel",
        (
            "ticket_id", "channel", "state", "attempts", "sending_at", "sent_at", "message_id", "last_error",
            "notice_at", "decided_at",
        ),
        ("ticket_id",),
        newest="id",
        choices={"state": tuple(DeliveryState)},
    ),
    Table(
        WebhookEvent,
        "HubSpot's calls that the drain has not taken up",
        ("object_id", "event_type", "occurred_at", "received_at", "attempts", "last_error", "set_aside_at"),
        ("object_id",),
        newest="received_at",
    ),
    Table(
        Cursor,
        "how far the sources have looked, and leases",
        (
            "name", "lease_owner", "lease_expires_at", "activated_at", "horizon_at", "restored_at",
            "looked_from_at", "looked_until_at",
        ),
        ("name",),
    ),
    Table(
        HourlyCount,
        "what was settled and what happened, by hour",
        ("hour", "state", "source", "provider", "priority", "tickets", "tokens_in", "tokens_out", "cost_usd"),
        (),
        newest="hour",
        choices={"state": (*TicketState, *Event), "provider": PROVIDERS, "priority": tuple(Priority)},
    ),
    Table(
        JobRun,
        "the worker's jobs",
        (
            "name", "last_started_at", "last_finished_at", "last_result", "next_run_at", "runs", "failures",
        ),
        ("name",),
    ),
    Table(
        Switch,
        "paused channels, and alarms",
        ("name", "reason", "streak", "set_at", "until_at"),
        ("name",),
        hidden=("key_hash",),
    ),
)  # fmt: skip
