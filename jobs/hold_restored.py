"""Behind the restore barrier: what a restored ledger cannot know to be untold is held (design §5)."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from jobs.desk import Desk, Handled
from jobs.hubspot.gateway import HubSpotGateway
from jobs.notify.channel import Channel, LookingChannel
from jobs.tell_channel import handled_as
from jobs.ticket import Ticket
from models import barrier
from models.barrier import Barrier
from models.claims import Claim
from models.database import read_clock

DATE_SECONDS = timedelta(seconds=1)  #: a Date header leaves out what is below a second
CLOCKS_AGREE = timedelta(seconds=2)  #: no restore is over so soon after the last card of the old ledger


def raise_by_hubspots_clock(gateway: HubSpotGateway, went_live_at: datetime | None) -> Barrier:
    """Raise the barrier to ``went_live_at``, None for now, as HubSpot's clock tells that moment.

    What HubSpot's clock is ahead of the database's is added: a ticket that was told just before the restore
    would otherwise seem to be created after it. Decisions of that time are asked for again. Raises
    SourceError, SettingsError, and what ``raise_barrier`` does.
    """
    database_now = read_clock()
    gateway.fetch_account()
    hubspot_now = gateway.now()
    ahead = timedelta(0) if hubspot_now is None else hubspot_now + DATE_SECONDS - database_now
    return barrier.raise_barrier(went_live_at, ahead if ahead > CLOCKS_AGREE else timedelta(0))


def behind_barrier(taken: Claim, ticket: Ticket, untold: Sequence[Channel]) -> list[Channel]:
    """Those of the ``untold`` channels that may have been told after the backup was made.

    None of a ticket created since the restore, and none whose card a person or a look said is not there. An
    answer that is older than a merge does not tell the age, which is the oldest part's.
    """
    restored_at = taken.restored_at
    knows_age = bool(ticket.aliases) or not taken.has_parts
    if restored_at is None or (ticket.created_at >= restored_at and knows_age):
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
    state = desk.insist(
        lambda: barrier.hold_restored(taken, ticket.created_at, places, desk.configured, ticket.aliases)
    )
    return handled_as(state)
