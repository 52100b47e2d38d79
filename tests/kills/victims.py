"""A place where a worker runs and is struck; a new one follows each that was killed."""

import random
import signal
import threading
import time

from tests.acceptance.conftest import Bench
from tests.acceptance.worker import Running, worker
from tests.kills.blows import Blow, Strike, Torment, stop_seconds
from tests.kills.settlements import Settlements

READY_SECONDS = 30.0
#: A blow waits for so many cards at most, and not for long: a paused channel takes none.
CARDS_AWAY, CARDS_SECONDS = 40, 6.0
AFTER_CARD_SECONDS = 0.06
#: So many blows come at any time instead, the start of a worker included.
ANY_TIME_SHARE, ANY_TIME_SECONDS = 0.15, 3.0


class Victim:
    """Struck a little after a card reached Discord, until the torment is over; then told to end.

    ``stopped_until`` (monotonic) is when the last stop ended, ``inf`` while it lasts. ``ended_alone`` are
    the exit codes of workers that ended by themselves, ``exit_code`` that of the last, which was told to.
    """

    def __init__(
        self, bench: Bench, name: str, torment: Torment, settlements: Settlements, dice: random.Random
    ) -> None:
        self._bench, self._name, self._torment = bench, name, torment
        self._settlements, self._dice = settlements, dice
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
            self._await_moment(running, strike)
            if has_ended(running):
                self._torment.give_back(strike)
                break
            self._strike(running, strike)
            self._torment.count(strike)
            if strike.blow is Blow.KILL:
                return
        self.ended_alone.append(running.process.returncode)

    def _await_moment(self, running: Running, strike: Strike) -> None:
        if strike.alone:
            self._settlements.wait_until_settled()
        elif self._dice.random() < ANY_TIME_SHARE:
            time.sleep(self._dice.uniform(0, ANY_TIME_SECONDS))
            return
        until = time.monotonic() + READY_SECONDS
        while not has_ended(running) and not running.is_ready() and time.monotonic() < until:
            time.sleep(0.1)
        aim = self._cards() + self._dice.randint(1, CARDS_AWAY)
        until = time.monotonic() + CARDS_SECONDS
        while self._cards() < aim and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(self._dice.uniform(0, AFTER_CARD_SECONDS))

    def _cards(self) -> int:
        """Sent to Discord, whatever became of them."""
        requests = self._bench.discord.requests
        return requests["POST", "webhook"] + requests["POST", "messages"]

    def _strike(self, running: Running, strike: Strike) -> None:
        if strike.blow is Blow.KILL:
            running.process.kill()
            running.process.wait()
            self._settlements.note_crash(running.process.pid, alone=strike.alone)
            return
        self.stopped_until = float("inf")
        running.process.send_signal(signal.SIGSTOP)
        time.sleep(stop_seconds(strike.blow, float(self._bench.env["LEASE_SECONDS"]), self._dice))
        running.process.send_signal(signal.SIGCONT)
        self.stopped_until = time.monotonic()


def has_ended(running: Running) -> bool:
    return running.process.poll() is not None
