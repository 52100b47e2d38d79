"""Rule 11 in the ledger: of the tickets that HubSpot made one, one is told, whatever was known when."""

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from models.database import connection, database, on_postgres
from models.deliveries import Delivery, DeliveryState
from models.held import confirm_ticket, resend_ticket
from models.merges import Joined, Merge, find_told, join_late_events, join_parts, join_shown
from models.proposals import Proposal, propose
from models.sends import record_not_sent, record_sent, record_unknown
from models.tickets import ProcessedTicket, SkipReason, Source, TicketState, list_parts, list_tickets
from tests.fakes.memory import DAY, ago, forget, lay_ticket, look, raise_now
from tests.fakes.path import settled_counts
from tests.store.conftest import Ledger

CHANNELS = ["console"]
NEW = Merge("3", ("1", "2"), ago(2))  #: HubSpot made 3 of 1 and 2


@pytest.fixture
def week(ledger: Ledger) -> Ledger:
    """A ledger a year old that forgets after a week."""
    look(swept_from=1)
    raise_now()
    return ledger


def join(merge: Merge = NEW, source: Source = Source.SWEEP) -> Joined:
    return join_parts(merge, source)


def lay_untold(ticket_id: str, created: float, settled: float, **columns: Any) -> None:
    """A row settled so many days ago without a delivery."""
    lay_ticket(ticket_id, created=created, processed_at=ago(settled), **columns)


def states(*ticket_ids: str) -> list[str]:
    with connection():
        rows = {row.ticket_id: row.state for row in ProcessedTicket.select()}
    return [rows.get(one, "-") for one in ticket_ids or ("1", "2", "3")]


def targets(*ticket_ids: str) -> list[str | None]:
    rows = {row.ticket_id: row.merged_into for row in list_tickets(None)}
    return [rows[one] for one in ticket_ids]


def event(minutes: float = 1, merge: Merge = NEW) -> Merge:
    return Merge(merge.new_id, merge.parts, None, event_at=ago(minutes / 1440))


def test_a_merge_nobody_heard_of_before_brings_its_ticket_and_settles_its_parts(week: Ledger) -> None:
    assert join() == Joined("3")
    assert (states(), targets("1", "2", "3")) == (["merged", "merged", "found"], ["3", "3", None])
    row = week.ticket("1")
    assert (row.provider, row.success, row.source, row.attempts) == ("none", None, "sweep", 0)
    assert settled_counts() == {"merged": 2}


def test_a_forgotten_group_is_not_told_again_for_a_webhook_without_a_time_of_a_part(week: Ledger) -> None:
    lay_ticket("1", created=None)
    assert join(Merge("3", ("1", "2"), ago(8))) == Joined("3", ("1",))
    assert (states(), week.ticket("3").reason) == (["merged", "merged", "skipped"], "beyond memory")


@pytest.mark.parametrize("state", ["found", "claimed", "retry"])
def test_open_parts_become_part_of_the_new_ticket_whatever_was_done_with_them(
    week: Ledger, state: str
) -> None:
    week.find("1")
    week.claim("1", seconds=60)
    week.edit("1", state=state, reason="x", last_error="y", next_attempt_at=ago(0), missing_since_at=ago(1))
    assert join() == Joined("3", ("1",))
    row = week.ticket("1")
    assert (row.state, row.merged_into, row.provider, row.success, row.attempts) == (
        "merged",
        "3",
        "none",
        None,
        1,
    )
    left = (row.lease_owner, row.lease_expires_at, row.next_attempt_at, row.last_error, row.missing_since_at)
    assert left == (None,) * 5
    assert row.processed_at > ago(0), "settled now"


def test_a_repeat_writes_nothing_and_counts_nothing(week: Ledger) -> None:
    week.find("1")
    join(event())
    before, counts = physical_rows(), settled_counts()
    for merge in (NEW, event(), Merge("3", ("1",)), Merge("3", ())):
        assert join(merge) == Joined("3")
    assert join_shown([NEW], Source.SWEEP) == [Joined("3")]
    assert (physical_rows(), settled_counts()) == (before, counts)


def physical_rows() -> list[Any]:
    """PostgreSQL moves a row with every write."""
    place = "ctid" if on_postgres() else "updated_at"
    with connection():
        return list(database.execute_sql(f"SELECT ticket_id, {place} FROM processed_tickets ORDER BY 1"))


@pytest.mark.parametrize("seen_first", ["poll", "merge", "between"])
def test_parts_found_before_between_or_after_the_merge_end_as_parts(week: Ledger, seen_first: str) -> None:
    if seen_first != "merge":
        week.find("1")
    if seen_first == "poll":
        week.find("2")
    join()
    week.find("1", "2")
    assert states() == ["merged", "merged", "found"]


def test_a_told_part_stays_told_and_nobody_else_is(week: Ledger) -> None:
    told(week, "2")
    week.find("1")
    assert join() == Joined("2", ("1", "3"))
    assert (states(), targets("1", "3")) == (["merged", "notified", "merged"], ["2", "2"])


def told(ledger: Ledger, ticket_id: str) -> None:
    ledger.sending(ticket_id)
    assert record_sent(ticket_id, "console", CHANNELS, "m", "here") is TicketState.NOTIFIED


def test_two_that_were_both_told_before_stay_told(week: Ledger) -> None:
    told(week, "1")
    told(week, "2")
    assert join() == Joined("1", ("3",))
    assert states() == ["notified", "notified", "merged"]


def test_a_new_ticket_that_was_told_before_its_parts_were_known_takes_them_in(week: Ledger) -> None:
    told(week, "3")
    week.find("1")
    assert join() == Joined("3", ("1",))
    assert states() == ["merged", "merged", "notified"]


def test_an_adopted_part_was_told(week: Ledger) -> None:
    with connection():
        ProcessedTicket.insert(ticket_id="1", provider="groq", success=False).execute()
    assert join() == Joined("1", ("3",))


def test_a_held_part_stays_held_and_a_persons_word_decides_for_all(week: Ledger) -> None:
    hold(week, "1")
    assert join() == Joined("1", ("3",))
    assert states() == ["unconfirmed", "merged", "merged"]
    resend_ticket("1")
    assert join() == Joined("1"), "the new ticket was merged into it, and it is the one to tell"
    assert states() == ["retry", "merged", "merged"]


def hold(ledger: Ledger, ticket_id: str) -> None:
    ledger.sending(ticket_id)
    record_unknown(ticket_id, "console", 1, "timeout")
    ledger.edit(ticket_id, state=TicketState.UNCONFIRMED, lease_owner=None)


def test_a_confirmed_part_is_told(week: Ledger) -> None:
    hold(week, "1")
    confirm_ticket("1")
    assert join() == Joined("1", ("3",))


def test_a_part_in_flight_is_told_and_if_it_certainly_was_not_sent_it_goes_on_for_all(week: Ledger) -> None:
    week.sending("1")
    assert join() == Joined("1", ("3",))
    assert states() == ["claimed", "merged", "merged"]
    record_not_sent("1", "console", 1, "refused", 0)
    assert join() == Joined("1")
    assert states() == ["claimed", "merged", "merged"]


def test_two_parts_in_flight_are_both_told_and_the_later_outcome_opens_nothing(week: Ledger) -> None:
    week.sending("1")
    week.sending("2", "two")
    assert join() == Joined("1", ("2", "3"))
    record_sent("2", "console", CHANNELS, "m", "here")
    record_sent("1", "console", CHANNELS, "m", "here")
    assert join() == Joined("1")
    assert states() == ["notified", "merged", "merged"]


def test_a_part_that_may_have_been_sent_takes_over_from_one_that_was_not(week: Ledger) -> None:
    week.sending("1")
    week.sending("2", "two")
    join()
    record_unknown("2", "console", 1, "timeout")
    record_not_sent("1", "console", 1, "refused", 0)
    assert join() == Joined("2", ("1",), reopened=1)
    assert states() == ["merged", "found", "merged"]


def test_a_part_told_on_a_second_channel_and_held_for_the_first_keeps_another_from_that(week: Ledger) -> None:
    """As where the webhook was taken out of the settings while both were in doubt on it."""
    hold(week, "1")
    hold(week, "2")
    with connection():
        Delivery.insert(ticket_id="2", channel="bot", state=DeliveryState.SENT).execute()
    week.edit("1", state=TicketState.RETRY)
    assert join() == Joined("2", ("1", "3"))
    assert states() == ["merged", "unconfirmed", "merged"]


def test_a_sent_that_comes_late_makes_its_part_the_told_one_and_settles_it(week: Ledger) -> None:
    """As with UNCONFIRMED_POLICY=resend: the delivery was given free while its first card was on its way."""
    week.sending("1")
    record_unknown("1", "console", 1, "timeout", resend=True)
    assert join() == Joined("3", ("1",))
    assert record_sent("1", "console", CHANNELS, "m", "here") is TicketState.MERGED
    assert join() == Joined("1", ("3",), reopened=1)
    row = week.ticket("1")
    assert (row.state, row.merged_into, row.provider, row.success) == ("found", None, "none", None)


def test_a_verdict_whose_card_may_have_left_stays_with_a_merged_part(week: Ledger) -> None:
    week.sending("1")
    week.sending("2", "two")
    join()
    row = week.ticket("2")
    assert (row.state, row.provider, row.success) == ("merged", "local", True)


CHAIN = (Merge("3", ("1", "2")), Merge("5", ("3", "4", "1", "2")), Merge("7", ("5", "6", "3", "4", "1", "2")))
IDS = [str(number) for number in range(1, 8)]


ORDERS = list(permutations(range(3)))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("whole", [True, False], ids=["all parts named", "two parts named"])
def test_a_chain_of_merges_leaves_the_last_ticket_in_any_order(
    week: Ledger, order: tuple[int, ...], whole: bool
) -> None:
    """A webhook names two parts, a search all."""
    week.find("1", "2", "4", "6")
    for at in order:
        merge = CHAIN[at]
        join(merge if whole else Merge(merge.new_id, merge.parts[:2]))
    assert states(*IDS) == ["merged"] * 6 + ["found"]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("first", ["1", "4", "6"])
def test_a_chain_of_merges_with_a_told_part_tells_nobody_else(
    week: Ledger, order: tuple[int, ...], first: str
) -> None:
    week.find("1", "2", "4", "6")
    told(week, first)
    for at in order:
        join(CHAIN[at])
    assert "found" not in states(*IDS)
    assert states(first) == ["notified"]


@pytest.mark.parametrize("skipped", ["3", "5"])
def test_a_merge_into_what_was_merged_into_a_forgotten_ticket_is_not_told_again(
    week: Ledger, skipped: str
) -> None:
    """1 was told and is forgotten; what became part of it is remembered, and leads to a gap."""
    lay_untold("3", 9, 6, state=TicketState.MERGED, merged_into="1")
    lay_ticket("4", created=1)
    assert join(Merge("5", ("3", "4", "1", "2"), ago(9))) == Joined("3", ("4",))
    assert states("1", "2", "3", "4", "5") == ["-", "merged", "merged", "merged", "skipped"]
    assert join(Merge("5", ("3", "4", "1", "2"), ago(9))) == Joined("3"), "the gap is still there"
    assert skipped


def test_a_forgotten_told_part_leaves_its_new_ticket_beyond_memory(week: Ledger) -> None:
    assert propose([Proposal("3", ago(30))], Source.SWEEP).beyond_memory == 1
    assert join_shown([Merge("3", ("1", "2"), ago(30))], Source.SWEEP) == []
    assert states() == ["-", "-", "skipped"], "a bulk edit touched it: no false alarm, and no rows"


@pytest.mark.parametrize("reason", [SkipReason.BEFORE_ACTIVATION, SkipReason.BEYOND_MEMORY])
def test_a_new_part_is_told_though_the_other_was_old(week: Ledger, reason: SkipReason) -> None:
    lay_untold("3", 30, 0, state=TicketState.SKIPPED, reason=reason, provider="none")
    week.find("2")
    week.edit("2", ticket_created_at=ago(1))
    assert join_shown([Merge("3", ("1", "2"), ago(30))], Source.SWEEP) == [Joined("3", ("2",), reopened=1)]
    row = week.ticket("3")
    assert (row.state, row.reason, row.provider) == ("found", None, None)
    assert abs(row.creation_event_at - ago(1)) < DAY / 1000


def test_an_old_part_leaves_the_new_ticket_skipped_for_its_age(week: Ledger) -> None:
    lay_untold("3", 400, 0, state=TicketState.SKIPPED, reason=SkipReason.BEFORE_ACTIVATION)
    lay_ticket("1", created=400)
    assert join() == Joined("3", ("1",))
    assert states() == ["merged", "merged", "skipped"]


@pytest.mark.parametrize(("days", "state"), [(0.1, "found"), (3.9, "found"), (4.1, "skipped"), (-1, "found")])
def test_a_webhook_of_the_last_four_days_overrides_the_new_tickets_age(
    week: Ledger, days: float, state: str
) -> None:
    lay_untold("3", 30, 1, state=TicketState.SKIPPED, reason=SkipReason.BEYOND_MEMORY)
    join(event(days * 1440))
    assert states("3") == [state]


def test_a_webhook_from_before_the_activation_overrides_nothing(ledger: Ledger) -> None:
    look()
    lay_untold("3", 500, 1, state=TicketState.SKIPPED, reason=SkipReason.BEFORE_ACTIVATION)
    join(event(366 * 1440))
    assert states("3") == ["skipped"]


def test_a_webhook_of_a_merge_of_parts_that_were_all_too_old_is_no_news(week: Ledger) -> None:
    for one in ("1", "2", "3"):
        lay_untold(one, 400, 1, state=TicketState.SKIPPED, reason=SkipReason.BEFORE_ACTIVATION)
    assert join(event()) == Joined("3")
    assert states() == ["skipped"] * 3


@pytest.mark.parametrize("reason", [SkipReason.GONE, SkipReason.OTHER_PIPELINE])
def test_a_new_ticket_that_was_skipped_and_is_shown_opens_again(week: Ledger, reason: SkipReason) -> None:
    lay_untold("3", 1, 0, state=TicketState.SKIPPED, reason=reason)
    week.find("1")
    assert join().survivor == "3"
    assert states("1", "3") == ["merged", "found"]


def test_only_what_is_open_costs_a_search_more_than_one_question(week: Ledger) -> None:
    told(week, "3")
    told(week, "1")
    assert join_shown([NEW, Merge("9", ("7", "8"))], Source.POLL) == []
    assert states("2", "7", "9") == ["-", "-", "-"]


def test_a_late_creation_event_of_a_told_group_changes_nothing(week: Ledger) -> None:
    told(week, "1")
    join()
    assert propose([Proposal("2", creation_event_at=ago(0.01))], Source.WEBHOOK).late_parts == 1
    assert join_late_events(["1", "2"], Source.WEBHOOK) == [Joined("1")]
    assert states() == ["notified", "merged", "merged"]


def test_the_open_new_ticket_is_claimed_next_and_its_parts_never(week: Ledger) -> None:
    week.find("1")
    taken = week.claim("1")
    join()
    assert week.begin(taken) is None, "the write-ahead of whoever was at work is refused"
    with connection():
        assert not Delivery.select().exists()
    assert week.begin(week.claim("3")) == 1


def test_a_merged_part_that_a_skipped_ticket_took_in_is_forgotten_before_it(week: Ledger) -> None:
    """Else its gap would count as told, and a new part that HubSpot merges with both would be lost."""
    lay_untold("1", 25, 3, state=TicketState.MERGED, merged_into="3")
    lay_untold("3", 25, 10, state=TicketState.SKIPPED, reason=SkipReason.OTHER_PIPELINE)
    assert forget() == ["1", "3"], "a webhook brought 1 again when 3 was long settled"
    lay_ticket("4", created=1)
    assert join(Merge("5", ("3", "4", "1"), ago(25))) == Joined("5", ("4",), reopened=1)
    assert week.ticket("5").creation_event_at is not None


def test_once_nobody_names_it_a_skipped_ticket_is_forgotten_and_a_chain_from_its_end(week: Ledger) -> None:
    lay_untold("1", 20, 10, state=TicketState.MERGED, merged_into="2")
    lay_untold("2", 20, 10, state=TicketState.MERGED, merged_into="3")
    lay_untold("3", 20, 10, state=TicketState.SKIPPED, reason=SkipReason.GONE)
    assert [forget() for _ in range(3)] == [["2", "3"], ["3"], []]


def test_a_told_ticket_is_forgotten_though_others_lead_to_it(week: Ledger) -> None:
    lay_ticket("1", created=20, settled=10)
    lay_untold("3", 20, 5, state=TicketState.MERGED, merged_into="1")
    assert forget() == ["3"]


def test_a_forgotten_part_that_is_shown_again_is_beyond_memory(week: Ledger) -> None:
    told(week, "3")
    join()
    assert propose([Proposal("0", ago(30))], Source.SWEEP).beyond_memory == 1
    assert join(Merge("3", ("0", "1", "2"), ago(30))) == Joined("3")
    assert states("0", "3") == ["skipped", "notified"]


def test_a_forgotten_told_ticket_that_a_webhook_brings_back_is_not_told_for_its_new_tickets_event(
    week: Ledger,
) -> None:
    """Its new row fills the gap by which the others know that it was told."""
    lay_untold("3", 20, 5, state=TicketState.MERGED, merged_into="1", creation_event_at=ago(5))
    propose([Proposal("1")], Source.WEBHOOK)
    assert join(Merge("3", ("1", "2"), ago(20))) == Joined("1")
    assert week.ticket("1").creation_event_at is None, "so its age decides, and it is beyond memory"


def test_a_merge_that_does_not_name_the_part_that_shows_the_gap_tells_nothing_either(week: Ledger) -> None:
    """3 leads to 1, which was told and forgotten, and came back; the event is of 1 and another."""
    lay_untold("3", 20, 5, state=TicketState.MERGED, merged_into="1")
    propose([Proposal("1")], Source.WEBHOOK)
    assert join(event(merge=Merge("1", ("2",)))) == Joined("1")
    assert week.ticket("1").creation_event_at is None


def test_a_preview_knows_what_was_told_and_forgotten_by_its_gap(week: Ledger) -> None:
    lay_untold("1", 20, 5, state=TicketState.MERGED, merged_into="3")
    assert find_told([NEW, Merge("6", ("4", "5"))]) == {"3"}


def test_late_outcomes_of_a_merged_part_are_recorded(week: Ledger) -> None:
    week.sending("1")
    week.sending("2", "two")
    join()
    record_unknown("2", "console", 1, "timeout")
    assert week.delivery("2").state == DeliveryState.UNCONFIRMED
    assert states("2") == ["merged"]
    assert timedelta(0) <= week.ticket("2").updated_at - week.ticket("2").created_at


def test_parts_in_a_circle_are_listed_once(week: Ledger) -> None:
    """No merge makes one; a ledger that somebody edited may have it."""
    lay_untold("1", 20, 5, state=TicketState.MERGED, merged_into="2")
    lay_untold("2", 20, 5, state=TicketState.MERGED, merged_into="1")
    assert set(list_parts("1")) == {"1", "2"}
