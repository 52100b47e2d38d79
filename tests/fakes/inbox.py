"""Events for the webhook inbox, as the receiver would hand them over."""

from dataclasses import dataclass
from datetime import datetime

from models.health import read_inbox


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    portal_id: str
    event_type: str
    object_id: str
    event_id: str = ""
    occurred_at: datetime | None = None
    merged_ids: tuple[str, ...] = ()


def waiting() -> int:
    """How many rows wait to be moved."""
    return read_inbox().waiting
