"""One run: workers that are struck while tickets arrive, then calm, a person's last look, and the count."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from models.database import close_database, open_database
from models.schema import deploy_migrations
from models.tickets import OPEN_STATES, TicketState, list_tickets
from tests.acceptance.conftest import Bench
from tests.acceptance.worker import wait_until
from tests.kills.arrivals import Arrivals
from tests.kills.blows import Torment, draw_strikes
from tests.kills.person import Person, count_cards, stopped_lately
from tests.kills.report import Report, find_lost
from tests.kills.settlements import Settlements
from tests.kills.victims import Victim
from tests.kills.world import Interrupt, ease, trouble

#: The last tickets wait for the lease of a send; a machine under load is slow.
CALM_SECONDS = 180.0
BLOWS_AN_INTERRUPT = 12


@dataclass(frozen=True)
class Plan:
    """``kills`` at ``workers`` workers, by the dice of ``seed``; the moments are the machine's.

    The last ``alone`` of them come one after the other, for the time until their tickets are settled.
    ``on_strike`` is told how many fell so far.
    """

    kills: int
    seed: int
    workers: int = 2
    alone: int = 0
    on_strike: Callable[[int], object] = lambda _: None


def run(bench: Bench, plan: Plan, title: str, interrupt: Interrupt | None = None) -> Report:
    """Strike until all blows fell, then settle everything and count; migrates the bench's database."""
    dice, started = random.Random(plan.seed), time.monotonic()
    open_database(bench.env["DATABASE_URL"])
    deploy_migrations()
    scene = Scene(bench, plan, dice)
    trouble(bench, plan.seed)
    try:
        with scene.watched():
            interrupts = scene.torment_workers(interrupt)
            lost = scene.calm_down()
        return scene.count(title, interrupts, lost, time.monotonic() - started)
    finally:
        scene.end()
        close_database()


class Scene:
    """Everybody who takes part in a run."""

    def __init__(self, bench: Bench, plan: Plan, dice: random.Random) -> None:
        self.bench, self.dice = bench, dice
        self.settlements = Settlements()
        strikes = draw_strikes(plan.kills, plan.alone, random.Random(dice.random()))
        self.torment = Torment(strikes, plan.on_strike)
        self.victims = [
            Victim(bench, f"worker {at}", self.torment, self.settlements, random.Random(dice.random()))
            for at in range(1, plan.workers + 1)
        ]
        self.arrivals = Arrivals(
            bench.hubspot,
            random.Random(dice.random()),
            lambda: [one.subscription for victim in self.victims if (one := victim.running)],
            lambda: self.settlements.open_count,
        )
        self.person = Person(bench, lambda: stopped_lately([one.stopped_until for one in self.victims]))

    @contextmanager
    def watched(self) -> Iterator[None]:
        over = threading.Event()
        watching = threading.Thread(target=self.settlements.watch, args=(over,), daemon=True)
        watching.start()
        try:
            yield
        finally:
            over.set()
            watching.join()

    def torment_workers(self, interrupt: Interrupt | None) -> Counter[str]:
        """Until the last blow fell and every webhook was accepted; the interruptions of the database."""
        calm, interrupts = self.torment.calm, Counter[str]()
        for victim in self.victims:
            victim.start()
        with in_thread(self.arrivals.arrive, calm), in_thread(self.person.work, calm):
            due = BLOWS_AN_INTERRUPT
            while not calm.wait(0.2):
                if self.torment.is_measured:
                    ease(self.bench)
                elif interrupt is not None and self.torment.struck.total() >= due:
                    interrupts[interrupt(self.dice)] += 1
                    due += BLOWS_AN_INTERRUPT
        return interrupts

    def calm_down(self) -> list[str]:
        """Workers in peace until nothing is open, then the person's last word; what was lost before it."""
        ease(self.bench)
        wait_until(lambda: not self._states_among(OPEN_STATES), CALM_SECONDS)
        lost = find_lost(self.arrivals.ids, count_cards(self.bench.discord), self._states())
        wait_until(lambda: not self.person.look() and not self._states_among(OPEN_STATES), CALM_SECONDS)
        self.end()
        return lost

    def end(self) -> None:
        """Tell the workers to end, and wait until they have; safe to call twice."""
        self.torment.finished.set()
        for victim in self.victims:
            victim.join()

    def _states(self) -> dict[str, str]:
        return {row.ticket_id: row.state for row in list_tickets(None, limit=len(self.arrivals.ids) + 1)}

    def _states_among(self, states: tuple[TicketState, ...]) -> bool:
        return any(list_tickets(state, 1) for state in states)

    def count(self, title: str, interrupts: Counter[str], lost: list[str], seconds: float) -> Report:
        ids, cards = self.arrivals.ids, count_cards(self.bench.discord)
        states = dict.fromkeys(ids, "no row") | self._states()
        doubled = [one for one in ids if cards[one] > 1]
        return Report(
            title=title,
            blows=self.torment.struck,
            interrupts=interrupts,
            kills_that_met_work=self.settlements.kills_that_met_work,
            seconds=seconds,
            by_way=self.arrivals.by_way,
            accepted=self.arrivals.accepted,
            unheard=self.arrivals.unheard,
            confirmed=len(self.person.confirmed),
            resent=self.person.resent.total(),
            settled=self.settlements.settled,
            lease_seconds=float(self.bench.env["LEASE_SECONDS"]),
            lost=lost,
            cards=Counter(cards[one] for one in ids),
            doubles=[one for one in doubled if one not in self.person.early],
            residuals=[one for one in doubled if one in self.person.early],
            unsettled={one: states[one] for one in ids if states[one] != TicketState.NOTIFIED},
            ended_alone=[code for victim in self.victims for code in victim.ended_alone],
            exit_codes=[victim.exit_code for victim in self.victims],
        )


@contextmanager
def in_thread(work: Callable[[threading.Event], None], over: threading.Event) -> Iterator[None]:
    """Runs until ``over`` is set, which is for others to do; waits for its end."""
    thread = threading.Thread(target=work, args=(over,), daemon=True)
    thread.start()
    yield
    thread.join()
