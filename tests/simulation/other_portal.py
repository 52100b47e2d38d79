"""Another HubSpot account, whose token somebody gives to the workers by mistake for a while (rule 12)."""

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

from jobs.sandbox.hubspot import SANDBOX_PORTAL_ID
from tests.simulation.clock import DAY, HOUR, MINUTE, MachineClock
from tests.simulation.hubspot import WorldPortal
from tests.simulation.truth import TrueTicket

if TYPE_CHECKING:
    from tests.simulation.world import World

OTHER_PORTAL_ID = SANDBOX_PORTAL_ID + 1
FIRST_ID = 77_000_000_000
KEPT_IN = ("processed_tickets", "deliveries", "sim_forgotten")
BOUND = "SELECT 1 FROM poll_cursors WHERE name = 'ledger' AND portal_id IS NOT NULL"


class OtherPortal:
    """``is_met`` while whoever starts meets it. None of its ``tickets`` may reach the ledger or a channel."""

    def __init__(self, clock: MachineClock, rng: random.Random) -> None:
        self.portal = WorldPortal(clock, rng, portal_id=OTHER_PORTAL_ID, last_id=FIRST_ID)
        self.tickets: list[str] = []
        self.is_met = False

    def plan(self, world: "World", moment: float, rng: random.Random) -> None:
        seconds = rng.choice((10 * MINUTE, HOUR, DAY)) * rng.random()

        def begin() -> None:
            if not world.outside.rows(BOUND):
                return  # an unused ledger takes the first portal that it meets
            world.trace.note("world", "ANOTHER PORTAL", f"{seconds / HOUR:.1f}h")
            self.is_met = True
            world.deploy()
            for _ in range(rng.randint(1, 30)):
                world.scheduler.at(world.time.now + rng.uniform(0, seconds), lambda: self._add(world))
            world.scheduler.at(world.time.now + seconds, self.leave)

        world.scheduler.at(moment, begin)

    def leave(self) -> None:
        self.is_met = False

    def _add(self, world: "World") -> None:
        now, ticket_id = world.time.now, self.portal.add_ticket("A question", "", hs_pipeline="0")
        self.tickets.append(ticket_id)
        created_at = self.portal.record(ticket_id).created_ms / 1000
        ticket = TrueTicket(ticket_id, created_at, now, now, [(now, "0")])
        world.webhooks.tell_creation(ticket, portal_id=OTHER_PORTAL_ID)

    def find_traces(self, world: "World") -> Iterator[str]:
        """A sentence for each place where one of its tickets was met."""
        selects = [f"SELECT ticket_id FROM {table}" for table in KEPT_IN]
        kept = {row["ticket_id"] for select in selects for row in world.outside.rows(select)}
        for ticket_id in self.tickets:
            if ticket_id in kept:
                yield f"{ticket_id} is another portal's, and the ledger knows it"
            if ticket_id in world.truth.sends:
                yield f"{ticket_id} is another portal's, and was told"
