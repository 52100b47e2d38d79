"""This worker is alive: said to the ledger, so that nobody restores it, or reverts its tables, meanwhile."""

import threading

from models import presence, schema

RENEWED_SECONDS = 30.0
ALIVE_SECONDS = 120.0  #: how long a worker that was killed still counts


class Presence:
    """``is_behind`` tells whether migrations were pending at the last renewal."""

    def __init__(self, owner: str) -> None:
        self._owner, self._lock = owner, threading.Lock()
        self.is_behind = self._ended = False

    def renew(self) -> None:
        """Raises StoreError."""
        self.is_behind = not schema.is_current()
        with self._lock:
            if not self._ended:
                presence.appear(self._owner, ALIVE_SECONDS)

    def end(self) -> None:
        """Once and for all, also where a renewal is under way. Raises StoreError."""
        with self._lock:
            self._ended = True
            presence.leave(self._owner)
