"""Merges of what a restored ledger forgot, while it decides of what it holds: the barrier's worst hours."""

import random
from functools import partial
from typing import TYPE_CHECKING

from tests.simulation.truth import TrueTicket

if TYPE_CHECKING:
    from tests.simulation.world import World

MERGES, POLLS = 120, 12  #: so many are tried, over the time of so many polls
UNDECIDED = """
SELECT DISTINCT t.ticket_id, d.decided_at IS NOT NULL AS decided
FROM deliveries d JOIN processed_tickets t ON t.ticket_id = d.ticket_id
WHERE d.state <> 'sent' AND (d.decided_at IS NOT NULL OR d.last_error IN ('restored', 'restored_unseen'))
ORDER BY t.ticket_id"""


def plan_merges_of_gap(world: "World", restored_at: float, rng: random.Random) -> None:
    """From the restore on, so that some fall between a look (or a person's word) and the send."""
    moment = restored_at
    for _ in range(MERGES):
        moment += rng.expovariate(MERGES / (POLLS * world.shape.pace.poll))
        world.nature.at(moment, partial(merge, world, rng))


def merge(world: "World", rng: random.Random) -> None:
    """What is decided and not sent, or else held, or else any of the gap: with another of these."""
    rows = world.outside.rows(UNDECIDED)
    decided = pick(world, [row["ticket_id"] for row in rows if row["decided"]])
    held = pick(world, [row["ticket_id"] for row in rows])
    gap = [one for one in world.truth.tickets.values() if is_of_gap(world, one)]
    if not decided and rng.random() < 0.5:
        return  # kept for later
    primary = rng.choice(decided or held or gap or [None])
    others = [one for one in rng.choice((gap, gap, held)) if one is not primary]
    if primary is None or not others:
        return
    parts = [primary, rng.choice(others)]
    rng.shuffle(parts)
    world.trace.note("world", f"MERGE {parts[0].ticket_id} {parts[1].ticket_id}")
    world.nature.merge(*parts)


def pick(world: "World", ticket_ids: list[str]) -> list[TrueTicket]:
    found = (world.truth.tickets[one] for one in ticket_ids if one in world.truth.tickets)
    return [one for one in found if world.nature.is_there(one)]


def is_of_gap(world: "World", ticket: TrueTicket) -> bool:
    """Made since the backup, so that the restored ledger does not know whether it was told."""
    was_made = world.truth.backed_up_at <= ticket.made_at < world.truth.restored_at
    return was_made and world.nature.is_there(ticket)
