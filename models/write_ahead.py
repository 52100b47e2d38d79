"""The write-ahead: what must be committed before a card's first byte leaves (rule 3)."""

from dataclasses import dataclass
from datetime import datetime

from models.claims import Claim, is_mine
from models.database import clock, database, on_postgres, rerun_on_conflict, transaction
from models.deliveries import Delivery, DeliveryState
from models.names import Names
from models.switches import Switch, is_of
from models.tickets import ProcessedTicket, TicketState
from models.utc import to_text

t, d, w = Names(ProcessedTicket), Names(Delivery), Names(Switch)

BEGIN = f"""
WITH held AS (
    UPDATE {t} SET {t.ticket_created_at} = %s, {t.priority} = %s, {t.handling_mode} = %s,
        {t.confidence} = %s, {t.provider} = %s, {t.success} = %s, {t.model} = %s, {t.triage_ms} = %s,
        {t.triage_attempts} = %s, {t.missing_since_at} = NULL,
        {t.lease_expires_at} = clock_timestamp() + %s * interval '1 second',
        {t.updated_at} = clock_timestamp()
    WHERE {t.ticket_id} = %s AND {t.state} = '{TicketState.CLAIMED}' AND {t.lease_owner} = %s
        AND {t.attempts} = %s AND {t.lease_expires_at} > clock_timestamp()
        AND (%s OR NOT EXISTS (SELECT 1 FROM {w} WHERE {w.name} = %s AND {w.key_hash} = %s))
    RETURNING {t.ticket_id}
)
INSERT INTO {d} AS d ({d.ticket_id}, {d.channel}, {d.nonce}, {d.place}, {d.state}, {d.attempts},
                      {d.first_sending_at}, {d.sending_at})
SELECT {t.ticket_id}, %s, %s, %s, '{DeliveryState.SENDING}', 1, clock_timestamp(), clock_timestamp() FROM held
ON CONFLICT ({d.ticket_id}, {d.channel}) DO UPDATE
    SET {d.state} = '{DeliveryState.SENDING}', {d.attempts} = d.{d.attempts} + 1,
        {d.sending_at} = clock_timestamp(), {d.last_error} = NULL,
        {d.nonce} = excluded.{d.nonce}, {d.place} = excluded.{d.place}
    WHERE d.{d.state} = '{DeliveryState.PENDING}' AND d.{d.attempts} = %s
RETURNING {d.attempts}"""


@dataclass(frozen=True, slots=True)
class VerdictColumns:
    """What the ledger keeps of a verdict: enums and numbers, nothing a customer or a model wrote."""

    ticket_created_at: datetime
    priority: str
    handling_mode: str
    confidence: float
    provider: str
    success: bool
    model: str
    triage_ms: int
    triage_attempts: int


@rerun_on_conflict
def begin_delivery(
    taken: Claim,
    channel: str,
    verdict: VerdictColumns,
    lease_seconds: float,
    *,
    key_hash: str = "",
    on_trial: bool = False,
    nonce: str | None = None,
    place: str | None = None,
) -> int | None:
    """Write the send ahead (rule 3) and commit; the delivery's attempt, or None: then do not send.

    Requires the claim unexpired, the delivery as the claimant read it, and the channel (of ``key_hash``) not
    paused unless this send is ``on_trial``; stores the verdict, extends the lease to ``lease_seconds`` from
    now, and keeps ``nonce`` and ``place``, by which a look goes later (rule 5). After StoreUnreachable
    nobody knows whether it was written: do not send, ``abandon_claim``.
    """
    known = taken.deliveries.get(channel)
    read_attempts = known.attempts if known and known.state is DeliveryState.PENDING else -1
    begin = begin_at_once if on_postgres() else begin_plainly
    target = Target(channel, key_hash, on_trial, read_attempts, nonce, place)
    return begin(taken, target, verdict, lease_seconds)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a send goes, and the delivery's attempts as the claimant read them (-1: there was none)."""

    channel: str
    key_hash: str
    on_trial: bool
    read_attempts: int
    nonce: str | None
    place: str | None


def begin_at_once(taken: Claim, target: Target, verdict: VerdictColumns, lease_seconds: float) -> int | None:
    params = (
        to_text(verdict.ticket_created_at),
        verdict.priority,
        verdict.handling_mode,
        verdict.confidence,
        verdict.provider,
        verdict.success,
        verdict.model,
        verdict.triage_ms,
        verdict.triage_attempts,
        lease_seconds,
        taken.ticket_id,
        taken.owner,
        taken.attempt,
        target.on_trial,
        target.channel,
        target.key_hash,
        target.channel,
        target.nonce,
        target.place,
        target.read_attempts,
    )
    row = database.execute_sql(BEGIN, params).fetchone()
    return row[0] if row else None


def begin_plainly(taken: Claim, target: Target, verdict: VerdictColumns, lease_seconds: float) -> int | None:
    unexpired = ProcessedTicket.lease_expires_at > clock()
    with transaction():
        paused = Switch.select().where(is_of(target.channel, target.key_hash)).exists()
        if paused and not target.on_trial:
            return None
        held = ProcessedTicket.update(
            ticket_created_at=verdict.ticket_created_at,
            priority=verdict.priority,
            handling_mode=verdict.handling_mode,
            confidence=verdict.confidence,
            provider=verdict.provider,
            success=verdict.success,
            model=verdict.model,
            triage_ms=verdict.triage_ms,
            triage_attempts=verdict.triage_attempts,
            missing_since_at=None,
            lease_expires_at=clock(lease_seconds),
            updated_at=clock(),
        ).where(is_mine(taken) & unexpired)
        if not held.execute():
            return None
        return upsert_sending(taken.ticket_id, target)


def upsert_sending(ticket_id: str, target: Target) -> int | None:
    as_read = (
        (Delivery.ticket_id == ticket_id)
        & (Delivery.channel == target.channel)
        & (Delivery.state == DeliveryState.PENDING)
        & (Delivery.attempts == target.read_attempts)
    )
    again = Delivery.update(
        state=DeliveryState.SENDING,
        attempts=Delivery.attempts + 1,
        sending_at=clock(),
        last_error=None,
        nonce=target.nonce,
        place=target.place,
    ).where(as_read)
    if again.execute():
        return target.read_attempts + 1
    first = Delivery.insert(
        ticket_id=ticket_id,
        channel=target.channel,
        nonce=target.nonce,
        place=target.place,
        state=DeliveryState.SENDING,
        attempts=1,
        first_sending_at=clock(),
        sending_at=clock(),
    )
    return 1 if first.on_conflict_ignore().as_rowcount().execute() else None
