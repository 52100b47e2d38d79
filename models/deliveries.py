"""One row per ticket and channel: the write-ahead record of a send and what became of it."""

from enum import StrEnum

from peewee import CharField, IntegerField

from models.database import BaseModel
from models.utc import UtcDateTimeField


class DeliveryState(StrEnum):
    """What is known of one card on one channel."""

    PENDING = "pending"  #: certainly not sent, may be sent
    SENDING = "sending"  #: written ahead; the first byte may have left
    SENT = "sent"  #: the channel took it
    UNCONFIRMED = "unconfirmed"  #: nobody can tell; a look, a person or the policy decides
    REFUSED = "refused"  #: the channel refuses even the minimal card; held


class Delivery(BaseModel):
    ticket_id = CharField(max_length=255)
    channel = CharField(max_length=100)
    state = CharField(max_length=20)
    nonce = CharField(max_length=25, null=True)
    attempts = IntegerField(default=0)
    first_sending_at = UtcDateTimeField(null=True)
    sending_at = UtcDateTimeField(null=True)
    sent_at = UtcDateTimeField(null=True)
    message_id = CharField(max_length=50, null=True)
    place = CharField(max_length=50, null=True)
    last_error = CharField(max_length=100, null=True)
    resent_at = UtcDateTimeField(null=True)
    notice_at = UtcDateTimeField(null=True)
    decided_at = UtcDateTimeField(null=True)

    class Meta:
        table_name = "deliveries"
        indexes = ((("ticket_id", "channel"), True),)
