"""Check messages: tell a channel which tickets are held, each once, so that a person looks (rule 6)."""

from collections.abc import Callable, Collection, Mapping
from functools import partial

from jobs.notify.channel import Channel
from jobs.notify.outcome import NotSent, Sent, Unknown
from models.notices import give_back, give_back_restored, take_restored, take_unnoticed
from models.switches import extend_pause, pause_after_unknown, pause_for_fault

TICKETS_A_MESSAGE = 10
PARTS_A_TICKET = 3
WORDS = (
    "**Held: nobody can tell whether these cards arrived.** Look above for each; then the operator runs "
    "`python main.py confirm TICKET` (it is there) or `python main.py resend TICKET` (it is not):"
)
RESTORED_WORDS = (
    "**Held after a restore: {cards} cards.** The ledger was restored from an older copy, which does not "
    "know whether they were told here. `python main.py tickets --state unconfirmed` lists them; look above "
    "for each, then the operator runs `python main.py confirm TICKET` (it is there) or "
    "`python main.py resend TICKET` (it is not)."
)

HELD_HINT = (
    "python main.py tickets --state unconfirmed lists them; look whether their card is there, then "
    "confirm TICKET or resend TICKET"
)
KNOCK = "Trying whether this channel takes messages again: cards before this one may not have arrived."


def name_held_tickets(
    channel: Channel, link_of: Callable[[str], str], among: Collection[str] | None = None
) -> int:
    """Send what check messages are due on an open channel; how many tickets were named.

    ``among`` are the tickets that a look could not decide, None where the channel cannot look.
    A ticket is named once at most: it is marked before the message, and given back only where that was
    certainly not sent. What a restore holds is named in one sentence where it is more than a message's worth.
    """
    named = 0
    while restored := take_restored(channel.name, TICKETS_A_MESSAGE, among):
        undo = partial(give_back_restored, channel.name, restored)
        if not announce(channel, RESTORED_WORDS.format(cards=restored.cards), undo):
            return named
        named += restored.cards
    while taken := take_unnoticed(channel.name, TICKETS_A_MESSAGE, among):
        if not announce(channel, check_message(taken, link_of), partial(give_back, channel.name, taken)):
            return named
        named += len(taken)
    return named


def announce(channel: Channel, text: str, undo: Callable[[], object]) -> bool:
    """Send a check message; True if it was sent, and ``undo`` is called where it certainly was not.

    An unknown answer pauses the channel as one to a card does (rule 7).
    """
    with channel.turn(0) as seconds:
        outcome = NotSent("rate_limited") if seconds else channel.announce(text)
    if isinstance(outcome, NotSent):
        undo()
        if outcome.fault:
            pause_for_fault(channel.name, channel.key_hash, outcome.error)
    elif isinstance(outcome, Unknown):
        pause_after_unknown(channel.name, channel.key_hash, outcome.error)
    return isinstance(outcome, Sent)


def knock(channel: Channel) -> bool:
    """Try a channel in doubt with our own words, which puts no ticket at risk; True if they arrived."""
    key = (channel.name, channel.key_hash)
    with channel.turn(0) as seconds:
        outcome = NotSent("rate_limited") if seconds else channel.announce(KNOCK)
    match outcome:
        case Unknown(error):
            pause_after_unknown(*key, error)
        case NotSent(error, fault=str()):
            pause_for_fault(*key, error)
        case NotSent():
            extend_pause(*key)
        case Sent():
            return True
    return False


def check_message(parts: Mapping[str, Collection[str]], link_of: Callable[[str], str]) -> str:
    """The program's own words, ids and links, by ticket: nothing that a customer wrote."""
    lines = [f"- #{one} <{link_of(one)}>{other_ids(theirs)}" for one, theirs in parts.items()]
    return "\n".join([WORDS, *lines])


def other_ids(parts: Collection[str]) -> str:
    """The tickets that were merged into one, since the card may be one of theirs; the first ones of many."""
    ids = [f"#{one}" for one in parts]
    more = ["others"] if len(ids) > PARTS_A_TICKET else []
    return f" or the card of {', '.join([*ids[:PARTS_A_TICKET], *more])}" if ids else ""
