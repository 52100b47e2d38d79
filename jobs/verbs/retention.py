"""``retention``: what the nightly job does, by hand or as a cron service of its own."""

from datetime import timedelta

from jobs.errors import InputError
from jobs.prune_records import PruneReport, prune_records
from jobs.settings import Need, load_settings
from jobs.verbs.ledger import migrated_ledger
from jobs.verbs.printing import plain_table, print_json, print_table, remark
from models.horizon import HeldBack
from models.retention import LEAST_DAYS

MOST_DAYS = 3_650
ROWS = (
    ("tickets", "settled, and no source can show them as new"),
    ("deliveries", "of these tickets"),
    ("inbox", "webhooks that were set aside"),
    ("hourly_counts", "more than 400 days old"),
)
HOLDS = {
    HeldBack.RETENTION: "as far as the retention allows",
    HeldBack.FOUR_DAYS: "as far as four days allow: a webhook may come that late",
    HeldBack.POLL: "held back by the poll, which has not looked further",
    HeldBack.SWEEP: "held back by the sweep: none was completed, or the last one is old",
    HeldBack.INBOX: "held back by a webhook that was not drained yet",
    HeldBack.OPEN_TICKET: "held back by an open ticket, which was not told yet",
    HeldBack.HELD_TICKET: "held back by a held ticket, until confirm or resend",
}


def retention(days: int | None, *, dry_run: bool, as_json: bool) -> int:
    """Forget, or with ``dry_run`` count, what is older than ``days`` (None: RETENTION_DAYS)."""
    if days is not None and not 1 <= days <= MOST_DAYS:
        raise InputError(f"--days: must be 1 to {MOST_DAYS}; write --days 7")
    settings = load_settings(needs=Need.DATABASE)
    kept_days = days or settings.retention_days
    notes = notes_on(kept_days)
    with migrated_ledger():
        overlap = timedelta(seconds=settings.poll_overlap_seconds)
        report = prune_records(kept_days, dry_run=dry_run, overlap=overlap)
    if as_json:
        print_json({"retention_days": kept_days, **report.as_json(), "notes": notes})
    else:
        show(report)
    for note in notes:
        remark(f"note: {note}")
    return 0


def notes_on(days: int) -> list[str]:
    if days >= LEAST_DAYS:
        return []
    return [
        f"less than {LEAST_DAYS} days works like {LEAST_DAYS}: what may still be proposed is not forgotten"
    ]


def show(report: PruneReport) -> None:
    counts = report.as_json()
    table = plain_table("to be forgotten" if report.dry_run else "forgotten", "", "")
    for name, words in ROWS:
        table.add_row(name.replace("_", " "), str(counts[name]), words)
    at = report.horizon.at
    table.add_row("memory from", f"{at:%Y-%m-%d %H:%M} UTC" if at else "the start", HOLDS[report.held_by])
    print_table(table)
