"""One card to one channel: wait for a turn, write ahead, send, record (rules 3, 4, 6 to 9)."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from jobs.desk import Desk, Handled
from jobs.notify.card import Card, build_minimal_card
from jobs.notify.channel import Channel, LookingChannel
from jobs.notify.outcome import NotSent, Outcome, Sent, Unknown
from jobs.run_report import Result
from jobs.ticket import Ticket
from jobs.verdict import Priority
from jobs.waits import PAUSED, backoff_seconds
from models import sends, switches, write_ahead
from models.claims import Claim, KnownDelivery
from models.deliveries import DeliveryState
from models.errors import OUT_OF_REACH
from models.tickets import TicketState
from models.write_ahead import VerdictColumns

log = logging.getLogger("triage")

SEND_SECONDS = 20.0  #: longer than any channel's own time limit; the lease must outlast a send
LONGEST_RETRY_SECONDS = 86_400.0  #: a channel may ask for a pause, not for a time that no clock reaches
LONGEST_TURN_SECONDS = 30.0  #: a thread waits so long for a rate limit before it gives the ticket back
RESULTS = {
    TicketState.NOTIFIED: Result.NOTIFIED,
    TicketState.RETRY: Result.RETRYING,
    TicketState.UNCONFIRMED: Result.HELD,
}


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
            attempt = begin_delivery(desk, taken, channel, card, columns)
        except OUT_OF_REACH:
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


def begin_delivery(
    desk: Desk, taken: Claim, channel: Channel, card: Card, columns: VerdictColumns
) -> int | None:
    """The write-ahead, with a lease that outlasts the send; see ``write_ahead.begin_delivery``."""
    nonce, place = traces_of(channel, card)
    return write_ahead.begin_delivery(
        taken,
        channel.name,
        columns,
        desk.lease_seconds + SEND_SECONDS,
        key_hash=channel.key_hash,
        on_trial=desk.on_trial(channel),
        nonce=nonce,
        place=place,
    )


def traces_of(channel: Channel, card: Card) -> tuple[str | None, str | None]:
    """Nonce and place, which a look goes by later (rule 5); none where the channel cannot look."""
    if not isinstance(channel, LookingChannel):
        return None, None
    return channel.nonce_of(card.ticket_id, card.url), channel.place


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
            pause = pause_of(desk, channel)
            desk.insist(lambda: pause(name, key_hash, error))
            resend = desk.resends(name)
            desk.insist(lambda: sends.record_unknown(ticket_id, name, attempt, error, resend=resend))
            return outcome


def pause_of(desk: Desk, channel: Channel) -> Callable[[str, str, str], None]:
    """Rule 7: a channel that can look is paused until it did; one on trial could not, and counts doubts."""
    if isinstance(channel, LookingChannel) and not desk.on_trial(channel):
        return switches.pause_until_look
    return switches.pause_after_unknown


def concluded(desk: Desk, taken: Claim, error: str, delay_seconds: float = 0.0) -> Handled:
    """End the claim by what the deliveries say (rule 9); LOST where another worker holds it by now."""
    state = desk.insist(
        lambda: sends.conclude_claim(taken, desk.configured, delay_seconds or backoff(taken), error)
    )
    return handled_as(state)


def handled_as(state: object) -> Handled:
    return Handled(RESULTS.get(state, Result.LOST) if isinstance(state, TicketState) else Result.LOST)


def backoff(taken: Claim) -> float:
    """Seconds until the next try, by how often the ticket was tried."""
    return backoff_seconds(taken.attempt)


def delay_after(taken: Claim, outcome: NotSent | Unknown) -> float:
    """Seconds until the next try: what the channel asked for, else by how often the ticket was tried."""
    asked = outcome.retry_after if isinstance(outcome, NotSent) else None
    return min(asked, LONGEST_RETRY_SECONDS) if asked and asked > 0 else backoff(taken)
