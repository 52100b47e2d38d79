"""One run: workers that are struck while tickets arrive, then calm, a person's last look, and the count."""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from models.database import close_database, open_database
from models.schema import deploy_migrations
from models.tickets import OPEN_STATES, TicketState, list_tickets
from tests.acceptance.conftest import Bench
from tests.acceptance.worker import Running
from tests.kills.arrivals import Arrivals
from tests.kills.blows import SHARES, Blow, Torment, draw_strikes
from tests.kills.person import Person, count_cards, stopped_lately
from tests.kills.report import Report, find_lost
from tests.kills.settlements import Settlements, end_leases_of_the_dead
from tests.kills.victims import Moments, Victim
from tests.kills.world import Interrupt, ease, trouble

#: The last tickets wait for the lease of a send; a machine under load is slow.
CALM_SECONDS = 150.0
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
    shares: Mapping[Blow, float] = field(default_factory=lambda: SHARES)
    cards_away: int = 40
    on_strike: Callable[[int], object] = lambda _: None


def run(bench: Bench, plan: Plan, interrupt: Interrupt | None = None) -> Report:
    """Strike until all blows fell, then settle everything and count; migrates the bench's database."""
    started = time.monotonic()
    trouble(bench, plan.seed)
    open_database(bench.env["DATABASE_URL"])
    deploy_migrations()
    scene = Scene(bench, plan)
    try:
        with scene.watched():
            interrupts = scene.torment_workers(interrupt)
            lost = scene.calm_down()
        return scene.count(interrupts, lost, time.monotonic() - started)
    finally:
        scene.end()
        close_database()


class Scene:
    """Everybody who takes part in a run. A bot looks by itself and needs no person."""

    def __init__(self, bench: Bench, plan: Plan) -> None:
        dice = self.dice = random.Random(plan.seed)
        self.has_person = "DISCORD_BOT_TOKEN" not in bench.env
        self.measures = plan.alone > 0
        self.bench, self.settlements = bench, Settlements(has_person=self.has_person)
        strikes = draw_strikes(plan.kills, plan.alone, plan.shares, random.Random(dice.random()))
        self.torment = Torment(strikes, plan.on_strike)
        self.arrivals = Arrivals(
            bench.hubspot,
            random.Random(dice.random()),
            lambda: [running.subscription for running in self.running],
            lambda: self.settlements.open_count,
        )
        self.victims = [
            Victim(bench, f"worker {at}", self.torment, self.settlements, self._moments(plan))
            for at in range(1, plan.workers + 1)
        ]
        self.person = Person(
            bench.discord, lambda: stopped_lately([one.stopped_until for one in self.victims])
        )

    def _moments(self, plan: Plan) -> Moments:
        dice = random.Random(self.dice.random())
        return Moments(self.bench, dice, plan.cards_away, accepted=lambda: self.arrivals.accepted)

    @property
    def running(self) -> list[Running]:
        return [running for victim in self.victims if (running := victim.running)]

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
        with in_thread(self.arrivals.arrive, calm), in_thread(self._decide, calm):
            due = BLOWS_AN_INTERRUPT
            while not calm.wait(0.2):
                if self.torment.is_measured:
                    ease(self.bench)
                elif interrupt is not None and self.torment.struck.total() >= due:
                    interrupts[interrupt(self.dice)] += 1
                    due += BLOWS_AN_INTERRUPT
        return interrupts

    def _decide(self, over: threading.Event) -> None:
        if self.has_person:
            self.person.work(over)

    def calm_down(self) -> list[str]:
        """Workers in peace until nothing is open, then the person's last word; what was lost before it."""
        ease(self.bench)
        if self.measures:
            self.settlements.wait_until_settled()
        wait_for(self._is_nothing_open)
        lost = find_lost(self.arrivals.ids, count_cards(self.bench.discord), self._states())
        wait_for(self._is_all_settled)
        self.end()
        return lost

    def _is_nothing_open(self) -> bool:
        end_leases_of_the_dead({running.process.pid for running in self.running})
        states = self._states()
        return states.keys() >= set(self.arrivals.ids) and not set(OPEN_STATES) & set(states.values())

    def _is_all_settled(self) -> bool:
        if self.has_person and self.person.look():
            self.arrivals.add_to_poll()
        return not list_tickets(TicketState.UNCONFIRMED, 1) and self._is_nothing_open()

    def end(self) -> None:
        """Tell the workers to end, and wait until they have; safe to call twice."""
        self.torment.finished.set()
        for victim in self.victims:
            victim.join()

    def _states(self) -> dict[str, str]:
        return {row.ticket_id: row.state for row in list_tickets(None, limit=len(self.arrivals.ids) + 1)}

    def count(self, interrupts: Counter[str], lost: list[str], seconds: float) -> Report:
        ids, cards = self.arrivals.ids, count_cards(self.bench.discord)
        states = dict.fromkeys(ids, "no row") | self._states()
        doubled = [one for one in ids if cards[one] > 1]
        return Report(
            blows=self.torment.struck,
            interrupts=interrupts,
            kills_that_met_work=self.settlements.kills_that_met_work,
            seconds=seconds,
            by_way=self.arrivals.by_way,
            accepted=self.arrivals.accepted,
            unheard=self.arrivals.unheard,
            confirmed=len(self.person.confirmed),
            resent=self.person.resent.total(),
            looked_for=count_looks(self.bench.folder),
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


def wait_for(happened: Callable[[], bool]) -> None:
    """Where it does not happen in time, the count says what is missing."""
    until = time.monotonic() + CALM_SECONDS
    while not happened() and time.monotonic() < until:
        time.sleep(0.2)


def count_looks(folder: Path) -> Counter[str]:
    """What the workers' looks decided of cards in doubt, by the lines of their logs."""
    lines = (line for log in folder.glob("*.log") for line in log.read_text().splitlines())
    return Counter(str(json.loads(line)["result"]) for line in lines if '"card looked for"' in line)


@contextmanager
def in_thread(work: Callable[[threading.Event], None], over: threading.Event) -> Iterator[None]:
    """Runs until ``over`` is set, which is for others to do; waits for its end."""
    thread = threading.Thread(target=work, args=(over,), daemon=True)
    thread.start()
    yield
    thread.join()
