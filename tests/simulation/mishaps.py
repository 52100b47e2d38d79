"""What happens to whole services and machines: outages, downtimes, deployments, clocks that are set."""

import random
from functools import partial
from typing import TYPE_CHECKING

from tests.simulation.clock import DAY, HOUR
from tests.simulation.discord import OUTAGES, Line
from tests.simulation.gap import plan_merges_of_gap
from tests.simulation.shape import DiscordShape

if TYPE_CHECKING:
    from tests.simulation.world import World


def plan_mishaps(world: "World", start: float, seconds: float, rng: random.Random) -> None:
    """Each at a moment of the seed's between ``start`` and ``seconds`` later."""

    def moment() -> float:
        return start + rng.uniform(0.05, 0.95) * seconds

    shape = world.shape
    for _ in range(shape.discord.outages):
        plan_outage_of_discord(world, moment(), rng)
    for _ in range(shape.database_outages):
        plan_outage_of_database(world, moment(), rng)
    for _ in range(shape.downtimes):
        world.scheduler.at(moment(), lambda: world.go_down(rng.uniform(0.02, 0.4) * seconds))
    for _ in range(shape.deploys):
        world.scheduler.at(moment(), world.deploy)
    for _ in range(shape.clock_steps):
        step = partial(rng.choice(world.settable).step, rng.choice((-200.0, -30.0, 30.0, 200.0)))
        world.scheduler.at(moment(), step)
    for _ in range(shape.restores):
        plan_restore(world, start, moment(), rng.uniform(0.0, 0.3) * seconds)
    if shape.hubspot.failing:
        plan_outage_of_hubspot(world, moment(), rng)
    for _ in range(shape.other_portals):
        world.other_portal.plan(world, moment(), rng)


def plan_restore(world: "World", start: float, backed_up_at: float, seconds: float) -> None:
    """``seconds`` after the backup."""
    shape, restored_at = world.shape, backed_up_at + seconds
    # Before the first worker the ledger is as empty as one that was lost with all its backups.
    world.scheduler.at(start - 1 if shape.loses_backups else backed_up_at, world.back_up)
    world.scheduler.at(restored_at, world.restore)
    if shape.merges_gap:
        plan_merges_of_gap(world, restored_at, random.Random(f"{world.seed} gap"))


def usual(shape: DiscordShape) -> Line:
    return Line(shape.unknown, shape.not_sent, shape.limited, shape.refused, shape.late)


def plan_outage_of_discord(world: "World", moment: float, rng: random.Random) -> None:
    kind, seconds = rng.choice(OUTAGES), rng.choice((60.0, HOUR, DAY)) * rng.random()

    def begin() -> None:
        world.transport.line.outage = kind

    def end() -> None:
        world.transport.line.outage = None

    world.scheduler.at(moment, begin)
    world.scheduler.at(moment + seconds, end)


def plan_outage_of_database(world: "World", moment: float, rng: random.Random) -> None:
    """A restart for all of seconds to hours, or the network of one worker."""
    seconds, everybody = rng.choice((10.0, 300.0, 2 * HOUR)) * rng.random(), rng.random() < 0.5

    def begin() -> None:
        if everybody:
            world.wire.is_down = True
        else:
            world.wire.cut_off = {rng.choice(world.workers).process}

    def end() -> None:
        world.wire.is_down = False
        world.wire.cut_off = set()

    world.scheduler.at(moment, begin)
    world.scheduler.at(moment + seconds, end)


def plan_outage_of_hubspot(world: "World", moment: float, rng: random.Random) -> None:
    def begin() -> None:
        world.weather.down = True

    def end() -> None:
        world.weather.down = False

    world.scheduler.at(moment, begin)
    world.scheduler.at(moment + rng.choice((60.0, HOUR, DAY)) * rng.random(), end)
