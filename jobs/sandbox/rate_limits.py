"""The vendors' rate limits: Discord's windows, and Groq's allowances that fill up again evenly.

See https://docs.discord.com/developers/topics/rate-limits and https://console.groq.com/docs/rate-limits.
"""

import hashlib
import math
from dataclasses import dataclass, field

from jobs.sandbox.serving import Answer, json_answer


@dataclass(slots=True)
class Window:
    """``count`` requests in ``seconds`` from the first one on."""

    count: int
    seconds: float
    started_at: float = -math.inf
    used: int = 0

    def resets_in(self, now: float) -> float:
        return max(0.0, self.started_at + self.seconds - now)

    def has_room(self, now: float) -> bool:
        if self.resets_in(now) <= 0:
            self.started_at, self.used = now, 0
        return self.used < self.count


@dataclass(slots=True)
class Allowance:
    """``used`` of a number in ``seconds`` that comes back evenly, as Groq counts requests and tokens."""

    seconds: float
    used: float = 0.0
    at: float = -math.inf

    def refill(self, limit: int, now: float) -> None:
        if self.used:
            self.used = max(0.0, min(limit, self.used) - limit / self.seconds * (now - self.at))
        self.at = now

    def headers(self, name: str, limit: int) -> dict[str, str]:
        return {
            f"x-ratelimit-limit-{name}": str(limit),
            f"x-ratelimit-remaining-{name}": str(max(0, math.floor(limit - self.used))),
            f"x-ratelimit-reset-{name}": to_duration(self.used / limit * self.seconds),
        }


def to_duration(seconds: float) -> str:
    """As Go writes it: ``547ms``, ``7.66s``, ``2m59.56s``."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds, 2), 60)
    return (f"{minutes:.0f}m" if minutes else "") + f"{rest:.2f}".rstrip("0").rstrip(".") + "s"


@dataclass
class RateLimits:
    """``count`` messages in ``seconds`` for each webhook, or bot in a channel, and ``per_minute`` for each
    channel, whoever sends them; the second shows in no header until it is reached, as integrators report.
    """

    count: int = 5
    seconds: float = 2.0
    per_minute: int = 30
    _routes: dict[str, Window] = field(default_factory=dict)
    _channels: dict[str, Window] = field(default_factory=dict)

    def take(self, sender: str, channel_id: str, now: float) -> Answer | None:
        """Counts one message, or is the 429 that refuses it."""
        route = self._route(sender)
        channel = self._channels.setdefault(channel_id, Window(self.per_minute, 60.0))
        if not route.has_room(now):
            return too_many_requests(route.resets_in(now), "user", self.headers(sender, now))
        if not channel.has_room(now):
            return too_many_requests(channel.resets_in(now), "shared", self.headers(sender, now))
        route.used += 1
        channel.used += 1
        return None

    def headers(self, sender: str, now: float) -> dict[str, str]:
        route = self._route(sender)
        return {
            "X-RateLimit-Limit": str(route.count),
            "X-RateLimit-Remaining": str(route.count - route.used),
            "X-RateLimit-Reset": f"{now + route.resets_in(now):.3f}",
            "X-RateLimit-Reset-After": f"{route.resets_in(now):.3f}",
            "X-RateLimit-Bucket": hashlib.sha256(b"messages").hexdigest()[:32],
        }

    def _route(self, sender: str) -> Window:
        return self._routes.setdefault(sender, Window(self.count, self.seconds))


def too_many_requests(seconds: float, scope: str, headers: dict[str, str] | None = None) -> Answer:
    """``scope`` is user, shared or global; the header is in whole seconds, the body is exact."""
    everywhere = scope == "global"
    named = {"Retry-After": str(math.ceil(seconds)), "X-RateLimit-Scope": scope}
    if everywhere:
        named["X-RateLimit-Global"] = "true"
    body = {
        "message": "You are being rate limited.",
        "retry_after": round(seconds, 3),
        "global": everywhere,
    }
    return json_answer(body, 429, {**(headers or {}), **named})
