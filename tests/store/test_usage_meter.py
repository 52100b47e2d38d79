"""What the models took reaches the ledger once, also when the ledger is away for a while."""

from typing import Any

import pytest

from jobs.observations import Observations
from jobs.triage.calls import Usage, tokens_of
from jobs.triage.groq import PRICES, cost_usd
from jobs.usage_meter import UsageMeter
from jobs.verdict import Provider
from models.counts import Event, ModelUse, recent_events
from models.errors import StoreUnreachable
from models.health import MonthlyUse, read_month
from models.stats_detail import read_detail
from tests.store.conftest import Ledger


def rounded(use: MonthlyUse) -> tuple[int, int, float]:
    return use.tokens_in, use.tokens_out, round(use.cost_usd, 6)


def test_answers_are_summed_and_written_once(ledger: Ledger) -> None:
    meter = UsageMeter(Observations())
    for _ in range(3):
        meter(Usage(Provider.GROQ, 100, 10, 0.5, 1.25))
    meter(Usage(Provider.LOCAL, 7, 1, seconds=4.0))
    meter.flush()
    meter.flush()
    assert read_detail(1).models == {
        "groq": ModelUse(3, 300, 30, 1.5, 3.75),
        "local": ModelUse(1, 7, 1, 0.0, 4.0),
    }
    assert rounded(read_month()) == (307, 31, 1.5)
    assert recent_events(Event.MODEL_USED, 3600) == 4


def test_what_cannot_be_written_is_kept(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    meter = UsageMeter(Observations())
    meter(Usage(Provider.GROQ, 100, 10, 0.5))

    def away(*_: Any) -> None:
        raise StoreUnreachable("no database")

    with monkeypatch.context() as patched:
        patched.setattr("jobs.usage_meter.count_model_use", away)
        meter.flush()
    meter(Usage(Provider.GROQ, 1, 1, 0.1))
    meter.flush()
    assert rounded(read_month()) == (101, 11, 0.6)


@pytest.mark.parametrize("said", [None, "12", -1, True, 1.5, float("nan"), [], 10**30])
def test_a_server_may_say_anything_of_its_tokens(said: object) -> None:
    assert 0 <= tokens_of(said) <= 10_000_000


def test_a_model_without_a_price_counts_as_the_dearest() -> None:
    assert cost_usd("openai/gpt-oss-120b", 1_000_000, 1_000_000) == pytest.approx(0.75)
    dearest = max(cost_usd(model, 10, 10) for model in PRICES)
    assert cost_usd("somebody/new", 10, 10) == pytest.approx(dearest)
