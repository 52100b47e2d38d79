"""A place where a worker runs and is struck; a new one follows each that was killed."""

import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.acceptance.conftest import Bench
from tests.acceptance.worker import Running, worker
from tests.kills.blows import Blow, Strike, Torment, stop_seconds
from tests.kills.settlements import Settlements

READY_SECONDS = 30.0
#: A paused channel takes no card to wait for.
EVENT_SECONDS = 6.0
AFTER_CARD_SECONDS, AFTER_WEBHOOK_SECONDS = 0.06, 0.01
WEBHOOK_SHARE = 0.2
#: So many blows come at any time instead, the start of a worker included.
ANY_TIME_SHARE, ANY_TIME_SECONDS = 0.15, 3.0


@dataclass(frozen=True)
class Moments:
    """When to strike, by ``dice``: mostly at one of the next ``cards_away`` cards, or a little after it.

    ``accepted`` counts the webhooks that were answered with 200: what follows such an answer is lost easily.
    """

    bench: Bench
    dice: random.Random
    cards_away: int
    accepted: Callable[[], int]

    def wait(self, running: Running) -> None:
        """Until the next moment, or until the worker has ended."""
        if self.dice.random() < ANY_TIME_SHARE:
            time.sleep(self.dice.uniform(0, ANY_TIME_SECONDS))
            return
        until = time.monotonic() + READY_SECONDS
        while not has_ended(running) and not running.is_ready() and time.monotonic() < until:
            time.sleep(0.1)
        at_webhook = self.dice.random() < WEBHOOK_SHARE
        if at_webhook:
            wait_for_more(self.accepted, 1)
        else:
            wait_for_more(self._cards, self.dice.randint(1, self.cards_away))
        time.sleep(self.dice.uniform(0, AFTER_WEBHOOK_SECONDS if at_webhook else AFTER_CARD_SECONDS))

    def stop_seconds(self, blow: Blow) -> float:
        env = self.bench.env
        looked_for = "DISCORD_BOT_TOKEN" in env
        return stop_seconds(blow, float(env["LEASE_SECONDS"]), self.dice, looked_for=looked_for)

    def _cards(self) -> int:
        """Sent to Discord, whatever became of them."""
        requests = self.bench.discord.requests
        return requests["POST", "webhook"] + requests["POST", "messages"]


class Victim:
    """Struck a little after a card reached Discord, until the torment is over; then told to end.

    ``stopped_until`` (monotonic) is when the last stop ended, ``inf`` while it lasts. ``ended_alone`` are
    the exit codes of workers that ended by themselves, ``exit_code`` that of the last, which was told to.
    """

    def __init__(
        self, bench: Bench, name: str, torment: Torment, settlements: Settlements, moments: Moments
    ) -> None:
        self._bench, self._name, self._torment = bench, name, torment
        self._settlements, self._moments = settlements, moments
        self.running: Running | None = None
        self.stopped_until = 0.0
        self.ended_alone: list[int] = []
        self.exit_code: int | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while self.exit_code is None:
            with worker(self._bench, self._name, awaited=False) as running:
                self.running = running
                self._live(running)
                self.running = None

    def _live(self, running: Running) -> None:
        """Until the worker is killed, ends by itself, or has ended as it was told."""
        while running.process.poll() is None:
            if self._torment.finished.is_set():
                self.exit_code = running.stop()
                return
            strike = self._torment.take()
            if strike is None:
                self._torment.finished.wait(0.1)
                continue
            if strike.alone:
                self._settlements.wait_until_settled()
            self._moments.wait(running)
            if has_ended(running):
                self._torment.give_back(strike)
                break
            self._strike(running, strike)
            self._torment.count(strike)
            if strike.blow is Blow.KILL:
                return
        self.ended_alone.append(running.process.returncode)

    def _strike(self, running: Running, strike: Strike) -> None:
        if strike.blow is Blow.KILL:
            running.process.kill()
            running.process.wait()
            self._settlements.note_crash(running.process.pid, alone=strike.alone)
            return
        self.stopped_until = float("inf")
        running.process.send_signal(signal.SIGSTOP)
        time.sleep(self._moments.stop_seconds(strike.blow))
        running.process.send_signal(signal.SIGCONT)
        self.stopped_until = time.monotonic()


def wait_for_more(counted: Callable[[], int], number: int) -> None:
    aim, until = counted() + number, time.monotonic() + EVENT_SECONDS
    while counted() < aim and time.monotonic() < until:
        time.sleep(0.002)


def has_ended(running: Running) -> bool:
    return running.process.poll() is not None
