"""Pauses of a channel, kept under a hash of its URL or token, and obeyed by every worker (rules 7 and 8)."""

from dataclasses import dataclass

from peewee import CharField, Expression, IntegerField

from models.database import BaseModel, clock, read_clock, rerun_on_conflict, transaction
from models.utc import UtcDateTimeField

FAULT_SECONDS = 600.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 30.0, 600.0


class Switch(BaseModel):
    """A pause of a channel, whose URL or token has the hash ``key_hash``."""

    name = CharField(max_length=100)
    key_hash = CharField(max_length=64, default="")
    reason = CharField(max_length=100)
    streak = IntegerField(default=0)
    set_at = UtcDateTimeField()
    until_at = UtcDateTimeField(null=True)

    class Meta:
        table_name = "switches"
        indexes = ((("name", "key_hash"), True),)


@dataclass(frozen=True, slots=True)
class Pause:
    """``streak`` counts unknown answers in a row; at ``seconds_left`` 0 the channel may be probed."""

    reason: str
    streak: int
    seconds_left: float


@rerun_on_conflict
def read_pause(name: str, key_hash: str) -> Pause | None:
    """The channel's pause, or None where it is open."""
    row = Switch.get_or_none(is_of(name, key_hash))
    if row is None:
        return None
    left = (row.until_at - read_clock()).total_seconds() if row.until_at else 0.0
    return Pause(row.reason, row.streak, max(0.0, left))


@rerun_on_conflict
def pause_after_unknown(name: str, key_hash: str, error: str) -> None:
    """Rule 7: after one unknown answer a GET must succeed first; after two in a row a pause that doubles."""
    with transaction():
        row = Switch.get_or_none(is_of(name, key_hash))
        streak = (row.streak if row else 0) + 1
        put(name, key_hash, error, streak, pause_seconds(streak))


@rerun_on_conflict
def pause_until_look(name: str, key_hash: str, error: str) -> None:
    """After an unknown answer of a channel that can look: a look, due at once, must tell that it sees."""
    with transaction():
        if Switch.get_or_none(is_of(name, key_hash)) is None:
            put(name, key_hash, error, 1, 0.0)


@rerun_on_conflict
def pause_for_fault(name: str, key_hash: str, error: str) -> None:
    """Rule 8: a settings fault pauses the channel until a GET succeeds, tried every ten minutes."""
    put(name, key_hash, error, 0, FAULT_SECONDS)


@rerun_on_conflict
def take_probe(name: str, key_hash: str, seconds: float) -> bool:
    """Become the one worker that probes a pause that has run out; others wait ``seconds`` longer."""
    over = is_of(name, key_hash) & (Switch.until_at <= clock())
    return bool(Switch.update(until_at=clock(seconds)).where(over).execute())


@rerun_on_conflict
def extend_pause(name: str, key_hash: str) -> None:
    """The probe got no answer: as long again as the streak says."""
    row = Switch.get_or_none(is_of(name, key_hash))
    if row is not None:
        seconds = max(FIRST_PAUSE_SECONDS, pause_seconds(row.streak))
        Switch.update(until_at=clock(seconds)).where(is_of(name, key_hash)).execute()


@rerun_on_conflict
def lift_pause(name: str, key_hash: str) -> None:
    Switch.delete().where(is_of(name, key_hash)).execute()


@rerun_on_conflict
def lift_doubt(name: str, key_hash: str) -> bool:
    """End a pause that followed unknown answers, but not one for a setting to mend; True if there was one."""
    return bool(Switch.delete().where(is_of(name, key_hash) & (Switch.streak > 0)).execute())


def pause_seconds(streak: int) -> float:
    """0 after the first unknown answer, then 30 s doubling to 10 min."""
    if streak < 2:
        return 0.0
    return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * float(2 ** min(streak - 2, 10)))


def put(name: str, key_hash: str, reason: str, streak: int, seconds: float) -> None:
    values = {"reason": reason[:100], "streak": streak, "set_at": clock(), "until_at": clock(seconds)}
    Switch.insert(name=name, key_hash=key_hash, **values).on_conflict(
        conflict_target=[Switch.name, Switch.key_hash], update=values
    ).execute()


def is_of(name: str, key_hash: str) -> Expression:
    return (Switch.name == name) & (Switch.key_hash == key_hash)
