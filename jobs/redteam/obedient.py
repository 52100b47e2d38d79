"""A simulated model that obeys the attacker completely: the worst that a real one could do.

``seeing``: it obeys as soon as any three words in a row of the attacker's order, as they were written, stand
in its prompt, whatever the encoding; else it answers honestly, as the sandbox's stand-in does. ``knowing``:
it gives the attacker's answer always, so that nothing done to the ticket's text can help.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from jobs.redteam.corpus import Case
from jobs.redteam.demands import DEMANDS, fill
from jobs.sandbox.conversation import Conversation, find_ticket
from jobs.sandbox.ollama import SimulatedOllama
from jobs.sandbox.stand_in import triage

Degree = Literal["seeing", "knowing"]

RUN = 3
_WORD = re.compile(r"\w+")


class Obedient:
    """What the simulated server writes. ``case`` is on, as its attack or as its twin."""

    def __init__(self, degree: Degree) -> None:
        self.degree = degree
        self.case: Case | None = None
        self.attacked = False

    def write(self, messages: Conversation, _wanted: Any) -> str:
        prompt = next((text for role, text in messages if role == "system"), "")
        ticket = find_ticket(messages) or {}
        answer = triage(ticket)
        if self.case is not None and self.attacked and self._obeys(self.case, ticket):
            words = str(ticket.get("body") or "")
            answer |= fill(DEMANDS[self.case.demand].fields, prompt=prompt, ticket=words)
        answer["reply_draft"] = answer["reply_draft"] or ""
        return json.dumps(answer, ensure_ascii=False)

    def _obeys(self, case: Case, ticket: dict[str, Any]) -> bool:
        return self.degree == "knowing" or stands_in(case.payload, "\n".join(map(str, ticket.values())))


def stands_in(order: str, text: str) -> bool:
    """Whether three words in a row of ``order``, or all where it has fewer, stand in ``text``."""
    wanted = _WORD.findall(order.casefold())
    size = min(RUN, len(wanted))
    there = _runs(_WORD.findall(text.casefold()), size)
    return size > 0 and not _runs(wanted, size).isdisjoint(there)


def _runs(words: list[str], size: int) -> set[tuple[str, ...]]:
    return {tuple(words[at : at + size]) for at in range(len(words) - size + 1)}


@contextmanager
def serving(degree: Degree) -> Iterator[tuple[Obedient, str]]:
    """The model and the URL at which an Ollama of its own speaks for it."""
    model = Obedient(degree)
    with SimulatedOllama(write=model.write) as server:
        yield model, server.url
