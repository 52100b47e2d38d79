"""The steps of sources and workers, on the real ledger and on its plain model, with the same values."""

from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import astuple, replace
from datetime import timedelta

import pytest

from jobs.hold_restored import behind_barrier
from models import (
    barrier,
    claims,
    cursors,
    drain,
    inbox,
    merges,
    proposals,
    releases,
    sends,
)
from models.claims import Claim, KnownDelivery
from models.deliveries import DeliveryState as D
from models.errors import WrongPortal
from models.merges import Joined, Merge
from models.tickets import SkipReason, Source
from models.write_ahead import begin_delivery
from tests.fakes.channel import FakeChannel
from tests.fakes.hubspot import make_ticket
from tests.store import ledger_model as model
from tests.store import ledger_model_looks as model_looks
from tests.store import ledger_model_merges as model_merges
from tests.store import ledger_model_sends as model_sends
from tests.store import ledger_model_sources as model_sources
from tests.store.ledger_machine import ComparedLedger
from tests.store.ledger_model import DAY, OPEN, Event, Known, Lease, Shown, Verdict
from tests.store.ledger_model_merges import Merged
from tests.store.ledger_model_sends import NONCE, PLACE
from tests.store.ledger_world import CREATED, columns_of, lease_of, proposals_of, received_of

KEY = "key"
ADOPTED_OVERLAP, POLL_OVERLAP = timedelta(seconds=900), timedelta(seconds=910)


class LedgerSteps(ComparedLedger):
    # -- sources ----------------------------------------------------------------------------------------

    def activate(self, portal: str, since: float | None) -> None:
        bound = model_sources.bind_portal(self.model, portal)
        with nullcontext() if bound else pytest.raises(WrongPortal):
            cursors.bind_portal(portal)
        now, since_at = self.model.now, self.time.maybe_stored(since)
        at = cursors.activate(self.time.stored(now), since_at, ADOPTED_OVERLAP)
        expected = model_sources.activate(self.model, now, since, ADOPTED_OVERLAP.total_seconds())
        self.agree("cursors.activate", self.time.told(at), expected)

    def show(self, shown: list[Shown], source: Source) -> None:
        answered = proposals.propose(proposals_of(self.time, shown), source)
        self.agree("proposals.propose", astuple(answered), model_sources.propose(self.model, shown, source))

    def take_lease(self, name: str, owner: str) -> None:
        expected = model_sources.take_lease(self.model, name, owner, 60.0)
        self.agree("cursors.take_lease", cursors.take_lease(name, owner, 60.0), expected)

    def end_look(self, shown: list[Shown], source: Source, owner: str, until: float) -> None:
        since = until - 3 * DAY if source is Source.SWEEP else None
        times = self.time.stored(until), self.time.maybe_stored(since)
        answered = proposals.propose_last(proposals_of(self.time, shown), source, owner, *times)
        expected = model_sources.propose_last(self.model, shown, source, owner, until, since)
        self.agree("proposals.propose", astuple(answered), expected)

    def receive(self, events: list[Event]) -> None:
        stored = inbox.store_events(received_of(self.time, events))
        self.agree("inbox.store_events", stored, model_sources.store_events(self.model, events))

    def drain(self, limit: int) -> None:
        drained = drain.drain_events(limit)
        expected = model_merges.drain_events(self.model, limit)
        answered = {name: getattr(drained, name) for name in expected}
        self.agree("proposals.propose merges.join_parts", answered, expected)

    def join(self, merge: Merged, source: Source) -> None:
        """As a read of one of them shows it, and then as a search does."""
        created, event = self.time.maybe_stored(merge.created), self.time.maybe_stored(merge.event)
        shown = Merge(merge.new_id, merge.parts, created, event)
        if merge.new_id not in self.model.tickets:
            told = bool(merges.find_told([shown]))
            self.agree("merges.find_told", told, model_merges.is_told_for(self.model, merge))
        self.join_parts(merge, source)
        again = [astuple(one) for one in merges.join_shown([shown], source)]
        repeated = [astuple(one) for one in model_merges.join_shown(self.model, [merge], source)]
        self.agree("merges.join_shown merges.join_parts", again, repeated)

    def join_parts(self, merge: Merged, source: Source) -> Joined:
        """One ticket of the merge is left, at most, that is to be told, and it leads nowhere else."""
        created, event = self.time.maybe_stored(merge.created), self.time.maybe_stored(merge.event)
        joined = merges.join_parts(Merge(merge.new_id, merge.parts, created, event), source)
        expected = model_merges.join_parts(self.model, merge, source)
        self.agree("merges.join_parts proposals.propose", astuple(joined), astuple(expected))
        rows = {one: row for one, row in self.tickets.items() if one in (merge.new_id, *merge.parts)}
        assert {one for one, row in rows.items() if row["state"] in OPEN} <= {joined.survivor}
        survivor = self.tickets[joined.survivor]
        assert survivor["merged_into"] not in self.tickets, f"{joined.survivor} is part of another"
        return joined

    # -- claims and sends -------------------------------------------------------------------------------

    def take(self, ids: list[str], owner: str, seconds: float) -> list[tuple[Claim, Lease]]:
        taken = claims.claim(ids, owner, seconds)
        expected = model.claim(self.model, ids, owner, seconds)
        leases = {one.ticket_id: lease_of(self.time, one) for one in taken}
        self.agree("claims.claim", leases, {one.ticket_id: one for one in expected})
        fresh = [(one, leases[one.ticket_id]) for one in sorted(taken, key=lambda one: one.ticket_id)]
        self.claims += fresh
        return fresh

    def renew(self, ids: list[str], owner: str, seconds: float) -> None:
        expected = model.renew_leases(self.model, ids, owner, seconds)
        self.agree("claims.renew_leases", claims.renew_leases(ids, owner, seconds), expected)

    def begin(
        self,
        claim: Claim,
        lease: Lease,
        channel: str,
        verdict: Verdict,
        seconds: float,
        on_trial: bool,
        group: Collection[str] = (),
    ) -> int | None:
        """``group`` is what the worker knows that the ticket is one with.

        In a ledger that was restored no worker tells what is behind the barrier.
        """
        if self.went_back and self.behind_barrier(claim, lease, [channel]):
            return None
        verdict = replace(verdict, created=CREATED[claim.ticket_id])
        columns, traces = columns_of(self.time, verdict), {"nonce": NONCE, "place": PLACE}
        attempt = begin_delivery(claim, channel, columns, seconds, key_hash=KEY, on_trial=on_trial, **traces)
        if attempt is not None:
            self.licensed(lease, channel, attempt, group)
        expected = model_sends.begin_delivery(self.model, lease, channel, verdict, seconds, KEY, on_trial)
        self.agree("write_ahead.begin_delivery", attempt, expected)
        return attempt

    def read_again(self, claim: Claim, lease: Lease, channel: str) -> None:
        """As before a minimal card: the claimant knows that its first send was certainly not sent."""
        attempts = model_sends.written_attempt(lease, channel)
        deliveries = {**claim.deliveries, channel: KnownDelivery(D.PENDING, attempts)}
        again = replace(lease, known={**lease.known, channel: Known(D.PENDING, attempts)})
        self.claims.append((replace(claim, deliveries=deliveries), again))

    def record(self, send: tuple[str, str, int], outcome: str, error: str, delay: float) -> None:
        """What became of ``send``, also late and again; nothing for the outcome ``crash``."""
        ticket_id, channel, attempt = send
        match outcome:
            case "sent" | "found":
                message = f"m{attempt}" if outcome == "sent" else None
                told = ticket_id, channel, self.configured, message, PLACE
                expected = model_sends.record_sent(self.model, *told)
                self.agree("sends.record_sent", sends.record_sent(*told), expected)
                if (ticket_id, channel) in self.cards:  # else it was told and forgotten
                    self.truth.arrive((ticket_id, channel), attempt)
            case "not sent":
                undone = model_sends.record_not_sent(self.model, *send, error, delay)
                if self.agree("sends.record_not_sent", sends.record_not_sent(*send, error, delay), undone):
                    self.truth.clear((ticket_id, channel), attempt)
            case "unknown":
                noted = model_sends.record_unknown(self.model, *send, error, self.resends)
                answered = sends.record_unknown(*send, error, resend=self.resends)
                self.agree("sends.record_unknown", answered, noted)
                if answered and self.resends and self.cards[ticket_id, channel]["state"] == D.PENDING:
                    self.truth.clear((ticket_id, channel), attempt)
            case "refused":
                noted = model_sends.record_refused(self.model, *send, error)
                if self.agree("sends.record_refused", sends.record_refused(*send, error), noted):
                    self.truth.clear((ticket_id, channel), attempt)

    # -- the ends of a claim ----------------------------------------------------------------------------

    def end(self, claim: Claim, lease: Lease, how: str, reason: SkipReason, delay: float, error: str) -> None:
        """Nothing for ``crash``."""
        match how:
            case "conclude":
                answered = sends.conclude_claim(claim, self.configured, delay, error)
                expected = model_sends.conclude_claim(self.model, lease, self.configured, delay, error)
                self.agree("sends.conclude_claim", answered, expected)
            case "abandon" | "abandon delivery":
                self.abandon(claim, lease, how == "abandon", delay, error)
            case "skip":
                created = CREATED[claim.ticket_id] if error == "5xx" else None
                skipped = releases.skip_ticket(claim, reason, self.time.maybe_stored(created))
                done = model_sends.skip_ticket(self.model, lease, reason, created)
                self.agree("releases.skip_ticket", skipped, done)
            case "release":
                self.release(claim, lease, delay, error, self.model.now if delay else None)
            case "hold":
                held = self.configured[-1:] if delay else self.configured
                self.hold_restored(claim, lease, dict.fromkeys(held, PLACE if delay else None))

    def abandon(self, claim: Claim, lease: Lease, ends: bool, delay: float, error: str) -> None:
        channel, configured = self.configured[-1], self.configured
        self.cleared_by(lease, channel)
        if ends:
            state = sends.abandon_claim(claim, channel, configured, delay, error)
            expected = model_sends.abandon_claim(self.model, lease, channel, configured, delay, error)
            self.agree("sends.abandon_claim", state, expected)
        else:
            undone = model_sends.abandon_delivery(self.model, lease, channel)
            self.agree("sends.abandon_delivery", sends.abandon_delivery(claim, channel), undone)

    def release(self, claim: Claim, lease: Lease, delay: float, error: str, missing: float | None) -> None:
        crashed, missing_at = error == "5xx", self.time.maybe_stored(missing)
        released = releases.release_for_retry(
            claim, delay, error, crashed=crashed, missing_since_at=missing_at
        )
        done = model_sends.release_for_retry(self.model, lease, delay, error, crashed, missing)
        self.agree("releases.release_for_retry", released, done)

    def untold(self, lease: Lease) -> list[str]:
        """Configured channels with no card, or one that certainly was not sent, as the claimant read it."""
        known = lease.known
        return [one for one in self.configured if one not in known or known[one].state == D.PENDING]

    def behind_barrier(self, claim: Claim, lease: Lease, untold: list[str]) -> list[str]:
        created, channels = CREATED[claim.ticket_id], [FakeChannel(name=one) for one in untold]
        shown = make_ticket(claim.ticket_id, created_at=self.time.stored(created))
        doubtful = [one.name for one in behind_barrier(claim, shown, channels)]
        assert doubtful == model_looks.behind_barrier(lease, created, untold)
        return doubtful

    def hold_restored(self, claim: Claim, lease: Lease, places: dict[str, str | None]) -> None:
        created = CREATED[claim.ticket_id]
        answered = barrier.hold_restored(claim, self.time.stored(created), places, self.configured)
        expected = model_looks.hold_restored(self.model, lease, created, places, self.configured)
        self.agree("barrier.hold_restored", answered, expected)

    def release_unsent(self, owner: str) -> None:
        expected = model_sends.release_unsent(self.model, owner)
        self.agree("releases.release_unsent", releases.release_unsent(owner), expected)

    def hasten(self, error: str) -> None:
        expected = model_sends.hasten_retries(self.model, error)
        self.agree("releases.hasten_retries", releases.hasten_retries(error), expected)
