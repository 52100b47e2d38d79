"""``reconcile``: compare HubSpot with the ledger, and tell the ledger that it was restored."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timedelta

from jobs.clock import utc_now
from jobs.errors import InputError
from jobs.hold_restored import raise_by_hubspots_clock
from jobs.logs import start_logging
from jobs.name_held_tickets import HELD_HINT
from jobs.reconcile_tickets import MOST_NAMED, ReconcileReport, reconcile_tickets
from jobs.setting_checks import parse_past_time, parse_time
from jobs.settings import Need, Settings, load_settings
from jobs.verbs.ledger import require_made
from jobs.verbs.printing import print_json, remark, say
from jobs.verbs.run import log_level_of
from jobs.wiring import build_gateway
from models import reconciliation, schema
from models.barrier import Barrier, raise_barrier, read_barrier, replace_lost_ledger
from models.cursors import read_known_ledger
from models.database import close_database, open_database
from models.errors import BarrierRefused, LedgerUnused

EXAMPLE = "2026-11-24T09:00:00Z"
NOW = "now"


def reconcile(since: str | None, restored_at: str | None, *, as_json: bool) -> int:
    """0 all there; 1 tickets were missing or are held. The barrier is written before HubSpot is asked."""
    since_at = None if since is None else parse_since(since)
    went_live_at = None if restored_at in (None, NOW) else parse_restored_at(str(restored_at))
    settings = load_settings(needs=Need.HUBSPOT | Need.DATABASE)
    start_logging(log_level_of(settings))
    with open_ledger(settings):
        if restored_at is not None:
            (remark if as_json else say)(barrier_line(raise_barrier_to(went_live_at, settings)))
            warn_of_late_opening(settings)
        with closing(build_gateway(settings)) as gateway:
            if restored_at is not None:
                raise_by_hubspots_clock(gateway, went_live_at)
                (remark if as_json else say)("workers may start now")
            overlap = timedelta(seconds=settings.poll_overlap_seconds)
            report = reconcile_tickets(gateway, since=since_at, overlap=overlap, now=utc_now)
        held_ids, held = reconciliation.list_held(MOST_NAMED)
        barrier = read_barrier()
    if as_json:
        print_json(json_of(report, held_ids, held, barrier))
    else:
        show(report, held_ids, held)
    return 1 if report.counts.missing or held else 0


def parse_since(value: str) -> datetime:
    try:
        return parse_past_time(value)
    except ValueError as error:
        raise InputError(f"--since: {error}; write --since {EXAMPLE}") from None


def parse_restored_at(value: str) -> datetime:
    """Whether it lies in the future is for the database's clock to say."""
    try:
        return parse_time(value)
    except ValueError as error:
        raise InputError(f"--restored-at: {error}; write --restored-at {EXAMPLE}, or now") from None


@contextmanager
def open_ledger(settings: Settings) -> Iterator[None]:
    require_made(settings)
    open_database(settings.database_url.get_secret_value(), settings.db_pool_size)
    try:
        schema.require_current()
        yield
    finally:
        close_database()


def raise_barrier_to(went_live_at: datetime | None, settings: Settings) -> Barrier:
    """An unused ledger is in the place of a lost one where NOTIFY_SINCE says how far back to go."""
    since, overlap = settings.notify_since, timedelta(seconds=settings.poll_overlap_seconds)
    try:
        try:
            return raise_barrier(went_live_at)
        except LedgerUnused:
            if since is None:
                raise
            if went_live_at is not None:
                raise InputError(
                    "--restored-at: a ledger that is empty replaces a lost one from now on; write now"
                ) from None
            return replace_lost_ledger(since, overlap)
    except BarrierRefused as error:
        raise InputError(f"--restored-at: {error}") from None


def warn_of_late_opening(settings: Settings) -> None:
    """A worker that started on the empty ledger before this command opened it five minutes before."""
    known, since = read_known_ledger(), settings.notify_since
    if since and known and known.activated_at and known.activated_at > since:
        remark(
            f"warning: this ledger opened itself at {known.activated_at:%Y-%m-%d %H:%M:%S} UTC, later than "
            "NOTIFY_SINCE, which is read at the first start only: tickets between the two are neither told "
            "nor held. If it replaces a lost one, stop every worker, empty the database, and call again"
        )


def barrier_line(barrier: Barrier) -> str:
    at = f"{barrier.restored_at:%Y-%m-%d %H:%M:%S} UTC"
    if not barrier.raised:
        return f"the ledger counts as restored at {at} already, and that only rises; nothing was changed"
    return (
        f"the ledger counts as restored at {at}: tickets created before then which it does not know as told, "
        "skipped or merged are held instead of told, until confirm TICKET or resend TICKET; later ones are "
        "told as ever. HubSpot is asked for its clock next; start no worker before"
    )


def show(report: ReconcileReport, held_ids: Sequence[str], held: int) -> None:
    say(report.counts.line)
    say(f"created from {report.since:%Y-%m-%d %H:%M} to {report.until:%Y-%m-%d %H:%M} UTC")
    if report.counts.missing:
        say(f"missing: {named(report.missing_ids, report.counts.missing)}; the next run handles them")
    if report.to_be_held:
        say(f"{report.to_be_held} of these were created before the restore: the next run holds them")
    if held:
        say(f"held: {named(held_ids, held)}; {HELD_HINT}")


def named(ids: Sequence[str], count: int) -> str:
    more = f" and {count - len(ids)} more" if count > len(ids) else ""
    return ", ".join(ids) + more


def json_of(
    report: ReconcileReport, held_ids: Sequence[str], held: int, restored_at: datetime | None
) -> dict[str, object]:
    counts = report.counts
    return {
        "in_hubspot": counts.shown,
        "told": counts.told,
        "held": counts.held,
        "open": counts.open,
        "skipped": counts.skipped,
        "merged": counts.merged,
        "older": counts.older,
        "missing": counts.missing,
        "line": counts.line,
        "since": report.since.isoformat(timespec="seconds"),
        "until": report.until.isoformat(timespec="seconds"),
        "missing_tickets": report.missing_ids,
        "unconfirmed": held,
        "held_tickets": list(held_ids),
        "to_be_held": report.to_be_held,
        "restored_at": restored_at and restored_at.isoformat(timespec="milliseconds"),
        "searches": report.searches,
        "seconds": round(report.seconds, 3),
    }
