"""What one look says of one card in doubt: pure."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jobs.hubspot.gateway import FoundTicket
from jobs.look_for_cards import ARRIVED_SECONDS, BEFORE_FIRST, Decision, by_place, decide, made_whole
from jobs.notify.view import View
from models.looks import CLOCKS_APART, Doubt

LINK, OTHER = "https://hubspot.test/7", "https://hubspot.test/70"
FIRST = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
DOUBT = Doubt("7", 1, "55", "nonce", FIRST, ARRIVED_SECONDS)
WHOLE = View({OTHER: "1"}, FIRST - BEFORE_FIRST)
BLIND = "no earlier card can be read back"


def decided(doubt: Doubt = DOUBT, view: View = WHOLE, link: str = LINK, nonce: str = "nonce") -> Decision:
    return decide(doubt, view, link, nonce)


def test_a_whole_look_without_the_card_says_that_it_is_absent() -> None:
    assert decided() is Decision.ABSENT


def test_the_exact_link_alone_is_the_card() -> None:
    assert decided(view=replace(WHOLE, cards={LINK: "9"})) is Decision.FOUND
    for near in (OTHER, LINK + "/", LINK.upper(), LINK + "?x"):
        assert decided(view=replace(WHOLE, cards={near: "9"})) is Decision.ABSENT


def test_a_card_that_is_there_needs_no_other_proof() -> None:
    blind = View({LINK: "9"}, None, BLIND)
    assert decided(replace(DOUBT, seconds=0, nonce="another"), blind) is Decision.FOUND


@pytest.mark.parametrize(
    "view",
    [
        View(blind=BLIND),
        replace(WHOLE, blind=BLIND),
        replace(WHOLE, complete_since=None),
        replace(WHOLE, complete_since=FIRST - BEFORE_FIRST + timedelta(milliseconds=1)),
        replace(WHOLE, complete_since=FIRST),
    ],
)
def test_a_look_that_cannot_see_or_read_too_little_decides_nothing(view: View) -> None:
    assert decided(view=view) is Decision.UNSEEN


def test_a_card_of_another_bot_or_another_link_is_never_absent() -> None:
    assert decided(nonce="another bot's") is Decision.UNSEEN


def test_a_card_that_a_restored_ledger_knows_nothing_of_is_decided_like_any_other() -> None:
    assert decided(replace(DOUBT, nonce=None, place=None)) is Decision.ABSENT


def test_after_a_restore_another_programs_message_with_the_link_may_be_the_card() -> None:
    shown = replace(WHOLE, others=frozenset({LINK}))
    assert decided(replace(DOUBT, nonce=None), shown) is Decision.UNSEEN
    assert decided(DOUBT, shown) is Decision.ABSENT


def test_a_ticket_without_a_link_is_never_absent() -> None:
    assert decided(link="") is Decision.UNSEEN
    assert decided(link="", view=replace(WHOLE, cards={"": "1"})) is Decision.UNSEEN


def test_a_card_that_may_be_on_its_way_is_not_absent_yet() -> None:
    assert decided(replace(DOUBT, seconds=ARRIVED_SECONDS - 0.001)) is Decision.EARLY


def test_one_look_serves_all_that_went_to_one_place() -> None:
    one, two, three = (replace(DOUBT, ticket_id=str(n), place=at) for n, at in enumerate(["1", "2", None]))
    assert by_place([one, two, three], "2") == {"1": [one], "2": [two, three]}


def test_a_doubt_is_made_whole_by_what_hubspot_and_the_ledger_name() -> None:
    whole = made_whole(
        replace(DOUBT, parts=("1", "2"), knows_parts=False), FoundTicket("9", None, ("2", "3"))
    )
    assert whole == replace(DOUBT, parts=("1", "2", "9", "3"))


@pytest.mark.parametrize("days", [-1, 1])
def test_the_oldest_part_is_looked_for_from_when_it_may_have_been_told(days: int) -> None:
    created_at = FIRST + timedelta(days=days)
    whole = made_whole(DOUBT, FoundTicket("9", created_at))
    assert whole.first_at == (FIRST if days > 0 else created_at - CLOCKS_APART)
