"""What one world is like: everything that the seed decides before it begins."""

import random
from dataclasses import dataclass, replace

from tests.simulation.clock import DAY, HOUR, MINUTE
from tests.simulation.effects import Disturbance
from tests.simulation.seams import BOT, WEBHOOK


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a worker does what, in seconds."""

    poll: float
    sweep: float
    drain: float
    idle: float
    looks: float
    compare: float = 2 * HOUR


@dataclass(frozen=True, slots=True)
class HubSpotShape:
    """Chances are of a ticket, but ``failing`` is of a request. Lags are the longest, in seconds."""

    index_lag: float
    late_index_lag: float
    late: float
    flapping: float
    unreadable: float
    failing: float
    back_dated: float
    moved: float
    archived: float
    merged: float
    bulk_edits: int
    burst: float
    tie: float


@dataclass(frozen=True, slots=True)
class WebhookShape:
    """Chances of a ticket's creation webhook; ``latest`` is how late a late one comes, in seconds."""

    sent: float
    late: float
    latest: float
    repeated: float
    workflow: float


@dataclass(frozen=True, slots=True)
class DiscordShape:
    """Chances of a message, and the number of outages of each kind."""

    unknown: float
    not_sent: float
    limited: float
    refused: float
    late: float
    rate_limits: bool
    outages: int


@dataclass(frozen=True, slots=True)
class PeopleShape:
    """``every`` is 0 where nobody looks after held tickets; ``wrong`` is the chance of a wrong word."""

    every: float
    wrong: float


@dataclass(frozen=True, slots=True)
class Shape:
    """``seconds`` of a world with faults; then all is well, and it comes to rest."""

    kind: str
    seconds: float
    tickets: int
    workers: int
    threads: int
    lease_seconds: float
    overlap_seconds: float
    retention_days: int
    policy: str
    channels: tuple[str, ...]
    pipelines: tuple[str, ...]
    pace: Pace
    hubspot: HubSpotShape
    webhooks: WebhookShape
    discord: DiscordShape
    people: PeopleShape
    disturbance: Disturbance
    lose_every: float
    database_outages: int
    downtimes: int
    deploys: int
    restores: int
    clocks_apart: float
    clock_steps: int
    model_breaks: float
    other_portals: int

    @property
    def loses_backups(self) -> bool:
        """Of a quarter of the worlds with a restore. Not drawn, so that seeds keep their other worlds."""
        return self.restores > 0 and self.seconds % 1 < 0.25

    @property
    def merges_gap(self) -> bool:
        """Of most worlds with a restore."""
        return self.restores > 0 and self.seconds % 1 < 0.7


def draw_shape(rng: random.Random) -> Shape:
    """One of three kinds of worlds; most faults are off in some of each, so that none hides another's."""
    kind = rng.choices(("hours", "days", "weeks"), (5, 2, 3))[0]
    seconds = {
        "hours": rng.uniform(0.4 * HOUR, 2 * HOUR),
        "days": rng.uniform(1.5 * DAY, 5 * DAY),
        "weeks": rng.uniform(9 * DAY, 24 * DAY),
    }[kind]
    hours, weeks = kind == "hours", kind == "weeks"
    shape = Shape(
        kind=kind,
        seconds=seconds,
        tickets=rng.choice((400, 1_200, 2_500)),
        workers=rng.choice((1, 2, 2, 3)),
        threads=rng.choice((1, 2, 4)),
        lease_seconds=rng.choice((30.0, 60.0, 120.0)),
        overlap_seconds=rng.choice((900.0, 900.0, 60.0)),
        retention_days=rng.choice((4, 5, 7, 7)),
        policy=rng.choice(("hold", "hold", "hold", "resend")),
        channels=rng.choice(((WEBHOOK,), (WEBHOOK,), (BOT,), (BOT,), (WEBHOOK, BOT))),
        pipelines=rng.choice(((), (), ("0", "1"))),
        pace=draw_pace(rng, kind),
        hubspot=draw_hubspot(rng, hours=hours),
        webhooks=draw_webhooks(rng, weeks=weeks),
        discord=draw_discord(rng),
        people=PeopleShape(
            rng.choice((0.0, 0.5, 1.0)) * (HOUR / 2 if hours else 12 * HOUR), rng.choice((0, 0, 0.2))
        ),
        disturbance=draw_disturbance(rng),
        lose_every=rng.choice((0.0, 0.0, 3_000.0, 600.0, 200.0)),
        database_outages=rng.choice((0, 0, 1, 3)),
        downtimes=rng.choice((0, 1)) if hours else rng.choice((0, 1, 2)),
        deploys=rng.choice((0, 0, 2, 6)),
        restores=rng.choice((0, 0, 0, 1)),
        clocks_apart=rng.choice((0.0, 5.0, 60.0, 300.0)),
        clock_steps=rng.choice((0, 0, 0, 2)),
        model_breaks=rng.choice((0.0, 0.0, 0.02)),
        other_portals=rng.choice((0, 0, 0, 0, 1)),
    )
    if shape.merges_gap and shape.seconds % 1 > 0.4:
        # A merge keeps the ticket that was told on one of two channels, with what was decided of the other.
        return replace(shape, channels=(WEBHOOK, BOT))
    return shape


def draw_pace(rng: random.Random, kind: str) -> Pace:
    match kind:
        case "hours":
            return Pace(rng.choice((60.0, 120.0, 240.0)), 30 * MINUTE, 120.0, 120.0, 30.0)
        case "days":
            return Pace(rng.choice((15, 30)) * MINUTE, 6 * HOUR, 30 * MINUTE, 30 * MINUTE, 10 * MINUTE)
    return Pace(rng.choice((1, 2)) * HOUR, 12 * HOUR, 2 * HOUR, 2 * HOUR, HOUR)


def draw_hubspot(rng: random.Random, *, hours: bool) -> HubSpotShape:
    return HubSpotShape(
        index_lag=rng.choice((0.0, 20.0, 300.0)),
        late_index_lag=HOUR if hours else 50 * HOUR,
        late=rng.choice((0.0, 0.03, 0.2)),
        flapping=rng.choice((0.0, 0.3)),
        unreadable=rng.choice((0.0, 0.1)),
        failing=rng.choice((0.0, 0.0, 0.02, 0.15)),
        back_dated=rng.choice((0.0, 0.0, 0.1)),
        moved=rng.choice((0.0, 0.1)),
        archived=rng.choice((0.0, 0.0, 0.1)),
        merged=rng.choice((0.0, 0.0, 0.05, 0.3)),
        bulk_edits=rng.choice((0, 0, 2)),
        burst=rng.choice((0.05, 0.3)),
        tie=rng.choice((0.0, 0.3)),
    )


def draw_webhooks(rng: random.Random, *, weeks: bool) -> WebhookShape:
    return WebhookShape(
        sent=rng.choice((0.0, 0.5, 0.9, 1.0)),
        late=rng.choice((0.0, 0.05, 0.2)),
        latest=6 * DAY if weeks else 30 * HOUR,
        repeated=rng.choice((0.0, 0.1, 0.5)),
        workflow=rng.choice((0.0, 0.1)),
    )


def draw_discord(rng: random.Random) -> DiscordShape:
    return DiscordShape(
        unknown=rng.choice((0.0, 0.0, 0.01, 0.1)),
        not_sent=rng.choice((0.0, 0.05, 0.2)),
        limited=rng.choice((0.0, 0.05)),
        refused=rng.choice((0.0, 0.02)),
        late=rng.choice((0.0, 0.01)),
        rate_limits=rng.random() < 0.3,
        outages=rng.choice((0, 0, 1, 3)),
    )


def draw_disturbance(rng: random.Random) -> Disturbance:
    return Disturbance(
        delay_every=rng.choice((3.0, 10.0, 40.0)),
        crash_every=rng.choice((0.0, 4_000.0, 1_500.0, 500.0)),
        freeze_every=rng.choice((0.0, 0.0, 4_000.0, 1_200.0)),
        freeze_seconds=rng.choice((60.0, 400.0, 4_000.0)),
    )


def calm(shape: Shape) -> Shape:
    """The same world with nothing that goes wrong, and with less to do by the clock: it comes to rest."""
    return replace(
        shape,
        pace=Pace(2 * HOUR, 6 * HOUR, HOUR, HOUR, HOUR),
        disturbance=Disturbance(),
        lose_every=0.0,
        model_breaks=0.0,
    )
