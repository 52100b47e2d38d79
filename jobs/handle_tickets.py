"""The one path every source shares: claim, read, triage, tell, settle."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from jobs.channel_gates import PAUSED, ChannelGates
from jobs.clock import suspend_aware_seconds, utc_now
from jobs.notify.card import Card, build_card, build_minimal_card
from jobs.notify.channel import Channel
from jobs.notify.outcome import NotSent, Outcome, Sent, Unknown
from jobs.observations import Observations
from jobs.run_report import Result
from jobs.ticket import Ticket
from jobs.verdict import AsanaType, HandlingMode, InternalAction, Priority, Provider, Verdict
from models import claims, sends, switches
from models.claims import Claim, KnownDelivery
from models.deliveries import DeliveryState
from models.errors import StoreUnreachable
from models.sends import VerdictColumns
from models.tickets import SkipReason, TicketState

log = logging.getLogger("triage")

SEND_SECONDS = 20.0  #: longer than any channel's own time limit; the lease must outlast a send
RETRY_SECONDS = (30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
MISSING_RETRY_SECONDS = 600.0
LONGEST_RETRY_SECONDS = 86_400.0  #: a channel may ask for a pause, not for a time that no clock reaches
GONE_AFTER = timedelta(hours=24)
LONGEST_TURN_SECONDS = 30.0  #: a thread waits so long for a rate limit before it gives the ticket back
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
RESULTS = {
    TicketState.NOTIFIED: Result.NOTIFIED,
    TicketState.RETRY: Result.RETRYING,
    TicketState.UNCONFIRMED: Result.HELD,
}


@dataclass(frozen=True)
class Desk:
    """What is needed to handle a ticket; shared by the threads of one process.

    ``owner`` is unique to the process. ``insist`` repeats a ledger write until the store took it or the
    process ends. Without ``gates`` no channel is ever paused. ``resend_unknown`` sends a card
    whose fate nobody can tell once more, once. ``horizon`` asks the ledger for the creation time before which
    it remembers nothing, None while it remembers all. ``note_failed_send`` counts a send to a channel that
    failed or whose outcome is unknown, with the line of a setting to mend; never raises.
    """

    owner: str
    triage: Callable[[Ticket], Verdict]
    channels: Sequence[Channel]
    insist: Callable[[Callable[[], object]], object]
    activated_at: datetime
    lease_seconds: float
    pipelines: frozenset[str] = frozenset()
    now: Callable[[], datetime] = field(default=utc_now)
    lease_clock: Callable[[], float] = field(default=suspend_aware_seconds)
    gates: ChannelGates | None = None
    resend_unknown: bool = False
    horizon: Callable[[], datetime | None] = field(default=lambda: None)
    observations: Observations = field(default_factory=Observations)
    note_failed_send: Callable[[str, str | None], object] = field(default=lambda *_: None)

    @property
    def configured(self) -> list[str]:
        return [channel.name for channel in self.channels]

    def is_open(self, channel: Channel) -> bool:
        return self.gates is None or self.gates.is_open(channel.name)

    def shut(self, channel: Channel, fault: str | None = None) -> None:
        if self.gates is not None:
            self.gates.shut(channel.name, fault)

    def note_reach(self, channel: Channel, outcome: Outcome) -> None:
        if self.gates is not None:
            unreached = isinstance(outcome, NotSent) and outcome.unreached
            self.gates.note_reach(channel.name, reached=not unreached)

    def on_trial(self, channel: Channel) -> bool:
        """True where a pause is not to keep this send back: the channel is on trial, or nobody gates it."""
        return self.gates is None or self.gates.on_trial(channel.name)


@dataclass(frozen=True, slots=True)
class Handled:
    """How one claim ended; ``provider`` is set where the ticket was told."""

    result: Result
    provider: Provider | None = None


def handle_ticket(desk: Desk, taken: Claim, ticket: Ticket | None) -> Handled:
    """Bring one claimed ticket as far as it goes now; ``ticket`` is None where HubSpot does not know it.

    1. What an earlier claim left unsettled comes first: a send in doubt is held, never repeated.
    2. Tickets that are not to be told are skipped, with the reason.
    3. Triage, then each channel that was not told yet: write ahead, send, record.

    Raises StoreError where the ledger cannot be asked or told any more.
    """
    hold_crashed_sends(desk, taken)
    untold = untold_channels(desk, taken)
    if not untold:
        return concluded(desk, taken, "crashed")
    if ticket is None:
        return miss_ticket(desk, taken)
    reason = None if taken.deliveries else reason_to_skip(desk, taken, ticket)
    if reason is not None:
        return skipped(desk, taken, reason, ticket.created_at)
    return tell_all(desk, taken, ticket, untold)


def hold_crashed_sends(desk: Desk, taken: Claim) -> None:
    """Rule 6: a delivery still ``sending`` belongs to a worker that died or lost its lease."""
    for channel, known in taken.deliveries.items():
        if known.state is DeliveryState.SENDING:
            resend = desk.resend_unknown
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
    released = claims.release_for_retry(taken, delay, "not_found", missing_since_at=missing_since)
    return Handled(Result.RETRYING if released else Result.LOST)


def reason_to_skip(desk: Desk, taken: Claim, ticket: Ticket) -> SkipReason | None:
    """Whether the ticket is ours and of our time; a creation event overrides its age (design §5).

    A ticket that came with its creation time passed the horizon at the door, and one that came without may
    have been told and forgotten.
    """
    if desk.pipelines and ticket.pipeline not in desk.pipelines:
        return SkipReason.OTHER_PIPELINE
    if taken.creation_event_at is not None:
        return None
    if ticket.created_at < desk.activated_at:
        return SkipReason.BEFORE_ACTIVATION
    horizon_at = desk.horizon() if taken.ticket_created_at is None else None
    beyond = horizon_at is not None and ticket.created_at < horizon_at
    return SkipReason.BEYOND_MEMORY if beyond else None


def skipped(desk: Desk, taken: Claim, reason: SkipReason, created_at: datetime | None) -> Handled:
    if not claims.skip_ticket(taken, reason, created_at):
        return Handled(Result.LOST)
    desk.observations.ticket_settled(state=TicketState.SKIPPED.value, source=taken.source or "")
    return Handled(Result.SKIPPED)


def tell_all(desk: Desk, taken: Claim, ticket: Ticket, untold: Sequence[Channel]) -> Handled:
    minimal = taken.crashes >= CRASHES_BEFORE_MINIMAL
    verdict = UNTRIAGED if minimal else desk.triage(ticket)
    observe_models(desk, verdict)
    columns = columns_of(ticket, verdict)
    errors: list[str] = []
    delay = 0.0
    for channel in untold:
        card = (
            build_minimal_card(ticket.ticket_id, ticket.link, verdict.priority)
            if minimal
            else build_card(ticket, verdict, told_at=desk.now(), render=channel.render)
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
    for failure in verdict.failures:
        desk.observations.service_asked(failure.provider.value, ok=False)
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


def tell_minimally(
    desk: Desk, taken: Claim, channel: Channel, ticket: Ticket, columns: VerdictColumns
) -> TicketState | NotSent | Unknown | Handled:
    """Rule 8: a refused card (400) is followed by the minimal one; a channel that refuses that too holds."""
    attempt = attempt_after(taken, channel.name)
    read_again = {**taken.deliveries, channel.name: KnownDelivery(DeliveryState.PENDING, attempt)}
    again = replace(taken, deliveries=read_again)
    card = build_minimal_card(ticket.ticket_id, ticket.link, Priority(columns.priority))
    told = tell_channel(desk, again, channel, card, columns)
    if isinstance(told, NotSent) and told.refused:
        desk.insist(
            lambda: sends.record_refused(taken.ticket_id, channel.name, attempt + 1, "refused_minimal_card")
        )
    return told


def attempt_after(taken: Claim, channel: str) -> int:
    """The attempt that this claim's first write-ahead for ``channel`` wrote."""
    known = taken.deliveries.get(channel)
    return known.attempts + 1 if known else 1


def tell_channel(
    desk: Desk, taken: Claim, channel: Channel, card: Card, columns: VerdictColumns
) -> TicketState | NotSent | Unknown | Handled:
    """Wait for a turn, write ahead, send, record (rules 3 and 4).

    The ticket's state after a card that was sent, the outcome of one that was not, or how the claim ended
    where the write-ahead did not hold: then nothing was sent.
    """
    if not desk.is_open(channel):
        return paused(channel)
    with channel.turn(LONGEST_TURN_SECONDS) as seconds_to_wait:
        if seconds_to_wait:
            return NotSent("rate_limited", retry_after=seconds_to_wait)
        started = desk.lease_clock()
        try:
            attempt = sends.begin_delivery(
                taken,
                channel.name,
                columns,
                desk.lease_seconds + SEND_SECONDS,
                key_hash=channel.key_hash,
                on_trial=desk.on_trial(channel),
            )
        except StoreUnreachable:
            log.warning("write-ahead lost", extra={"ticket_id": taken.ticket_id, "channel": channel.name})
            return given_up(desk, taken, channel.name)
        if attempt is None:
            return paused_or_lost(desk, taken, channel)
        if desk.lease_clock() - started >= desk.lease_seconds:
            # Suspended since the write-ahead: another worker may hold the ticket before this send is over.
            not_sent = NotSent("lease_passed")
            recorded(desk, taken, channel, attempt, not_sent)
            return concluded(desk, taken, not_sent.error)
        outcome = send_card(desk, channel, card)
        if not isinstance(outcome, Sent):
            told = recorded(desk, taken, channel, attempt, outcome)
            note_failure(desk, channel, outcome)
            return told
    # The next card need not wait for the ledger; one whose fate is in doubt keeps its turn until all know.
    return recorded(desk, taken, channel, attempt, outcome)


def paused(channel: Channel) -> NotSent:
    """Nothing was written and nothing sent: due again when the pause is over."""
    pause = switches.read_pause(channel.name, channel.key_hash)
    return NotSent(PAUSED, retry_after=max(1.0, pause.seconds_left if pause else 0.0))


def paused_or_lost(desk: Desk, taken: Claim, channel: Channel) -> NotSent | Handled:
    """Why a write-ahead did not hold: the channel was paused meanwhile, or the claim is another's."""
    if switches.read_pause(channel.name, channel.key_hash) and not desk.on_trial(channel):
        return paused(channel)
    return concluded(desk, taken, "write_ahead_refused")


def send_card(desk: Desk, channel: Channel, card: Card) -> Outcome:
    """A channel that raises may have sent the card before: a send in doubt, not one to repeat (rule 4)."""
    started = time.monotonic()
    try:
        outcome = channel.send(card)
    except Exception as error:
        log.exception("channel raised", extra={"ticket_id": card.ticket_id, "channel": channel.name})
        outcome = Unknown(type(error).__name__)
    seconds = time.monotonic() - started
    desk.observations.card_answered(channel.name, ok=isinstance(outcome, Sent), seconds=seconds)
    return outcome


def note_failure(desk: Desk, channel: Channel, outcome: Outcome) -> None:
    """A rate limit is no failure."""
    match outcome:
        case Unknown():
            desk.note_failed_send(channel.name, None)
        case NotSent(retry_after=None):
            desk.note_failed_send(channel.name, outcome.fault)


def given_up(desk: Desk, taken: Claim, channel: str) -> Handled:
    """The write-ahead's answer was lost: read back, and the claim ended, which fences a late statement."""
    state = desk.insist(
        lambda: sends.abandon_claim(taken, channel, desk.configured, backoff(taken), "write_ahead_lost")
    )
    return handled_as(state)


def recorded(
    desk: Desk, taken: Claim, channel: Channel, attempt: int, outcome: Outcome
) -> TicketState | NotSent | Unknown:
    """The outcome in the ledger, and what it says of the channel (rules 4, 7 and 8)."""
    ticket_id, name, key_hash = taken.ticket_id, channel.name, channel.key_hash
    desk.note_reach(channel, outcome)
    match outcome:
        case Sent(message_id, place):
            state = desk.insist(
                lambda: sends.record_sent(ticket_id, name, desk.configured, message_id, place)
            )
            if desk.gates is not None and desk.gates.on_trial(name):
                desk.insist(lambda: switches.lift_pause(name, key_hash))
                desk.gates.pass_trial(name)
            return state if isinstance(state, TicketState) else TicketState.CLAIMED
        case NotSent(error):
            delay = delay_after(taken, outcome)
            desk.insist(lambda: sends.record_not_sent(ticket_id, name, attempt, error, delay))
            if outcome.fault is not None:
                desk.insist(lambda: switches.pause_for_fault(name, key_hash, error))
                desk.shut(channel, outcome.fault)
            return outcome
        case Unknown(error):
            # The pause first: every other thread's write-ahead looks at it.
            desk.shut(channel)
            desk.insist(lambda: switches.pause_after_unknown(name, key_hash, error))
            resend = desk.resend_unknown
            desk.insist(lambda: sends.record_unknown(ticket_id, name, attempt, error, resend=resend))
            return outcome


def concluded(desk: Desk, taken: Claim, error: str, delay_seconds: float = 0.0) -> Handled:
    """End the claim by what the deliveries say (rule 9); LOST where another worker holds it by now."""
    state = desk.insist(
        lambda: sends.conclude_claim(taken, desk.configured, delay_seconds or backoff(taken), error)
    )
    return handled_as(state)


def handled_as(state: object) -> Handled:
    return Handled(RESULTS.get(state, Result.LOST) if isinstance(state, TicketState) else Result.LOST)


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


def backoff(taken: Claim) -> float:
    """Seconds until the next try, by how often the ticket was tried."""
    return RETRY_SECONDS[min(taken.attempt, len(RETRY_SECONDS)) - 1]


def delay_after(taken: Claim, outcome: NotSent | Unknown) -> float:
    """Seconds until the next try: what the channel asked for, else by how often the ticket was tried."""
    asked = outcome.retry_after if isinstance(outcome, NotSent) else None
    return min(asked, LONGEST_RETRY_SECONDS) if asked and asked > 0 else backoff(taken)
