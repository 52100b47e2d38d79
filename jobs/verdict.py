"""What the triage says of one ticket: the values of the product's table, and who said it."""

from dataclasses import dataclass
from enum import StrEnum


class Priority(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for low up to 3 for critical."""
        return list(Priority).index(self)


class HandlingMode(StrEnum):
    REPLY_ONLY = "reply_only"
    REPLY_AND_INTERNAL_FOLLOWUP = "reply_and_internal_followup"
    INTERNAL_FOLLOWUP_ONLY = "internal_followup_only"
    REQUEST_MORE_INFO = "request_more_info"
    NO_ACTION = "no_action"


class InternalAction(StrEnum):
    CREATE_BUG_REPORT = "Create bug report"
    CREATE_FEEDBACK_TICKET = "Create feedback ticket"
    ESCALATE_TO_ENGINEERING = "Escalate to engineering"
    ESCALATE_TO_SECURITY = "Escalate to security"
    NONE = "None"


class AsanaType(StrEnum):
    BUG = "Bug"
    FEEDBACK = "Feedback"
    ESCALATION = "Escalation"
    NONE = "None"


class Provider(StrEnum):
    """Who gave the verdict; also the ledger's ``provider`` of a notified ticket."""

    LOCAL = "local"
    GROQ = "groq"
    RULES = "rules"


NO_FAULTS = frozenset({"crowded", "loading"})
"""Errors that say nothing against a model: others were with it, or it is on its way into memory."""


@dataclass(frozen=True, slots=True)
class ProviderFailure:
    """A model asked in vain, or passed over because it had said "not before" or was busy with others.

    ``error`` is a short class such as ``timeout``, never its text.
    """

    provider: Provider
    error: str

    @property
    def is_fault(self) -> bool:
        """Whether it tells of something wrong with the provider."""
        return self.error not in NO_FAULTS


@dataclass(frozen=True, slots=True)
class Verdict:
    """Advice on one ticket.

    ``customer_summary`` has 1 to 300 characters; ``reply_draft`` is None where no reply is needed or the
    draft was withheld;
    ``confidence`` is 0.0 to 1.0; ``triage_ms`` is the whole time the triage took. ``attempts`` counts the
    questions put to models, a repair of an answer included; ``failures`` has one entry, in order, for each
    model tried or passed over in vain, named by its last fault. ``claimed_critical``: the model said
    critical, which nothing in the text supports; ``priority`` is high then. ``steered``: the text gave orders
    to the model that changed its judgement; the safer of two readings is in the other fields.
    """

    priority: Priority
    handling_mode: HandlingMode
    recommended_internal_action: InternalAction
    asana_ticket_type_if_needed: AsanaType
    customer_summary: str
    reply_draft: str | None
    questions_for_customer: tuple[str, ...]
    internal_notes: tuple[str, ...]
    confidence: float
    provider: Provider
    model: str
    triage_ms: int = 0
    attempts: int = 1
    failures: tuple[ProviderFailure, ...] = ()
    claimed_critical: bool = False
    steered: bool = False
