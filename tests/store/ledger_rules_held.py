"""What may happen to a ledger, first part: a person, looks, restores, and the channels."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from models.tickets import TicketState as T
from tests.store.ledger_look_steps import LookSteps
from tests.store.ledger_machine import CHANNELS
from tests.store.ledger_model import DAY
from tests.store.ledger_world import CREATED

CONFIGURED = [("console",), ("discord",), CHANNELS, CHANNELS]

tickets = st.lists(st.sampled_from(list(CREATED)), min_size=1, max_size=4)
channels = st.sampled_from(CHANNELS)
recent = st.integers(0, 5)  #: the how-many-th last claim or send
delays = st.sampled_from([0.0, 60.0])


class HeldRules(LookSteps):
    @rule(which=recent, again=st.booleans())
    def decide(self, which: int, again: bool) -> None:
        """Of a held ticket, where there is one."""
        held_ids = [one for one, row in self.tickets.items() if row["state"] == T.UNCONFIRMED]
        ids = held_ids or list(CREATED)
        (self.resend if again else self.confirm)(ids[which % len(ids)])

    @rule(channel=channels, found=st.booleans(), delay=delays)
    def look_in_channel(self, channel: str, found: bool, delay: float) -> None:
        self.see_doubts(channel)
        self.decide_doubts(channel, found, delay)

    @rule(channel=channels)
    def begin_to_look(self, channel: str) -> None:
        self.see_doubts(channel)

    @precondition(lambda self: self.seen)
    @rule(which=recent, found=st.booleans(), delay=delays)
    def end_to_look(self, which: int, found: bool, delay: float) -> None:
        """Some time after it began, or again."""
        self.decide_doubts(sorted(self.seen)[which % len(self.seen)], found, delay)

    @rule(ago=st.sampled_from([0.0, 600.0, 3 * DAY, -600.0]))
    def restore(self, ago: float) -> None:
        """By the provider, or to another machine that lacks nothing."""
        self.raise_barrier(self.model.now - ago)

    @precondition(lambda self: self.model.activated is not None)
    @rule()
    def make_backup(self) -> None:
        self.back_up()

    @precondition(lambda self: self.backup is not None)
    @rule()
    def restore_backup(self) -> None:
        self.wait(30.0)
        self.go_back()

    @rule(
        configured=st.sampled_from(CONFIGURED),
        limit=st.sampled_from([1, 10]),
        among=st.none() | tickets,
        lost=st.booleans(),
    )
    def configure(self, configured: tuple[str, ...], limit: int, among: list[str] | None, lost: bool) -> None:
        self.configured = configured
        self.notice_restored(configured[0], limit)
        self.notice(configured[0], limit, among, lost)

    @rule(
        channel=channels,
        how=st.sampled_from(["unknown", "unknown", "look", "fault", "extend", "probe", "decided", "lift"]),
    )
    def switch(self, channel: str, how: str) -> None:
        self.pause(channel, how)
