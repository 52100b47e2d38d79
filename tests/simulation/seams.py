"""Where the world takes the place of real time, threads and connections: all of it, so that it can be seen.

Elsewhere the product is given clocks and services by arguments. These modules wait or connect by themselves.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

import jobs.handling
import jobs.look_for_cards
import jobs.notify.discord_bot
import jobs.prune_records
import jobs.reconcile_tickets
from jobs.notify.discord import DiscordWebhook
from jobs.notify.discord_api import AT_ONCE, DiscordApi
from jobs.notify.discord_bot import DiscordBot
from jobs.notify.pace import RateGate
from jobs.sandbox.discord import SANDBOX_BOT_TOKEN, SANDBOX_CHANNEL_ID
from tests.simulation.clock import StandingClock
from tests.simulation.scheduler import Scheduler
from tests.simulation.threads import Semaphore, Threads

WEBHOOK, BOT = DiscordWebhook.name, DiscordBot.name


@contextmanager
def played(scheduler: Scheduler, transport: httpx.BaseTransport) -> Iterator[None]:
    """Virtual time, threads and connections in the modules that have their own."""
    threads, clock = Threads(scheduler), StandingClock(scheduler.time)
    places: list[tuple[Any, str, object]] = [
        (jobs.handling, "threading", threads),
        (jobs.handling, "ThreadPoolExecutor", threads.pool),
        (jobs.handling, "wait", threads.wait),
        (jobs.look_for_cards, "threading", threads),
        (jobs.notify.discord_bot, "open_client", opener(transport)),
        (jobs.notify.discord_bot, "time", clock),
        (jobs.prune_records, "time", clock),
        (jobs.reconcile_tickets, "time", clock),
    ]
    kept = [(module, name, getattr(module, name)) for module, name, _ in places]
    for module, name, given in places:
        setattr(module, name, given)
    try:
        yield
    finally:
        for module, name, real in kept:
            setattr(module, name, real)


def opener(transport: httpx.BaseTransport) -> Callable[..., httpx.Client]:
    """Stands for ``open_client``."""

    def open_client(_: int, headers: dict[str, str] | None = None) -> httpx.Client:
        return httpx.Client(transport=transport, trust_env=False, headers=headers)

    return open_client


def build_webhook(url: str, scheduler: Scheduler, transport: httpx.BaseTransport) -> DiscordWebhook:
    channel = DiscordWebhook(url)
    connect(channel._api, scheduler, transport)
    return channel


def build_bot(api_url: str, scheduler: Scheduler, transport: httpx.BaseTransport) -> DiscordBot:
    channel = DiscordBot(api_url, SANDBOX_BOT_TOKEN, SANDBOX_CHANNEL_ID)
    connect(channel._api, scheduler, transport)
    channel._reads = build_gate(scheduler, 1)
    return channel


def connect(api: DiscordApi, scheduler: Scheduler, transport: httpx.BaseTransport) -> None:
    api._client = opener(transport)(0, api._headers)
    api._gate = build_gate(scheduler, AT_ONCE)


def build_gate(scheduler: Scheduler, at_once: int) -> RateGate:
    gate = RateGate(at_once, now=lambda: scheduler.time.now, sleep=scheduler.sleep)
    gate._slots = Semaphore(scheduler, at_once)  # type: ignore[assignment]
    return gate
