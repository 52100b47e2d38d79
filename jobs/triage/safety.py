"""A model's verdict made safe: read again without orders, guarded, and raised to the floor.

Whatever fails here costs words and never a card; each failure is a Fault for a person.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from jobs.intake.normalise import Normalised
from jobs.ticket import Ticket
from jobs.triage.floor import raise_to_floor
from jobs.triage.guards import guard, withhold_texts
from jobs.triage.rules import decide_by_rules
from jobs.triage.steering import says_nothing, take_safer, withhold_orders
from jobs.verdict import Priority, Provider, Verdict


@dataclass(frozen=True, slots=True)
class Fault:
    """What went wrong, in a line for a person; ``settings_fault`` where only they can mend it."""

    line: str
    settings_fault: bool


INTAKE_FAULT = Fault(
    "a ticket's text could not be normalised and was read plainly; please report it", settings_fault=False
)
STEERING_FAULT = Fault(
    "a ticket could not be searched for orders to the model and was told by rules; please report it",
    settings_fault=False,
)
GUARD_FAULT = Fault(
    "an answer could not be checked, so only its judgements are shown; please report it", settings_fault=False
)
FLOOR_FAULT = Fault(
    "a ticket could not be held against the fixed rules and was told as high; please report it",
    settings_fault=False,
)
STEERED = "steered"  #: counted beside what the guards take out

#: Told what was taken out of an answer, or STEERED, and how often. From several threads; must not raise.
OnGuard = Callable[[str, int], object]


@dataclass(frozen=True, slots=True)
class Care:
    """What the checks need: the team's own texts, and who is told of what they found and of their faults."""

    sop: str
    company_name: str
    on_guard: OnGuard
    keep_fault: Callable[[str, Fault], object]


def decide_safely(normalised: Normalised, decide: Callable[[Ticket], Verdict], care: Care) -> Verdict:
    """``decide`` asks the models; it is called once more where the text gives them orders."""
    whole = decide(normalised.ticket)
    if whole.provider is not Provider.RULES:
        whole = guard_or_withhold(normalised.ticket, read_apart(normalised, whole, decide, care), care)
    try:
        return raise_to_floor(normalised.ticket, whole)
    except Exception:  # noqa: BLE001 - whatever the fault is, a ticket gets its card
        care.keep_fault("floor_unread", FLOOR_FAULT)
        return stand_in_for_floor(normalised.ticket, whole)


def stand_in_for_floor(ticket: Ticket, verdict: Verdict) -> Verdict:
    """Where no rule could be read: high, without a word for the customer, and nobody is called."""
    claimed = verdict.priority is Priority.CRITICAL
    return replace(withhold_texts(ticket, verdict), priority=Priority.HIGH, claimed_critical=claimed)


def read_apart(
    normalised: Normalised, whole: Verdict, decide: Callable[[Ticket], Verdict], care: Care
) -> Verdict:
    """The influence test: ``whole``, or the safer of it and a reading without the text's orders."""
    try:
        apart = withhold_orders(normalised)
    except Exception:  # noqa: BLE001 - whatever the fault is, a ticket gets its card
        care.keep_fault("orders_unread", STEERING_FAULT)
        care.on_guard(STEERED, 1)
        return take_safer(whole, decide_by_rules(normalised.ticket, ()))
    if apart is None:
        return whole
    if says_nothing(apart):
        care.on_guard(STEERED, 1)
        return take_safer(whole, decide_by_rules(normalised.ticket, ()))
    safer = take_safer(whole, decide(apart))
    if safer.steered:
        care.on_guard(STEERED, 1)
    return safer


def guard_or_withhold(ticket: Ticket, verdict: Verdict, care: Care) -> Verdict:
    if verdict.provider is Provider.RULES:  # the second reading's
        return verdict
    try:
        guarded = guard(ticket, verdict, sop=care.sop, company_name=care.company_name)
    except Exception:  # noqa: BLE001 - likewise
        care.keep_fault("answer_unguarded", GUARD_FAULT)
        return withhold_texts(ticket, verdict)
    for kind, number in guarded.counts.items():
        care.on_guard(kind, number)
    return guarded.verdict
