"""Looks for the cards that nobody can tell of, on channels that can: the found are sent, the absent go again.

Rule 5: a look may say that a card is not there only where it can see, and not before a card that is still on
its way would be there (docs/decisions/0009-looking.md).
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from jobs.errors import SettingsError, SourceError
from jobs.hubspot.gateway import FoundTicket
from jobs.notify.channel import Channel, LookingChannel
from jobs.notify.harmless import safe_link
from jobs.notify.view import KnownCard, View
from jobs.run_report import Tally
from jobs.waits import PAUSED, backoff_seconds
from models import looks, releases, sends, switches
from models.database import read_clock
from models.looks import CLOCKS_APART, Doubt, PartSend
from models.tickets import LedgerEntry, look_up_ticket

log = logging.getLogger("triage")

ARRIVED_SECONDS = 60.0  #: by then a card is in the channel or never will be
BEFORE_FIRST = timedelta(minutes=5)
KNOWN_CARDS = 5
AGAIN_SECONDS = 900.0
SOONEST_AGAIN_SECONDS = 60.0
NAMED_SECONDS = 300.0  #: a card in doubt for so long is named to the team, if no look could decide it


class Decision(StrEnum):
    """What one look says of one card in doubt."""

    FOUND = "found"  #: it is there
    ABSENT = "absent"  #: it is not there, and the look would have seen it
    EARLY = "early"  #: it is not there yet, and may still be on its way
    UNSEEN = "unseen"  #: the look cannot tell


def decide(doubt: Doubt, view: View, link: str, nonce: str, *, part_elsewhere: bool = False) -> Decision:
    """``link`` and ``nonce`` are what the channel would send the ticket's card with by now.

    Not to be seen is no proof where the card may be a part's that neither the ledger nor HubSpot named, and
    where ``part_elsewhere`` says that a part's may be another bot's, or in another place.
    """
    if link and link in view.cards:
        return Decision.FOUND
    read = view.complete_since is not None and view.complete_since <= doubt.first_at - BEFORE_FIRST
    elsewhere = part_elsewhere or may_be_anothers(doubt.nonce, view, link, nonce)
    if not read or view.blind or not link or elsewhere or not doubt.knows_parts:
        return Decision.UNSEEN
    return Decision.ABSENT if doubt.seconds >= ARRIVED_SECONDS else Decision.EARLY


def may_be_anothers(sent_with: str | None, view: View, link: str, nonce: str) -> bool:
    """A card sent with another nonce is another bot's, or has another link: not to be seen is no proof.

    Where nothing was written down of the send, after a restore, another program's message with the link makes
    it doubtful too: that may be the card of the bot before this one.
    """
    return sent_with != nonce and (sent_with is not None or link in view.others)


@dataclass(frozen=True, slots=True)
class Left:
    """A card that the last look left in doubt; ``due_at`` (monotonic) is the next look's time."""

    due_at: float
    decision: Decision
    seconds: float

    def is_due(self, doubt: Doubt, now: float) -> bool:
        arrived = self.decision is Decision.EARLY and doubt.seconds >= ARRIVED_SECONDS
        return arrived or self.due_at <= now


def ignore(_: LedgerEntry) -> None:
    pass


def find_none(_: Sequence[str]) -> Mapping[str, FoundTicket]:
    return {}


def made_whole(doubt: Doubt, found: FoundTicket) -> Doubt:
    """With all parts that HubSpot names, from when the oldest of them may have been told."""
    parts = tuple(dict.fromkeys((*doubt.parts, found.ticket_id, *found.aliases)))
    first_at = doubt.first_at if found.created_at is None else found.created_at - CLOCKS_APART
    return replace(doubt, parts=parts, first_at=min(doubt.first_at, first_at), knows_parts=True)


class LookOut:
    """Remembers when each card in doubt is to be looked for; one look at a time, from any thread.

    Every process looks for itself: what it finds is recorded once, whoever comes first. ``on_decided`` hears
    where a ticket stands after a look decided one of its cards. ``fetch_merged`` asks HubSpot for the parts
    that a restored ledger does not know; it may raise SourceError or SettingsError.
    Raises StoreError.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        link_of: Callable[[str], str],
        on_decided: Callable[[LedgerEntry], object] = ignore,
        clock: Callable[[], float] = time.monotonic,
        fetch_merged: Callable[[Sequence[str]], Mapping[str, FoundTicket]] = find_none,
    ) -> None:
        self._channels = [one for one in channels if isinstance(one, LookingChannel)]
        self._configured = [one.name for one in channels]
        self._link_of, self._on_decided, self._clock = link_of, on_decided, clock
        self._fetch_merged = fetch_merged
        self._left: dict[str, dict[tuple[str, int], Left]] = {one.name: {} for one in self._channels}
        self._blind: dict[str, dict[str, View]] = {one.name: {} for one in self._channels}
        self._lock = threading.Lock()

    def look_where_due(self) -> int:
        """Look on each channel that has a card in doubt whose time has come; how many were decided."""
        return sum(self._look_if_due(channel) for channel in self._channels)

    def look(self, channel: LookingChannel) -> bool:
        """Look for the channel's cards in doubt now; True if it sees where its cards go."""
        with self._lock:
            self._look_for(channel, looks.find_doubts(channel.name))
            blind = self._blind[channel.name]
        return channel.place not in blind and channel.probe().answers

    def seconds_until_decided(self) -> list[float]:
        """When the next look can decide a card that it was too early to judge; empty where there is none."""
        early = [left.due_at for left in self._all_left() if left.decision is Decision.EARLY]
        return [max(0.0, min(early) - self._clock())] if early else []

    def undecided(self, name: str) -> set[str] | None:
        """Tickets whose card no look could decide for some time; None for a channel that cannot look."""
        left = self._left.get(name)
        if left is None:
            return None
        unseen = ((key, one) for key, one in left.items() if one.decision is Decision.UNSEEN)
        return {ticket_id for (ticket_id, _), one in unseen if one.seconds >= NAMED_SECONDS}

    def report_into(self, report: Tally) -> None:
        """A line for every channel whose last look could not see."""
        for name, blind in self._blind.items():
            for view in blind.values():
                line = view.blind or ""
                named = line if view.settings_fault else f"the channel {name} cannot look for cards: {line}"
                report.problem(named, settings_fault=view.settings_fault)

    def _all_left(self) -> list[Left]:
        return [one for left in list(self._left.values()) for one in list(left.values())]

    def _look_if_due(self, channel: LookingChannel) -> int:
        with self._lock:
            doubts = looks.find_doubts(channel.name)
            left, now = self._left[channel.name], self._clock()
            known = [(one, left.get((one.ticket_id, one.attempt))) for one in doubts]
            if doubts and not any(last is None or last.is_due(one, now) for one, last in known):
                return 0
            decided = self._look_for(channel, doubts)
            if decided and self._blind[channel.name]:
                # What was just found may be the first cards that the ledger knows, and that can be read back.
                decided += self._look_for(channel, looks.find_doubts(channel.name))
            return decided

    def _look_for(self, channel: LookingChannel, doubts: Sequence[Doubt]) -> int:
        """One scan of each place serves all the cards that were sent there."""
        self._left[channel.name], self._blind[channel.name] = {}, {}
        places = by_place(self._with_parts(doubts), channel.place)
        decided = sum(self._look_at(channel, place, sent_there) for place, sent_there in places.items())
        sees = channel.place in places and channel.place not in self._blind[channel.name]
        # Rule 7: it is paused only while it cannot look.
        if sees and switches.lift_doubt(channel.name, channel.key_hash):
            releases.hasten_retries(PAUSED)
        return decided

    def _with_parts(self, doubts: Sequence[Doubt]) -> Sequence[Doubt]:
        """Asked before the look: what was told for a part that comes later, this ledger knows."""
        asked = [one.ticket_id for one in doubts if one.asks_for_parts]
        try:
            found = self._fetch_merged(asked) if asked else {}
        except (SourceError, SettingsError) as error:
            log.warning("a look cannot ask for merged tickets", extra={"reason": str(error)})
            return [replace(one, knows_parts=one.ticket_id not in asked) for one in doubts]
        return [made_whole(one, found[one.ticket_id]) if one.ticket_id in found else one for one in doubts]

    def _look_at(self, channel: LookingChannel, place: str, doubts: Sequence[Doubt]) -> int:
        since = min(one.first_at for one in doubts) - BEFORE_FIRST
        view = channel.look(place, since, read_clock, self._known_cards(channel, place))
        if view.blind:
            self._blind[channel.name][place] = view
            extra = {"channel": channel.name, "reason": view.blind, "cards": len(doubts)}
            log.warning("a look cannot see", extra=extra)
        return sum(self._carry_out(channel, place, one, view) for one in doubts)

    def _known_cards(self, channel: LookingChannel, place: str) -> list[KnownCard]:
        sent = looks.list_sent(channel.name, place, KNOWN_CARDS)
        return [KnownCard(message_id, self._link(ticket_id)) for ticket_id, message_id in sent]

    def _link(self, ticket_id: str) -> str:
        return safe_link(self._link_of(ticket_id))

    def _carry_out(self, channel: LookingChannel, place: str, doubt: Doubt, view: View) -> bool:
        link = self._link(doubt.ticket_id)
        elsewhere = any(self._is_elsewhere(channel, place, one, view) for one in doubt.sends)
        nonce = channel.nonce_of(doubt.ticket_id, link)
        decision = decide(doubt, view, link, nonce, part_elsewhere=elsewhere)
        if not view.cards.keys().isdisjoint(map(self._link, doubt.parts)):
            decision = Decision.FOUND
        if decision is Decision.FOUND:
            # None where it is a part's card: that has another link, and no later look would know it.
            message_id = view.cards.get(link)
            sends.record_sent(doubt.ticket_id, channel.name, self._configured, message_id, place)
        elif decision is Decision.ABSENT:
            delay = max(0.0, backoff_seconds(doubt.attempt) - doubt.seconds)
            looks.decide_absent(doubt.ticket_id, channel.name, doubt.attempt, delay, doubt.parts)
        else:
            self._leave(channel, doubt, decision)
            return False
        log.info("card looked for", extra={"ticket_id": doubt.ticket_id, "result": decision.value})
        entry = look_up_ticket(doubt.ticket_id)
        if entry is not None:
            self._on_decided(entry)
        return True

    def _is_elsewhere(self, channel: LookingChannel, place: str, send: PartSend, view: View) -> bool:
        link = self._link(send.ticket_id)
        nonce = channel.nonce_of(send.ticket_id, link)
        return send.place not in (None, place) or may_be_anothers(send.nonce, view, link, nonce)

    def _leave(self, channel: LookingChannel, doubt: Doubt, decision: Decision) -> None:
        early = decision is Decision.EARLY
        again = min(AGAIN_SECONDS, max(SOONEST_AGAIN_SECONDS, doubt.seconds))
        due_at = self._clock() + (ARRIVED_SECONDS - doubt.seconds if early else again)
        self._left[channel.name][doubt.ticket_id, doubt.attempt] = Left(due_at, decision, doubt.seconds)


def by_place(doubts: Iterable[Doubt], otherwise: str) -> Mapping[str, list[Doubt]]:
    """Where each card went; ``otherwise`` for those of which nothing was written down."""
    places: dict[str, list[Doubt]] = {}
    for one in doubts:
        places.setdefault(one.place or otherwise, []).append(one)
    return places
