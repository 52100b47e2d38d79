"""The two edits of ``--write``: when a paused channel is probed, and an event set aside taken up again."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask_admin.form import BaseForm
from wtforms import BooleanField, StringField, ValidationError
from wtforms.validators import DataRequired

from jobs.studio.filters import parse_utc
from models.browsing import move_pause, take_up_again
from models.database import read_clock

EXAMPLE = "2026-11-23 10:00"
LONGEST = timedelta(hours=24)  #: nobody is to forget a channel that is paused


def check_time(_form: Any, field: Any) -> None:
    if field.data and field.data.strip():
        try:
            until = parse_utc(field.data)
        except (ValueError, OverflowError):
            raise ValidationError(f"write a UTC time such as {EXAMPLE}, or nothing") from None
        now = read_clock()
        if not now <= until <= now + LONGEST:
            raise ValidationError("write a time of the next 24 hours, or nothing: at once")


class PauseForm(BaseForm):  # type: ignore[misc]
    until_at = StringField(
        "Probed from (UTC)",
        validators=[check_time],
        description="The channel is asked at this time, and opens where it answers; empty: at once.",
    )


class EventForm(BaseForm):  # type: ignore[misc]
    again = BooleanField(
        "Take it up again",
        validators=[DataRequired("tick it, or go back")],
        description="The next drain proposes its ticket as if it had just come.",
    )


@dataclass(frozen=True, slots=True)
class Edit:
    """``save`` takes the row and the form and says whether it was changed; ``refused`` is why it was not."""

    form: type[Any]
    save: Callable[[Any, Any], bool]
    refused: str


def save_pause(row: Any, form: Any) -> bool:
    text = (form.until_at.data or "").strip()
    return move_pause(row, parse_utc(text) if text else None)


EDITS = {
    "switches": Edit(PauseForm, save_pause, "Only a channel's pause can be moved, and this is none now."),
    "webhook_inbox": Edit(
        EventForm, lambda row, _form: take_up_again(row), "This event is not set aside: the drain has it."
    ),
}
