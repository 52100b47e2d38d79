"""What can be switched on to go wrong, for tests; everything is off until then."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from jobs.sandbox.serving import Answer, Drop, Request


@dataclass
class HubSpotFaults:
    """``flapping`` hides tickets from search: each one with that probability at every search, or the given
    ids at every other search, the first included. ``fail_next`` is used up from its start, one a request;
    ``wrong_date_offset_seconds`` shifts the ``Date`` header; ``html_errors`` makes every error a page;
    ``forbidden`` are the object types that the token lacks the scope for.
    """

    index_lag_seconds: float = 0.0
    flapping: float | frozenset[str] = 0.0
    fail_next: list[int | Drop] = field(default_factory=list)
    down: bool = False
    always_429: bool = False
    latency_seconds: float = 0.0
    wrong_date_offset_seconds: float = 0.0
    html_errors: bool = False
    forbidden: frozenset[str] = frozenset()
    seed: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def hidden(self, ticket_ids: Iterable[int], search_number: int) -> set[int]:
        """The ids that this search misses; ``search_number`` counts from 1."""
        if isinstance(self.flapping, float | int):
            chance = self.flapping
            return {t for t in ticket_ids if self._random.random() < chance} if chance else set()
        return {int(t) for t in self.flapping} if search_number % 2 else set()


@dataclass
class ModelFaults:
    """``chat_seconds``, ``fail_next``, ``content``, ``empty`` and ``done_reason`` concern chats only,
    ``load_seconds`` whatever needs the model in memory, the rest every request.

    ``status`` answers with that status; ``hang_seconds`` is a delay before it answers at all,
    ``chat_seconds`` before a loaded model answers; ``done_reason="length"`` also cuts the content in half, as
    a model that ran out of tokens does.
    """

    latency_seconds: float = 0.0
    hang_seconds: float = 0.0
    chat_seconds: float = 0.0
    load_seconds: float = 0.0
    status: int | None = None
    content: str | None = None
    empty: bool = False
    html: bool = False
    done_reason: str = "stop"
    drop: bool = False
    fail_next: list[int | Drop] = field(default_factory=list)


class GroqError(StrEnum):
    """Groq's errors that a status alone does not tell apart (https://console.groq.com/docs/errors)."""

    INVALID_API_KEY = "invalid_api_key"
    MODEL_NOT_FOUND = "model_not_found"
    MODEL_DECOMMISSIONED = "model_decommissioned"
    JSON_VALIDATE_FAILED = "json_validate_failed"


@dataclass
class GroqFaults:
    """``status`` and ``html`` concern every request, ``drop`` and the delays too, the rest chats only.

    ``content`` stands for what the model wrote; ``finish_reason="length"`` also cuts it in half;
    ``html`` makes every answer a page, with the status that it has. ``retry_after_seconds`` goes into 429s.
    """

    latency_seconds: float = 0.0
    hang_seconds: float = 0.0
    status: int | GroqError | None = None
    content: str | None = None
    empty: bool = False
    html: bool = False
    finish_reason: str = "stop"
    drop: bool = False
    fail_next: list[int | GroqError | Drop] = field(default_factory=list)
    retry_after_seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one message sent to Discord; ``status`` None closes the connection unanswered.

    ``stored`` keeps the message all the same; with a 2xx ``status`` the sender is then told so, after the
    delays and as far as ``body_bytes_sent`` goes. A message that Discord would refuse anyway is refused.
    ``is_global`` is for 429: the whole API is closed, not one bucket. ``html`` answers with a proxy's page.
    """

    status: int | None = None
    stored: bool = False
    html: bool = False
    is_global: bool = False
    body_bytes_sent: int | None = None
    delay_before_seconds: float = 0.0
    delay_after_seconds: float = 0.0


DROP_BEFORE = Fault()
DROP_AFTER = Fault(stored=True)
ERROR_AFTER = Fault(502, stored=True)
TRUNCATED = Fault(200, stored=True, body_bytes_sent=20)
GLOBAL_429 = Fault(429, is_global=True)
HTML_429 = Fault(429, html=True)


@dataclass
class DiscordFaults:
    """Of each message sent: the next of ``fail_next``, else one of ``chances`` (each with its probability,
    1.0 is always), else ``status``. A number is a status, and the message is not stored.

    ``get_status`` fails every read, ``down`` every request, ``html`` makes every error a page;
    ``refuse_first_embed`` is the probability of a 400 for a message whose first embed has fields, and
    lets a minimal card through. ``delay_before_seconds`` passes before a message is stored,
    ``delay_after_seconds`` before any answer. ``retry_after_seconds`` goes into 429s.
    """

    fail_next: list[int | Fault] = field(default_factory=list)
    chances: dict[int | Fault, float] = field(default_factory=dict)
    status: int | None = None
    get_status: int | None = None
    down: bool = False
    html: bool = False
    refuse_first_embed: float = 0.0
    delay_before_seconds: float = 0.0
    delay_after_seconds: float = 0.0
    retry_after_seconds: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def take(self) -> Fault | None:
        """The fault of the next message, or None; uses up one of ``fail_next``."""
        chosen = self.fail_next.pop(0) if self.fail_next else self._drawn() or self.status
        return Fault(chosen) if isinstance(chosen, int) else chosen

    def refuses(self, request: Request) -> bool:
        """Whether this message meets ``refuse_first_embed``."""
        if not self.refuse_first_embed:
            return False
        try:
            with_fields = bool(request.json()["embeds"][0]["fields"])
        except (ValueError, LookupError, TypeError):
            return False
        return with_fields and self._random.random() < self.refuse_first_embed

    def _drawn(self) -> int | Fault | None:
        point = self._random.random() if self.chances else 1.0
        for fault, chance in self.chances.items():
            if point < chance:
                return fault
            point -= chance
        return None


FAILED_PAGE = "<html><head><title>Error</title></head><body><h1>Something went wrong</h1></body></html>"


def failed_page(status: int) -> Answer:
    """The page that a proxy in front of a vendor shows."""
    return Answer(status, FAILED_PAGE.encode(), "text/html;charset=utf-8")
