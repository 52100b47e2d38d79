"""What must hold of every ticket once a world has come to rest (design §2, §4 and §5)."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from models.barrier import HELD_BY_BARRIER
from tests.simulation.absence import is_always_ours, judge_absence
from tests.simulation.clock import CLOCKS_APART, DAY
from tests.simulation.ending import Ending, Row, Settled, read_endings, settled_of
from tests.simulation.groups import (
    OF_AGE,
    UNKNOWN_PART,
    Group,
    explain_cards,
    find_groups,
    find_unknown_parts,
    judge_group,
)
from tests.simulation.nature import OURS
from tests.simulation.notices import NAMED_AGAIN, count_named_again, judge_notices
from tests.simulation.residuals import LOST_EVENT, WRONG_CONFIRM, explain_doubles
from tests.simulation.seams import BOT
from tests.simulation.told import is_told, is_wrongly_confirmed
from tests.simulation.truth import FOREVER, TrueTicket
from tests.simulation.world import World


@dataclass
class Judgement:
    """``faults`` are sentences, each with the ticket it is about; ``residuals`` are counted by their kind."""

    tickets: int = 0
    cards: int = 0
    faults: list[tuple[str, str]] = field(default_factory=list)
    residuals: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)


def judge(world: World) -> Judgement:
    judged = Judgement()
    for sentence in world.truth.offences:
        judged.faults.append(("", sentence))
    for error in world.scheduler.raised:
        judged.faults.append(("", f"an actor raised {type(error).__name__}: {error}"))
    if world.last_comparison is not None and world.last_comparison.missing:
        judged.faults.append(("", f"at rest reconcile says: {world.last_comparison.line}"))
    for sentence in (*judge_world(world), *judge_notices(world)):
        judged.faults.append(("", sentence))
    judged.residuals[NAMED_AGAIN] += count_named_again(world)
    endings = read_endings(world.truth, world.outside)
    by_id = {one.ticket.ticket_id: one for one in endings}
    groups = find_groups(endings)
    kin = {one: list(group.members.values()) for group in groups for one in group.members}
    for ending in endings:
        judge_ticket(world, ending, kin.get(ending.ticket.ticket_id, [ending]), judged)
        if ending.cards and not may_be_told(by_id, ending):
            judged.faults.append((ending.ticket.ticket_id, "told, and it is older than the activation"))
    for group in groups:
        judge_merged(world, group, judged)
    return judged


def judge_merged(world: World, group: Group, judged: Judgement) -> None:
    is_ours = is_always_ours(world, group.root)
    judged.residuals[UNKNOWN_PART] += len(find_unknown_parts(group, is_ours=is_ours))
    for sentence in judge_group(group, is_ours=is_ours):
        judged.faults.append((group.root.ticket.ticket_id, sentence))
    for channel in world.shape.channels:
        for ticket_id, why in explain_cards(group, channel, world.truth, world.shape.policy):
            if why is None:
                sentence = f"told on {channel}, as another that it had been merged with"
                judged.faults.append((ticket_id, sentence))
            else:
                judged.residuals[why] += 1


def judge_world(world: World) -> Iterator[str]:
    for row in world.outside.rows("SELECT object_id, attempts, set_aside_at FROM webhook_inbox"):
        yield f"a webhook of {row['object_id']} still waits in the inbox"
    for row in world.outside.rows("SELECT DISTINCT ticket_id, sentence FROM sim_offences"):
        yield f"{row['ticket_id']}: {row['sentence']}"
    yield from world.other_portal.find_traces(world)
    if world.portal.write_attempts:
        yield f"HubSpot was written to: {world.portal.write_attempts[0]}"


def judge_ticket(world: World, ending: Ending, kin: Sequence[Ending], judged: Judgement) -> None:
    ticket_id = ending.ticket.ticket_id
    judged.tickets += 1
    judged.cards += len(ending.cards)
    judged.states[state_of(ending)] += 1
    for sentence in (*judge_state(world, ending, kin), *judge_cards(world, ending)):
        judged.faults.append((ticket_id, sentence))
    for channel in world.shape.channels:
        judge_doubles(world, ending, channel, judged)
    judged.residuals[WRONG_CONFIRM] += is_wrongly_confirmed(world, ending)
    judged.residuals[LOST_EVENT] += is_skipped_for_age(ending) and ending.event_is_lost


def judge_doubles(world: World, ending: Ending, channel: str, judged: Judgement) -> None:
    for why in explain_doubles(world.truth, ending, channel, world.shape.policy):
        if why is None:
            cards = len(ending.cards_on(channel))
            sentence = f"{cards} cards on {channel}, and nothing listed explains it"
            judged.faults.append((ending.ticket.ticket_id, sentence))
        else:
            judged.residuals[why] += 1


def state_of(ending: Ending) -> str:
    if ending.row is not None:
        reason = ending.row["reason"]
        return f"{ending.row['state']}{f' ({reason})' if reason else ''}"
    return f"forgotten {ending.forgotten[-1].state}" if ending.forgotten else "never seen"


def judge_state(world: World, ending: Ending, kin: Sequence[Ending]) -> Iterator[str]:
    for settled in ending.forgotten:
        yield from judge_settled(world, ending, settled)
    if ending.row is None:
        if not ending.forgotten:
            yield from judge_absence(world, ending)
        return
    match ending.row["state"]:
        case "notified" | "skipped" | "merged":
            settled = settled_of(ending.row)
            yield from judge_settled(world, ending, settled)
            yield from judge_final_skip(world, ending, settled)
        case "unconfirmed":
            for told in ending.deliveries:
                if told["state"] in ("sending", "unconfirmed", "refused"):
                    yield from judge_hold(world, ending, kin, told)
        case state:
            yield f"still {state} ({ending.row['last_error']}), at rest"


def judge_settled(world: World, ending: Ending, settled: Settled) -> Iterator[str]:
    """Whether what the ledger said as it settled is true."""
    match settled.state:
        case "notified":
            if not is_told(world, ending, settled) and not is_wrongly_confirmed(world, ending):
                yield "notified, and a card is not there"
        case "skipped":
            refuted = refute_reason(world, ending, settled)
            if refuted is not None:
                yield f"skipped as {settled.reason}, and {refuted}"
        case "merged":
            if ending.ticket.merged_into is None and not ending.ticket.parts:
                yield "merged, and HubSpot did not merge it"
        case state:
            yield f"settled as {state} ({settled.reason})"


def refute_reason(world: World, ending: Ending, settled: Settled) -> str | None:
    ticket, missed = ending.ticket, ending.ticket.missed_at
    shown_at = first_shown(world, ticket, settled)
    created_at = told_creation(world, ticket)
    remembered = created_at >= world.truth.horizon_at(shown_at) and not ending.forgotten
    true_of = {
        "before activation": (created_at < ending.activated_at, "it is younger"),
        "beyond memory": (not remembered, "it was shown while it was remembered"),
        "other pipeline": (not is_always_ours(world, ending), "it was always in ours"),
        "gone": (
            bool(missed) and missed[-1] - missed[0] >= DAY - CLOCKS_APART,
            "HubSpot did not miss it for a day",
        ),
    }
    true, refutation = true_of.get(str(settled.reason), (False, "there is no such reason"))
    return None if true else refutation


def first_shown(world: World, ticket: TrueTicket, settled: Settled) -> float:
    """To the ledger that settled it: what a restore undid was shown to another."""
    times = [*ticket.shown_at, *ticket.cut_off_at, *(one.at for one in ticket.offered)]
    restored = settled.settled_at >= world.truth.restored_at
    return min((at for at in times if not (restored and world.truth.was_undone(at))), default=FOREVER)


def is_skipped_for_age(ending: Ending) -> bool:
    """A ticket for itself, that nobody was told of; what a person confirmed counts as told."""
    is_single = ending.ticket.merged_into is None and not ending.ticket.parts
    of_age = ending.row is not None and ending.row["reason"] in OF_AGE
    told = ending.cards or any(one.state == "notified" for one in ending.forgotten)
    return is_single and of_age and not told


def told_creation(world: World, ticket: TrueTicket) -> float:
    """As HubSpot tells it at last: of a ticket that was merged the age of what it became."""
    while ticket.merged_into is not None:
        ticket = world.truth.tickets[ticket.merged_into]
    return ticket.created_at


def judge_final_skip(world: World, ending: Ending, settled: Settled) -> Iterator[str]:
    """A skipped ticket opens again by what shows it; at rest everything that is there was shown."""
    ticket = ending.ticket
    if ticket.merged_into is not None or ticket.parts:
        return  # its group is judged
    if is_skipped_for_age(ending) and ending.event_is_known:
        yield f"skipped as {settled.reason}, and a creation event overrides that"
    ours = not world.shape.pipelines or ticket.pipelines[-1][1] in OURS
    if settled.reason in ("gone", "other pipeline") and ours and not ticket.is_away:
        yield f"skipped as {settled.reason}, and it is back in ours"


def judge_hold(world: World, ending: Ending, kin: Sequence[Ending], told: Row) -> Iterator[str]:
    channel = told["channel"]
    # What it became may hold a part that the lost ledger told.
    behind_barrier = told_creation(world, ending.ticket) < world.truth.barrier_at
    if told["last_error"] in HELD_BY_BARRIER and behind_barrier and not (channel == BOT and sees(world)):
        return
    if told["state"] == "refused":
        if [send.answer for send in ending.sends_on(channel)].count("not sent") < 2:
            yield f"held as refused by {channel}, which did not refuse it twice"
    elif not any(is_in_doubt(one, channel) for one in kin):
        yield f"held for {channel}, though it could have been decided"
    elif channel == BOT and sees(world):
        yield "held, though the bot can look"


def is_in_doubt(ending: Ending, channel: str) -> bool:
    """Rule 6: the last send's outcome is unknown, or its process died before anybody knew it."""
    last_word = max((word.at for word in ending.words), default=0.0)
    sends = [send for send in ending.sends_on(channel) if send.began_at >= last_word]
    unknown = bool(sends) and sends[-1].answer in ("unknown", None)
    return unknown or any(at >= last_word for at in ending.doubted)


def sees(world: World) -> bool:
    """Rule 5: a look proves nothing where the ledger knows no card of the bot that could be read back."""
    known = world.outside.rows(
        "SELECT 1 FROM deliveries WHERE channel = ? AND state = 'sent' AND message_id IS NOT NULL LIMIT 1",
        BOT,
    )
    return bool(known)


def may_be_told(by_id: Mapping[str, Ending], ending: Ending) -> bool:
    """Whether its age allows it: its own, or that of what it was made of, as a webhook may tell.

    A part that a webhook without a time showed may have been young: HubSpot tells its age no more.
    """
    parts = ending.ticket.parts
    told_of_merge = bool(parts) and any(one.occurred_at for one in ending.ticket.offered)
    of_unknown_age = ending.ticket.merged_into and any(not one.occurred_at for one in ending.ticket.offered)
    own = ending.is_young or ending.counts or told_of_merge or of_unknown_age
    return bool(own) or any(may_be_told(by_id, by_id[part]) for part in parts)


def judge_cards(world: World, ending: Ending) -> Iterator[str]:
    """Nothing is told that should not be."""
    if not ending.cards:
        return
    told_at = ending.cards[0].began_at
    before = [pipeline for at, pipeline in ending.ticket.pipelines if at <= told_at]
    if world.shape.pipelines and not any(one in OURS for one in before):
        yield "told, and it was in another pipeline"
