"""``/metrics`` for Prometheus: what this process noted, and what the ledger holds when it is asked.

Importing this costs 30 ms beside the web server (prometheus-client), so only the worker does. The registry is
our own: nothing of the library's global one is shown.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jobs.clock import utc_now
from jobs.observations import Observations, ServiceOutcome
from jobs.web.shared_read import SharedRead
from models import health
from models.database import pool_use
from models.health import InboxDepth, Standing

T = TypeVar("T")

READ_SECONDS = 1.5
FRESH_SECONDS = 5.0
FRESH_STATES_SECONDS = 60.0  #: counting the whole ledger takes 0.2 to 0.4 s at a million tickets
TRIAGE_BUCKETS = (0.5, 1, 2, 5, 10, 20, 40)
DELIVERY_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10)
CARD_BUCKETS = (1, 2.5, 5, 10, 15, 20, 30, 60, 120, 300, 900, 3600)
JOB_BUCKETS = (0.05, 0.25, 1, 5, 15, 60, 300)
REFUSALS = (401, 403, 429)


class CountedObservations(Observations):
    """Counts what it is told, in ``registry``; safe for several threads."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._outcomes: dict[str, ServiceOutcome] = {}
        self._make_ticket_metrics()
        self._make_work_metrics()

    def _make_ticket_metrics(self) -> None:
        ours, labels = self.registry, ["state", "source", "provider", "priority"]
        self._settled = Counter("triage_tickets_settled", "Tickets settled", labels, registry=ours)
        self._triage = Histogram(
            "triage_verdict_seconds", "The triage", ["provider"], buckets=TRIAGE_BUCKETS, registry=ours
        )
        self._delivery = Histogram(
            "triage_delivery_seconds", "Sending the card", buckets=DELIVERY_BUCKETS, registry=ours
        )
        self._card = Histogram(
            "triage_creation_to_card_seconds", "Ticket to card", buckets=CARD_BUCKETS, registry=ours
        )
        self._tokens = Counter("triage_tokens", "Tokens", ["provider", "direction"], registry=ours)
        self._answers = Histogram(
            "triage_model_answer_seconds",
            "A model's answer",
            ["provider"],
            buckets=TRIAGE_BUCKETS,
            registry=ours,
        )
        self._passed_over = Gauge(
            "triage_model_passed_over", "1 while the breaker is open", ["provider"], registry=ours
        )
        self._guarded = Counter("triage_answers_guarded", "Taken out of answers", ["kind"], registry=ours)
        self._spilled = Counter(
            "triage_tickets_spilled", "Tickets gone on, no fault", ["provider", "reason"], registry=ours
        )
        self._cost = Counter("triage_cost_usd", "What the models cost", ["provider"], registry=ours)

    def _make_work_metrics(self) -> None:
        ours = self.registry
        self._hubspot = Counter("triage_hubspot_requests", "HubSpot's answers", ["code"], registry=ours)
        self._hubspot.labels("429")  # there from the start, so that a first one is seen as a rise
        self._runs = Counter("triage_job_runs", "Runs of a job", ["job"], registry=ours)
        self._failures = Counter("triage_job_failures", "Runs that failed", ["job"], registry=ours)
        self._seconds = Histogram(
            "triage_job_seconds", "Length of a run", ["job"], buckets=JOB_BUCKETS, registry=ours
        )
        self._webhooks = Counter("triage_webhook_answers", "Webhook calls", ["code"], registry=ours)
        self._dropped = Counter("triage_webhook_events_dropped", "Events not ours", registry=ours)
        self._refused = Counter("triage_webhook_signatures_refused", "Refused calls", registry=ours)
        pool = Gauge("triage_database_pool", "Connections of this process", ["of"], registry=ours)
        pool.labels("in_use").set_function(lambda: pool_use()[0])
        pool.labels("size").set_function(lambda: pool_use()[1])

    def ticket_settled(
        self,
        *,
        state: str,
        source: str = "",
        provider: str = "none",
        priority: str = "",
        triage_seconds: float | None = None,
        card_seconds: float | None = None,
    ) -> None:
        self._settled.labels(state, source, provider, priority).inc()
        note(self._triage.labels(provider), triage_seconds)
        note(self._card, card_seconds)

    def card_answered(self, channel: str, *, ok: bool, seconds: float) -> None:
        self._delivery.observe(seconds)
        self.service_asked(channel, ok=ok, seconds=seconds)

    def job_ended(self, name: str, seconds: float, *, failed: bool) -> None:
        self._runs.labels(name).inc()
        self._failures.labels(name).inc(int(failed))
        note(self._seconds.labels(name), seconds)

    def webhook_answered(self, code: str) -> None:
        self._webhooks.labels(code).inc()

    def webhook_dropped(self, number: int = 1) -> None:
        self._dropped.inc(number)

    def signature_refused(self, number: int = 1) -> None:
        self._refused.inc(number)

    def hubspot_answered(self, status: int | None, seconds: float) -> None:
        self._hubspot.labels("none" if status is None else str(status)).inc()
        ok = status is not None and status < 500 and status not in REFUSALS
        self.service_asked("hubspot", ok=ok, seconds=seconds)

    def model_used(
        self, provider: str, tokens_in: int, tokens_out: int, cost_usd: float, seconds: float
    ) -> None:
        self._tokens.labels(provider, "in").inc(max(0, tokens_in))
        self._tokens.labels(provider, "out").inc(max(0, tokens_out))
        self._cost.labels(provider).inc(max(0.0, cost_usd))
        self._answers.labels(provider).observe(max(0.0, seconds))

    def ticket_spilled(self, provider: str, why: str) -> None:
        self._spilled.labels(provider, why).inc()

    def model_passed_over(self, provider: str, passed_over: bool) -> None:
        self._passed_over.labels(provider).set(int(passed_over))

    def answer_guarded(self, kind: str, number: int) -> None:
        self._guarded.labels(kind).inc(number)

    def service_asked(self, service: str, *, ok: bool, seconds: float | None = None) -> None:
        self._outcomes[service] = ServiceOutcome(ok, utc_now(), seconds)

    def last_outcomes(self) -> Mapping[str, ServiceOutcome]:
        return dict(self._outcomes)


def note(histogram: Histogram, seconds: float | None) -> None:
    if seconds is not None:
        histogram.observe(max(0.0, seconds))


@dataclass(frozen=True, slots=True)
class LedgerNow:
    standing: Standing
    inbox: InboxDepth


def read_ledger_now() -> LedgerNow:
    return LedgerNow(health.read_standing(), health.read_inbox())


class LedgerGauges(Collector):
    """The ledger as it was last read; nothing but ``triage_database_up`` where it could not be."""

    def __init__(self, now: LedgerNow | None, by_state: Mapping[str, int] | None) -> None:
        self._now, self._by_state = now, by_state

    def collect(self) -> Iterator[Metric]:
        up = int(self._now is not None)
        yield GaugeMetricFamily("triage_database_up", "Whether the ledger could be read", value=up)
        if self._by_state is not None:
            states = GaugeMetricFamily("triage_tickets", "Rows of the ledger", labels=["state"])
            for state, tickets in self._by_state.items():
                states.add_metric([state], tickets)
            yield states
        if self._now is not None:
            yield from gauges_of(self._now)


def gauges_of(now: LedgerNow) -> Iterator[Metric]:
    values = {
        "triage_tickets_open": ("Tickets found and not yet told", now.standing.open),
        "triage_tickets_unconfirmed": ("Tickets held for a person", now.standing.held),
        "triage_oldest_open_seconds": ("How long the oldest waits", now.standing.oldest_open_seconds),
        "triage_inbox_waiting": ("Webhook events to drain", now.inbox.waiting),
        "triage_inbox_set_aside": ("Webhook events that could not be drained", now.inbox.set_aside),
    }
    for name, (words, value) in values.items():
        yield GaugeMetricFamily(name, words, value=value)


def metrics_routes(
    observations: CountedObservations,
    read_now: Callable[[], LedgerNow] = read_ledger_now,
    read_states: Callable[[], dict[str, int]] = health.count_by_state,
) -> list[Route]:
    """``/metrics``; the ledger is read at most every few seconds, and being down fails no scrape."""
    now, states = SharedRead(read_now, FRESH_SECONDS), SharedRead(read_states, FRESH_STATES_SECONDS)

    async def metrics(request: Request) -> Response:
        standing, by_state = read_or_none(now), read_or_none(states)
        gauges = LedgerGauges(*await asyncio.gather(standing, by_state))
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(Both(observations.registry, gauges)), headers={"Content-Type": content_type})

    return [Route("/metrics", metrics)]


async def read_or_none(reading: SharedRead[T]) -> T | None:
    try:
        return await reading.get(READ_SECONDS)
    except Exception:  # noqa: BLE001 - whatever ails the database, the process's own counts are shown
        return None


class Both(Collector):
    """Two collectors as one, of one scrape: gauges of another scrape cannot get in between."""

    def __init__(self, *collectors: Collector) -> None:
        self._collectors = collectors

    def collect(self) -> Iterator[Metric]:
        for collector in self._collectors:
            yield from collector.collect()
