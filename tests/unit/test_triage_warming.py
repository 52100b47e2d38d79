"""A model that is being loaded is waited for or passed over, and told from one that hangs."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from jobs.errors import ModelError
from jobs.sandbox.ollama import SimulatedOllama
from jobs.ticket import Ticket
from jobs.triage.breaker import FAILURES
from jobs.triage.chain import Triager
from jobs.triage.ollama import LOOK_SECONDS, OllamaModel
from jobs.triage.prompt import Message
from jobs.triage.warming import LOAD_SECONDS, Warming
from jobs.verdict import Provider, ProviderFailure
from tests.unit.test_triage_chain import Clock, fault

LIMIT_SECONDS = 0.8  #: of a call; this machine may be busy
LOADING = (ProviderFailure(Provider.LOCAL, "loading"),)
TIMEOUT = (ProviderFailure(Provider.LOCAL, "timeout"),)
MESSAGES = [Message("user", "Advise.")]


@pytest.fixture
def ollama() -> Iterator[SimulatedOllama]:
    with SimulatedOllama() as simulator:
        yield simulator


@contextmanager
def asking(
    ollama: SimulatedOllama, patience_seconds: float = 0.0
) -> Iterator[tuple[Callable[[int], Ticket], Triager, OllamaModel, list[bool]]]:
    """Tickets, a chain of the one model, the model, and what its breaker told."""
    opened: list[bool] = []
    model = OllamaModel(
        url=ollama.url, model="llama3.2", timeout_seconds=LIMIT_SECONDS, patience_seconds=patience_seconds
    )
    chain = Triager([model], company_name="A", sop="", on_breaker=lambda _, is_open: opened.append(is_open))
    try:
        model.check_present()  # imports what takes a second once
        yield ticket, chain, model, opened
    finally:
        chain.close()


def ticket(number: int) -> Ticket:
    return Ticket(str(number), "Help", "It is slow.", datetime(2026, 11, 1, tzinfo=UTC), "")


def wait_until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    ends_at = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends_at, "never happened"
        time.sleep(0.02)


def test_five_cold_timeouts_leave_the_breaker_shut_and_the_model_is_loaded(ollama: SimulatedOllama) -> None:
    ollama.faults.load_seconds = 4 * LIMIT_SECONDS
    with asking(ollama) as (ticket, chain, _, opened), ThreadPoolExecutor(FAILURES) as pool:
        verdicts = list(pool.map(lambda number: chain.triage(ticket(number)), range(FAILURES)))
        assert {verdict.failures for verdict in verdicts} == {LOADING}
        faults = [fault.line for fault in chain.take_faults()]
        wait_until(lambda: chain.triage(ticket(9)).provider is Provider.LOCAL)
    assert opened == []
    assert faults == ["llama3.2 is still being loaded by Ollama; until then tickets are told without it"]


def test_five_hangs_of_a_loaded_model_open_it(ollama: SimulatedOllama) -> None:
    with asking(ollama) as (ticket, chain, _, opened):
        assert chain.triage(ticket(0)).provider is Provider.LOCAL
        ollama.faults.chat_seconds = 3 * LIMIT_SECONDS
        verdicts = [chain.triage(ticket(number)) for number in range(FAILURES + 2)]
    assert {verdict.failures for verdict in verdicts} == {TIMEOUT}
    assert opened == [True]
    assert len(ollama.chats) == 1 + FAILURES


def test_a_server_that_says_nothing_at_all_hangs(ollama: SimulatedOllama) -> None:
    with asking(ollama) as (ticket, chain, _, _):
        ollama.faults.hang_seconds = 20.0
        started = time.monotonic()
        assert chain.triage(ticket(0)).failures == TIMEOUT
        assert time.monotonic() - started < LIMIT_SECONDS + LOOK_SECONDS + 3


def test_a_model_that_was_unloaded_meanwhile_is_loaded_again(ollama: SimulatedOllama) -> None:
    with asking(ollama) as (ticket, chain, _, _):
        assert chain.triage(ticket(0)).provider is Provider.LOCAL
        ollama.loaded.clear()
        ollama.faults.load_seconds = 3 * LIMIT_SECONDS
        assert chain.triage(ticket(1)).failures == LOADING
        assert chain.triage(ticket(2)).failures == LOADING
        asked = len(ollama.chats)
        wait_until(lambda: chain.triage(ticket(3)).provider is Provider.LOCAL)
    assert asked == 2, "who comes while it is loaded asks nobody"


def test_warming_returns_at_once_and_a_patient_ticket_waits_for_its_end(ollama: SimulatedOllama) -> None:
    ollama.faults.load_seconds = 3 * LIMIT_SECONDS
    with asking(ollama, patience_seconds=10.0) as (ticket, chain, model, _):
        started = time.monotonic()
        chain.warm()
        chain.warm()
        assert time.monotonic() - started < LIMIT_SECONDS
        assert chain.triage(ticket(0)).provider is Provider.LOCAL
    (load,) = [seen.body for seen in ollama.requests_seen if seen.path == "/api/generate"]
    (chat,) = ollama.chats
    assert load is not None
    assert not load.get("prompt")
    assert (load["model"], load["options"], load["keep_alive"]) == ("llama3.2", chat["options"], "30m")
    del model


def test_a_load_that_fails_is_said_in_the_log_and_tickets_are_not_kept(
    ollama: SimulatedOllama, caplog: pytest.LogCaptureFixture
) -> None:
    with asking(ollama, patience_seconds=10.0) as (ticket, chain, _, _), caplog.at_level(logging.INFO):
        ollama.faults.status = 500
        chain.warm()
        assert chain.triage(ticket(0)).failures == (ProviderFailure(Provider.LOCAL, "http_500"),)
        wait_until(lambda: "model not loaded" in caplog.messages)


def test_a_load_that_is_given_up_is_listed_for_a_moment_so_it_is_looked_for_twice() -> None:
    seen = iter([True, False])
    loads: list[int] = []
    warming = Warming(lambda: loads.append(1), lambda: next(seen), 0.0)
    assert warming.explains_silence()
    wait_until(lambda: loads == [1])


def test_a_model_that_answered_lately_is_looked_for_once() -> None:
    seen = iter([True])
    warming = Warming(lambda: None, lambda: next(seen), 0.0)
    warming.heard()
    assert not warming.explains_silence()


def test_a_load_that_took_all_its_time_in_vain_is_a_hang_for_as_long() -> None:
    clock, loads, over = Clock(), list[int](), threading.Event()

    def load() -> None:
        loads.append(1)
        over.wait(10)
        raise fault("timeout")

    warming = Warming(load, lambda: False, 0.0, clock)
    assert warming.explains_silence()
    assert warming.explains_silence(), "while it is under way"
    over.set()
    wait_until(warming.wait)
    assert not warming.explains_silence()
    clock.now += LOAD_SECONDS
    assert warming.explains_silence()
    wait_until(lambda: loads == [1, 1])


def test_a_server_that_was_down_at_the_start_is_loaded_later() -> None:
    loads: list[int] = []

    def load() -> None:
        loads.append(1)
        raise ModelError("down", kind="unreachable")

    warming = Warming(load, lambda: False, 0.0)
    warming.start()
    wait_until(warming.wait)
    assert warming.explains_silence()
    wait_until(lambda: loads == [1, 1])


def test_a_load_that_no_thread_could_begin_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    loads: list[bool] = []
    warming = Warming(lambda: loads.append(True), lambda: False, patience_seconds=5)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        warming.start()
    started = time.monotonic()
    assert warming.wait()
    assert time.monotonic() - started < 1
    warming.start()
    assert warming.wait()
    assert loads == [True]
