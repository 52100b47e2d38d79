"""The script that breaks the rules must not go stale: every rule has a breakage that still fits the code."""

import pytest

from tests.breakages.__main__ import BREAKAGES, ROOT, chosen, is_noticed
from tests.breakages.breakage import Breakage, broken

RULES = {
    *(f"rule {number}" for number in range(1, 13)),
    "activation",
    "attacks",
    "floor",
    "guards",
    "horizon",
    "influence test",
    "masking",
    "normalised input",
    "offset paging",
    "providers",
    "reconcile",
    "restore barrier",
    "sweep's lower bound",
    "window",
}


def test_every_rule_is_broken_at_least_once() -> None:
    assert {one.rule for one in BREAKAGES} == RULES


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda one: f"{one.rule}: {one.name}")
def test_every_breakage_fits_the_code_and_names_tests_that_exist(breakage: Breakage) -> None:
    for edit in breakage.edits:
        assert (ROOT / edit.file).read_text().count(edit.old) == 1
        assert edit.new != edit.old
    assert breakage.tests
    assert all((ROOT / one.split("::")[0]).is_file() for one in breakage.tests)


def test_a_breakage_is_noticed_and_a_harmless_edit_is_not() -> None:
    (breakage,) = chosen(["a 500 counts as not sent"])
    assert is_noticed(breakage)[0]
    harmless = broken("-", "-", "jobs/version.py", "VERSION = ", "VERSION  = ", *breakage.tests)
    assert not is_noticed(harmless)[0]
