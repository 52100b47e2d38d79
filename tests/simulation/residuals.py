"""Doubles that the design leaves by nature, each told by what really happened; anything else is a fault.

The sentences are those of ``docs/reliability.md``.
"""

from collections.abc import Iterator

from tests.simulation.ending import Ending
from tests.simulation.truth import Send, Truth, Word

WRONG_RESEND = "resend of a ticket whose card did arrive"
LATE_ARRIVAL = "a request that arrived after a person had looked and said resend"
POLICY = "UNCONFIRMED_POLICY=resend after a send that did arrive"
WRONG_CONFIRM = "confirm of a ticket whose card did not arrive"


def explain_doubles(truth: Truth, ending: Ending, policy: str) -> Iterator[str | None]:
    """For each card beyond the first the residual that brought it, or None where nothing does."""
    words = [word for word in ending.words if word.resend]
    may_resend = policy == "resend"
    for card in ending.cards[1:]:
        word = next((one for one in reversed(words) if one.at <= card.began_at), None)
        if word is not None:
            words.remove(word)
            yield word_of(word, [one for one in ending.cards if one is not card])
        elif may_resend and was_in_doubt(truth, ending, card):
            may_resend = False
            yield POLICY
        else:
            yield None


def word_of(word: Word, others: list[Send]) -> str | None:
    if word.card_was_there:
        return WRONG_RESEND
    late = any(one.began_at <= word.at and word.looked_at <= (one.stored_at or 0.0) for one in others)
    return LATE_ARRIVAL if late else None


def was_in_doubt(truth: Truth, ending: Ending, card: Send) -> bool:
    """Whether nobody could know then what became of an earlier send, or nobody could write it down."""
    return any(
        one.answer in ("unknown", None)
        or one.answered_at > card.began_at
        or truth.was_unable(one.process, one.began_at, card.began_at)
        for one in ending.sends
        if one.began_at < card.began_at
    )
