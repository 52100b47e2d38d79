"""What health says of what was read: one line for each thing that is not well."""

from datetime import timedelta

import pytest

from jobs.check_health import HealthReport, Status, check_health, report_unread, span
from jobs.find_silences import find_quiet, find_silences
from jobs.take_readings import DAY, Limits, PausedChannel, Readings
from models.health import Arrivals, InboxDepth, JobReading, Standing
from models.reconciliation import LastReconciled, Reconciled
from tests.fakes.readings import HOUR, LIMITS, NOW, open_for, weeks_of, well


def judged(readings: Readings, limits: Limits = LIMITS) -> HealthReport:
    return check_health(readings, limits)


def test_all_is_well() -> None:
    report = judged(well(jobs=[JobReading("poll", "ok", 20.0), JobReading("sweep")]))
    assert (report.status, report.warnings) == (Status.HEALTHY, ())
    assert {
        "database",
        "oldest_open",
        "held",
        "inbox",
        "horizon",
        "silence",
        "job_poll",
        "job_sweep",
        "poll",
    } == {check.name for check in report.checks}


def test_a_database_that_cannot_be_read_is_one_line() -> None:
    report = report_unread("the database cannot be reached")
    assert (report.status, report.warnings) == (Status.DEGRADED, ("the database cannot be reached",))
    assert report.as_json()["database_latency_ms"] is None


UNWELL = {
    "oldest_open": (open_for(901), open_for(899)),
    "held": (well(standing=Standing(held=1)), well(standing=Standing(held=0, missing=3))),
    "channel_discord": (well(paused=[PausedChannel("discord", "http_404", True, 600)]), well()),
    "inbox": (well(inbox=InboxDepth(0, 1)), well(inbox=InboxDepth(5, 0, 899))),
    "job_drain": (
        well(jobs=[JobReading("drain", "StoreUnreachable", 9.0)]),
        well(jobs=[JobReading("drain", "ok", 9.0)]),
    ),
    "poll": (
        well(jobs=[JobReading("poll", "ok", 9.0)], poll_seconds=301.0),
        well(jobs=[JobReading("poll", "ok", 9.0)], poll_seconds=299.0),
    ),
    "reconcile": (
        well(reconciled=LastReconciled(Reconciled(told=3, missing=1), NOW, 60.0)),
        well(reconciled=LastReconciled(Reconciled(told=3, held=1), NOW, 60.0)),
    ),
    "horizon": (well(horizon={"open ticket": 11.1 * DAY}), well(horizon={"open ticket": 10.9 * DAY})),
}


@pytest.mark.parametrize("name", UNWELL)
def test_each_fault_is_one_line_that_says_what_to_do(name: str) -> None:
    bad, good = UNWELL[name]
    report = judged(bad)
    assert [check.name for check in report.checks if not check.ok] == [name]
    assert report.status is Status.DEGRADED
    (line,) = report.warnings
    assert "\n" not in line
    assert judged(good).warnings == ()


def test_an_old_inbox_needs_a_worker() -> None:
    (line,) = judged(well(inbox=InboxDepth(5, 0, 901))).warnings
    assert "5 webhook events wait, the oldest for 15 min" in line


def test_a_channel_in_doubt_is_told_apart_from_one_to_mend() -> None:
    (doubt,) = judged(well(paused=[PausedChannel("discord", "http_500", False, 30)])).warnings
    (fault,) = judged(well(paused=[PausedChannel("discord", "http_404", True, 600)])).warnings
    assert "probed by itself" in doubt
    assert "mend its setting" in fault


@pytest.mark.parametrize(
    ("bounds", "named"),
    [
        ({"sweep": 30 * DAY, "open ticket": 20 * DAY, "horizon": 31 * DAY}, "sweep"),
        ({"held ticket": 12 * DAY}, "held ticket"),
        ({"poll": 10 * DAY, "horizon": 40 * DAY}, "retention has not run"),
    ],
)
def test_the_horizons_holder_is_named(bounds: dict[str, float], named: str) -> None:
    (line,) = judged(well(horizon=bounds)).warnings
    assert named in line


def compared(seconds: float, *jobs: JobReading) -> Readings:
    return well(reconciled=LastReconciled(Reconciled(told=3), NOW, seconds), jobs=jobs)


def test_the_last_comparison_is_told_with_its_time() -> None:
    (check,) = [one for one in judged(compared(60.0)).checks if one.name == "reconcile"]
    assert check.line == (
        "compared with HubSpot 2026-11-25 10:20 UTC: 3 in HubSpot = 3 told + 0 held + 0 open, 0 missing"
    )


def test_a_comparison_is_late_where_a_worker_should_have_made_one() -> None:
    job = JobReading("reconcile", "ok", 9.0)
    assert judged(compared(2.1 * DAY)).warnings == ()
    assert judged(compared(1.9 * DAY, job)).warnings == ()
    (line,) = judged(compared(2.1 * DAY, job)).warnings
    assert "python main.py reconcile" in line


def test_run_once_on_somebody_elses_timetable_is_never_late() -> None:
    assert judged(well(jobs=[], poll_seconds=1000.0)).warnings == ()


def test_a_search_that_shows_nothing_while_webhooks_bring_tickets() -> None:
    silent = well(webhook_finds=3, searches_showed=0)
    assert set(find_silences(silent, LIMITS)) == {"search"}
    assert find_silences(well(webhook_finds=2, searches_showed=0), LIMITS) == {}
    assert find_silences(well(webhook_finds=3, searches_showed=1), LIMITS) == {}
    # A ledger whose searches never counted what they showed cannot be judged by it.
    never = well(webhook_finds=3, searches_showed=0, searches_ever_showed=0)
    assert find_silences(never, LIMITS) == {}


def arrivals(last_day: dict[str, int], past: dict[str, int], last_seconds: float = 60.0) -> Readings:
    by_hour = {HOUR - timedelta(hours=5): last_day, HOUR - timedelta(days=3): past}
    return well(arrivals=Arrivals(NOW, last_seconds, by_hour))


def test_webhooks_that_stopped_while_searches_find_tickets() -> None:
    used_to = {"webhook": 20, "poll": 1}
    assert set(find_silences(arrivals({"poll": 9, "sweep": 1}, used_to), LIMITS)) == {"webhooks"}
    assert find_silences(arrivals({"poll": 9}, used_to), LIMITS) == {}
    assert find_silences(arrivals({"poll": 99, "webhook": 1}, used_to), LIMITS) == {}
    assert find_silences(arrivals({"poll": 99}, {"webhook": 19}), LIMITS) == {}
    assert find_silences(arrivals({"poll": 99}, used_to), Limits(webhooks=False)) == {}


def quiet_since(hours: float, per_hour: int) -> Arrivals:
    by_hour = {at: counts for at, counts in weeks_of(per_hour).items() if at < NOW - timedelta(hours=hours)}
    return Arrivals(NOW, hours * 3600, by_hour)


def test_an_account_gone_quiet() -> None:
    assert find_quiet(quiet_since(2.4, per_hour=5)) == (2, [10, 10, 10, 10])
    assert find_quiet(quiet_since(2.2, per_hour=5)) is None
    line = find_silences(well(arrivals=quiet_since(3, per_hour=6)), LIMITS)["account"]
    assert "no ticket has come for 2 hours" in line
    assert "12, 12, 12, 12" in line


def test_a_slow_account_is_given_longer() -> None:
    assert find_quiet(quiet_since(9, per_hour=1)) is None
    assert find_quiet(quiet_since(25, per_hour=1)) == (24, [24, 24, 24, 24])


def test_a_night_or_weekend_is_compared_with_its_like() -> None:
    """Tickets on weekdays from 8 to 17 only: it is 6 o'clock on a Monday."""
    monday = NOW - timedelta(days=2)
    now = monday.replace(hour=6)
    hours = (HOUR - timedelta(hours=back) for back in range(40 * 24))
    office = {at: {"poll": 9} for at in hours if at.weekday() < 5 and 8 <= at.hour < 17 and at < now}
    last = now.replace(hour=17) - timedelta(days=3)
    assert find_quiet(Arrivals(now, (now - last).total_seconds(), office)) is None
    noon = now.replace(hour=12)
    assert find_quiet(Arrivals(noon, (noon - last).total_seconds(), office)) == (2, [18, 18, 18, 18])


def test_one_empty_week_among_four_means_that_emptiness_is_usual() -> None:
    by_hour = weeks_of(50)
    for back in range(1, 4):
        del by_hour[HOUR - timedelta(weeks=3, hours=back)]
    calm_week = {at: counts for at, counts in by_hour.items() if at < NOW - timedelta(hours=2.4)}
    assert find_quiet(Arrivals(NOW, 2.4 * 3600, calm_week)) is None


def test_a_young_ledger_has_no_past_to_be_compared_with() -> None:
    by_hour = {at: counts for at, counts in weeks_of(50, weeks=3).items() if at < HOUR - timedelta(hours=5)}
    assert find_quiet(Arrivals(NOW, 5 * 3600, by_hour)) is None


@pytest.mark.parametrize("poll_seconds", [None, 3601.0])
def test_where_nobody_looks_nothing_is_silent(poll_seconds: float | None) -> None:
    assert find_silences(well(arrivals=quiet_since(9, 9), poll_seconds=poll_seconds), LIMITS) == {}


def test_a_length_is_told_in_the_unit_that_fits() -> None:
    assert [span(s) for s in (0, 119, 120, 7199, 7200, 172_800)] == [
        "0 s",
        "119 s",
        "2 min",
        "120 min",
        "2 h",
        "2 days",
    ]
