"""Reconcile: walk HubSpot by creation time, whatever cursor and inbox say, and compare it with the ledger."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from jobs.hubspot.gateway import FoundPage, FoundTicket, HubSpotGateway
from jobs.propose_pages import join_page, never, pages_between, upper_bound
from models import cursors, reconciliation
from models.proposals import Proposal, propose
from models.reconciliation import KnownTicket, Reconciled, Remembered
from models.tickets import Source, TicketState

log = logging.getLogger("triage")

#: HubSpot's search shows a ticket some seconds late; the walk ends before those.
INDEX_MARGIN = timedelta(seconds=60)
MOST_NAMED = 100
DAY = timedelta(days=1)


@dataclass(slots=True)
class ReconcileReport:
    """What a walk over the tickets created in [since, until) came to; not ``completed`` where it was stopped.

    ``missing_ids`` are the first hundred. ``to_be_held`` counts the open ones created before a restore.
    """

    since: datetime
    until: datetime
    counts: Reconciled = field(default_factory=Reconciled)
    missing_ids: list[str] = field(default_factory=list)
    to_be_held: int = 0
    searches: int = 0
    seconds: float = 0.0
    completed: bool = True


def reconcile_tickets(
    gateway: HubSpotGateway,
    *,
    since: datetime | None,
    overlap: timedelta,
    now: Callable[[], datetime],
    stop: Callable[[], bool] = never,
) -> ReconcileReport:
    """Compare, page by page, every ticket created from ``since`` on with the ledger; propose what it lacks.

    ``since`` None is as far back as the ledger remembers: such a walk is remembered, for health. ``stop`` is
    asked between pages, and may rest there. What another process finds meanwhile is not missing; calling
    again, or several at once, is safe. Raises SourceError or SettingsError from HubSpot; what was proposed
    before stays. Raises LedgerUnused before the activation, WrongPortal for another portal's token.
    """
    started = time.monotonic()
    remembered = reconciliation.read_remembered()
    cursors.bind_portal(gateway.fetch_account().portal_id)
    report = ReconcileReport(since or remembered.since, upper_bound(gateway, now) - INDEX_MARGIN)
    for page in pages_between(gateway.search_created, report.since, report.until):
        compare_page(report, page, remembered, overlap)
        if page.more and stop():
            report.completed = False
            break
    report.seconds = time.monotonic() - started
    if since is None and report.completed:
        reconciliation.record_reconciled(report.counts, report.seconds)
    log.info("reconciled", extra={"line": report.counts.line, "missing_ids": report.missing_ids})
    return report


def is_reconcile_due(after_hour_utc: int, now: datetime) -> bool:
    """Whether nobody compared all there is since the last time it was an hour past ``after_hour_utc``."""
    due_at = now.replace(hour=(after_hour_utc + 1) % 24, minute=0, second=0, microsecond=0)
    last = reconciliation.read_reconciled()
    return last is None or last.ended_at < (due_at if due_at <= now else due_at - DAY)


def compare_page(
    report: ReconcileReport, page: FoundPage, remembered: Remembered, overlap: timedelta
) -> None:
    """Count the page's tickets by what the ledger says of them once all that may be proposed is.

    Proposing lets an id in once: what a poll brings between the look and the proposal is its find.
    """
    known = reconciliation.look_up_tickets(one.ticket_id for one in page.tickets)
    lacking = [one for one in page.tickets if one.ticket_id not in known]
    proposed = [
        *(one for one in lacking if not remembered.forgot(one.created_at)),
        *(one for one in page.tickets if is_reopened(known.get(one.ticket_id))),
    ]
    if proposed:
        propose([Proposal(one.ticket_id, one.created_at) for one in proposed], Source.RECONCILE)
        known |= reconciliation.look_up_tickets(one.ticket_id for one in proposed)
    if join_page(page, Source.RECONCILE):
        known |= reconciliation.look_up_tickets(one.ticket_id for one in page.tickets)
    report.searches += 1
    lacked = {one.ticket_id for one in lacking if not is_awaited(one, remembered, overlap)}
    for one in page.tickets:
        count_ticket(report, one, known.get(one.ticket_id), lacked=one.ticket_id in lacked)
        report.to_be_held += is_to_be_held(one, known.get(one.ticket_id), remembered)


def is_reopened(known: KnownTicket | None) -> bool:
    return known is not None and known.is_reopened_by_a_search


def is_awaited(shown: FoundTicket, remembered: Remembered, overlap: timedelta) -> bool:
    """Whether another source brings it yet.

    What HubSpot makes of others has the oldest one's creation time, and it is the next sweep that shows it.
    """
    return bool(shown.aliases) or remembered.awaits(shown.created_at, overlap)


def is_to_be_held(shown: FoundTicket, known: KnownTicket | None, remembered: Remembered) -> bool:
    restored_at, created_at = remembered.restored_at, shown.created_at
    is_behind = restored_at is not None and created_at is not None and created_at < restored_at
    return is_behind and known is not None and known.is_open


def count_ticket(
    report: ReconcileReport, shown: FoundTicket, known: KnownTicket | None, *, lacked: bool
) -> None:
    counts = report.counts
    if known is None:
        counts.older += 1
        return
    if lacked and known.source == Source.RECONCILE and known.state is not TicketState.SKIPPED:
        counts.missing += 1
        report.missing_ids += [shown.ticket_id] if len(report.missing_ids) < MOST_NAMED else []
        return
    match known.state:
        case TicketState.NOTIFIED:
            counts.told += 1
        case TicketState.UNCONFIRMED:
            counts.held += 1
        case TicketState.MERGED:
            counts.merged += 1
        case TicketState.SKIPPED:
            reason = known.reason or "no reason"
            counts.skipped[reason] = counts.skipped.get(reason, 0) + 1
        case _:
            counts.open += 1
