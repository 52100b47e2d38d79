"""What the models took, counted as it is spent and written to the ledger now and then."""

import logging
import threading

from jobs.observations import Observations
from jobs.triage.calls import Usage
from models.counts import ModelUse, count_model_use
from models.errors import StoreError

log = logging.getLogger("triage")


class UsageMeter:
    """Called with each answer's usage, from any thread; ``flush`` writes what came since. Never raises.

    A process that is killed loses what it had not written: these are figures, not promises.
    """

    def __init__(self, observations: Observations) -> None:
        self._observations = observations
        self._unwritten: dict[str, ModelUse] = {}
        self._lock = threading.Lock()

    def __call__(self, usage: Usage) -> None:
        provider = usage.provider.value
        took = usage.tokens_in, usage.tokens_out, usage.cost_usd, usage.seconds
        self._observations.model_used(provider, *took)
        self._add(provider, ModelUse(1, *took))

    def flush(self) -> None:
        """One statement for each provider that was asked; what cannot be written now is kept."""
        with self._lock:
            unwritten, self._unwritten = self._unwritten, {}
        for provider, use in unwritten.items():
            try:
                count_model_use(provider, use)
            except StoreError:
                log.warning("model use not written yet", extra={"provider": provider})
                self._add(provider, use)

    def _add(self, provider: str, use: ModelUse) -> None:
        with self._lock:
            self._unwritten[provider] = self._unwritten.get(provider, ModelUse()) + use
