"""Which alarms have begun, kept in ``switches`` under ``alarm:`` names: of several workers one tells.

    (no row) -> beginning -> begun -> ending -> (no row)

Whoever takes a row to ``beginning`` or ``ending`` tells it within the lease; a worker that dies over it, or
whose message was certainly not sent, leaves it to whoever looks next.
"""

from datetime import datetime

from peewee import Expression

from models.database import clock, read_clock, rerun_on_conflict
from models.switches import Switch

PREFIX = "alarm:"
LEASE_SECONDS = 60.0
BEGINNING, BEGUN, ENDING = 0, 1, 2  # in the column ``streak``


@rerun_on_conflict
def list_alarms() -> set[str]:
    """The alarms that have begun or are being told."""
    rows = Switch.select(Switch.name).where(Switch.name.startswith(PREFIX))
    return {row.name.removeprefix(PREFIX) for row in rows}


@rerun_on_conflict
def take_begin(alarm: str) -> bool:
    """True for the one worker that is to tell that ``alarm`` begins; then settle or give back."""
    row = {"name": PREFIX + alarm, "reason": "alarm", "streak": BEGINNING, "set_at": clock()}
    leased = {"until_at": clock(LEASE_SECONDS)}
    if Switch.insert({**row, **leased}).on_conflict_ignore().as_rowcount().execute():
        return True
    # Begun again before anybody heard of its end: there is nothing to tell.
    Switch.update(streak=BEGUN, until_at=None).where(is_left(alarm, ENDING)).execute()
    return bool(Switch.update(leased).where(is_left(alarm, BEGINNING)).execute())


@rerun_on_conflict
def take_end(alarm: str) -> float | None:
    """The seconds that ``alarm`` lasted, for the one worker that is to tell its end; None for the others."""
    Switch.delete().where(is_left(alarm, BEGINNING)).execute()  # nobody heard of it
    told = is_in(alarm, BEGUN) | is_left(alarm, ENDING)
    if not Switch.update(streak=ENDING, until_at=clock(LEASE_SECONDS)).where(told).execute():
        return None
    begun_at: datetime = Switch.get(Switch.name == PREFIX + alarm).set_at
    return max(0.0, (read_clock() - begun_at).total_seconds())


@rerun_on_conflict
def settle_begin(alarm: str) -> None:
    """The begin was told, or nobody can tell whether it was."""
    Switch.update(streak=BEGUN, until_at=None).where(is_in(alarm, BEGINNING)).execute()


@rerun_on_conflict
def settle_end(alarm: str) -> None:
    Switch.delete().where(is_in(alarm, ENDING)).execute()


@rerun_on_conflict
def give_back(alarm: str) -> None:
    """The message was certainly not sent: due again at once, for any worker."""
    being_told = (Switch.name == PREFIX + alarm) & (Switch.streak != BEGUN)
    Switch.update(until_at=clock()).where(being_told).execute()


def is_in(alarm: str, state: int) -> Expression:
    return (Switch.name == PREFIX + alarm) & (Switch.streak == state)


def is_left(alarm: str, state: int) -> Expression:
    return is_in(alarm, state) & (Switch.until_at <= clock())
