"""The one path every source shares: claim, read, triage, tell, settle."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from jobs.desk import Desk, Handled
from jobs.hold_restored import behind_barrier, hold_restored
from jobs.merge_tickets import merge_parts
from jobs.notify.card import build_card, build_minimal_card
from jobs.notify.channel import Channel
from jobs.notify.outcome import NotSent, Unknown
from jobs.run_report import Result
from jobs.tell_channel import backoff, concluded, delay_after, tell_channel, tell_minimally
from jobs.ticket import Ticket
from jobs.verdict import AsanaType, HandlingMode, InternalAction, Priority, Provider, Verdict
from jobs.without_secrets import without_secrets
from models import releases, sends
from models.claims import Claim
from models.deliveries import DeliveryState
from models.tickets import SkipReason, TicketState
from models.write_ahead import VerdictColumns

MISSING_RETRY_SECONDS = 600.0
GONE_AFTER = timedelta(hours=24)
CRASHES_BEFORE_MINIMAL = 5
#: For the minimal card of a ticket that broke the program five times: nobody looked at its text.
UNTRIAGED = Verdict(
    priority=Priority.MEDIUM,
    handling_mode=HandlingMode.INTERNAL_FOLLOWUP_ONLY,
    recommended_internal_action=InternalAction.NONE,
    asana_ticket_type_if_needed=AsanaType.NONE,
    customer_summary="not AI-triaged",
    reply_draft=None,
    questions_for_customer=(),
    internal_notes=(),
    confidence=0.0,
    provider=Provider.RULES,
    model="none",
    attempts=0,
)


def handle_ticket(desk: Desk, taken: Claim, ticket: Ticket | None) -> Handled:
    """Bring one claimed ticket as far as it goes now; ``ticket`` is None where HubSpot does not know it.

    1. One that HubSpot merged, or the ledger by its word, is part of another now, unless it is the one of
       them to tell (rule 11). What its parts were told counts before it is held, or gone.
    2. What an earlier claim left unsettled comes next: a send in doubt is held, and never repeated but
       after a look that did not find its card.
    3. Tickets that are not to be told are skipped, with the reason; after a restore the older ones are held.
    4. Triage, then each channel that was not told yet: write ahead, send, record.

    Raises StoreError where the ledger cannot be asked or told any more.
    """
    record_crashed_sends(desk, taken)
    is_merged = ticket is not None and (ticket.aliases or ticket.ticket_id != taken.ticket_id)
    merged = merge_parts(desk, taken, ticket) if is_merged or taken.has_parts else None
    if merged is not None:
        return merged
    untold = untold_channels(desk, taken)
    if not untold:
        return concluded(desk, taken, "crashed")
    if ticket is None:
        return miss_ticket(desk, taken)
    ticket = replace(ticket, ticket_id=taken.ticket_id)
    reason = None if taken.deliveries else reason_to_skip(desk, taken, ticket)
    if reason is not None:
        return skipped(desk, taken, reason, ticket.created_at)
    in_doubt = behind_barrier(taken, ticket, untold)
    if in_doubt:
        return hold_restored(desk, taken, ticket, in_doubt)
    return tell_all(desk, taken, ticket, untold)


def record_crashed_sends(desk: Desk, taken: Claim) -> None:
    """A delivery still ``sending`` belongs to a worker that died or lost its lease: in doubt from now on.

    Where the channel can look, the next look for held cards decides it (rule 5), else a person (rule 6).
    """
    for channel, known in taken.deliveries.items():
        if known.state is DeliveryState.SENDING:
            resend = desk.resends(channel)
            sends.record_unknown(taken.ticket_id, channel, known.attempts, "crashed", resend=resend)


def untold_channels(desk: Desk, taken: Claim) -> list[Channel]:
    """Configured channels with no delivery, or with one that certainly was not sent."""
    known = taken.deliveries
    return [
        channel
        for channel in desk.channels
        if channel.name not in known or known[channel.name].state is DeliveryState.PENDING
    ]


def miss_ticket(desk: Desk, taken: Claim) -> Handled:
    """Rule 10: HubSpot shows some tickets late and some never again; a day of 404s means gone."""
    missing_since = taken.missing_since_at or desk.now()
    if desk.now() - missing_since > GONE_AFTER:
        return skipped(desk, taken, SkipReason.GONE, None)
    delay = min(MISSING_RETRY_SECONDS, backoff(taken))
    released = releases.release_for_retry(taken, delay, "not_found", missing_since_at=missing_since)
    return Handled(Result.RETRYING if released else Result.LOST)


def reason_to_skip(desk: Desk, taken: Claim, ticket: Ticket) -> SkipReason | None:
    """Whether the ticket is ours and of our time; a creation event overrides its age (design §5).

    A ticket that came with its creation time passed the horizon at the door, and one that came without may
    have been told and forgotten. That counts before its pipeline: moved to one of ours, it would open.
    """
    overridden = taken.creation_event_at is not None
    horizon_at = desk.horizon() if taken.ticket_created_at is None and not overridden else None
    if horizon_at is not None and ticket.created_at < horizon_at:
        return SkipReason.BEYOND_MEMORY
    if desk.pipelines and ticket.pipeline not in desk.pipelines:
        return SkipReason.OTHER_PIPELINE
    if ticket.created_at < desk.activated_at and not overridden:
        return SkipReason.BEFORE_ACTIVATION
    return None


def skipped(desk: Desk, taken: Claim, reason: SkipReason, created_at: datetime | None) -> Handled:
    if not releases.skip_ticket(taken, reason, created_at):
        return Handled(Result.LOST)
    desk.observations.ticket_settled(state=TicketState.SKIPPED.value, source=taken.source or "")
    return Handled(Result.SKIPPED)


def tell_all(desk: Desk, taken: Claim, ticket: Ticket, untold: Sequence[Channel]) -> Handled:
    minimal = taken.crashes >= CRASHES_BEFORE_MINIMAL
    verdict = UNTRIAGED if minimal else desk.triage(ticket)
    observe_models(desk, verdict)
    columns = columns_of(ticket, verdict)
    shown = (ticket, verdict) if minimal else without_secrets(ticket, verdict)
    errors: list[str] = []
    delay = 0.0
    for channel in untold:
        card = (
            build_minimal_card(ticket.ticket_id, ticket.link, verdict.priority)
            if minimal
            else build_card(*shown, told_at=desk.now(), render=channel.render)
        )
        told = tell_channel(desk, taken, channel, card, columns)
        if isinstance(told, NotSent) and told.refused and not minimal:
            told = tell_minimally(desk, taken, channel, ticket, columns)
        if isinstance(told, Handled):
            return told
        if told is TicketState.NOTIFIED:
            observe_told(desk, taken, ticket, verdict)
            return Handled(Result.NOTIFIED, verdict.provider)
        if isinstance(told, NotSent | Unknown):
            errors.append(told.error)
            delay = max(delay, delay_after(taken, told))
    return concluded(desk, taken, errors[-1] if errors else "incomplete", delay)


def observe_models(desk: Desk, verdict: Verdict) -> None:
    for failure in dict.fromkeys(verdict.failures):  # a ticket that is read twice has them twice
        if failure.is_fault:
            desk.observations.service_asked(failure.provider.value, ok=False)
        else:
            desk.observations.ticket_spilled(failure.provider.value, failure.error)
    if verdict.provider is not Provider.RULES:
        desk.observations.service_asked(verdict.provider.value, ok=True, seconds=verdict.triage_ms / 1000)


def observe_told(desk: Desk, taken: Claim, ticket: Ticket, verdict: Verdict) -> None:
    desk.observations.ticket_settled(
        state=TicketState.NOTIFIED.value,
        source=taken.source or "",
        provider=verdict.provider.value,
        priority=verdict.priority.value,
        triage_seconds=verdict.triage_ms / 1000,
        card_seconds=(desk.now() - ticket.created_at).total_seconds(),
    )


def columns_of(ticket: Ticket, verdict: Verdict) -> VerdictColumns:
    return VerdictColumns(
        ticket_created_at=ticket.created_at,
        priority=verdict.priority.value,
        handling_mode=verdict.handling_mode.value,
        confidence=verdict.confidence,
        provider=verdict.provider.value,
        success=verdict.provider is not Provider.RULES,
        model=verdict.model[:100],
        triage_ms=verdict.triage_ms,
        triage_attempts=verdict.attempts,
    )
