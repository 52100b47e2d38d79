"""Which channels may be sent to now. Pauses stand in the ledger, so every worker obeys them (rules 7, 8)."""

import time
from collections.abc import Callable, Sequence
from enum import Enum

from jobs.look_for_cards import LookOut
from jobs.name_held_tickets import knock, name_held_tickets
from jobs.notify.channel import Channel, LookingChannel
from jobs.run_report import RunReport
from jobs.waits import PAUSED
from models import releases, switches
from models.notices import count_held
from models.switches import Pause

PROBE_LEASE_SECONDS = 30.0
LOOK_EVERY_SECONDS = 1.0


class Gate(Enum):
    OPEN = "open"
    TRIAL = "trial"  #: it answered a look after unknown sends: one ticket tries it
    CLOSED = "closed"


class ChannelGates:
    """Looks at the pauses at most once a second; a pause that ran out is probed by one worker at a time.

    ``look`` belongs to one thread; the others may ask. ``link_of`` is for the check messages, which are
    the first thing that a channel on trial is given: they put no ticket at risk. With ``most_held`` tickets
    held, no ticket tries a channel any more. A channel that can look opens as soon as ``lookout`` says that
    it sees: what was in doubt is decided then, and no trial is needed.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        link_of: Callable[[str], str],
        clock: Callable[[], float] = time.monotonic,
        most_held: int = 8,
        lookout: LookOut | None = None,
    ) -> None:
        self.lookout = lookout or LookOut(channels, link_of)
        self._channels, self._link_of, self._clock = channels, link_of, clock
        self._gates = dict.fromkeys((channel.name for channel in channels), Gate.OPEN)
        self._pauses: dict[str, Pause] = {}
        self._faults: dict[str, str] = {}
        self._unreached: set[str] = set()
        self._looked_at: float | None = None
        self._started, self._most_held = False, most_held

    def is_open(self, name: str) -> bool:
        return self._gates[name] is not Gate.CLOSED

    def on_trial(self, name: str) -> bool:
        return self._gates[name] is Gate.TRIAL

    @property
    def any_open(self) -> bool:
        return any(gate is not Gate.CLOSED for gate in self._gates.values())

    @property
    def any_on_trial(self) -> bool:
        return Gate.TRIAL in self._gates.values()

    @property
    def seconds_until_open(self) -> float:
        """0.0 while any channel is open, else until the first pause runs out."""
        if self.any_open:
            return 0.0
        return min((pause.seconds_left for pause in self._pauses.values()), default=0.0)

    def look(self) -> None:
        """Read the pauses again and probe those that ran out."""
        if self._looked_at is not None and self._clock() - self._looked_at < LOOK_EVERY_SECONDS:
            return
        first, self._looked_at, self._started = not self._started, self._clock(), True
        for channel in self._channels:
            self._gates[channel.name] = self._look_at(channel, first=first)

    def look_for_cards(self) -> None:
        """Look for the cards in doubt whose time has come; what that opens is seen by the next ``look``."""
        self.lookout.look_where_due()
        self._looked_at = None

    def name_held(self) -> None:
        """Send the check messages that are due on open channels."""
        for channel in self._channels:
            if self._gates[channel.name] is Gate.OPEN:
                self._name_held(channel)

    def _name_held(self, channel: Channel) -> int:
        return name_held_tickets(channel, self._link_of, self.lookout.undecided(channel.name))

    def report_into(self, report: RunReport) -> None:
        """A line for every channel that is paused or out of reach as the run ends."""
        for channel in self._channels:
            if channel.name in self._unreached:
                report.problem(unreached_line(channel.name))
            pause = switches.read_pause(channel.name, channel.key_hash)
            if pause is not None:
                is_fault = pause.streak == 0
                line = fault_line(channel.name, pause) if is_fault else paused_line(channel.name, pause)
                report.problem(self._faults.get(channel.name, line), settings_fault=is_fault)
        self.lookout.report_into(report)

    def shut(self, name: str, fault: str | None = None) -> None:
        """A send just paused the channel: no other thread is to wait for the next look to know it."""
        self._gates[name], self._looked_at = Gate.CLOSED, None
        if fault is not None:
            self._faults[name] = fault

    def note_reach(self, name: str, *, reached: bool) -> None:
        """Whether the last send found anybody: no pause follows, for no card is in doubt, but a line does."""
        if reached:
            self._unreached.discard(name)
        else:
            self._unreached.add(name)

    def pass_trial(self, name: str) -> None:
        """The ticket that tried the channel was sent."""
        self._gates[name] = Gate.OPEN

    def _look_at(self, channel: Channel, *, first: bool) -> Gate:
        key = (channel.name, channel.key_hash)
        pause = switches.read_pause(*key)
        self._pauses.pop(channel.name, None)
        if pause is None:
            if first:
                # A new URL or token: what waits for the end of the old one's pause need not.
                releases.hasten_retries(PAUSED)
            return Gate.OPEN
        self._pauses[channel.name] = pause
        # Rule 8: a settings fault is probed at start too; the operator may just have mended it.
        at_once = first and pause.streak == 0
        if not at_once and (pause.seconds_left > 0 or not switches.take_probe(*key, PROBE_LEASE_SECONDS)):
            return Gate.CLOSED
        return self._probe(channel, pause)

    def _probe(self, channel: Channel, pause: Pause) -> Gate:
        key = (channel.name, channel.key_hash)
        if pause.streak and isinstance(channel, LookingChannel) and self.lookout.look(channel):
            return self._open(channel)
        seen = channel.probe()
        if seen.fault:
            self._faults[channel.name] = seen.fault
            switches.pause_for_fault(*key, pause.reason)
            return Gate.CLOSED
        if not seen.answers:
            switches.extend_pause(*key)
            return Gate.CLOSED
        # A GET that works proves nothing of a POST: after an unknown answer a check message, or else one
        # ticket, tries it first. A settings fault was no doubt, and is over.
        if pause.streak == 0 or self._name_held(channel):
            return self._open(channel)
        again = switches.read_pause(*key)
        if again and again.streak > pause.streak:
            return Gate.CLOSED
        # An outage may hold as many tickets as there are threads: then our own words try the channel.
        if count_held(channel.name) < self._most_held:
            return Gate.TRIAL
        return self._open(channel) if knock(channel) else Gate.CLOSED

    def _open(self, channel: Channel) -> Gate:
        switches.lift_pause(channel.name, channel.key_hash)
        releases.hasten_retries(PAUSED)
        return Gate.OPEN


def fault_line(name: str, pause: Pause) -> str:
    """Of a fault that another process met; who met it knows the setting's own line."""
    return f"the channel {name} refuses us ({pause.reason}); mend its setting, tickets stay open and follow"


def unreached_line(name: str) -> str:
    return (
        f"the channel {name} could not be reached; check the network and its setting, "
        "tickets stay open and follow"
    )


def paused_line(name: str, pause: Pause) -> str:
    return (
        f"the channel {name} is paused for {pause.seconds_left:.0f} s ({pause.reason}): it cannot be told "
        "whether cards arrive; tickets stay open and follow"
    )
