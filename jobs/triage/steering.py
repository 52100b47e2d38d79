"""Whether a ticket's own words steer its triage: it is read without them as well, and the safer counts."""

from dataclasses import replace
from typing import Any

from jobs.intake.normalise import Normalised
from jobs.ticket import Ticket
from jobs.triage.orders import find_orders
from jobs.verdict import AsanaType, HandlingMode, InternalAction, Provider, Verdict

WITHHELD = "[…]"
FEWEST_LETTERS = 12  #: that a model can read
NOTE = (
    "Parts of the text read like orders to a model and change its answer: the safer of two readings is shown"
)

_TEXTS = (
    "subject",
    "body",
    "rest",
    "customer_name",
    "company_name",
    "customer_tier",
    "product_area",
    "category",
)
# The later, the safer.
_ACTIONS = (
    InternalAction.NONE,
    InternalAction.CREATE_FEEDBACK_TICKET,
    InternalAction.CREATE_BUG_REPORT,
    InternalAction.ESCALATE_TO_ENGINEERING,
    InternalAction.ESCALATE_TO_SECURITY,
)
_TYPES = (AsanaType.NONE, AsanaType.FEEDBACK, AsanaType.BUG, AsanaType.ESCALATION)
_MODES = (
    HandlingMode.NO_ACTION,
    HandlingMode.REPLY_ONLY,
    HandlingMode.REQUEST_MORE_INFO,
    HandlingMode.INTERNAL_FOLLOWUP_ONLY,
    HandlingMode.REPLY_AND_INTERNAL_FOLLOWUP,
)


def withhold_orders(normalised: Normalised) -> Ticket | None:
    """The ticket without what reads like orders to a model, None where nothing does.

    Mild orders count too where something was hidden, forged or could not be read in the usual way.
    """
    signals = normalised.signals
    wary = any(
        (
            signals.hidden_text,
            signals.invisible_characters,
            signals.control_tokens,
            signals.too_deep,
            signals.failed,
        )
    )
    texts: dict[str, Any] = {}
    for name in _TEXTS:
        text = getattr(normalised.ticket, name)
        if text and (orders := find_orders(text, wary=wary)):
            texts[name] = _without(text, orders)
    return replace(normalised.ticket, **texts) if texts else None


def take_safer(whole: Verdict, apart: Verdict) -> Verdict:
    """Of the readings of a ticket with and without its orders: the higher judgements, the latter's words.

    Words that are shown are thus by a model that never saw the orders. ``steered`` where a judgement changed,
    and where no model gave the second reading.
    """
    safer = replace(
        apart,
        priority=max(whole.priority, apart.priority, key=lambda one: one.rank),
        recommended_internal_action=max(
            whole.recommended_internal_action, apart.recommended_internal_action, key=_ACTIONS.index
        ),
        asana_ticket_type_if_needed=max(
            whole.asana_ticket_type_if_needed, apart.asana_ticket_type_if_needed, key=_TYPES.index
        ),
        handling_mode=max(whole.handling_mode, apart.handling_mode, key=_MODES.index),
        confidence=min(whole.confidence, apart.confidence),
        attempts=whole.attempts + apart.attempts,
        failures=whole.failures + apart.failures,
    )
    if apart.provider is not Provider.RULES and _judgement(whole) == _judgement(apart):
        return safer
    return replace(safer, steered=True, internal_notes=(NOTE, *safer.internal_notes))


def says_nothing(apart: Ticket) -> bool:
    """Whether orders were all there was: a model would make up what such a ticket is about."""
    left = f"{apart.subject} {apart.body} {apart.rest}".replace(WITHHELD, "")
    return sum(map(str.isalnum, left)) < FEWEST_LETTERS


def _judgement(verdict: Verdict) -> tuple[object, ...]:
    return (
        verdict.priority,
        verdict.handling_mode,
        verdict.recommended_internal_action,
        verdict.asana_ticket_type_if_needed,
        verdict.reply_draft is None,
    )


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    parts, at = [], 0
    for start, end in spans:
        parts += [text[at:start], f" {WITHHELD} "]
        at = end
    return "".join([*parts, text[at:]]).strip()
