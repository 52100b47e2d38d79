"""A floor that no model can lower: what fixed rules find in the ticket's words decides at least this much.

The model may raise further, but a critical that no words support is only claimed, and calls nobody. Security
tickets are escalated and answered with fixed words, whatever the model says.
"""

from collections.abc import Sequence
from dataclasses import replace

from jobs.ticket import Ticket
from jobs.triage.replies import thank_without_confirming
from jobs.triage.rules import Rule, find_rules
from jobs.verdict import AsanaType, HandlingMode, InternalAction, Priority, Provider, Verdict

FLOOR = {"outage", "data loss", "security breach", "security concern", "legal", "payment"}
"""The rules that count whatever a model says; the others are guesses, which one that read it may correct."""

SECURITY, ENGINEERING = InternalAction.ESCALATE_TO_SECURITY, InternalAction.ESCALATE_TO_ENGINEERING
CLAIMED_NOTE = (
    "The model calls this critical; no fixed rule found support for it in the text, so nobody was called"
)


def raise_to_floor(ticket: Ticket, verdict: Verdict) -> Verdict:
    """``verdict`` with at least what the rules ask for. Pure; never lowers but a critical without support."""
    found = [rule for rule in find_rules(ticket) if rule.name in FLOOR]
    raised = escalate(raise_priority(verdict, found), found)
    if raised.recommended_internal_action is SECURITY:
        raised = answer_security(ticket, raised)
    if differs(verdict, raised) and found:
        raised = note(
            raised, f"Fixed rules on words ask for at least this: {', '.join(one.name for one in found)}"
        )
    return note(raised, CLAIMED_NOTE) if raised.claimed_critical else raised


def raise_priority(verdict: Verdict, found: Sequence[Rule]) -> Verdict:
    """A critical counts where a rule escalates: how much is for the model to judge then."""
    if verdict.priority is Priority.CRITICAL and not any(escalates(rule.action) for rule in found):
        return replace(verdict, priority=Priority.HIGH, claimed_critical=True)
    asked = (verdict.priority, *(rule.priority for rule in found))
    return replace(verdict, priority=max(asked, key=lambda one: one.rank))


def escalate(verdict: Verdict, found: Sequence[Rule]) -> Verdict:
    """Security before engineering; a ticket of any of the rules is not without work for the team."""
    actions = {verdict.recommended_internal_action, *(rule.action for rule in found)}
    action = next((one for one in (SECURITY, ENGINEERING) if one in actions), None)
    if action is not None:
        asana = verdict.asana_ticket_type_if_needed
        verdict = replace(
            verdict,
            recommended_internal_action=action,
            asana_ticket_type_if_needed=AsanaType.ESCALATION if asana is AsanaType.NONE else asana,
        )
    return replace(verdict, handling_mode=with_work(verdict)) if found or action else verdict


def with_work(verdict: Verdict) -> HandlingMode:
    match verdict.handling_mode:
        case HandlingMode.NO_ACTION:
            return HandlingMode.INTERNAL_FOLLOWUP_ONLY
        case HandlingMode.REPLY_ONLY:
            return HandlingMode.REPLY_AND_INTERNAL_FOLLOWUP
    return verdict.handling_mode


def answer_security(ticket: Ticket, verdict: Verdict) -> Verdict:
    """No words of a model go to who reports a hole: they might confirm it, or say what will be done."""
    return replace(
        verdict,
        handling_mode=HandlingMode.REPLY_AND_INTERNAL_FOLLOWUP,
        reply_draft=thank_without_confirming(f"{ticket.subject}\n{ticket.body}"),
        questions_for_customer=(),
    )


def differs(verdict: Verdict, raised: Verdict) -> bool:
    """Whether a rule changed a model's mind; what the rules said by themselves needs no second note."""
    return verdict.provider is not Provider.RULES and raised != verdict


def escalates(action: InternalAction) -> bool:
    return action in (SECURITY, ENGINEERING)


def note(verdict: Verdict, line: str) -> Verdict:
    return replace(verdict, internal_notes=(line, *verdict.internal_notes))
