"""``run-once --dry-run``: the cards a run would send, with nothing recorded and nothing sent."""

from collections.abc import Sequence
from datetime import datetime

from jobs.errors import SettingsError, TriageError
from jobs.hubspot.gateway import FoundTicket, HubSpotGateway
from jobs.notify.card import build_card
from jobs.parts import Parts
from jobs.propose_pages import pages_between, upper_bound
from jobs.run_report import RunReport
from jobs.without_secrets import without_secrets
from models import cursors
from models.barrier import read_barrier
from models.errors import WrongPortal
from models.merges import Merge, find_told
from models.tickets import known_ids


def preview_run(parts: Parts, *, ledger_exists: bool) -> RunReport:
    """Show the cards a run would send: reads the portal and the ledger, records and sends nothing."""
    report = RunReport(dry_run=True)
    try:
        parts.gateway.fetch_account()
        start, end = preview_window(parts, ledger_exists=ledger_exists)
        new = unknown_tickets(found_between(parts.gateway, start, end), ledger_exists=ledger_exists)
        report.found = len(new)
        new = leave_out_merged(report, new, ledger_exists=ledger_exists)
        new = leave_out_restored(report, new, ledger_exists=ledger_exists)
        report.note(
            f"looked at tickets created from {start:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S} UTC"
        )
        preview(parts, [one.ticket_id for one in new])
    except TriageError as error:
        report.problem(str(error), settings_fault=isinstance(error, SettingsError))
    report.note_faults(parts.triager.take_faults())
    return report


def preview_window(parts: Parts, *, ledger_exists: bool) -> tuple[datetime, datetime]:
    end = parts.now()
    if ledger_exists:
        account = parts.gateway.fetch_account()
        known = cursors.read_known_ledger()
        if known and known.portal_id not in (None, account.portal_id):
            raise WrongPortal(cursors.wrong_portal_line(str(known.portal_id), account.portal_id))
        end = upper_bound(parts.gateway, parts.now)
        if known and known.activated_at:
            return cursors.read_cursor("poll").looked_until_at - parts.overlap, end
    return parts.settings.notify_since or end - parts.overlap, end


def found_between(gateway: HubSpotGateway, start: datetime, end: datetime) -> list[FoundTicket]:
    return [one for page in pages_between(gateway.search_created, start, end) for one in page.tickets]


def unknown_tickets(found: Sequence[FoundTicket], *, ledger_exists: bool) -> list[FoundTicket]:
    known = known_ids([one.ticket_id for one in found]) if ledger_exists else set()
    return [one for one in found if one.ticket_id not in known]


def leave_out_merged(report: RunReport, new: list[FoundTicket], *, ledger_exists: bool) -> list[FoundTicket]:
    """What HubSpot made of tickets of which one was told is not told again (rule 11)."""
    shown = [Merge(one.ticket_id, one.aliases) for one in new if one.aliases]
    told = find_told(shown) if shown and ledger_exists else set()
    if told:
        report.note(
            f"{len(told)} of them were merged from a ticket that was told: a run would tell none of them"
        )
    return [one for one in new if one.ticket_id not in told]


def leave_out_restored(
    report: RunReport, new: list[FoundTicket], *, ledger_exists: bool
) -> list[FoundTicket]:
    """What a run would hold behind the restore barrier is counted in a note, and not shown."""
    restored_at = read_barrier() if ledger_exists else None
    if restored_at is None:
        return new
    told = [one for one in new if one.created_at is None or one.created_at >= restored_at]
    if held := len(new) - len(told):
        report.note(f"{held} of them were created before the restore: a run would hold them, not tell them")
    return told


def preview(parts: Parts, ticket_ids: Sequence[str]) -> None:
    for ticket in parts.gateway.fetch_tickets(ticket_ids).values():
        if parts.stopping.is_set():
            return
        shown = without_secrets(ticket, parts.triager.triage(ticket))
        for channel in parts.channels:
            channel.send(build_card(*shown, told_at=parts.now(), render=channel.render))
