"""Who is asked about a ticket, in which order, and what is said when nobody answers."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from jobs.errors import ModelError
from jobs.intake.normalise import normalise
from jobs.ticket import Ticket
from jobs.triage.answer import Answer, parse_answer, to_verdict
from jobs.triage.breaker import Breaker, OnBreaker
from jobs.triage.masking import Masked, mask
from jobs.triage.pauses import Pauses
from jobs.triage.prompt import MINIMUM_BUDGET, Message, add_repair, build_messages, weigh_messages
from jobs.triage.rules import decide_by_rules
from jobs.triage.safety import INTAKE_FAULT, Care, Fault, OnGuard, decide_safely
from jobs.verdict import Provider, ProviderFailure, Verdict

REPAIRED = frozenset({"invalid_answer", "cut_answer", "empty_answer"})
"""Kinds where an answer came in time and could not be used; after any other the next model is asked."""


class Model(Protocol):
    """A language model: ``ask`` gives its words or raises ModelError, and keeps its own time limit.

    One that is in the cloud says so by ``cloud: bool``; see ``is_in_cloud`` for one that says nothing.
    """

    @property
    def provider(self) -> Provider: ...
    @property
    def model(self) -> str: ...
    @property
    def budget_chars(self) -> int: ...

    def ask(self, messages: list[Message]) -> str: ...
    def close(self) -> None: ...


def is_in_cloud(model: Model) -> bool:
    """Whether tickets leave the house on the way to it: as it says itself, else for all but the local one."""
    return bool(getattr(model, "cloud", model.provider is not Provider.LOCAL))


class Triager:
    """Asks ``models`` in order until one gives a valid answer, then falls back on the rules.

    An answer that cannot be used is repaired once by the same model. A model whose server said "not before"
    is passed over until then, and one whose server failed five times in a row but for a probe a minute
    (``on_breaker`` is told). What is decided is made safe (``safety``; ``on_guard`` is told). May be used by
    several threads at once. Writes nothing anywhere: what went wrong is in the verdict's ``failures``, one
    for each model in vain in each reading, and for a person in ``take_faults``.

    Models in the cloud see only what ``masker`` makes of the ticket, and nothing at all where it raises;
    None shows them all (CLOUD_TRIAGE=full). The company's name and the procedures are never masked.
    """

    def __init__(
        self,
        models: Sequence[Model],
        *,
        company_name: str,
        sop: str,
        masker: Callable[[Ticket], Masked] | None = mask,
        clock: Callable[[], float] = time.monotonic,
        on_breaker: OnBreaker = lambda _provider, _open: None,
        on_guard: OnGuard = lambda _kind, _number: None,
    ) -> None:
        self._care = Care(sop, company_name, on_guard, partial(self._keep_fault, Provider.RULES))
        self._models = tuple(models)
        self._company_name = company_name
        self._sop = sop
        self._masker = masker
        self._clock = clock
        self._pauses = Pauses(clock)
        self._breaker = Breaker(clock, on_breaker)
        self._faults: dict[tuple[Provider, str], Fault] = {}
        self._lock = threading.Lock()

    def triage(self, ticket: Ticket) -> Verdict:
        """Never raises for anything a ticket or a model contains; ``attempts`` counts the questions asked."""
        started = self._clock()
        normalised = normalise(ticket)
        if normalised.signals.failed:
            self._keep_fault(Provider.RULES, "normalising_failed", INTAKE_FAULT)
        verdict = decide_safely(normalised, self._decide, self._care)
        return replace(verdict, triage_ms=round((self._clock() - started) * 1000))

    def close(self) -> None:
        """Close the models' idle connections."""
        for model in self._models:
            model.close()

    def warm(self) -> None:
        """Begin to load what the models' servers may not have in memory. Returns at once."""
        for model in self._models:
            getattr(model, "warm", lambda: None)()

    def take_faults(self) -> tuple[Fault, ...]:
        """One for each kind of failure of each provider since the last call."""
        with self._lock:
            faults, self._faults = self._faults, {}
        return tuple(faults.values())

    def _decide(self, ticket: Ticket) -> Verdict:
        failures: tuple[ProviderFailure, ...] = ()
        inquiry = _Inquiry(self._breaker)
        for model in self._models:
            try:
                self._pauses.check(model.provider)
                answer = self._ask(inquiry, model, ticket)
            except ModelError as exc:
                error = exc
            except Exception as exc:  # noqa: BLE001 - whatever the fault is, the next is asked
                line = f"asking the {model.provider} model failed ({type(exc).__name__}); please report it"
                error = ModelError(line, kind="internal_fault")
            else:
                attempts = inquiry.attempts
                return to_verdict(answer, model.provider, model.model, attempts=attempts, failures=failures)
            failures += (ProviderFailure(model.provider, error.kind),)
            if error.kind != "crowded":
                self._note(model.provider, error)
        return replace(decide_by_rules(ticket, failures), attempts=inquiry.attempts)

    def _ask(self, inquiry: "_Inquiry", model: Model, ticket: Ticket) -> Answer:
        if self._masker is None or not is_in_cloud(model):
            return inquiry.ask(model, partial(self._build, ticket))
        masked = _mask(self._masker, ticket)
        return masked.restore(inquiry.ask(model, partial(self._build, masked.ticket)))

    def _build(self, ticket: Ticket, budget_chars: int) -> list[Message]:
        return build_messages(
            ticket, company_name=self._company_name, sop=self._sop, budget_chars=budget_chars
        )

    def _note(self, provider: Provider, error: ModelError) -> None:
        self._pauses.note(provider, error)
        self._keep_fault(provider, error.kind, Fault(str(error), settings_fault=error.permanent))

    def _keep_fault(self, provider: Provider, kind: str, fault: Fault) -> None:
        with self._lock:
            self._faults[provider, kind] = fault


def _mask(masker: Callable[[Ticket], Masked], ticket: Ticket) -> Masked:
    try:
        return masker(ticket)
    except Exception as exc:  # noqa: BLE001 - whatever the fault is, the ticket must not leave
        fault = type(exc).__name__
    # Outside the handler: an error raised inside it would carry the other's, and that one the ticket.
    line = f"masking failed ({fault}), so nothing was sent to the cloud; please report it"
    raise ModelError(line, kind="masking_failed")


class _Inquiry:
    """The questions about one ticket, and how many they were."""

    def __init__(self, breaker: Breaker) -> None:
        self.attempts = 0
        self._breaker = breaker

    def ask(self, model: Model, build: Callable[[int], list[Message]]) -> Answer:
        """``build`` makes the first messages for a budget. Raises ModelError, a repair's if there was one.

        What is too large for the server is cut to the least budget and asked once more where that helps.
        """
        self._breaker.check(model.provider)
        try:
            return self._ask_and_repair(model, build, model.budget_chars)
        except ModelError as exc:
            if exc.kind != "too_large" or weigh_messages(build(model.budget_chars)) <= MINIMUM_BUDGET:
                raise
        return self._ask_and_repair(model, build, MINIMUM_BUDGET)

    def _ask_and_repair(
        self, model: Model, build: Callable[[int], list[Message]], budget_chars: int
    ) -> Answer:
        messages = build(budget_chars)
        said = ""
        try:
            said = self._put(model, messages)
            return parse_answer(said)
        except ModelError as exc:
            if exc.kind not in REPAIRED:
                raise
            fault = str(exc)
        again = add_repair(messages, said, fault, budget_chars=budget_chars, build=build)
        return parse_answer(self._put(model, again))

    def _put(self, model: Model, messages: list[Message]) -> str:
        try:
            said = model.ask(messages)
        except ModelError as exc:
            if exc.asked:
                self._heard(model, exc)
            raise
        self._heard(model, None)
        return said

    def _heard(self, model: Model, error: ModelError | None) -> None:
        self.attempts += 1
        self._breaker.note(model.provider, error)
