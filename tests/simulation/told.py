"""Whether a ticket that the ledger calls told has its card."""

from collections.abc import Iterator

from tests.simulation.clock import CLOCKS_APART
from tests.simulation.ending import Ending, Settled
from tests.simulation.truth import Truth
from tests.simulation.world import World


def is_told(world: World, ending: Ending, settled: Settled | None = None) -> bool:
    """On every channel; where ``settled`` is given, also by the card of what HubSpot made one with it."""
    return all(
        ending.cards_on(channel)
        or (settled is not None and was_told_as_part(world.truth, ending, settled, channel))
        for channel in world.shape.channels
    )


def was_told_as_part(truth: Truth, ending: Ending, settled: Settled, channel: str) -> bool:
    """What a part was told on a channel counts for the one that is told for it (rule 11)."""
    found_until = settled.settled_at + CLOCKS_APART
    root = root_of(truth, ending.ticket.ticket_id, found_until)
    return any(
        send.channel == channel and send.stored_at is not None and send.stored_at <= found_until
        for part in (root, *parts_of(truth, root))
        for send in truth.sends.get(part, ())
    )


def root_of(truth: Truth, ticket_id: str, until: float) -> str:
    """What the ticket was part of then: a look asks for the cards of all that HubSpot shows in its place."""
    ticket = truth.tickets[ticket_id]
    while ticket.merged_into is not None and ticket.merged_at <= until:
        ticket = truth.tickets[ticket.merged_into]
    return ticket.ticket_id


def parts_of(truth: Truth, ticket_id: str) -> Iterator[str]:
    for part in truth.tickets[ticket_id].parts:
        yield part
        yield from parts_of(truth, part)


def is_wrongly_confirmed(world: World, ending: Ending) -> bool:
    return not is_told(world, ending) and any(
        not word.resend and set(world.shape.channels) > word.channels_with_card for word in ending.words
    )
