"""What may happen to a ledger, in any order: workers, a person, HubSpot and time."""

from itertools import cycle

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from models.deliveries import DeliveryState as D
from models.inbox import EventType
from models.tickets import SkipReason, Source
from tests.store.ledger_machine import CHANNELS
from tests.store.ledger_model import DAY, Verdict
from tests.store.ledger_model_merges import Merged
from tests.store.ledger_rules_held import HeldRules, channels, delays, recent, tickets
from tests.store.ledger_world import CREATED, Sight, Webhook, event_time, older_than

PORTAL = "1"

owners = st.sampled_from(["one", "two"])
lengths = st.sampled_from([60.0, 300.0])
errors = st.sampled_from(["5xx", "timeout"])
verdicts = st.builds(
    Verdict,
    st.sampled_from(["local", "groq", "rules"]),
    st.sampled_from(["low", "critical"]),
    st.just(400),
    st.just(0.0),
)
#: An event tells when the ticket was created, or another time so long ago, or none.
event_times = st.sampled_from(["creation", "creation", None, 40.0, 40 + 3.5 * DAY, 40 + 5 * DAY])
sights = st.lists(
    st.builds(Sight, st.sampled_from(list(CREATED)), st.booleans(), st.none() | event_times),
    min_size=1,
    max_size=3,
)
webhooks = st.lists(
    st.builds(
        Webhook,
        st.sampled_from([PORTAL, PORTAL, "", "2"]),
        st.sampled_from([EventType.CREATION, *EventType, "other"]),
        st.sampled_from(list(CREATED)),
        st.sampled_from(["", "e1"]),
        event_times,
    ),
    max_size=3,
)
looks = st.sampled_from([Source.POLL, Source.SWEEP])
outcomes = st.sampled_from(["sent", "sent", "not sent", "unknown", "refused", "crash"])
ends = st.sampled_from(
    ["conclude", "conclude", "release", "abandon", "skip", "hold", "abandon delivery", "crash"]
)
reasons = st.sampled_from(SkipReason)


class LedgerMachine(HeldRules):
    """A rule is one step, or several that often follow each other; each step is compared."""

    @initialize(opened=st.sampled_from([True, True, False]), seen=sights, resends=st.booleans())
    def start(self, opened: bool, seen: list[Sight], resends: bool) -> None:
        self.resends = resends
        if opened:
            self.open(PORTAL, -DAY)
            self.catch_up(seen)

    def catch_up(self, seen: list[Sight]) -> None:
        for source in (Source.POLL, Source.SWEEP):
            self.look(source, "one", seen, 0.0, leased=True)
        self.drain(100)

    @precondition(lambda self: self.model.activated is None)
    @rule(portal=st.sampled_from([PORTAL, "2"]), since=st.sampled_from([None, -DAY]))
    def open(self, portal: str, since: float | None) -> None:
        self.activate(portal, since)
        self.activate(PORTAL, -2 * DAY)  # comes too late to change anything

    @rule(seen=sights, source=st.sampled_from(Source))
    def propose(self, seen: list[Sight], source: Source) -> None:
        self.show([one.shown(self.model.now) for one in seen], source)

    @rule(source=looks, owner=owners, seen=sights, ago=st.sampled_from([0.0, 600.0]), leased=st.booleans())
    def look(self, source: Source, owner: str, seen: list[Sight], ago: float, leased: bool) -> None:
        if leased:
            self.take_lease(source, owner)
        shown = [one.shown(self.model.now) for one in seen]
        self.end_look(shown, source, owner, self.model.now - ago)

    @rule(received=webhooks, limit=st.sampled_from([0, 2, 100, 100]))
    def webhook(self, received: list[Webhook], limit: int) -> None:
        events = [one.event(self.model.now) for one in received]
        for one in events:
            if one.parts and one.portal in ("", PORTAL):
                self.truth.merge((one.ticket_id, *one.parts))
        self.receive(events)
        if limit:
            self.drain(limit)

    @rule(
        new_id=st.sampled_from(list(CREATED)),
        few=st.booleans(),
        dated=st.booleans(),
        event=st.none() | event_times,
        source=st.sampled_from(Source),
    )
    def merge(self, new_id: str, few: bool, dated: bool, event: float | str | None, source: Source) -> None:
        parts = older_than(new_id)[: 1 if few else None]
        created = CREATED["20"] if dated else None
        self.truth.merge((new_id, *parts))
        self.join(Merged(new_id, parts, created, event_time(new_id, event, self.model.now)), source)

    # -- workers ----------------------------------------------------------------------------------------

    @rule(
        owner=owners,
        verdict=verdicts,
        cards=st.lists(outcomes, min_size=1, max_size=3),
        end=ends,
        reason=reasons,
        looking=st.sampled_from([(), CHANNELS]),
    )
    def work(
        self,
        owner: str,
        verdict: Verdict,
        cards: list[str],
        end: str,
        reason: SkipReason,
        looking: tuple[str, ...] = (),
    ) -> None:
        """What a worker does with all that is due; the channels of ``looking`` can look."""
        card = cycle(cards)
        for claim, lease in self.take(list(CREATED), owner, 60.0):
            for channel, known in lease.known.items():
                if known.state == D.SENDING:
                    self.record((claim.ticket_id, channel, known.attempts), "unknown", "crashed", 0.0)
            group = self.ask_hubspot(claim, lease)
            if group is None or self.hold_behind_barrier(claim, lease, looking):
                continue
            for channel in self.configured:
                attempt = self.begin(claim, lease, channel, verdict, 120.0, True, group)
                if attempt is not None:
                    self.record((claim.ticket_id, channel, attempt), next(card), "5xx", 60.0)
            self.end(claim, lease, end, reason, 60.0, "5xx")

    @rule(owner=owners, verdict=verdicts)
    def crash_sending(self, owner: str, verdict: Verdict) -> None:
        self.work(owner, verdict, ["crash"], "crash", SkipReason.GONE)

    @rule(
        owner=owners, verdict=verdicts, cards=st.sampled_from([["unknown"], ["unknown", "sent"], ["refused"]])
    )
    def leave_in_doubt(self, owner: str, verdict: Verdict, cards: list[str]) -> None:
        self.work(owner, verdict, cards, "conclude", SkipReason.GONE)

    @rule(ids=tickets, owner=owners, seconds=lengths)
    def claim(self, ids: list[str], owner: str, seconds: float) -> None:
        self.take(ids, owner, seconds)

    @precondition(lambda self: self.claims)
    @rule(which=recent, channel=channels, verdict=verdicts, seconds=lengths, on_trial=st.booleans())
    def write_ahead(self, which: int, channel: str, verdict: Verdict, seconds: float, on_trial: bool) -> None:
        self.begin(*self.taken(which), channel, verdict, seconds, on_trial)

    @precondition(lambda self: self.claims)
    @rule(which=recent, channel=channels, verdict=verdicts)
    def send_minimal_card(self, which: int, channel: str, verdict: Verdict) -> None:
        self.read_again(*self.taken(which), channel)
        self.begin(*self.taken(0), channel, verdict, 60.0, on_trial=False)

    @precondition(lambda self: self.sends)
    @rule(told=st.lists(st.tuples(recent, outcomes), min_size=1, max_size=5), error=errors, delay=delays)
    def outcome(self, told: list[tuple[int, str]], error: str, delay: float) -> None:
        for which, outcome in told:
            self.record(self.sends[-1 - which % len(self.sends)], outcome, error, delay)

    @precondition(lambda self: self.claims)
    @rule(
        ended=st.lists(st.tuples(recent, ends), min_size=1, max_size=3),
        reason=reasons,
        delay=delays,
        error=errors,
    )
    def finish(self, ended: list[tuple[int, str]], reason: SkipReason, delay: float, error: str) -> None:
        for which, end in ended:
            self.end(*self.taken(which), end, reason, delay, error)

    @rule(owner=owners, what=st.sampled_from(["renew", "end", "hasten"]), ids=tickets, seconds=lengths)
    def keep_house(self, owner: str, what: str, ids: list[str], seconds: float) -> None:
        match what:
            case "renew":
                self.renew(ids, owner, seconds)
            case "end":
                self.release_unsent(owner)
            case "hasten":
                self.hasten("5xx")

    # -- time -------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([30.0, 60.0, 300.0, 300.0, DAY + 90]))
    def let_pass(self, seconds: float) -> None:
        self.wait(seconds)

    @rule(
        later=st.sampled_from([60.0, DAY + 90, 5 * DAY + 90, 9 * DAY + 90]),
        seen=st.none() | sights,
        days=st.sampled_from([1, 7]),
        ahead=st.sampled_from([0.0, 0.0, DAY, -DAY]),
        limit=st.sampled_from([2, 100]),
    )
    def night(self, later: float, seen: list[Sight] | None, days: int, ahead: float, limit: int) -> None:
        """Retention, some time later; poll, sweep and drain went on meanwhile, unless ``seen`` is None."""
        self.wait(later)
        if seen is not None:
            self.catch_up(seen)
        self.raise_horizon(days, self.model.now + ahead)
        self.forget(days, limit)
