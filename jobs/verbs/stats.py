"""``stats``: the guide's three figures over the whole ledger, and of some days what else there is to know."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from jobs.errors import InputError
from jobs.verbs.ledger import migrated_ledger
from jobs.verbs.printing import plain_table, print_json, print_table, say
from models.stats import Stats, read_stats
from models.stats_detail import Detail, Percentiles, read_detail
from models.tickets import TicketState

if TYPE_CHECKING:
    from rich.table import Table

MOST_DAYS = 400  #: hourly_counts remembers no more
BAR = 24
PRIORITIES = ("critical", "high", "medium", "low")


def show_stats(days: int, *, as_json: bool) -> int:
    if not 1 <= days <= MOST_DAYS:
        raise InputError(f"--days: must be 1 to {MOST_DAYS}; hourly counts are kept so long")
    with migrated_ledger():
        counted, detail = read_stats(), read_detail(days)
    if as_json:
        print_json(counted.as_json() | {"last_days": detail.as_json()})
        return 0
    print_table(standing_table(counted))
    say(f"\nof the last {days} days: {detail.tickets:,} tickets settled")
    for title, counts in (
        ("priority", ordered(detail.by_priority)),
        ("source", detail.by_source),
        ("state", detail.by_state),
        ("hour (UTC)", {f"{hour:02}": count for hour, count in detail.by_hour.items()}),
    ):
        if any(counts.values()):
            print_table(bars(title, counts))
    print_table(times_table(detail))
    if detail.models:
        print_table(models_table(detail))
    return 0


def standing_table(counted: Stats) -> "Table":
    rate = "-" if counted.success_rate is None else f"{counted.success_rate:.1%}"
    table = plain_table("", "", "")
    table.add_row("told", f"{counted.total:,}", "")
    for name, count in counted.by_provider.items():
        table.add_row(f"  by {name}", f"{count:,}", bar(count, counted.total))
    table.add_row("by a model", rate, "")
    table.add_row("open", f"{counted.open:,}", "")
    table.add_row("held", f"{counted.unconfirmed:,}", "")
    table.add_row("merged", f"{counted.by_state.get(TicketState.MERGED, 0):,}", "")
    return table


def ordered(counts: Mapping[str, int]) -> dict[str, int]:
    known = {name: counts[name] for name in PRIORITIES if name in counts}
    return known | {name: count for name, count in counts.items() if name not in known}


def bars(title: str, counts: Mapping[str, int]) -> "Table":
    table = plain_table(title, "tickets", "")
    most = max(counts.values())
    for name, count in counts.items():
        table.add_row(name, f"{count:,}", bar(count, most))
    return table


def bar(count: int, most: int) -> str:
    return "█" * max(round(BAR * count / most), int(count > 0)) if most else ""


def times_table(detail: Detail) -> "Table":
    table = plain_table("time", "median", "95 %", "of")
    for name, found, scale in (
        ("triage", detail.triage_ms, 1000.0),
        ("creation to card", detail.card_seconds, 1.0),
    ):
        about = "" if found.exact else "about "
        table.add_row(name, *(about + seconds(value, scale) for value in values(found)), f"{found.of:,}")
    return table


def values(found: Percentiles) -> tuple[float | None, float | None]:
    return found.median, found.p95


def seconds(value: float | None, scale: float) -> str:
    return "-" if value is None else f"{value / scale:,.1f} s"


def models_table(detail: Detail) -> "Table":
    table = plain_table("model", "answers", "each in", "tokens in", "tokens out", "cost")
    for name, use in sorted(detail.models.items()):
        cost = f"${use.cost_usd:.2f}" if use.cost_usd else "-"
        mean = seconds(use.seconds / use.answers, 1.0) if use.answers else "-"
        table.add_row(name, f"{use.answers:,}", mean, f"{use.tokens_in:,}", f"{use.tokens_out:,}", cost)
    return table
