"""A provider that is down is asked five times and then once a minute, by whatever number of threads."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from jobs.errors import ModelError
from jobs.ticket import Ticket
from jobs.triage.breaker import FAILURES, PROBE_SECONDS, Breaker
from jobs.triage.chain import Model, Triager
from jobs.triage.ollama import OllamaModel
from jobs.verdict import Provider, ProviderFailure, Verdict
from jobs.web.metrics import CountedObservations
from tests.unit.test_triage_answer import GOOD
from tests.unit.test_triage_chain import Clock, fault, groq, local, triager
from tests.unit.test_triage_ollama import answering, chat, serve

GOOD_TEXT = json.dumps(GOOD)
THREADS = 8


def ticket(number: int) -> Ticket:
    return Ticket(str(number), "Help", "It is slow.", datetime(2026, 11, 1, tzinfo=UTC), "")


def make_open(clock: Clock) -> Breaker:
    breaker = Breaker(clock)
    for _ in range(FAILURES):
        breaker.check(Provider.LOCAL)
        breaker.note(Provider.LOCAL, fault("timeout"))
    return breaker


def passes(breaker: Breaker, provider: Provider = Provider.LOCAL) -> bool:
    try:
        breaker.check(provider)
    except ModelError:
        return False
    return True


def test_of_200_tickets_in_ten_minutes_a_dead_server_gets_five_and_one_a_minute() -> None:
    clock, second = Clock(), groq(GOOD_TEXT)
    with serve(answering(500, b"{}")) as dead:
        chain = Triager([OllamaModel(url=dead.url, model="m"), second], company_name="A", sop="", clock=clock)
        verdicts: list[Verdict] = []
        for number in range(200):
            verdicts.append(chain.triage(ticket(number)))
            clock.now += 3
        chain.close()
        assert len(dead.requests) == FAILURES + 9, "probes at 60, 120, ... of 585 s since it opened"
    assert {verdict.provider for verdict in verdicts} == {Provider.GROQ}
    assert {verdict.failures for verdict in verdicts} == {(ProviderFailure(Provider.LOCAL, "http_500"),)}
    assert len(second.asked) == 200


def test_of_200_tickets_on_eight_threads_it_gets_five_and_those_on_their_way() -> None:
    with serve(answering(500, b"{}")) as dead, ThreadPoolExecutor(THREADS) as pool:
        models: list[Model] = [OllamaModel(url=dead.url, model="m"), groq(GOOD_TEXT)]
        chain = Triager(models, company_name="A", sop="", clock=Clock())
        told = list(pool.map(lambda number: chain.triage(ticket(number)).provider, range(200)))
        chain.close()
        assert FAILURES <= len(dead.requests) <= FAILURES + THREADS - 1
    assert told == [Provider.GROQ] * 200


def test_a_probe_that_is_answered_closes_it() -> None:
    clock = Clock()
    with serve(answering(500, b"{}")) as server:
        chain = Triager([OllamaModel(url=server.url, model="m")], company_name="A", sop="", clock=clock)
        for number in range(FAILURES):
            chain.triage(ticket(number))
        server.respond = answering(200, chat(GOOD_TEXT))
        clock.now += PROBE_SECONDS - 1
        assert chain.triage(ticket(6)).provider is Provider.RULES
        clock.now += 1
        assert [chain.triage(ticket(number)).provider for number in range(3)] == [Provider.LOCAL] * 3
        chain.close()


def test_of_many_threads_one_probes_and_a_probe_that_never_ends_is_followed_by_another() -> None:
    clock = Clock()
    breaker = make_open(clock)
    for _ in range(3):
        clock.now += PROBE_SECONDS
        with ThreadPoolExecutor(THREADS) as pool:
            assert sum(pool.map(lambda _: passes(breaker), range(100))) == 1


def test_calls_that_fail_after_it_opened_put_no_probe_off() -> None:
    clock = Clock()
    breaker = make_open(clock)
    clock.now += PROBE_SECONDS - 1
    breaker.note(Provider.LOCAL, fault("timeout"))
    clock.now += 1
    assert passes(breaker)


@pytest.mark.parametrize("kind", ["limited", "busy", "too_large", "refused_credential", "invalid_answer"])
def test_what_a_server_says_in_time_is_no_failure_of_its_own(kind: str) -> None:
    model = local(fault(kind))
    chain = triager(model, groq(GOOD_TEXT), clock=Clock())
    for number in range(3 * FAILURES):
        chain.triage(ticket(number))
    assert len(model.asked) >= 3 * FAILURES


def test_only_failures_in_a_row_count() -> None:
    down, up = fault("timeout"), GOOD_TEXT
    model = local(*([down] * (FAILURES - 1) + [up]) * 4)
    chain = triager(model, groq(GOOD_TEXT), clock=Clock())
    for number in range(4 * FAILURES):
        chain.triage(ticket(number))
    assert len(model.asked) == 4 * FAILURES


def test_one_provider_down_leaves_the_other_alone() -> None:
    breaker = make_open(Clock())
    assert not passes(breaker)
    assert passes(breaker, Provider.GROQ)


def test_metrics_show_who_is_passed_over() -> None:
    clock, observations = Clock(), CountedObservations()
    model = local(*[fault("timeout")] * FAILURES, GOOD_TEXT)
    note = observations.model_passed_over
    chain = triager(model, clock=clock, on_breaker=lambda provider, is_open: note(provider.value, is_open))

    def shown() -> float | None:
        return observations.registry.get_sample_value("triage_model_passed_over", {"provider": "local"})

    for number in range(FAILURES):
        chain.triage(ticket(number))
    assert shown() == 1
    clock.now += PROBE_SECONDS
    chain.triage(ticket(9))
    assert shown() == 0
