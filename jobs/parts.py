"""What ``run-once`` and the worker work with, and what both do with it: open the ledger, make a desk."""

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from jobs.channel_gates import ChannelGates
from jobs.clock import utc_now
from jobs.desk import Desk, Handled
from jobs.handling import Handling
from jobs.hubspot.gateway import HubSpotGateway
from jobs.look_for_cards import LookOut
from jobs.note_events import named_setting, note_event
from jobs.notify.channel import Channel
from jobs.observations import Observations
from jobs.run_report import Result, Tally
from jobs.settings import Settings
from jobs.tell_channel import RESULTS
from jobs.ticket import Ticket
from jobs.triage.chain import Triager
from jobs.triage.rules import judge_priority
from models import cursors
from models.counts import Event
from models.errors import OUT_OF_REACH
from models.horizon import read_horizon
from models.tickets import LedgerEntry, TicketState

log = logging.getLogger("triage")
R = TypeVar("R")

LONGEST_PAUSE_SECONDS = 5.0


@dataclass(frozen=True)
class Watch:
    """For a person who watches: the number of open tickets once found, and each handled one."""

    on_open: Callable[[int], object] = lambda _: None
    on_handled: Callable[[Handled], object] = lambda _: None


class Insistence:
    """Repeats a ledger write until the store took it, or the process ends (rule 4).

    Also where the store refuses the credentials: they may be rotated while a card is on its way.
    ``run-once`` ends at its deadline; in the worker a ticket that waits so does not count as hanging.
    """

    def __init__(self, sleep: Callable[[float], object] = time.sleep) -> None:
        self._waiting, self._lock, self._sleep = 0, threading.Lock(), sleep

    @property
    def waits(self) -> bool:
        """Whether any thread waits for the store to come back."""
        return self._waiting > 0

    def __call__(self, work: Callable[[], R]) -> R:
        try:
            return work()
        except OUT_OF_REACH as error:
            log.warning("the ledger cannot be written, trying again", extra={"reason": str(error)})
        with self._lock:
            self._waiting += 1
        try:
            return repeated(work, self._sleep)
        finally:
            with self._lock:
                self._waiting -= 1


def repeated(work: Callable[[], R], sleep: Callable[[float], object]) -> R:
    pause = 0.2
    while True:
        sleep(pause)
        pause = min(LONGEST_PAUSE_SECONDS, pause * 2)
        try:
            return work()
        except OUT_OF_REACH:  # the caller has said so once
            continue


@dataclass(frozen=True)
class Parts:
    """What a run works with; ``flush_usage`` writes down what the models took since the last call, and
    ``warm_models`` begins to load them, in the background.
    """

    settings: Settings
    gateway: HubSpotGateway
    triager: Triager
    channels: Sequence[Channel]
    stopping: threading.Event = field(default_factory=threading.Event)
    watch: Watch = field(default_factory=Watch)
    now: Callable[[], datetime] = utc_now
    observations: Observations = field(default_factory=Observations)
    insist: Insistence = field(default_factory=Insistence)
    flush_usage: Callable[[], object] = lambda: None
    warm_models: Callable[[], object] = lambda: None

    @property
    def overlap(self) -> timedelta:
        return timedelta(seconds=self.settings.poll_overlap_seconds)

    def close(self) -> None:
        """Close idle connections to the services."""
        self.gateway.close()
        self.triager.close()
        for channel in self.channels:
            channel.close()


def new_owner() -> str:
    """A name for this process's leases that no other one has, before or after."""
    return f"{socket.gethostname()[:60]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


def open_ledger(parts: Parts) -> datetime:
    """Bind the ledger to the token's portal and fix its activation, both once; returns the activation."""
    account = parts.gateway.fetch_account()
    cursors.bind_portal(account.portal_id)
    clocks = [parts.now(), parts.gateway.now() or parts.now()]
    return cursors.activate(min(clocks), parts.settings.notify_since, parts.overlap)


def build_gates(parts: Parts, tally: Tally) -> ChannelGates:
    """An outage of an hour is to hold no more tickets than there are threads."""
    link_of = parts.gateway.fetch_account().ticket_link

    def note_decided(entry: LedgerEntry) -> None:
        tally.record(entry.ticket_id, RESULTS.get(entry.state, Result.LOST), entry.provider)
        if entry.state is TicketState.NOTIFIED:
            parts.observations.ticket_settled(state=entry.state.value, provider=entry.provider or "none")

    lookout = LookOut(parts.channels, link_of, note_decided, fetch_merged=parts.gateway.fetch_merged)
    return ChannelGates(parts.channels, link_of, most_held=parts.settings.triage_concurrency, lookout=lookout)


def build_desk(parts: Parts, owner: str, activated_at: datetime, gates: ChannelGates) -> Desk:
    return Desk(
        owner=owner,
        triage=parts.triager.triage,
        channels=parts.channels,
        insist=parts.insist,
        activated_at=activated_at,
        lease_seconds=parts.settings.lease_seconds,
        pipelines=frozenset(parts.settings.hubspot_pipelines),
        now=parts.now,
        gates=gates,
        resend_unknown=parts.settings.unconfirmed_policy == "resend",
        horizon=read_horizon,
        observations=parts.observations,
        note_failed_send=note_failed_send,
    )


def note_failed_send(channel: str, fault: str | None) -> None:
    note_event(Event.CHANNEL_FAILED, of=channel)
    if fault is not None:
        note_event(Event.CREDENTIAL_REFUSED, of=named_setting(fault))


def build_handling(parts: Parts, desk: Desk, tally: Tally) -> Handling:
    return Handling(
        desk,
        parts.gateway.fetch_tickets,
        urgency_of,
        parts.settings.triage_concurrency,
        tally,
        parts.watch.on_handled,
    )


def urgency_of(ticket: Ticket) -> int:
    return judge_priority(ticket).rank
