"""A sign of life for a dead-man's switch, after each good cycle: silence there means that we are down."""

import logging
from functools import lru_cache
from typing import TYPE_CHECKING

from jobs.outgoing import client_options

if TYPE_CHECKING:
    import httpx

log = logging.getLogger("triage")
LIMIT_SECONDS = 5.0


def beat(url: str) -> None:
    """GET ``url``, at most 5 s for the whole of it. Never raises; the URL, a secret, is in no log line."""
    try:
        status = open_client().get(url, headers={"Connection": "close"}).status_code
    except Exception as error:  # noqa: BLE001 - a sign of life must not end a life
        log.warning("heartbeat not delivered", extra={"reason": type(error).__name__})
        return
    if not 200 <= status < 300:
        log.warning("heartbeat refused", extra={"status": status})


@lru_cache(maxsize=1)
def open_client() -> "httpx.Client":
    """Kept, since certificates take 30 ms to load; its connections are not."""
    import httpx

    return httpx.Client(**client_options(LIMIT_SECONDS, {}))
