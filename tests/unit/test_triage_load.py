"""Groq under load over real HTTP: too large, too many, and what its headers say is left."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime

import pytest

from jobs.sandbox.groq import SANDBOX_GROQ_KEY, SimulatedGroq
from jobs.ticket import Ticket
from jobs.triage.breaker import FAILURES
from jobs.triage.budget import Budget, parse_duration
from jobs.triage.chain import Triager
from jobs.triage.groq import GroqModel
from jobs.triage.pauses import MAX_SECONDS
from jobs.verdict import Provider, ProviderFailure
from tests.unit.test_triage_answer import answer_with
from tests.unit.test_triage_chain import Clock, fault, groq, local, triager
from tests.unit.test_triage_groq import completion
from tests.unit.test_triage_ollama import answering, serve

LONG = "The export of March is slow and shows nothing for hours. " * 2_000


def ticket(number: int, body: str = "It is slow.") -> Ticket:
    return Ticket(str(number), "Help", body, datetime(2026, 11, 1, tzinfo=UTC), "")


@pytest.fixture
def cloud() -> Iterator[SimulatedGroq]:
    with SimulatedGroq() as simulator:
        yield simulator


def make_groq(cloud: SimulatedGroq, clock: Clock) -> GroqModel:
    cloud.clock = clock
    return GroqModel(api_key=SANDBOX_GROQ_KEY, model="openai/gpt-oss-120b", base_url=cloud.url, clock=clock)


def test_on_a_smaller_plan_every_ticket_of_any_length_is_answered_by_at_most_two_questions(
    cloud: SimulatedGroq,
) -> None:
    clock = Clock()
    chain = Triager([make_groq(cloud, clock)], company_name="A", sop="Be kind. " * 3_000)
    for number in range(10):
        chain.triage(ticket(number, LONG[: 1 + number * 10_000]))
    assert len(cloud.chats) == 10, "nothing is cut where it fits"
    answered, cloud.tokens_per_minute = [], 5_000
    for number in range(10):
        clock.now += 60
        answered.append(chain.triage(ticket(number, LONG[: 1 + number * 10_000])))
    chain.close()
    assert {verdict.provider for verdict in answered} == {Provider.GROQ}
    assert [verdict.attempts for verdict in answered] == [1] + [2] * 9
    assert len(cloud.chats) == 10 + 1 + 18


def limits(limit: str, remaining: str, reset: str, of: str = "tokens") -> dict[str, str]:
    prefix = "x-ratelimit"
    return {
        f"{prefix}-limit-{of}": limit,
        f"{prefix}-remaining-{of}": remaining,
        f"{prefix}-reset-{of}": reset,
    }


def seconds_withheld(headers: dict[str, str], tokens: float) -> int:
    """Whole seconds after those headers until a call of so many tokens is let through."""
    clock = Clock()
    budget = Budget(clock)
    budget.note(headers)
    started = clock.now
    while not budget.reserve(tokens):
        clock.now += 1
    return int(clock.now - started)


def test_a_storm_on_the_free_plan_asks_only_what_is_answered(cloud: SimulatedGroq) -> None:
    clock, cloud.tokens_per_minute = Clock(), 8_000
    with closing(Triager([make_groq(cloud, clock)], company_name="A", sop="")) as chain:
        told = [chain.triage(ticket(0))]
        cost = cloud._tokens.used
        for number in range(60):
            clock.now += 1
            told.append(chain.triage(ticket(number)))
        faults = [fault.line for fault in chain.take_faults()]
    assert len([one for one in told if one.provider is Provider.GROQ]) == len(cloud.chats)
    left = [one for one in told if one.provider is Provider.RULES]
    assert {one.failures for one in left} == {(ProviderFailure(Provider.GROQ, "limited"),)}
    assert {one.attempts for one in left} == {0}
    assert faults == ["Groq limits the calls: the plan's requests or tokens are used up for now"]
    cloud._refill()
    left_over = cloud.tokens_per_minute - cloud._tokens.used
    assert left_over < 1.1 * cost, "nothing is withheld for longer than it must be"


def test_of_eight_threads_those_ask_whose_calls_fit_together(cloud: SimulatedGroq) -> None:
    clock, cloud.tokens_per_minute = Clock(), 8_000
    with (
        closing(Triager([make_groq(cloud, clock)], company_name="A", sop="")) as chain,
        ThreadPoolExecutor(8) as pool,
    ):
        chain.triage(ticket(0))
        cloud.faults.latency_seconds = 0.3
        told = list(pool.map(lambda number: chain.triage(ticket(number)).provider, range(8)))
    assert told.count(Provider.GROQ) == len(cloud.chats) - 1
    assert cloud._tokens.used <= cloud.tokens_per_minute


def test_what_is_used_up_by_the_day_is_withheld_as_well() -> None:
    clock = Clock()
    said = {"Content-Type": "application/json"} | limits("1000", "0", "24h0m0s", of="requests")
    headers = {name.replace("-", "_"): value for name, value in said.items()}
    with serve(answering(200, completion(answer_with()), **headers)) as server:
        model = GroqModel(api_key="x", model="openai/gpt-oss-120b", base_url=server.url, clock=clock)
        with closing(Triager([model], company_name="A", sop="")) as chain:
            told = [chain.triage(ticket(number)).provider for number in range(3)]
    assert told == [Provider.GROQ, Provider.RULES, Provider.RULES]
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("headers", "tokens", "seconds"),
    [
        (limits("8000", "2000", "45s"), 2_000, 0),
        (limits("8000", "2000", "45s"), 4_000, 15),
        (limits("8000", "2000", "45s"), 90_000, 0),
        (limits("8000", "7927", "547ms"), 8_000, 1),
        (limits("", "10", "7.66s"), 20, 8),
        (limits("8000", "0", "9999h"), 8_000, int(MAX_SECONDS)),
        (limits("8000", "0", "1h1m1s", of="requests"), 8_000, 1),
    ],
)
def test_a_call_is_withheld_until_it_fits_and_never_for_over_an_hour(
    headers: dict[str, str], tokens: float, seconds: int
) -> None:
    assert seconds_withheld(headers, tokens) == seconds


@pytest.mark.parametrize(
    "odd",
    [
        {},
        limits("8000", "-27689", "64s"),
        limits("8000", "0", ""),
        limits("8000", "0", "64"),
        limits("8000", "0", "-5s"),
        limits("8000", "0", "2026-03-29T14:00:18Z"),
        limits("8000", "0", "1e9s"),
        limits("8000", "٣", "5s"),
        limits("8000", "9" * 400, "5s"),
        limits("8000", "0", "0s"),
        limits("8000", "8000", "60s"),
    ],
)
def test_odd_headers_withhold_nothing(odd: dict[str, str]) -> None:
    assert seconds_withheld(odd, 100_000) == 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7.66s", 7.66), ("2m59.56s", 179.56), ("547ms", 0.547), ("1h0m0s", 3600), ("0s", 0), ("s", None)],
)
def test_a_reset_is_read_as_go_writes_it(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == (None if seconds is None else pytest.approx(seconds))


def test_a_call_that_was_withheld_tells_the_breaker_nothing() -> None:
    down, withheld = fault("timeout"), fault("limited", asked=False)
    model = local(*[down, withheld] * FAILURES, answer_with())
    chain = triager(model, groq(answer_with()), clock=Clock())
    for number in range(4 * FAILURES):
        chain.triage(ticket(number))
    assert len(model.asked) == 2 * FAILURES - 1
