"""What a run says of itself: its counts, its faults, and how the process ends."""

import json
import threading

import pytest

from jobs.run_report import Result, RunReport


def test_a_new_report_is_a_quiet_run() -> None:
    report = RunReport()
    assert (report.exit_code, report.handled, report.by_provider) == (0, 0, {})


def test_a_later_result_of_a_ticket_replaces_an_earlier_one() -> None:
    report = RunReport()
    report.record("1", Result.RETRYING)
    report.record("1", Result.NOTIFIED, "local")
    report.record("2", Result.SKIPPED)
    counts = {result: report.count(result) for result in Result}
    assert counts == {
        Result.NOTIFIED: 1,
        Result.SKIPPED: 1,
        Result.MERGED: 0,
        Result.RETRYING: 0,
        Result.HELD: 0,
        Result.LOST: 0,
    }
    assert report.handled == 2


def test_tickets_told_by_rules_are_failed_and_part_of_notified() -> None:
    report = RunReport()
    for ticket_id, provider in (("1", "rules"), ("2", "local"), ("3", "rules")):
        report.record(ticket_id, Result.NOTIFIED, provider)
    shown = report.as_json()
    assert (shown["notified"], shown["failed"]) == (3, 2)
    assert shown["by_provider"] == {"local": 1, "rules": 2}


def test_a_provider_counts_only_where_the_ticket_was_told() -> None:
    report = RunReport()
    report.record("1", Result.RETRYING, "local")
    report.record("2", Result.HELD, "rules")
    assert report.by_provider == {}


@pytest.mark.parametrize(
    ("problem", "settings_fault", "unconfirmed", "code"),
    [
        (None, False, 0, 0),
        (None, False, 3, 1),
        ("HubSpot answered 503", False, 0, 1),
        ("HUBSPOT_ACCESS_TOKEN: refused", True, 0, 2),
        ("HUBSPOT_ACCESS_TOKEN: refused", True, 3, 2),
    ],
)
def test_the_exit_code_says_what_is_left_to_do(
    problem: str | None, settings_fault: bool, unconfirmed: int, code: int
) -> None:
    report = RunReport(unconfirmed=unconfirmed)
    if problem:
        report.problem(problem, settings_fault=settings_fault)
    assert report.exit_code == code


def test_notes_and_retries_and_open_tickets_are_no_faults() -> None:
    report = RunReport(open=5)
    report.note("the poll was left to another process that is polling now")
    report.record("1", Result.RETRYING)
    assert report.exit_code == 0


def test_a_fault_is_told_once_and_a_settings_fault_stays() -> None:
    report = RunReport()
    report.problem("refused", settings_fault=True)
    report.problem("refused")
    report.problem("other")
    assert (report.problems, report.exit_code) == (["refused", "other"], 2)


def test_the_json_has_what_the_design_promises() -> None:
    report = RunReport(found=4, open=1, unconfirmed=2, seconds=1.23456)
    report.record("1", Result.NOTIFIED, "local")
    shown = json.loads(json.dumps(report.as_json()))
    promised = {"found", "notified", "failed", "retrying", "skipped", "open", "unconfirmed"}
    assert promised <= set(shown)
    assert (shown["found"], shown["open"], shown["unconfirmed"], shown["seconds"]) == (4, 1, 2, 1.235)


def test_found_counts_all_sources_together() -> None:
    report = RunReport()
    for counts in ((3, 1, 0, 0), (2, 0, 5, 1), (1, 0, 0, 2)):
        report.count_proposed(*counts)
    report.record("1", Result.MERGED)
    shown = report.as_json()
    assert (shown["found"], shown["reopened"], shown["beyond_memory"], shown["merged"]) == (6, 1, 5, 4)


def test_what_each_source_did_stands_in_the_json_and_is_no_fault() -> None:
    report = RunReport(swept=4, drained=3, dropped=2, set_aside=1)
    shown = report.as_json()
    assert [shown[name] for name in ("swept", "drained", "dropped", "set_aside")] == [4, 3, 2, 1]
    assert report.exit_code == 0


def test_threads_that_report_at_once_lose_nothing() -> None:
    report = RunReport()

    def work(number: int) -> None:
        for ticket in range(200):
            report.record(f"{number}-{ticket}", Result.NOTIFIED, "local")
            report.problem(f"fault {ticket % 10}")
            report.count(Result.NOTIFIED)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (report.count(Result.NOTIFIED), report.by_provider) == (800, {"local": 800})
    assert len(report.problems) == 10
