"""Every transition the ledger knows, with the functions that make it: docs/states.md is drawn from these.

The machine fails where it sees one that is not here, and where it never sees one that is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from models.deliveries import DeliveryState as D
from models.tickets import OPEN_STATES
from models.tickets import TicketState as T

FORGOTTEN = (
    "settled longer ago than the retention, created before the memory horizon, and no row that may still be "
    "told or looked for leads to it"
)
OF_THE_ATTEMPT = "the delivery's attempt"
BY_DELIVERIES = ("sends.conclude_claim", "sends.abandon_claim", "barrier.hold_restored")


@dataclass(frozen=True, slots=True)
class Move:
    """From any of ``before`` to ``after``, by any of ``made_by``, ``when`` they find that so.

    The state None is no row: not found yet, or forgotten.
    """

    before: Sequence[str | None]
    after: str | None
    made_by: Sequence[str]
    when: str

    def each(self) -> Iterator[tuple[str | None, str | None, str]]:
        for before in self.before:
            for function in self.made_by:
                yield before, self.after, function


TICKET_MOVES = (
    Move([None], T.FOUND, ["proposals.propose"], "the id has no row"),
    Move([None], T.SKIPPED, ["proposals.propose"], "likewise, and created before the memory horizon"),
    Move([T.FOUND], T.CLAIMED, ["claims.claim"], "at once"),
    Move([T.RETRY], T.CLAIMED, ["claims.claim"], "due by the database's clock"),
    Move([T.CLAIMED], T.CLAIMED, ["claims.claim"], "its lease ran out"),
    Move([T.CLAIMED], T.NOTIFIED, BY_DELIVERIES, "owner, attempt; every channel was told"),
    Move([T.CLAIMED], T.RETRY, BY_DELIVERIES, "owner, attempt; a channel may be told yet"),
    Move([T.CLAIMED], T.UNCONFIRMED, BY_DELIVERIES, "owner, attempt; otherwise"),
    Move([T.CLAIMED], T.RETRY, ["releases.release_for_retry"], "owner, attempt"),
    Move([T.CLAIMED], T.RETRY, ["releases.release_unsent"], "owner, nothing sending; the worker ends"),
    Move([T.CLAIMED], T.SKIPPED, ["releases.skip_ticket"], "owner, attempt"),
    Move([T.CLAIMED], T.FOUND, ["releases.skip_ticket"], "likewise, but a creation event came meanwhile"),
    Move(
        [T.FOUND, T.CLAIMED, T.RETRY, T.UNCONFIRMED],
        T.NOTIFIED,
        ["sends.record_sent"],
        "every channel was told, whoever holds the ticket",
    ),
    Move([T.UNCONFIRMED], T.RETRY, ["sends.record_not_sent"], OF_THE_ATTEMPT),
    Move([T.UNCONFIRMED], T.RETRY, ["looks.decide_absent"], "likewise; a look that can see found no card"),
    Move([T.UNCONFIRMED], T.RETRY, ["held.resend_ticket"], "still held; a person saw no card"),
    Move([T.UNCONFIRMED], T.NOTIFIED, ["held.confirm_ticket"], "still held; a person saw the card"),
    Move(
        [T.SKIPPED],
        T.FOUND,
        ["proposals.propose"],
        "gone or other pipeline, and shown again; too old, and a creation event came",
    ),
    Move([None, *OPEN_STATES], T.MERGED, ["merges.join_parts"], "another ticket of the merge is told"),
    Move([T.SKIPPED], T.MERGED, ["merges.join_parts"], "likewise; gone or other pipeline, and shown again"),
    Move([T.MERGED], T.FOUND, ["merges.join_parts"], "its own card arrived after all"),
    Move([T.MERGED], T.RETRY, ["merges.join_parts"], "likewise, but its card is still on its way"),
    Move(
        [T.CLAIMED, T.UNCONFIRMED],
        T.RETRY,
        ["merges.join_parts"],
        "a part was or may have been told on a channel that it was not; after a restore, whatever part came",
    ),
    Move(
        [T.SKIPPED],
        T.FOUND,
        ["merges.join_parts"],
        "skipped for its age, but a part of it was to be told; or told, then gone or elsewhere",
    ),
    Move([T.FOUND, T.SKIPPED], T.RETRY, ["merges.join_parts"], "likewise, but a part's card is on its way"),
    Move([T.NOTIFIED, T.SKIPPED, T.MERGED], None, ["retention.forget_batch"], FORGOTTEN),
)

DELIVERY_MOVES = (
    Move([None], D.SENDING, ["write_ahead.begin_delivery"], "owner, attempt, unexpired lease; there is none"),
    Move(
        [D.PENDING], D.SENDING, ["write_ahead.begin_delivery"], "likewise; pending, with the attempts as read"
    ),
    Move([D.SENDING, D.PENDING, D.UNCONFIRMED, D.REFUSED], D.SENT, ["sends.record_sent"], "always"),
    Move([D.SENDING, D.UNCONFIRMED, D.REFUSED], D.SENT, ["held.confirm_ticket"], "its ticket is held"),
    Move([D.SENDING, D.UNCONFIRMED], D.PENDING, ["sends.record_not_sent"], OF_THE_ATTEMPT),
    Move(
        [D.SENDING],
        D.PENDING,
        ["sends.abandon_delivery", "sends.abandon_claim"],
        "the claim's owner and attempt, its own attempt; before the first byte",
    ),
    Move(
        [D.SENDING], D.PENDING, ["sends.record_unknown"], "likewise its attempt; the first doubt, by policy"
    ),
    Move([D.SENDING, D.UNCONFIRMED, D.REFUSED], D.PENDING, ["held.resend_ticket"], "its ticket is held"),
    Move([D.UNCONFIRMED], D.PENDING, ["looks.decide_absent"], "its attempt, its ticket is held"),
    Move([D.SENDING], D.UNCONFIRMED, ["sends.record_unknown"], OF_THE_ATTEMPT),
    Move([None, D.PENDING], D.UNCONFIRMED, ["barrier.hold_restored"], "owner, attempt; after a restore"),
    Move([None, D.PENDING, D.UNCONFIRMED, D.REFUSED], D.SENT, ["merges.join_parts"], "a part was told there"),
    Move([None, D.PENDING], D.UNCONFIRMED, ["merges.join_parts"], "a part may have been told there"),
    Move([D.SENDING, D.PENDING], D.REFUSED, ["sends.record_refused"], OF_THE_ATTEMPT),
    Move(list(D), None, ["retention.forget_batch"], "with its ticket"),
)
