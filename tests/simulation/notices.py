"""Check messages: a held card is named once, as far as its ledger can know (rule 6)."""

from collections import Counter
from collections.abc import Iterator

from tests.simulation.world import World

NAMED_AGAIN = "a check message of what the lost ledger had named since the backup"


def judge_notices(world: World) -> Iterator[str]:
    """What a restore or a part's card holds is held anew, so it may be named anew; or a part came since."""
    held_anew = world.outside.rows("SELECT ticket_id, channel FROM sim_held_anew")
    anew = Counter((row["ticket_id"], row["channel"]) for row in held_anew)
    for (ticket_id, channel), times in names_of(world, undone=False).items():
        if times > 1 + anew[ticket_id, channel]:
            yield f"held ticket {ticket_id} was named {times} times on {channel}"


def count_named_again(world: World) -> int:
    """The residual: a restored ledger does not know what the lost one had named since the backup."""
    return len(names_of(world, undone=True).keys() & names_of(world, undone=False).keys())


def names_of(world: World, *, undone: bool) -> Counter[tuple[str, str]]:
    """How often each ticket was named on each channel, by a ledger that was restored away or the others."""
    told = (one for one in world.truth.notices if one.stored_at is not None)
    ours = [one for one in told if world.truth.was_undone(one.began_at) is undone]
    return Counter((name, one.channel) for one in ours for name in one.names)
