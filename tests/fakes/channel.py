"""A chat that answers as scripted and remembers what its readers saw."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from jobs.notify.card import Card
from jobs.notify.outcome import NotSent, Outcome, Probe, Sent, Unknown


class ProcessDied(BaseException):
    """The worker ends here: nothing of ours catches it, as nothing runs after a kill."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one send comes to: an outcome or an exception, and whether the card was shown all the same."""

    outcome: Outcome | BaseException
    shown: bool


SENT = Answer(Sent("m1", "here"), shown=True)
NOT_SENT = Answer(NotSent("refused"), shown=False)
UNKNOWN = Answer(Unknown("timeout"), shown=False)
UNKNOWN_BUT_SHOWN = Answer(Unknown("timeout"), shown=True)
RAISES = Answer(RuntimeError("a fault of ours"), shown=False)
RAISES_AFTER_SHOWING = Answer(RuntimeError("a fault of ours"), shown=True)
DIES = Answer(ProcessDied(), shown=False)
DIES_AFTER_SHOWING = Answer(ProcessDied(), shown=True)


class FakeChannel:
    """Answers with ``script`` first, then always ``sent``; ``shown`` holds the ids of the cards shown."""

    def __init__(self, name: str = "console", *script: Answer) -> None:
        self.name, self.script = name, list(script)
        self.sends = 0
        self.shown: list[str] = []
        self.announced: list[str] = []
        self.announcing: Outcome = Sent("m2", "here")
        self.probing = Probe(answers=True)
        self.probes = 0
        self.before_send: Callable[[], object] = lambda: None
        self._lock = threading.Lock()

    key_hash = ""

    def render(self, text: str) -> str:
        return text

    def turn(self, longest_seconds: float) -> AbstractContextManager[float]:
        return nullcontext(0.0)

    def announce(self, text: str) -> Outcome:
        self.announced.append(text)
        return self.announcing

    def probe(self) -> Probe:
        self.probes += 1
        return self.probing

    def close(self) -> None:
        """Nothing to close."""

    def send(self, card: Card) -> Outcome:
        self.before_send()
        with self._lock:
            self.sends += 1
            answer = self.script.pop(0) if self.script else SENT
            if answer.shown:
                self.shown.append(card.ticket_id)
        if isinstance(answer.outcome, BaseException):
            raise answer.outcome
        return answer.outcome
