"""Where the program notes what happened. Here nothing is kept: a worker gives the class that counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ServiceOutcome:
    """How the last call of a service ended; ``seconds`` is None where nobody took the time."""

    ok: bool
    at: datetime
    seconds: float | None = None


class Observations:
    """Call sites note by these methods, from any thread; every one is cheap and none raises.

    This class does nothing, for ``run-once`` and tests; ``jobs.web.metrics.CountedObservations`` counts.
    Names and labels are enums and service names, never ids or anybody's words.
    """

    def ticket_settled(
        self,
        *,
        state: str,
        source: str = "",
        provider: str = "none",
        priority: str = "",
        triage_seconds: float | None = None,
        card_seconds: float | None = None,
    ) -> None:
        """A ticket reached its last state; ``card_seconds`` is creation to card."""

    def card_answered(self, channel: str, *, ok: bool, seconds: float) -> None:
        """A channel's answer to one card; health shows the last as the service of the channel's name."""

    def job_ended(self, name: str, seconds: float, *, failed: bool) -> None:
        """One run of a job of the timetable."""

    def webhook_answered(self, code: str) -> None:
        """What a webhook call got: ``accepted`` or the error's code."""

    def webhook_dropped(self, number: int = 1) -> None:
        """Webhook events of kinds that are not ours."""

    def signature_refused(self, number: int = 1) -> None:
        """Webhook calls whose signature or token does not hold."""

    def hubspot_answered(self, status: int | None, seconds: float) -> None:
        """One request of HubSpot's, ``status`` None where no answer came; HubSpotClient's ``on_answer``."""

    def model_used(
        self, provider: str, tokens_in: int, tokens_out: int, cost_usd: float, seconds: float
    ) -> None:
        """What one answer of a model took."""

    def ticket_spilled(self, provider: str, why: str) -> None:
        """A ticket went on without a provider that nothing is wrong with: ``crowded`` or ``loading``."""

    def model_passed_over(self, provider: str, passed_over: bool) -> None:
        """A provider's breaker opened or closed."""

    def answer_guarded(self, kind: str, number: int) -> None:
        """What the guards took out of a model's answer, or that a ticket's text steered it."""

    def service_asked(self, service: str, *, ok: bool, seconds: float | None = None) -> None:
        """A call of ``hubspot``, ``discord``, ``local`` or ``groq`` ended; health shows the last of each."""

    def last_outcomes(self) -> Mapping[str, ServiceOutcome]:
        """The last outcome of each service that was asked."""
        return {}
