"""The webhook inbox: ids and times of received events until the drain moves them to the ledger."""

from peewee import CharField, IntegerField

from models.database import BaseModel, UtcDateTimeField
from models.tickets import utc_now


class WebhookEvent(BaseModel):
    """One received event, never its text. No event id is '', no time is the epoch: both are in the key."""

    portal_id = CharField(max_length=32)
    event_type = CharField(max_length=64)
    object_id = CharField(max_length=255)
    event_id = CharField(max_length=64, default="")
    occurred_at = UtcDateTimeField()
    merged_ids = CharField(max_length=4000, null=True)
    received_at = UtcDateTimeField(default=utc_now, index=True)
    attempts = IntegerField(default=0)
    last_error = CharField(max_length=100, null=True)
    set_aside_at = UtcDateTimeField(null=True)

    class Meta:
        table_name = "webhook_inbox"
        indexes = ((("portal_id", "event_type", "object_id", "event_id", "occurred_at"), True),)
