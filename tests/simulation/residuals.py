"""Doubles that the design leaves by nature, each told by what really happened; anything else is a fault.

The sentences are those of ``docs/reliability.md``.
"""

from collections.abc import Iterator
from itertools import pairwise

from tests.simulation.ending import Ending
from tests.simulation.seams import BOT, WEBHOOK
from tests.simulation.truth import FOREVER, Send, Truth, Word

WRONG_RESEND = "resend of a ticket whose card did arrive"
LATE_ARRIVAL = "a request that arrived after a person had looked and said resend"
LATE_FIRST_BYTE = "a worker stopped between its last look at the lease and the first byte"
POLICY = "UNCONFIRMED_POLICY=resend after a send that did arrive"
WRONG_CONFIRM = "confirm of a ticket whose card did not arrive"
LOST_EVENT = "skipped for its age, and a restore took away the event that overrides it"
ARRIVED_SECONDS = 60.0  #: after it began a card of the bot is there, or never will be


def explain_doubles(truth: Truth, ending: Ending, channel: str, policy: str) -> Iterator[str | None]:
    """For each card beyond the first the residual that brought it, or None where nothing does."""
    may_again_from = 0.0 if policy == "resend" and channel == WEBHOOK else FOREVER
    cards = ending.cards_on(channel)
    for before, card in pairwise(cards):
        others = [one for one in cards if one is not card]
        # What was said before the card before brought that one, so this one needs a reason of its own.
        words = [one for one in ending.words if one.resend and before.began_at < one.at <= card.began_at]
        if words:
            yield word_of(words[-1], channel, others)
        elif channel == BOT:
            yield LATE_FIRST_BYTE if was_stopped(others) else None
        elif card.began_at >= may_again_from and was_in_doubt(truth, ending.sends_on(channel), card):
            may_again_from = truth.restored_at if truth.was_undone(card.began_at) else FOREVER
            yield POLICY
        else:
            yield None


def word_of(word: Word, channel: str, others: list[Send]) -> str | None:
    if channel in word.channels_with_card:
        return WRONG_RESEND
    late = any(one.began_at <= word.at and word.looked_at <= (one.stored_at or 0.0) for one in others)
    return LATE_ARRIVAL if late else None


def was_stopped(others: list[Send]) -> bool:
    return any(one.first_byte_at - one.began_at > ARRIVED_SECONDS for one in others)


def was_in_doubt(truth: Truth, sends: list[Send], card: Send) -> bool:
    """Whether nobody could know then what became of an earlier send, or nobody could write it down."""
    return any(
        one.answer in ("unknown", None)
        or one.answered_at > card.began_at
        or truth.was_unable(one.process, one.began_at, card.began_at)
        for one in sends
        if one.began_at < card.began_at
    )
