"""Discord in this process: an httpx transport that asks the sandbox's server, and what goes wrong between."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from jobs.sandbox.discord import SimulatedDiscord
from jobs.sandbox.faults import Fault
from jobs.sandbox.serving import Answer, Request
from tests.simulation.effects import Effects
from tests.simulation.seams import BOT, WEBHOOK
from tests.simulation.truth import Send, Truth

ANSWER_SECONDS = 10.0  #: the product's own time limit
#: Of a webhook; the design believes that a card of the bot is there after a minute or never.
LATEST_SECONDS, LATEST_SECONDS_OF_BOT = 1_800.0, 50.0


@dataclass(slots=True)
class Line:
    """The line to Discord at the moment: chances of a message, and an outage of one kind for all."""

    unknown: float = 0.0
    not_sent: float = 0.0
    limited: float = 0.0
    refused: float = 0.0
    late: float = 0.0
    outage: str | None = None


WEBHOOK_PLACE = "1100000000000000009"
OUTAGES = ("unreachable", "broken", "deaf", "refusing", "limited")  #: deaf: a GET works, and no POST does


class Lost(httpx.SyncByteStream):
    """An answer that breaks off after its status line."""

    def __iter__(self) -> Iterator[bytes]:
        raise httpx.ReadError("the connection broke")


class WorldDiscord(SimulatedDiscord):
    """The webhook writes into a channel of its own: a look doubts what other programs wrote in the bot's."""

    def __init__(self, **known: Any) -> None:
        super().__init__(**known)
        place = self.add_channel("webhook", WEBHOOK_PLACE).channel_id
        known_as = {"webhook_id": self.webhook.webhook_id, "token": self.webhook.token}
        self.webhook = self.add_webhook(place, **known_as)

    @property
    def stored(self) -> int:
        return len(self._messages)


class WorldTransport(httpx.BaseTransport):
    """Carries every request of every process; what was stored, and what the sender was told, is the truth."""

    def __init__(self, discord: WorldDiscord, effects: Effects, truth: Truth, rng: random.Random) -> None:
        self.discord, self.line = discord, Line()
        self._effects, self._truth, self._rng = effects, truth, rng
        self.requests = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        body = request.read()
        asked = Request(
            request.method,
            request.url.path,
            request.url.query.decode(),
            {name.lower(): value for name, value in request.headers.items()},
            body,
        )
        if request.method != "POST":
            return self._look(asked)
        channel = WEBHOOK if "/webhooks/" in asked.path else BOT
        process = self._effects.scheduler.current.process.name
        send = Send(ticket_of(body), channel, process, self._truth.time.now, names=names_in(body))
        self._truth.note_send(send)
        return self._post(asked, send)

    def _look(self, asked: Request) -> httpx.Response:
        self._effects.pass_point("Discord GET", asked.path)
        self._sleep(0.05, 0.3)
        if self.line.outage in ("unreachable", "broken"):
            raise httpx.ConnectError("no connection")
        answer = httpx.Response(404) if self.line.outage == "refusing" else self._answered(asked)
        self._effects.pass_point("Discord answers")
        return answer

    def _post(self, asked: Request, send: Send) -> httpx.Response:
        """1. A connection; 2. the first byte; 3. the storing; 4. the answer. Anything may fail between."""
        what = f"card of {send.ticket_id}" if send.ticket_id else "message"
        weight = self._effects.send_weight
        self._effects.pass_point(f"Discord: {what}", weight=weight)
        self._sleep(0.01, 0.1)
        fate = self._draw_fate()
        self._effects.trace.note("Discord", f"{what} meets {fate}")
        if fate == "unreachable":
            raise self._told(send, "not sent", httpx.ConnectError("no connection"))
        self._effects.pass_point("first byte", weight=weight)
        send.first_byte_at = self._truth.time.now
        match fate:
            case "lost before":
                self._sleep(0.02, 0.5)
                raise self._told(send, "unknown", httpx.ReadError("the connection broke"))
            case "late":
                self._store_later(asked, send)
                self._effects.scheduler.sleep(ANSWER_SECONDS)
                raise self._told(send, "unknown", httpx.ReadTimeout("no answer in time"))
        answer = self._wait_for_answer(asked, send, FAULTS.get(fate))
        self._effects.pass_point("Discord answers", weight=weight)
        self._sleep(0.0, 0.2)
        match fate:
            case "lost after":
                raise self._told(send, "unknown", httpx.ReadError("the connection broke"))
            case "body lost":
                answer = httpx.Response(answer.status_code, headers=answer.headers, stream=Lost())
        self._tell(send, class_of(answer.status_code))
        return answer

    def _wait_for_answer(self, asked: Request, send: Send, fault: Fault | None) -> httpx.Response:
        """A request that has left arrives, whatever becomes of its sender."""
        seconds, answers = self._rng.uniform(0.02, 0.5), list[httpx.Response]()
        scheduler = self._effects.scheduler
        scheduler.at(
            self._truth.time.now + seconds, lambda: answers.append(self._answered(asked, send, fault))
        )
        scheduler.sleep(seconds + 0.001)
        return answers[0]

    def _tell(self, send: Send, answer: str) -> None:
        send.answer, send.answered_at = answer, self._truth.time.now

    def _told(self, send: Send, answer: str, error: httpx.TransportError) -> httpx.TransportError:
        self._tell(send, answer)
        return error

    def _answered(
        self, asked: Request, send: Send | None = None, fault: Fault | None = None
    ) -> httpx.Response:
        if fault is not None:
            # A limit of a moment names a second, one that stays some minutes.
            self.discord.faults.retry_after_seconds = 300.0 if self.line.outage else 1.0
            self.discord.faults.fail_next.append(fault)
        before = self.discord.stored
        answer = self.discord.answer(asked)
        assert isinstance(answer, Answer)
        if self.discord.stored > before and send is not None:
            send.stored_at = self._truth.time.now
            if send.ticket_id:
                self._effects.trace.note("Discord", f"STORED a card of {send.ticket_id}")
        headers = {**answer.headers, "content-type": answer.content_type}
        return httpx.Response(answer.status, headers=headers, content=answer.body)

    def _store_later(self, asked: Request, send: Send) -> None:
        """The request waits somewhere on its way, longer than its sender does."""
        bot = bool(send.ticket_id) and send.channel == BOT
        seconds = LATEST_SECONDS_OF_BOT if bot else self._rng.choice((15.0, 120.0, LATEST_SECONDS))
        moment = self._truth.time.now + self._rng.uniform(ANSWER_SECONDS, seconds)
        self._effects.scheduler.at(moment, lambda: self._answered(asked, send))

    def _draw_fate(self) -> str:
        line, rng = self.line, self._rng
        match line.outage:
            case "unreachable" | "refusing" | "limited":
                return line.outage
            case "broken" | "deaf":
                return rng.choice(UNKNOWN)
        point = rng.random()
        for chance, fates in (
            (line.unknown, UNKNOWN),
            (line.late, ("late",)),
            (line.not_sent, ("unreachable",)),
            (line.limited, ("limited", "limited as a page")),
            (line.refused, ("refused",)),
            (0.01, ("body lost",)),
        ):
            if point < chance:
                return rng.choice(fates)
            point -= chance
        return "ok"

    def _sleep(self, least: float, most: float) -> None:
        self._effects.scheduler.sleep(self._rng.uniform(least, most))


UNKNOWN = ("lost before", "lost after", "500 before", "502 after", "504 after")
FAULTS = {
    "500 before": Fault(500),
    "502 after": Fault(502, stored=True),
    "504 after": Fault(504, stored=True),
    "refusing": Fault(404),
    "refused": Fault(400),
    "limited": Fault(429),
    "limited as a page": Fault(429, html=True),
}


def class_of(status: int) -> str:
    """Rule 4 as the world sees it."""
    if 200 <= status < 300:
        return "sent"
    return "not sent" if 400 <= status < 500 else "unknown"


def ticket_of(body: bytes) -> str:
    """The ticket that a message is the card of, empty for one that is no card."""
    embeds = json.loads(body).get("embeds") or [{}]
    return str(embeds[0].get("url", "")).rpartition("/")[2]


def names_in(body: bytes) -> tuple[str, ...]:
    """The tickets that a check message names, each with a line of its own."""
    lines = str(json.loads(body).get("content", "")).splitlines()
    return tuple(line.split()[1].strip("#") for line in lines if line.startswith("- #"))
