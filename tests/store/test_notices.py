from concurrent.futures import ThreadPoolExecutor

from models.held import confirm_ticket, resend_ticket
from models.notices import give_back, take_unnoticed
from models.sends import conclude_claim, record_unknown
from tests.store.conftest import Ledger


def hold(ledger: Ledger, *ticket_ids: str) -> None:
    for one in ticket_ids:
        taken = ledger.sending(one, channel="discord")
        record_unknown(one, "discord", 1, "timeout")
        conclude_claim(taken, ["discord"], 30, "timeout")


def test_each_held_ticket_is_named_once(ledger: Ledger) -> None:
    hold(ledger, "1", "2", "3")
    assert take_unnoticed("discord", 2) == ["1", "2"]
    assert take_unnoticed("discord", 2) == ["3"]
    assert take_unnoticed("discord", 2) == []


def test_a_notice_that_was_not_sent_is_given_back(ledger: Ledger) -> None:
    hold(ledger, "1")
    give_back("discord", take_unnoticed("discord", 10))
    assert take_unnoticed("discord", 10) == ["1"]


def test_what_a_person_released_is_not_named(ledger: Ledger) -> None:
    hold(ledger, "1", "2", "3")
    resend_ticket("1")
    confirm_ticket("2")
    assert take_unnoticed("discord", 10) == ["3"]


def test_other_channels_are_left_alone(ledger: Ledger) -> None:
    hold(ledger, "1")
    assert take_unnoticed("console", 10) == []


def test_several_workers_name_each_ticket_once(ledger: Ledger) -> None:
    hold(ledger, *(str(number) for number in range(6)))
    with ThreadPoolExecutor(4) as threads:
        named = [one for ids in threads.map(lambda _: take_unnoticed("discord", 6), range(4)) for one in ids]
    assert sorted(named) == sorted(set(named))
    assert len(named) == 6
