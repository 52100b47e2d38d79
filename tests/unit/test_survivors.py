"""Which of the tickets that HubSpot made one is told, as pure decisions (rule 11)."""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from models.claims import MAYBE_TOLD
from models.deliveries import DeliveryState
from models.survivors import Decision, Known, Part, decide
from models.tickets import OPEN_STATES, SkipReason, TicketState

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SINCE = NOW - timedelta(days=7)
OLD, NEW = SINCE - timedelta(days=1), SINCE + timedelta(days=1)
KNOWN = Known(NOW, SINCE)
FOUND, CLAIMED, RETRY = OPEN_STATES
NOTIFIED, HELD, MERGED = TicketState.NOTIFIED, TicketState.UNCONFIRMED, TicketState.MERGED


def part(ticket_id: str, state: TicketState, *deliveries: str, **more: Any) -> Part:
    return Part(ticket_id, state, deliveries, **more)


def too_old(ticket_id: str, reason: SkipReason = SkipReason.BEFORE_ACTIVATION) -> Part:
    return part(ticket_id, TicketState.SKIPPED, reason=reason, created_at=OLD)


def decided(*parts: Part, known: Known = KNOWN) -> Decision:
    """The new ticket is the last."""
    return decide({one.ticket_id: one for one in parts}, parts[-1].ticket_id, known)


@pytest.mark.parametrize("state", OPEN_STATES)
def test_nobody_was_told_so_the_new_ticket_is(state: TicketState) -> None:
    both = (part("1", state, created_at=OLD), part("2", state, "pending", created_at=OLD))
    decision = decided(*both, part("3", FOUND))
    assert (decision.survivor, decision.merged, decision.opens) == ("3", ("1", "2"), False)


@pytest.mark.parametrize(("beyond_memory", "told_at"), [(False, NOW), (True, None)])
def test_a_part_of_unknown_age_is_told_for_only_where_all_the_parts_are_remembered(
    beyond_memory: bool, told_at: datetime | None
) -> None:
    known = Known(NOW, SINCE, beyond_memory=beyond_memory)
    merged = too_old("3", SkipReason.BEYOND_MEMORY)
    decision = decided(part("1", FOUND), merged, known=known)
    assert (decision.event_at, decision.opens) == (told_at, not beyond_memory)


@pytest.mark.parametrize("delivery", MAYBE_TOLD)
@pytest.mark.parametrize("state", [*OPEN_STATES, NOTIFIED, HELD])
def test_a_told_part_stays_and_the_others_become_part_of_it(state: TicketState, delivery: str) -> None:
    others = part("1", FOUND), part("3", FOUND)
    assert decided(others[0], part("2", state, delivery), others[1]) == Decision("2", ("1", "3"))


def test_the_new_ticket_stays_where_it_was_told_before_anybody_knew_of_the_merge() -> None:
    assert decided(part("1", FOUND), part("2", CLAIMED, "sending")) == Decision("2", ("1",))


def test_an_adopted_part_is_told_though_it_has_no_delivery() -> None:
    assert decided(part("1", NOTIFIED), part("2", FOUND)) == Decision("1", ("2",))


def test_a_part_held_by_no_word_of_a_channel_may_have_been_told() -> None:
    assert decided(part("1", HELD), part("2", FOUND)) == Decision("1", ("2",))


def test_a_part_that_the_channel_refused_was_not_told() -> None:
    decision = decided(part("1", HELD, DeliveryState.REFUSED), part("2", FOUND))
    assert (decision.survivor, decision.merged) == ("2", ())


def test_the_lowest_id_of_several_told_ones_stays_as_bytes_order_them() -> None:
    parts = part("9", RETRY, "sent"), part("10", CLAIMED, "sending"), part("11", FOUND)
    assert decided(*parts) == Decision("10", ("11", "9"))


def test_who_is_told_everywhere_stays_before_one_that_would_go_on_telling() -> None:
    assert decided(part("1", RETRY, "sent", "pending"), part("2", NOTIFIED, "sent")) == Decision("2", ("1",))


def test_a_held_one_stays_before_one_that_would_go_on_telling() -> None:
    open_one = part("1", RETRY, "unconfirmed", "pending")
    assert decided(open_one, part("2", HELD, "unconfirmed", "sent")) == Decision("2", ("1",))


def test_merged_is_no_evidence_and_what_it_leads_to_is() -> None:
    chain = part("1", MERGED, merged_into="2"), part("2", MERGED, merged_into="3")
    assert decided(*chain, part("3", NOTIFIED), part("4", FOUND)) == Decision("3", ("4",))
    decision = decided(*chain, part("3", FOUND), part("4", FOUND))
    assert (decision.survivor, decision.merged) == ("4", ("3",))


def test_a_merge_that_comes_late_leaves_what_its_ticket_is_part_of_by_now() -> None:
    parts = part("1", MERGED, merged_into="3"), part("4", FOUND), part("3", MERGED, merged_into="4")
    assert decided(*parts) == Decision("4")


def test_what_was_merged_into_a_forgotten_ticket_was_told_and_stays_merged() -> None:
    parts = part("1", MERGED, merged_into="gone"), part("2", FOUND, created_at=NEW), part("3", FOUND)
    assert decided(*parts) == Decision("1", ("2", "3"))


@pytest.mark.parametrize("state", OPEN_STATES)
def test_a_merged_part_whose_sent_came_late_opens_again(state: TicketState) -> None:
    parts = part("1", MERGED, "sent", merged_into="2"), part("2", state)
    assert decided(*parts) == Decision("1", ("2",), opens=True)


def test_a_late_sent_changes_nothing_where_another_was_told() -> None:
    assert decided(part("1", MERGED, "sent", merged_into="2"), part("2", NOTIFIED, "sent")) == Decision("2")


@pytest.mark.parametrize(
    ("open_part", "event_at"),
    [
        (part("1", FOUND, created_at=NEW), NEW),
        (part("1", FOUND, created_at=SINCE), SINCE),
        (part("1", FOUND), NOW),
        (part("1", FOUND, created_at=OLD, creation_event_at=NEW), NEW),
        (part("1", RETRY, "pending", created_at=OLD), OLD),
        (part("1", FOUND, created_at=OLD), None),
    ],
    ids=["young", "just young enough", "age unknown", "by event", "written ahead", "too old"],
)
def test_an_open_part_that_was_to_be_told_brings_the_new_tickets_age_to_nothing(
    open_part: Part, event_at: datetime | None
) -> None:
    for new in (part("2", FOUND, created_at=OLD), too_old("2"), too_old("2", SkipReason.BEYOND_MEMORY)):
        opens = event_at is not None and new.state is not FOUND
        assert decided(open_part, new) == Decision("2", ("1",), opens, event_at)


def test_a_told_group_needs_no_event() -> None:
    assert decided(part("1", FOUND, created_at=NEW), part("2", NOTIFIED), too_old("3")).event_at is None


def test_an_event_that_the_new_ticket_has_is_not_written_again() -> None:
    decision = decided(part("1", FOUND), part("2", FOUND, creation_event_at=NEW))
    assert decision == Decision("2", ("1",))


@pytest.mark.parametrize("reason", [SkipReason.GONE, SkipReason.OTHER_PIPELINE])
def test_a_ticket_skipped_for_another_reason_remembers_the_event_and_stays_skipped(
    reason: SkipReason,
) -> None:
    assert decided(part("1", FOUND, created_at=NEW), too_old("2", reason)) == Decision(
        "2", ("1",), False, NEW
    )


def test_a_webhook_overrides_age_unless_every_part_was_judged() -> None:
    by_webhook = Known(NOW, SINCE, event_at=NEW)
    unseen = part("1", MERGED, merged_into="3"), part("2", MERGED, merged_into="3")
    assert decided(*unseen, too_old("3"), known=by_webhook) == Decision("3", (), True, NEW)
    assert decided(unseen[0], too_old("2"), too_old("3"), known=by_webhook).opens
    assert decided(too_old("1"), too_old("2"), too_old("3"), known=by_webhook) == Decision("3")
    assert decided(too_old("1"), too_old("2"), too_old("3")) == Decision("3")
    of_earlier = part("0", MERGED, merged_into="1")
    assert decided(of_earlier, too_old("1"), too_old("2"), too_old("3"), known=by_webhook) == Decision("3")


def test_a_circle_which_cannot_be_ends_and_is_told() -> None:
    parts = part("1", MERGED, merged_into="2"), part("2", MERGED, merged_into="1")
    assert decided(*parts).opens


def carried_out(parts: dict[str, Part], decision: Decision) -> dict[str, Part]:
    """The rows after it, as ``merges.carry_out`` writes them."""
    after = dict(parts)
    for one in decision.merged:
        after[one] = part(one, MERGED, *parts[one].deliveries, merged_into=decision.survivor)
    stays = parts[decision.survivor]
    event_at = decision.event_at or stays.creation_event_at
    state = FOUND if decision.opens else stays.state
    merged_into = None if decision.opens else stays.merged_into
    reason = None if decision.opens else stays.reason
    after[stays.ticket_id] = Part(
        stays.ticket_id, state, stays.deliveries, merged_into, reason, stays.created_at, event_at
    )
    return after


ANY = [
    *[(state, deliveries) for state in OPEN_STATES for deliveries in ((), ("pending",), ("sending",))],
    (NOTIFIED, ("sent",)),
    (NOTIFIED, ()),
    (HELD, ("unconfirmed",)),
    (HELD, ("refused",)),
    (MERGED, ()),
    (MERGED, ("sent",)),
    (TicketState.SKIPPED, ()),
]


def test_of_any_group_one_is_left_open_at_most_nothing_runs_in_circles_and_a_repeat_changes_nothing() -> None:
    """All groups of two parts and a new ticket, with every way to point at one another that rows can have."""
    decisions = 0
    for kinds in product(ANY, repeat=3):
        for targets in product(("1", "2", "3", "gone"), repeat=3):
            group = {
                one: part(one, state, *deliveries, merged_into=target if state is MERGED else None)
                for one, (state, deliveries), target in zip("123", kinds, targets, strict=True)
            }
            unused = any(s is not MERGED and t != "1" for (s, _), t in zip(kinds, targets, strict=True))
            if unused or runs_in_circles(group):
                continue
            decisions += 1
            decision = decide(group, "3", KNOWN)
            after = carried_out(group, decision)
            assert not runs_in_circles(after)
            assert sum(one.is_open for one in after.values()) <= 1
            assert all(
                after[one] == group[one]
                for one in group
                if not group[one].is_open and one != decision.survivor
            )
            again = decide(after, "3", KNOWN)
            assert (again.merged, again.opens, again.event_at) == ((), False, None)
    assert decisions > 3_000


def runs_in_circles(group: dict[str, Part]) -> bool:
    for start in group.values():
        at, steps = start, 0
        while at.state is MERGED and at.merged_into in group:
            at, steps = group[at.merged_into or ""], steps + 1
            if steps > len(group):
                return True
    return False
