"""Who may look: the token, the brake on guessing it, and who is logged in."""

import hmac
import ipaddress
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

TRIES, TRIES_SECONDS = 5, 60.0
LOGGED_IN_SECONDS = 12 * 3600.0


@dataclass(frozen=True, slots=True)
class Access:
    """Without ``token`` nobody is asked, which only a loopback ``host`` allows."""

    host: str
    token: str | None
    may_write: bool


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_token(token: str, given: str) -> bool:
    """In the same time whatever was given of the same length."""
    return hmac.compare_digest(token.encode(), given.encode())


class Brake:
    """After five wrong tokens within a minute, whoever gave them, none is looked at until it is over."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now, self.lock, self.failures = now, threading.Lock(), deque[float]()

    def count_failure(self) -> None:
        with self.lock:
            self.failures.append(self.now())

    def seconds_left(self) -> float:
        """0 where a token may be tried."""
        with self.lock:
            while self.failures and self.failures[0] <= self.now() - TRIES_SECONDS:
                self.failures.popleft()
            braked = len(self.failures) >= TRIES
            return self.failures[-TRIES] + TRIES_SECONDS - self.now() if braked else 0.0


class LoggedIn:
    """Keys of who gave the token, for twelve hours or until they log out. In memory: a restart ends all."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now, self.lock, self.until = now, threading.Lock(), dict[str, float]()

    def add(self) -> str:
        key = secrets.token_urlsafe(32)
        with self.lock:
            self.until = {one: until for one, until in self.until.items() if until > self.now()}
            self.until[key] = self.now() + LOGGED_IN_SECONDS
        return key

    def remove(self, key: str) -> None:
        with self.lock:
            self.until.pop(key, None)

    def holds(self, key: str) -> bool:
        with self.lock:
            return self.until.get(key, 0.0) > self.now()
