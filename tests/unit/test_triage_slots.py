"""A limit of calls at once for the local model: who would wait too long goes to the next one."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from jobs.errors import ModelError
from jobs.handle_tickets import observe_models
from jobs.notify.card import build_card
from jobs.sandbox.groq import SANDBOX_GROQ_KEY, SimulatedGroq
from jobs.sandbox.ollama import SimulatedOllama
from jobs.settings import Need, load_settings
from jobs.ticket import Ticket
from jobs.triage.chain import Model, Triager
from jobs.triage.groq import GroqModel
from jobs.triage.ollama import OllamaModel
from jobs.triage.slots import LONE_SECONDS, SPILL_SECONDS, Slots
from jobs.verdict import Provider, ProviderFailure, Verdict
from jobs.web.metrics import CountedObservations
from jobs.wiring import build_models
from tests.unit.test_triage_answer import answer_with
from tests.unit.test_triage_chain import Clock, fault, groq, local, triager

THREADS = 8
CROWDED = (ProviderFailure(Provider.LOCAL, "crowded"),)


def ticket(number: int) -> Ticket:
    return Ticket(str(number), "Help", "It is slow.", datetime(2026, 11, 1, tzinfo=UTC), "")


@contextmanager
def taken(slots: Slots) -> Iterator[None]:
    """One slot held by another thread."""
    inside, over = threading.Event(), threading.Event()

    def hold() -> None:
        with slots.take():
            inside.set()
            over.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    inside.wait(10)
    try:
        yield
    finally:
        over.set()
        holder.join()


def refused(slots: Slots) -> float:
    started = time.monotonic()
    with pytest.raises(ModelError) as caught, slots.take():
        pass
    assert caught.value.kind == "crowded"
    return time.monotonic() - started


def test_a_storm_of_eight_threads_has_two_calls_at_once_and_the_rest_at_groq() -> None:
    with SimulatedOllama() as ollama, SimulatedGroq() as cloud, ThreadPoolExecutor(THREADS) as pool:
        cloud.faults.latency_seconds = 0.2
        at_once = watch_calls(ollama, 0.2)
        models: list[Model] = [
            OllamaModel(url=ollama.url, model="llama3.2", slots=Slots(2, 0.1)),
            GroqModel(api_key=SANDBOX_GROQ_KEY, model="openai/gpt-oss-120b", base_url=cloud.url),
        ]
        chain = Triager(models, company_name="A", sop="")
        told = list(pool.map(lambda number: chain.triage(ticket(number)), range(24)))
        faults = chain.take_faults()
        chain.close()
    assert max(at_once) == 2
    by_local = [one for one in told if one.provider is Provider.LOCAL]
    assert len(by_local) == len(ollama.chats) >= 4
    assert {one.failures for one in told if one.provider is Provider.GROQ} == {CROWDED}
    assert {one.attempts for one in told} == {1}, "nobody was asked in vain"
    assert faults == ()


def watch_calls(ollama: SimulatedOllama, seconds: float) -> list[int]:
    """Makes each call take so long, and notes at its start how many are under way."""
    inside, noted, lock = [0], list[int](), threading.Lock()
    answer = ollama.answer

    def watched(request: object) -> object:
        with lock:
            inside[0] += 1
            noted.append(inside[0])
        time.sleep(seconds)
        with lock:
            inside[0] -= 1
        return answer(request)  # type: ignore[arg-type]

    ollama.answer = watched  # type: ignore[method-assign, assignment]
    return noted


def test_without_another_model_everybody_waits_for_the_local_one() -> None:
    with SimulatedOllama() as ollama, ThreadPoolExecutor(THREADS) as pool:
        ollama.faults.latency_seconds = 0.05
        model = OllamaModel(url=ollama.url, model="llama3.2", slots=Slots(1, LONE_SECONDS))
        chain = Triager([model], company_name="A", sop="")
        told = list(pool.map(lambda number: chain.triage(ticket(number)).provider, range(16)))
        chain.close()
    assert told == [Provider.LOCAL] * 16


def test_the_time_limit_of_a_call_begins_when_it_has_its_slot() -> None:
    with SimulatedOllama() as ollama, ThreadPoolExecutor(THREADS) as pool:
        ollama.faults.latency_seconds = 0.5
        model = OllamaModel(url=ollama.url, model="llama3.2", slots=Slots(1, 60.0), timeout_seconds=3.0)
        chain = Triager([model], company_name="A", sop="")
        told = list(pool.map(lambda number: chain.triage(ticket(number)).provider, range(THREADS)))
        chain.close()
    assert told == [Provider.LOCAL] * THREADS, "the last one waited for longer than its limit"


def test_a_caller_waits_its_time_and_no_longer() -> None:
    slots = Slots(1, 0.2)
    with taken(slots):
        assert 0.15 < refused(slots) < 3.0
    with slots.take():
        pass


def test_a_wait_that_the_pace_of_the_calls_foresees_is_not_begun() -> None:
    clock = Clock()
    slots = Slots(2, 5.0, clock)
    with slots.take():
        clock.now += 11
    with taken(slots), taken(slots):
        assert refused(slots) < 3.0
    for _ in range(20):  # the pace is that of the last calls
        with slots.take():
            clock.now += 0.1
    with taken(slots), ThreadPoolExecutor(1) as pool:
        with taken(slots):
            waiting = pool.submit(enter, slots)
            wait_for_queue(slots, 1)
        waiting.result(5)


def wait_for_queue(slots: Slots, length: int) -> None:
    ends_at = time.monotonic() + 10
    while len(slots._queue) < length:
        assert time.monotonic() < ends_at, "nobody waits"
        time.sleep(0.005)


def enter(slots: Slots) -> None:
    with slots.take():
        pass


def test_slots_go_to_who_came_first() -> None:
    slots, order = Slots(1, 10.0), list[int]()

    def call(number: int) -> None:
        with slots.take():
            order.append(number)

    with ThreadPoolExecutor(THREADS) as pool, taken(slots):
        for number in range(THREADS):
            pool.submit(call, number)
            time.sleep(0.02)
    assert order == list(range(THREADS))


def test_a_call_that_raises_gives_its_slot_back() -> None:
    slots = Slots(1, 0.0)
    for _ in range(3):
        with pytest.raises(ValueError, match="x"), slots.take():
            raise ValueError("x")


def test_crowded_is_no_answer_and_no_failure_to_the_breaker() -> None:
    down, crowded = fault("timeout"), fault("crowded", asked=False)
    model = local(*[down, crowded] * 5, answer_with())
    chain = triager(model, groq(answer_with()), clock=Clock())
    for number in range(20):
        chain.triage(ticket(number))
    assert len(model.asked) == 9, "the fifth timeout opened it, whatever came between"


def test_crowded_is_counted_and_says_nothing_against_the_service() -> None:
    observations = CountedObservations()
    verdict = triager(local(fault("crowded", asked=False)), groq(answer_with())).triage(ticket(1))

    class Desk:
        pass

    desk = Desk()
    desk.observations = observations  # type: ignore[attr-defined]
    twice = replace(verdict, failures=verdict.failures * 2)
    observe_models(desk, twice)  # type: ignore[arg-type]
    labels = {"provider": "local", "reason": "crowded"}
    assert observations.registry.get_sample_value("triage_tickets_spilled_total", labels) == 1
    assert "local" not in observations.last_outcomes()


def test_a_card_by_rules_says_that_the_model_was_not_asked() -> None:
    verdict: Verdict = triager(local(fault("crowded", asked=False))).triage(ticket(1))
    assert (verdict.provider, verdict.attempts) == (Provider.RULES, 0)
    card = build_card(ticket(1), verdict, told_at=datetime(2026, 11, 1, tzinfo=UTC))
    assert "local (no fault: crowded)" in {field.value for field in card.fields}


@pytest.mark.parametrize(
    ("more", "limit", "wait_seconds"),
    [
        ({"LOCAL_LLM_CONCURRENCY": "2", "GROQ_API_KEY": "x"}, 2, SPILL_SECONDS),
        ({"LOCAL_LLM_CONCURRENCY": "2", "GROQ_API_KEY": "x", "CLOUD_TRIAGE": "off"}, 2, LONE_SECONDS),
        ({"TRIAGE_CONCURRENCY": "5"}, 5, LONE_SECONDS),
    ],
)
def test_the_settings_give_the_limit_and_whether_somebody_else_can_be_asked(
    more: dict[str, str],
    limit: int,
    wait_seconds: float,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: object,
) -> None:
    monkeypatch.chdir(str(tmp_path))
    made: list[tuple[int, float]] = []
    original: Callable[..., None] = Slots.__init__

    def noted(self: Slots, limit: int, wait_seconds: float) -> None:
        made.append((limit, wait_seconds))
        original(self, limit, wait_seconds)

    monkeypatch.setattr(Slots, "__init__", noted)
    values = {"LOCAL_LLM_URL": "http://127.0.0.1:9", **more}
    for model in build_models(load_settings(values, needs=Need.MODEL)):
        model.close()
    assert made == [(limit, wait_seconds)]
