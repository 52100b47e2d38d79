"""Behind the restore barrier: what a restored ledger cannot know to be untold is held (design §5)."""

from collections.abc import Sequence

from jobs.desk import Desk, Handled
from jobs.notify.channel import Channel, LookingChannel
from jobs.tell_channel import handled_as
from jobs.ticket import Ticket
from models import barrier
from models.claims import Claim


def behind_barrier(taken: Claim, ticket: Ticket, untold: Sequence[Channel]) -> list[Channel]:
    """Those of the ``untold`` channels that may have been told after the backup was made.

    None of a ticket created since the restore, and none whose card a person or a look said is not there.
    """
    restored_at = taken.restored_at
    if restored_at is None or ticket.created_at >= restored_at:
        return []
    decided = {
        name
        for name, known in taken.deliveries.items()
        if known.decided_at is not None and known.decided_at >= restored_at
    }
    return [channel for channel in untold if channel.name not in decided]


def hold_restored(desk: Desk, taken: Claim, ticket: Ticket, channels: Sequence[Channel]) -> Handled:
    """Hold the cards of ``channels``; where others may be told, the ticket is due again at once."""
    places = {one.name: one.place if isinstance(one, LookingChannel) else None for one in channels}
    state = desk.insist(lambda: barrier.hold_restored(taken, ticket.created_at, places, desk.configured))
    return handled_as(state)
