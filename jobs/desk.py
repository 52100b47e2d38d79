"""What is needed to handle a ticket, and how one claim ended."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from jobs.channel_gates import ChannelGates
from jobs.clock import suspend_aware_seconds, utc_now
from jobs.notify.channel import Channel, LookingChannel
from jobs.notify.outcome import NotSent, Outcome
from jobs.observations import Observations
from jobs.run_report import Result
from jobs.ticket import Ticket
from jobs.verdict import Provider, Verdict


@dataclass(frozen=True)
class Desk:
    """What is needed to handle a ticket; shared by the threads of one process.

    ``owner`` is unique to the process. ``insist`` repeats a ledger write until the store took it or the
    process ends. Without ``gates`` no channel is ever paused. ``resend_unknown`` sends a card whose fate
    nobody can tell once more, once. ``horizon`` asks the ledger for the creation time before which it
    remembers nothing, None while it remembers all. ``note_failed_send`` counts a send to a channel that
    failed or whose outcome is unknown, with the line of a setting to mend; it never raises.
    """

    owner: str
    triage: Callable[[Ticket], Verdict]
    channels: Sequence[Channel]
    insist: Callable[[Callable[[], object]], object]
    activated_at: datetime
    lease_seconds: float
    pipelines: frozenset[str] = frozenset()
    now: Callable[[], datetime] = field(default=utc_now)
    lease_clock: Callable[[], float] = field(default=suspend_aware_seconds)
    gates: ChannelGates | None = None
    resend_unknown: bool = False
    horizon: Callable[[], datetime | None] = field(default=lambda: None)
    observations: Observations = field(default_factory=Observations)
    note_failed_send: Callable[[str, str | None], object] = field(default=lambda *_: None)

    @property
    def configured(self) -> list[str]:
        return [channel.name for channel in self.channels]

    def is_open(self, channel: Channel) -> bool:
        return self.gates is None or self.gates.is_open(channel.name)

    def shut(self, channel: Channel, fault: str | None = None) -> None:
        if self.gates is not None:
            self.gates.shut(channel.name, fault)

    def note_reach(self, channel: Channel, outcome: Outcome) -> None:
        if self.gates is not None:
            unreached = isinstance(outcome, NotSent) and outcome.unreached
            self.gates.note_reach(channel.name, reached=not unreached)

    def resends(self, channel: str) -> bool:
        """Whether the policy is to send a card in doubt once more: never where the channel can look."""
        looking = (one.name for one in self.channels if isinstance(one, LookingChannel))
        return self.resend_unknown and channel not in looking

    def on_trial(self, channel: Channel) -> bool:
        """True where a pause is not to keep this send back: the channel is on trial, or nobody gates it."""
        return self.gates is None or self.gates.on_trial(channel.name)


@dataclass(frozen=True, slots=True)
class Handled:
    """How one claim ended; ``provider`` is set where the ticket was told."""

    result: Result
    provider: Provider | None = None
