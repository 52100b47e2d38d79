"""What reconcile says of its counts, and how it reads the times that a person gives."""

from datetime import UTC, datetime

import pytest

from jobs.errors import InputError
from jobs.verbs.reconcile import named, parse_restored_at, parse_since
from models.reconciliation import Reconciled, parse_reconciled

FULL = Reconciled(
    missing=2, told=44, held=2, open=1, merged=3, older=5, skipped={"gone": 1, "before activation": 2}
)


def test_the_line_of_an_ordinary_night() -> None:
    counts = Reconciled(told=44, held=2, open=1)
    assert counts.line == "47 in HubSpot = 44 told + 2 held + 1 open, 0 missing"
    assert Reconciled().line == "0 in HubSpot = 0 told + 0 held + 0 open, 0 missing"


def test_what_there_is_beside_them_is_named_and_the_sum_holds() -> None:
    assert FULL.line == (
        "60 in HubSpot = 44 told + 2 held + 1 open + 3 skipped (2 before activation, 1 gone) + 3 merged"
        " + 5 older than the ledger remembers, 2 missing, proposed"
    )
    assert FULL.shown == 44 + 2 + 1 + 3 + 3 + 5 + 2


def test_the_counts_outlive_their_text_but_for_the_reasons() -> None:
    for counts in (Reconciled(), Reconciled(told=44), FULL):
        kept = parse_reconciled(counts.as_text)
        assert kept.shown == counts.shown
        assert (kept.missing, kept.told, kept.older) == (counts.missing, counts.told, counts.older)
    assert "3 skipped + 3 merged" in parse_reconciled(FULL.as_text).line


def test_the_text_fits_its_column() -> None:
    numbers = dict.fromkeys(("missing", "told", "held", "open", "merged", "older"), 99_999)
    large = Reconciled(**numbers, skipped={"gone": 99_999})
    assert len(large.as_text) <= 100
    assert parse_reconciled(large.as_text).shown == large.shown


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        ("2026-03-04T05:06:07Z", datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)),
        ("2026-03-04 05:06", datetime(2026, 3, 4, 5, 6, tzinfo=UTC)),
        ("2026-03-04", datetime(2026, 3, 4, tzinfo=UTC)),
        ("2026-03-04T05:06:07+02:00", datetime(2026, 3, 4, 3, 6, 7, tzinfo=UTC)),
    ],
)
def test_times_are_iso_8601_and_utc_without_a_zone(given: str, understood: datetime) -> None:
    assert parse_since(given) == understood
    assert parse_restored_at(given) == understood


@pytest.mark.parametrize("given", ["", "yesterday", "2026-13-01", "12:00", "2026-03-04T05:06:07Z junk"])
def test_what_is_no_time_is_one_line_that_says_what_to_write(given: str) -> None:
    for option, parse in (("--since", parse_since), ("--restored-at", parse_restored_at)):
        with pytest.raises(InputError) as caught:
            parse(given)
        line = str(caught.value)
        assert line.startswith(f"{option}: is not a time in ISO-8601; write {option} 20")
        assert "\n" not in line


def test_a_since_of_the_future_or_of_another_century_is_refused() -> None:
    for given, words in (("2999-01-01", "lies in the future"), ("1999-01-01", "before the year 2000")):
        with pytest.raises(InputError, match=words):
            parse_since(given)


def test_more_than_are_named_are_counted() -> None:
    assert named(["1", "2"], 2) == "1, 2"
    assert named(["1", "2"], 5) == "1, 2 and 3 more"
