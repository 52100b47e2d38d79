"""Posts to Discord over HTTP, and every answer put into its class (design §4, rule 4), for webhook and bot.

Answers as in https://docs.discord.com/developers/topics/rate-limits and ``/resources/message``.
"""

import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from jobs.notify.outcome import NotSent, Outcome, Probe, Sent, Unknown
from jobs.notify.pace import RateGate, number_of

if TYPE_CHECKING:
    import httpx

#: Discord's own limit is about five messages in two seconds: two at once lose nothing of it, and an outage
#: begins with two sends in doubt instead of one for each thread.
AT_ONCE = 2
CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 10.0
LONGEST_ANSWER = 64_000
#: The kernel goes on sending what a process that gave up, or died, left behind: no longer than this.
UNACKNOWLEDGED_SECONDS = 15

#: The operator's line for a refusal with this status and Discord's own code; None: no setting is at fault.
FaultOf = Callable[[int, object], str | None]


class DiscordApi:
    """One channel's way to Discord; safe for several threads. Nothing here raises for an answer.

    ``bad_url`` is the operator's line for an address that nobody can call.
    """

    def __init__(self, fault_of: FaultOf, bad_url: str, headers: Mapping[str, str] | None = None) -> None:
        self._fault_of, self._bad_url, self._headers = fault_of, bad_url, headers
        self._gate = RateGate(AT_ONCE)
        self._opening = threading.Lock()
        self._client: httpx.Client | None = None

    def turn(self, longest_seconds: float) -> AbstractContextManager[float]:
        """A turn by what Discord's last answers allow; see RateGate."""
        return self._gate.turn(longest_seconds)

    def post(self, url: str, message: dict[str, Any], query: Mapping[str, str] | None = None) -> Outcome:
        """One message, once. What the URL has in its own query stays."""
        import httpx

        try:
            whole = httpx.URL(url).copy_merge_params(dict(query or {}))
            request = self._open().build_request("POST", whole, json=message)
            # Status and headers first: a 2xx status line is a sent message, whatever becomes of the body.
            answer = self._open().send(request, stream=True)
        except (
            httpx.ConnectError,
            httpx.ConnectTimeout,
            httpx.PoolTimeout,
            httpx.UnsupportedProtocol,
        ) as error:
            return NotSent(error=type(error).__name__, unreached=True)
        except (httpx.InvalidURL, UnicodeError) as error:
            # A host name that cannot be looked up, such as one with an empty part.
            return NotSent(error=type(error).__name__, fault=self._bad_url)
        except httpx.HTTPError as error:
            return Unknown(error=type(error).__name__)
        try:
            return self._judge(answer.status_code, answer.headers, read_body(answer))
        finally:
            answer.close()

    def probe(self, url: str) -> Probe:
        """A GET: proves that what it names is there and that Discord answers, and sends nothing."""
        import httpx

        try:
            answer = self._open().get(url)
        except (httpx.InvalidURL, UnicodeError):
            return Probe(answers=False, fault=self._bad_url)
        except httpx.HTTPError:
            return Probe(answers=False)
        fault = self._fault_of(answer.status_code, code_of(parsed(answer.content)))
        return Probe(answers=200 <= answer.status_code < 300, fault=fault)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _judge(self, status: int, headers: Mapping[str, str], body: dict[str, Any]) -> Outcome:
        self._gate.note_limits(headers)
        if 200 <= status < 300:
            return Sent(message_id=id_of(body, "id"), place=id_of(body, "channel_id"))
        if status == 429:
            named = number_of(body.get("retry_after"))
            seconds = named if named is not None else number_of(headers.get("retry-after"))
            return NotSent(error="http_429", retry_after=self._gate.close_for(seconds))
        if 400 <= status < 500:
            fault = self._fault_of(status, code_of(body))
            return NotSent(error=f"http_{status}", refused=status == 400, fault=fault)
        return Unknown(error=f"http_{status}")

    def _open(self) -> "httpx.Client":
        with self._opening:
            if self._client is None:
                # No connection is used twice: one that the other side closes just then would make a card
                # nobody read an unknown outcome. Discord takes two or three cards a second anyway.
                self._client = open_client(0, self._headers)
            return self._client


def open_client(kept_connections: int, headers: Mapping[str, str] | None = None) -> "httpx.Client":
    """A client that takes nothing from the environment; connections idle over 2 s are not reused (rule 4)."""
    import httpx

    transport = httpx.HTTPTransport(
        limits=httpx.Limits(max_keepalive_connections=kept_connections, keepalive_expiry=2.0),
        trust_env=False,
        socket_options=socket_options(),
    )
    timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
    return httpx.Client(transport=transport, timeout=timeout, trust_env=False, headers=headers)


def socket_options() -> list[tuple[int, int, int]]:
    option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux alone has it
    return [] if option is None else [(socket.IPPROTO_TCP, option, UNACKNOWLEDGED_SECONDS * 1000)]


def read_body(answer: "httpx.Response") -> dict[str, Any]:
    """The JSON object of an answer, or {} for anything else, a lost connection included."""
    import httpx

    read, deadline = b"", time.monotonic() + ANSWER_SECONDS
    try:
        for part in answer.iter_bytes():
            read += part
            if len(read) > LONGEST_ANSWER or time.monotonic() > deadline:
                return {}
    except httpx.HTTPError:
        return {}
    body = parsed(read)
    return body if isinstance(body, dict) else {}


def parsed(content: bytes) -> object:
    """The JSON, or None where it is none."""
    try:
        body: object = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return body


def code_of(body: object) -> object:
    """Discord's own number for an error, such as 10003 for a channel that it does not know."""
    return body.get("code") if isinstance(body, dict) else None


def id_of(body: Mapping[str, Any], name: str) -> str | None:
    value = str(body.get(name))[:50]
    return value if value.isascii() and value.isdigit() else None
