"""Models under load over real HTTP: too large, too many at once."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from jobs.sandbox.groq import SANDBOX_GROQ_KEY, SimulatedGroq
from jobs.ticket import Ticket
from jobs.triage.chain import Triager
from jobs.triage.groq import GroqModel
from jobs.verdict import Provider
from tests.unit.test_triage_chain import Clock

LONG = "The export of March is slow and shows nothing for hours. " * 2_000


def ticket(number: int, body: str = "It is slow.") -> Ticket:
    return Ticket(str(number), "Help", body, datetime(2026, 11, 1, tzinfo=UTC), "")


@pytest.fixture
def cloud() -> Iterator[SimulatedGroq]:
    with SimulatedGroq() as simulator:
        yield simulator


def make_groq(cloud: SimulatedGroq) -> GroqModel:
    return GroqModel(api_key=SANDBOX_GROQ_KEY, model="openai/gpt-oss-120b", base_url=cloud.url)


def test_on_a_smaller_plan_every_ticket_of_any_length_is_answered_by_at_most_two_questions(
    cloud: SimulatedGroq,
) -> None:
    cloud.clock = clock = Clock()
    chain = Triager([make_groq(cloud)], company_name="A", sop="Be kind. " * 3_000)
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
