"""How httpx clients are opened for others than Discord: models, the heartbeat, doctor's look at ourselves.

Nothing from the environment changes a call: proxies, .netrc, SSL_CERT_FILE and the SDKs' own variables are
ignored, so that a ticket and a secret go where the settings say and nowhere else.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

# Both SDKs add more: what this machine is, and headers and keys they find in the environment.
SENT = ("Host", "Accept", "Accept-Encoding", "Connection", "Content-Type", "Content-Length", "User-Agent")


def client_options(timeout_seconds: float, secrets: Mapping[str, str | None]) -> dict[str, Any]:
    """Arguments for an httpx client whose whole calls end in time; ``secrets`` are headers, None left out.

    Takes 190 ms for importing httpx, which ``--help`` and ``stats`` need not pay.
    """
    from jobs.deadline import DeadlineTransport

    return {
        "timeout": timeout_seconds,
        "transport": DeadlineTransport(),
        "auth": send_only({name: secret for name, secret in secrets.items() if secret is not None}),
        "follow_redirects": False,
        "trust_env": False,
    }


def send_only(secrets: Mapping[str, str]) -> "Callable[[httpx.Request], httpx.Request]":
    import httpx

    def authorise(request: httpx.Request) -> httpx.Request:
        sent = {name: request.headers[name] for name in SENT if name in request.headers}
        request.headers = httpx.Headers({**sent, **secrets})
        return request

    return authorise
