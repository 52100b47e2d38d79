"""Tickets that the ledger has no row of, and never had: whether it should."""

from collections.abc import Iterator

from tests.simulation.ending import Ending
from tests.simulation.nature import OURS
from tests.simulation.truth import TrueTicket
from tests.simulation.world import World


def judge_absence(world: World, ending: Ending) -> Iterator[str]:
    """What showed it has to have brought it in; what was cut off before it could has to come again.

    Again only while it is there: of one that HubSpot merged what it became is shown, and its group is judged.
    """
    ticket, restored_at = ending.ticket, world.truth.restored_at
    is_there = is_always_ours(world, ending) and not (ticket.away or ticket.merged_into)
    if any(at > restored_at for at in ticket.shown_at):
        yield "lost: a search showed it, and the ledger never knew it"
    elif any(one.at > restored_at for one in ticket.accepted):
        yield "lost: its webhook was answered with 200, and the ledger never knew it"
    elif is_there and any(at > restored_at for at in ticket.cut_off_at):
        yield "lost: the look that showed it was cut off, and none showed it again"
    elif is_there and ending.is_young:
        yield "lost: no source ever showed it"


def is_always_ours(world: World, ending: Ending) -> bool:
    """It and whatever it became."""
    ticket: TrueTicket | None = ending.ticket
    while ticket is not None and world.shape.pipelines:
        if not all(one in OURS for _, one in ticket.pipelines):
            return False
        ticket = world.truth.tickets.get(ticket.merged_into or "")
    return True
