"""What a call to any model's server has in common: what it took, and what its faults are called."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from jobs.errors import ModelError, SettingsError
from jobs.verdict import Provider

SETTINGS_FAULTS = frozenset({"refused_credential", "model_missing"})
"""Kinds that no second try mends, only a setting or whoever runs the server."""

MOST_TOKENS = 10_000_000
"""Of one call, far above what any model takes: what a server says is not believed beyond it."""

_NAMED_STATUS = {
    401: "refused_credential",
    403: "refused_credential",
    404: "model_missing",
    413: "too_large",
    429: "limited",
    503: "busy",
}


@dataclass(frozen=True, slots=True)
class Usage:
    """What one answer of a model took; ``cost_usd`` is 0 for one that nobody bills.

    ``seconds`` are those of the call, without the wait for a slot.
    """

    provider: Provider
    tokens_in: int
    tokens_out: int
    cost_usd: float = 0.0
    seconds: float = 0.0


#: Told of each answer, also of one that cannot be used. From several threads; must not raise.
OnUsage = Callable[[Usage], object]


def tokens_of(said: object) -> int:
    """The number of tokens that a server named; 0 for anything that is none."""
    is_number = isinstance(said, int) and not isinstance(said, bool)
    return max(0, min(int(said), MOST_TOKENS)) if is_number else 0  # type: ignore[call-overload]


def kind_of(exc: BaseException) -> str:
    """The kind of a call that ended without a status."""
    import httpx

    match exc:
        case httpx.TimeoutException():
            return "timeout"
        case httpx.TransportError() | OSError():
            return "unreachable"
        case _:
            return "not_json"


def kind_of_status(status: int) -> str:
    return _NAMED_STATUS.get(status, f"http_{status}")


def explain(
    kind: str,
    lines: Mapping[str, str],
    words: Mapping[str, str],
    *,
    retry_after: float | None = None,
    asked: bool = True,
) -> ModelError:
    """The error of that kind, with its line or, for a status nobody foresaw, that of ``""``."""
    line = lines.get(kind) or lines[""]
    text = line.format(status=kind.removeprefix("http_"), **words)
    error = ModelError(text, kind=kind, retry_after=retry_after, asked=asked)
    error.permanent = kind in SETTINGS_FAULTS
    return error


def bearer(token: str | None) -> str | None:
    return None if token is None else f"Bearer {token}"


def check_url(setting: str, url: str, *, example: str, instead: str) -> str:
    """``url`` as it is. Raises SettingsError for none of http(s), and where it holds a secret."""
    try:
        split = urlsplit(url)
        usable = split.scheme in {"http", "https"} and bool(split.hostname) and split.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError(f"{setting} is no http(s) URL; write it like {example}")
    if split.username or split.password:
        raise SettingsError(f"{setting} must not hold a user or password; use {instead}")
    return url


def check_header(setting: str, secret: str | None) -> str | None:
    """``secret``, None for an empty one. Raises SettingsError, which quotes nothing, for an odd one."""
    if secret is not None and not (secret.isascii() and secret.isprintable()):
        raise SettingsError(f"{setting} holds a character that no HTTP header can carry; copy it again")
    return secret or None
