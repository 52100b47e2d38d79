"""A simulated Discord over HTTP, under ``/api`` and ``/api/v10``: a webhook, a bot, and what goes wrong."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus

from jobs.sandbox import discord_answers as say
from jobs.sandbox.discord_api import DiscordApi, find_route, waits
from jobs.sandbox.faults import DiscordFaults, Fault
from jobs.sandbox.guild import Webhook
from jobs.sandbox.rate_limits import RateLimits
from jobs.sandbox.serving import Answer, Drop, Outcome, Request, Simulator, http_date

SANDBOX_CHANNEL_ID = "1100000000000000002"
SANDBOX_WEBHOOK_ID, SANDBOX_WEBHOOK_TOKEN = "1100000000000000003", "sandbox-webhook-no-secret"
SANDBOX_BOT_ID, SANDBOX_BOT_TOKEN = "1100000000000000004", "sandbox-bot-no-secret"


class SimulatedDiscord(Simulator, DiscordApi):
    """One server with ``channel``, ``webhook`` and ``bot``; more with the methods of Guild, which also has
    the stored ``messages`` and ``cards_for``. It fails through ``faults`` and limits by ``rate_limits``.

    ``requests`` counts by (method, route), the route being webhook, messages, message, channel, me or
    unknown; ``statuses`` counts what was answered, 0 for a dropped connection; ``requests_seen`` are all
    requests in full, secrets included. Its time, the ``Date`` header included, is ``clock``'s.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        clock: Callable[[], float] = time.time,
        nonce_window_seconds: float = 300.0,
        rate_limits: RateLimits | None = None,
    ) -> None:
        Simulator.__init__(self, port)
        DiscordApi.__init__(self, clock, nonce_window_seconds, rate_limits)
        self.channel = self.add_channel("support", SANDBOX_CHANNEL_ID)
        self.webhook = self.add_webhook(
            SANDBOX_CHANNEL_ID, webhook_id=SANDBOX_WEBHOOK_ID, token=SANDBOX_WEBHOOK_TOKEN
        )
        self.bot = self.add_bot(user_id=SANDBOX_BOT_ID, token=SANDBOX_BOT_TOKEN)
        self.faults = DiscordFaults()
        self.requests: Counter[tuple[str, str]] = Counter()
        self.statuses: Counter[int] = Counter()
        self.requests_seen: list[Request] = []

    @property
    def api_url(self) -> str:
        return f"{self.url}/api/v10"

    @property
    def webhook_url(self) -> str:
        """Of the webhook that was there from the start."""
        return self.url_of(self.webhook)

    def url_of(self, webhook: Webhook) -> str:
        return f"{self.url}/api/webhooks/{webhook.webhook_id}/{webhook.token}"

    def answer(self, request: Request) -> Outcome:
        name, parts = find_route(request.path)
        with self.lock:
            self.requests[request.method, name] += 1
            self.requests_seen.append(request)
        outcome = self._dressed(self._outcome(request, name, parts))
        with self.lock:
            self.statuses[0 if isinstance(outcome, Drop) else outcome.status] += 1
        return outcome

    def _outcome(self, request: Request, name: str, parts: tuple[str, ...]) -> Outcome:
        if self.faults.down:
            return say.plain_error(503)
        if request.method == "POST" and name in ("webhook", "messages"):
            return self._send(request, name, parts)
        if self.faults.get_status is not None:
            return self._failure(Fault(self.faults.get_status), name)
        return self.read(request, name, parts)

    def _dressed(self, outcome: Outcome) -> Outcome:
        delay = outcome.delay_seconds + self.faults.delay_after_seconds
        if isinstance(outcome, Drop):
            return Drop(delay)
        if self.faults.html and outcome.status >= HTTPStatus.BAD_REQUEST:
            outcome = say.as_page(outcome, self.faults.retry_after_seconds)
        date = http_date(self.clock())
        return replace(outcome, delay_seconds=delay, headers={"Date": date, **outcome.headers})

    def _send(self, request: Request, name: str, parts: tuple[str, ...]) -> Outcome:
        """1. What delays or prevents the storing; 2. the storing; 3. what becomes of its answer."""
        with self.lock:
            fault = self.faults.take()
            refused = self.faults.refuses(request)
        waiting = self.faults.delay_before_seconds + (fault.delay_before_seconds if fault else 0.0)
        if waiting and self.stopping.wait(waiting):
            return Drop()
        if fault is not None and not fault.stored:
            return self._unstored(fault, request, name)
        if refused:
            return say.refusal(400, say.INVALID_FORM, say.DISLIKED)
        answer = self.receive(request, name, parts)
        if fault is None or answer.status >= HTTPStatus.BAD_REQUEST:
            return answer
        return self._spoilt(fault, answer, name)

    def _unstored(self, fault: Fault, request: Request, name: str) -> Outcome:
        # Without wait Discord answers before it saves: a message that it could not save gives no error.
        unheard = name == "webhook" and not waits(request)
        if unheard and fault.status is not None and fault.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Answer(204, delay_seconds=fault.delay_after_seconds)
        return self._spoilt(fault, self._failure(fault, name), name)

    def _spoilt(self, fault: Fault, answer: Answer, name: str) -> Outcome:
        """What reaches the sender instead of ``answer``."""
        if fault.status is None:
            return Drop(fault.delay_after_seconds)
        if fault.html or fault.status >= HTTPStatus.BAD_REQUEST:
            answer = self._failure(fault, name)
        delay = fault.delay_after_seconds
        return replace(answer, delay_seconds=delay, body_bytes_sent=fault.body_bytes_sent)

    def _failure(self, fault: Fault, name: str) -> Answer:
        return say.failure(fault, self.faults.retry_after_seconds, webhook=name == "webhook")
