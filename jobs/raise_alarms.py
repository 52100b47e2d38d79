"""Alarms: one message when a condition begins and one when it ends, by one of the workers.

conditions of one look -> which begin, which end -> the store lets one worker tell each
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from jobs.check_health import OLDEST_OPEN_SECONDS, span
from jobs.find_silences import find_silences
from jobs.name_held_tickets import HELD_HINT
from jobs.notify.discord import DiscordWebhook
from jobs.notify.outcome import NotSent, Outcome, Sent
from jobs.take_readings import AlarmReadings, Limits
from models import alarms

log = logging.getLogger("triage")

LEAST_TICKETS = 10
SUCCESS_SHARE, LOCAL_SHARE = 0.95, 0.5
CARD_SECONDS = 20.0
CHANNEL_FAILURES, REFUSED_SIGNATURES = 5, 10
UNREACHABLE = "database unreachable"
LONGEST_MESSAGE = 1_900
DOCTOR = "python main.py doctor names what to mend"

Send = Callable[[str], Outcome]


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that is wrong now: ``name`` keeps its state, ``line`` has the numbers and what to do."""

    name: str
    line: str


@dataclass
class AlarmMemory:
    """What the store cannot keep while it is away; one for each process."""

    unreachable_told: bool = False


@dataclass
class AlarmReport:
    """Which alarms this look told; ``unsent`` are tried again at the next."""

    begun: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    unsent: list[str] = field(default_factory=list)


def raise_alarms(
    readings: AlarmReadings | None, send: Send, memory: AlarmMemory, limits: Limits
) -> AlarmReport:
    """Tell what began and what ended since the last look; ``readings`` is None where there is no database.

    Calling again changes nothing while nothing changes. Raises StoreError if the store is lost meanwhile.
    """
    report = AlarmReport()
    if readings is None:
        if not memory.unreachable_told:
            memory.unreachable_told = tell(
                send, begin_text(UNREACHABLE_NOW), UNREACHABLE, report, report.begun
            )
        return report
    if memory.unreachable_told:
        ended = tell(send, f"Over: {UNREACHABLE}.", UNREACHABLE, report, report.ended)
        memory.unreachable_told = not ended
    conditions = {one.name: one for one in find_conditions(readings, limits)}
    standing = alarms.list_alarms()
    for condition in conditions.values():
        begin(condition, send, report)
    for name in sorted(standing - set(conditions)):
        end(name, send, report)
    return report


def begin(condition: Condition, send: Send, report: AlarmReport) -> None:
    if not alarms.take_begin(condition.name):
        return
    if tell(send, begin_text(condition), condition.name, report, report.begun):
        alarms.settle_begin(condition.name)
    else:
        alarms.give_back(condition.name)


def end(name: str, send: Send, report: AlarmReport) -> None:
    seconds = alarms.take_end(name)
    if seconds is None:
        return
    if tell(send, f"Over: {name}, after {span(seconds)}.", name, report, report.ended):
        alarms.settle_end(name)
    else:
        alarms.give_back(name)


def tell(send: Send, text: str, name: str, report: AlarmReport, told: list[str]) -> bool:
    """False where it was certainly not sent; a message in doubt counts as sent."""
    if isinstance(send(text[:LONGEST_MESSAGE]), NotSent):
        report.unsent.append(name)
        return False
    told.append(name)
    return True


def begin_text(condition: Condition) -> str:
    return f"Alarm, {condition.name}: {condition.line}"


UNREACHABLE_NOW = Condition(
    UNREACHABLE,
    "the worker cannot reach its database or write to it, so nothing is told and webhooks get 503; nothing "
    "is lost, tickets follow once it is back; look at the database service and at DATABASE_URL",
)


def find_conditions(readings: AlarmReadings, limits: Limits) -> Iterator[Condition]:
    """Every condition that raises an alarm, judged by one look; at most one of each name."""
    yield from of_the_last_hour(readings, limits)
    yield from of_refusals(readings)
    yield from of_waiting(readings, limits)
    yield from of_cost(readings, limits)
    for source, line in find_silences(readings.health, limits).items():
        yield Condition(f"{source} silent", line)


def of_the_last_hour(readings: AlarmReadings, limits: Limits) -> Iterator[Condition]:
    """Shares over an hour, of ten tickets or more."""
    told = readings.told
    if told.tickets < LEAST_TICKETS:
        return
    if told.succeeded < SUCCESS_SHARE * told.tickets:
        share = share_of(told.succeeded, told.tickets)
        yield Condition("success", f"only {share} were triaged by a model, the others by rules; {DOCTOR}")
    if limits.local_model and told.local < LOCAL_SHARE * told.tickets:
        share = share_of(told.local, told.tickets)
        line = f"only {share} were triaged by the local model; is Ollama up and fast enough? {DOCTOR}"
        yield Condition("local model", line)


def share_of(part: int, whole: int) -> str:
    return f"{part} of {whole} tickets of the last hour ({part / whole:.1%})"


def of_refusals(readings: AlarmReadings) -> Iterator[Condition]:
    failures, signatures = readings.channel_failures, readings.refused_signatures
    if failures > CHANNEL_FAILURES:
        yield Condition(
            "channel failures",
            f"about {failures} sends to Discord failed in the last hour (limit {CHANNEL_FAILURES}); tickets "
            f"are retried or held. {HELD_HINT}",
        )
    if signatures > REFUSED_SIGNATURES:
        yield Condition(
            "refused signatures",
            f"about {signatures} webhook calls had a bad signature or token in the last hour (limit "
            f"{REFUSED_SIGNATURES}); compare HUBSPOT_CLIENT_SECRET, HUBSPOT_WEBHOOK_TOKEN and PUBLIC_URL "
            "with HubSpot, or somebody is trying; the log has the addresses",
        )
    refused = set(readings.refused_credentials)
    refused |= {paused.name for paused in readings.health.paused if paused.fault}
    if refused:
        yield Condition(
            "credentials",
            f"refused: {', '.join(sorted(refused))}; make a new key, token or webhook and set it. {DOCTOR}",
        )


def of_waiting(readings: AlarmReadings, limits: Limits) -> Iterator[Condition]:
    standing, p95 = readings.health.standing, readings.card_p95_seconds
    if standing.oldest_open_seconds > OLDEST_OPEN_SECONDS:
        yield Condition(
            "oldest open ticket",
            f"{standing.open} tickets are open, the oldest for {span(standing.oldest_open_seconds)} (limit "
            f"{span(OLDEST_OPEN_SECONDS)}); python main.py tickets --state retry shows why",
        )
    allowed = slowest_card(limits)
    if p95 is not None and p95 > allowed:
        yield Condition(
            "slow cards",
            f"95 % of the cards of the last 15 minutes came within {p95:.1f} s of their ticket beside the "
            f"model's time (limit {allowed:.0f} s); look for rate limits in the log, at TRIAGE_CONCURRENCY "
            "and at the database's load",
        )


def slowest_card(limits: Limits) -> float:
    """20 s, and without webhooks the wait for the next poll beside it: that one is no fault."""
    return CARD_SECONDS + (0.0 if limits.webhooks else limits.poll_interval_seconds)


def of_cost(readings: AlarmReadings, limits: Limits) -> Iterator[Condition]:
    cost, budget = readings.month.cost_usd, limits.budget_usd
    if budget is not None and cost > budget:
        yield Condition(
            "budget",
            f"Groq cost {cost:.2f} dollars this month, GROQ_MONTHLY_BUDGET is {budget:.2f}; CLOUD_TRIAGE=off "
            "stops it, a faster local model lessens it",
        )


def alarm_sender(url: str | None) -> Send:
    """To the Discord webhook at ``url`` (mentions off), else to the log. Never raises."""
    if url is not None:
        return DiscordWebhook(url).announce

    def to_log(text: str) -> Outcome:
        log.warning("alarm", extra={"alarm": text})
        return Sent()

    return to_log
