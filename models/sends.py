"""What became of a send that was written ahead, and how a claim ends by it (rules 4, 6 and 9).

Lock order everywhere: the ticket, then the counts; its deliveries are written under its lock alone.
"""

from collections.abc import Mapping, Sequence

from peewee import Expression, fn

from models.claims import Claim, is_mine, lock_rows, not_told_yet
from models.counts import count_settled, count_settled_sql
from models.database import clock, database, on_postgres, rerun_on_conflict, transaction
from models.deliveries import Delivery, DeliveryState
from models.names import Names
from models.tickets import ProcessedTicket, TicketState, list_parts

t, d = Names(ProcessedTicket), Names(Delivery)
IN_DOUBT = (DeliveryState.SENDING, DeliveryState.UNCONFIRMED)
TELLABLE_STATES = (TicketState.FOUND, TicketState.CLAIMED, TicketState.RETRY, TicketState.UNCONFIRMED)

RECORD_SENT = f"""
WITH locked AS (
    SELECT {t.ticket_id}, {t.state} FROM {t} WHERE {t.ticket_id} = %(ticket)s FOR UPDATE
), told AS (
    UPDATE {d} SET {d.state} = '{DeliveryState.SENT}', {d.sent_at} = clock_timestamp(),
        {d.message_id} = %(message)s, {d.place} = %(place)s, {d.last_error} = NULL
    WHERE {d.ticket_id} = (SELECT {t.ticket_id} FROM locked) AND {d.channel} = %(channel)s
    RETURNING {d.ticket_id}
), settled AS (
    UPDATE {t} SET {t.state} = '{TicketState.NOTIFIED}', {t.processed_at} = clock_timestamp(),
        {t.provider} = coalesce({t.provider}, 'none'),
        {t.lease_owner} = NULL, {t.lease_expires_at} = NULL, {t.next_attempt_at} = NULL,
        {t.last_error} = NULL, {t.reason} = NULL, {t.updated_at} = clock_timestamp()
    WHERE {t.ticket_id} = (SELECT {d.ticket_id} FROM told)
      AND {t.state} IN ({", ".join(f"'{state}'" for state in TELLABLE_STATES)})
      AND NOT EXISTS (
        SELECT 1 FROM {d} o WHERE o.{d.ticket_id} = %(ticket)s AND o.{d.channel} <> %(channel)s
        AND o.{d.state} IN ({", ".join(f"'{state}'" for state in IN_DOUBT)}))
      AND NOT EXISTS (
        SELECT 1 FROM unnest(%(configured)s::text[]) AS c(channel) WHERE c.channel <> %(channel)s
        AND NOT EXISTS (SELECT 1 FROM {d} o WHERE o.{d.ticket_id} = %(ticket)s
                        AND o.{d.channel} = c.channel AND o.{d.state} = '{DeliveryState.SENT}'))
    RETURNING *
), counted AS ({count_settled_sql("settled")})
SELECT coalesce((SELECT {t.state} FROM settled), (SELECT {t.state} FROM locked))"""


@rerun_on_conflict
def abandon_delivery(taken: Claim, channel: str) -> bool:
    """Before the first byte: make what this claim wrote ahead resendable again; True if it had been written.

    Reads back a lost COMMIT answer: whatever the write-ahead left, nothing was sent. Safe to call twice.
    """
    known = taken.deliveries.get(channel)
    written_attempt = known.attempts + 1 if known else 1
    with transaction():
        lock_ticket(taken.ticket_id)
        # A later claimant may have written the same attempt: only while the claim is ours is it ours.
        if not ProcessedTicket.select().where(is_mine(taken)).exists():
            return False
        undone = Delivery.update(state=DeliveryState.PENDING, last_error="abandoned").where(
            current(taken.ticket_id, channel, written_attempt, [DeliveryState.SENDING])
        )
        return bool(undone.execute())


@rerun_on_conflict
def abandon_claim(
    taken: Claim, channel: str, configured: Sequence[str], delay_seconds: float, error: str
) -> TicketState | None:
    """Abandon the delivery and end the claim at once; None if the claim was lost.

    A write-ahead that is still on its way to the server finds no claim any more, and writes nothing.
    """
    with transaction():
        abandon_delivery(taken, channel)
        return conclude_claim(taken, configured, delay_seconds, error)


@rerun_on_conflict
def record_sent(
    ticket_id: str, channel: str, configured: Sequence[str], message_id: str | None, place: str | None
) -> TicketState | None:
    """The channel took the card: recorded whatever else the row says, and settled if all were told (rule 4).

    Returns the ticket's state after it. Safe to call twice, so it is repeated until it was heard.
    """
    message_id, place = message_id and message_id[:50], place and place[:50]
    if on_postgres():
        params = {
            "ticket": ticket_id,
            "channel": channel,
            "message": message_id,
            "place": place,
            "configured": list(configured),
        }
        state = database.execute_sql(RECORD_SENT, params).fetchone()[0]
        # The statement saw the other channels as they were when it began, before it waited for the ticket.
        if state not in TELLABLE_STATES or not all_told(ticket_id, configured):
            return None if state is None else TicketState(state)
    return record_sent_plainly(ticket_id, channel, configured, message_id, place)


def record_sent_plainly(
    ticket_id: str, channel: str, configured: Sequence[str], message_id: str | None, place: str | None
) -> TicketState | None:
    with transaction():
        ticket = lock_ticket(ticket_id)
        if ticket is None:
            return None
        this = (Delivery.ticket_id == ticket_id) & (Delivery.channel == channel)
        sent = Delivery.update(
            state=DeliveryState.SENT, sent_at=clock(), message_id=message_id, place=place, last_error=None
        ).where(this)
        if not sent.execute():
            return TicketState(ticket.state)
        if ticket.state in TELLABLE_STATES and all_told(ticket_id, configured):
            settle_notified(ticket_id)
            return TicketState.NOTIFIED
        return TicketState(ticket.state)


@rerun_on_conflict
def record_not_sent(ticket_id: str, channel: str, attempt: int, error: str, delay_seconds: float) -> bool:
    """Certainly not sent, if ``attempt`` is still the current one: the delivery may be sent again.

    A ticket that was held meanwhile becomes due after ``delay_seconds``.
    """
    with transaction():
        lock_ticket(ticket_id)
        undone = Delivery.update(state=DeliveryState.PENDING, last_error=error[:100]).where(
            current(ticket_id, channel, attempt, IN_DOUBT)
        )
        if not undone.execute():
            return False
        held = (ProcessedTicket.ticket_id == ticket_id) & (ProcessedTicket.state == TicketState.UNCONFIRMED)
        due = {**not_told_yet(), "next_attempt_at": clock(delay_seconds), "reason": None}
        ProcessedTicket.update(**due).where(held).execute()
        return True


@rerun_on_conflict
def record_refused(ticket_id: str, channel: str, attempt: int, error: str) -> bool:
    """The channel refuses even the minimal card (rule 8), if ``attempt`` is still the current one: held."""
    with transaction():
        lock_ticket(ticket_id)
        states = (DeliveryState.SENDING, DeliveryState.PENDING)
        refused = Delivery.update(state=DeliveryState.REFUSED, last_error=error[:100]).where(
            current(ticket_id, channel, attempt, states)
        )
        return bool(refused.execute())


@rerun_on_conflict
def record_unknown(ticket_id: str, channel: str, attempt: int, error: str, *, resend: bool = False) -> bool:
    """Nobody can tell whether it was sent, if ``attempt`` is still the current one (rule 6).

    With ``resend`` (UNCONFIRMED_POLICY) the delivery's first doubt makes it resendable, once; the next holds,
    and so does the first where one of the ticket's parts had that resend (rule 11).
    """
    with transaction():
        lock_ticket(ticket_id)
        doubted = current(ticket_id, channel, attempt, [DeliveryState.SENDING])
        if resend and not part_was_resent(ticket_id, channel):
            once_more = Delivery.update(
                state=DeliveryState.PENDING, resent_at=clock(), last_error=error[:100]
            ).where(doubted & Delivery.resent_at.is_null())
            if once_more.execute():
                return True
        held = Delivery.update(state=DeliveryState.UNCONFIRMED, last_error=error[:100]).where(doubted)
        return bool(held.execute())


def part_was_resent(ticket_id: str, channel: str) -> bool:
    """Nobody is told of a group before its merge, so the one that is sent sees what its parts had."""
    parts = list_parts(ticket_id)
    resent = Delivery.ticket_id.in_(parts) & (Delivery.channel == channel) & Delivery.resent_at.is_null(False)
    return bool(parts) and Delivery.select().where(resent).exists()


@rerun_on_conflict
def conclude_claim(
    taken: Claim, configured: Sequence[str], delay_seconds: float, error: str
) -> TicketState | None:
    """End a claim by what its deliveries say (rule 9): notified, retry or held; None if it was lost."""
    with transaction():
        ticket = lock_ticket(taken.ticket_id)
        if ticket is None or not ProcessedTicket.select().where(is_mine(taken)).exists():
            return None
        state = state_after(read_deliveries(taken.ticket_id), configured)
        if state is TicketState.NOTIFIED:
            settle_notified(taken.ticket_id)
        elif state is TicketState.RETRY:
            due = {**not_told_yet(), "next_attempt_at": clock(delay_seconds), "last_error": error[:100]}
            ProcessedTicket.update(**due).where(is_mine(taken)).execute()
        else:
            ProcessedTicket.update(**held_for_a_person(error)).where(is_mine(taken)).execute()
        return state


def state_after(deliveries: Mapping[str, str], configured: Sequence[str]) -> TicketState:
    """Rule 9, as a pure function of the deliveries' states by channel and of the configured channels."""
    counted = {name: deliveries.get(name, DeliveryState.PENDING) for name in configured}
    removed = {DeliveryState.SENT, *IN_DOUBT}
    counted |= {name: state for name, state in deliveries.items() if state in removed}
    if all(state == DeliveryState.SENT for state in counted.values()):
        return TicketState.NOTIFIED
    if DeliveryState.PENDING in counted.values():
        return TicketState.RETRY
    return TicketState.UNCONFIRMED


def all_told(ticket_id: str, configured: Sequence[str]) -> bool:
    return state_after(read_deliveries(ticket_id), configured) is TicketState.NOTIFIED


def settle_notified(ticket_id: str) -> None:
    """By the verdict that was written ahead; a card that arrived after all may have none left (design §3)."""
    ProcessedTicket.update(
        state=TicketState.NOTIFIED,
        provider=fn.COALESCE(ProcessedTicket.provider, "none"),
        processed_at=clock(),
        lease_owner=None,
        lease_expires_at=None,
        next_attempt_at=None,
        last_error=None,
        reason=None,
        updated_at=clock(),
    ).where(ProcessedTicket.ticket_id == ticket_id).execute()
    count_settled(ProcessedTicket.get(ProcessedTicket.ticket_id == ticket_id))


def held_for_a_person(error: str) -> dict[str, object]:
    return {
        "state": TicketState.UNCONFIRMED,
        "lease_owner": None,
        "lease_expires_at": None,
        "next_attempt_at": None,
        "last_error": error[:100],
        "updated_at": clock(),
    }


def lock_ticket(ticket_id: str) -> ProcessedTicket | None:
    rows = lock_rows(ProcessedTicket.select().where(ProcessedTicket.ticket_id == ticket_id))
    return next(iter(rows), None)


def read_deliveries(ticket_id: str) -> dict[str, str]:
    rows = Delivery.select(Delivery.channel, Delivery.state).where(Delivery.ticket_id == ticket_id)
    return {row.channel: row.state for row in rows}


def current(ticket_id: str, channel: str, attempt: int, states: Sequence[str]) -> Expression:
    return (
        (Delivery.ticket_id == ticket_id)
        & (Delivery.channel == channel)
        & (Delivery.attempts == attempt)
        & Delivery.state.in_(states)
    )
