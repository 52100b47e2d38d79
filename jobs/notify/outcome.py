"""What became of one send, in the three classes of the design's rule 4, and what a probe found."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sent:
    """The channel took the card. ``place`` is where (a Discord channel id, a console)."""

    message_id: str | None = None
    place: str | None = None


@dataclass(frozen=True, slots=True)
class NotSent:
    """Certainly not sent. ``error`` is a class, never a body; ``retry_after`` is in seconds.

    ``refused`` says that the channel refuses this very message (400); ``fault`` is one line for the
    operator where a setting must be mended (401, 403, 404); ``unreached`` that no connection was made.
    """

    error: str
    retry_after: float | None = None
    refused: bool = False
    fault: str | None = None
    unreached: bool = False


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can tell whether it was sent; a look, a person or the policy decides."""

    error: str


Outcome = Sent | NotSent | Unknown


@dataclass(frozen=True, slots=True)
class Probe:
    """A GET that sends nothing: the channel answers, or it does not, or ``fault`` says what to mend."""

    answers: bool
    fault: str | None = None
