from concurrent.futures import ThreadPoolExecutor

from jobs.name_held_tickets import name_held_tickets
from jobs.notify.outcome import NotSent, Unknown
from models.barrier import HELD_BY_BARRIER
from models.database import connection
from models.deliveries import Delivery
from models.held import confirm_ticket, resend_ticket
from models.notices import give_back, take_restored, take_unnoticed
from models.sends import conclude_claim, record_unknown
from models.switches import read_pause
from tests.fakes.channel import FakeChannel
from tests.store.conftest import Ledger


def hold(ledger: Ledger, *ticket_ids: str) -> None:
    for one in ticket_ids:
        taken = ledger.sending(one, channel="discord")
        record_unknown(one, "discord", 1, "timeout")
        conclude_claim(taken, ["discord"], 30, "timeout")


def test_each_held_ticket_is_named_once(ledger: Ledger) -> None:
    hold(ledger, "1", "2", "3")
    assert [*take_unnoticed("discord", 2)] == ["1", "2"]
    assert [*take_unnoticed("discord", 2)] == ["3"]
    assert [*take_unnoticed("discord", 2)] == []


def test_a_notice_that_was_not_sent_is_given_back(ledger: Ledger) -> None:
    hold(ledger, "1")
    give_back("discord", take_unnoticed("discord", 10))
    assert [*take_unnoticed("discord", 10)] == ["1"]


def test_what_a_person_released_is_not_named(ledger: Ledger) -> None:
    hold(ledger, "1", "2", "3")
    resend_ticket("1")
    confirm_ticket("2")
    assert [*take_unnoticed("discord", 10)] == ["3"]


def test_other_channels_are_left_alone(ledger: Ledger) -> None:
    hold(ledger, "1")
    assert [*take_unnoticed("console", 10)] == []


def test_several_workers_name_each_ticket_once(ledger: Ledger) -> None:
    hold(ledger, *(str(number) for number in range(6)))
    with ThreadPoolExecutor(4) as threads:
        named = [one for ids in threads.map(lambda _: take_unnoticed("discord", 6), range(4)) for one in ids]
    assert sorted(named) == sorted(set(named))
    assert len(named) == 6


def hold_restored(ledger: Ledger, count: int) -> FakeChannel:
    """So many cards that a restore holds, beside one of an ordinary doubt."""
    hold(ledger, *(str(100 + number) for number in range(count)))
    with connection():
        for number in range(count):
            error = HELD_BY_BARRIER[number % 2]
            Delivery.update(last_error=error).where(Delivery.ticket_id == str(100 + number)).execute()
    hold(ledger, "1")
    return FakeChannel("discord")


def name(channel: FakeChannel) -> int:
    return name_held_tickets(channel, lambda one: f"https://app.hubspot.com/{one}")


def test_what_a_restore_holds_is_named_in_one_sentence(ledger: Ledger) -> None:
    channel = hold_restored(ledger, 25)
    assert name(channel) == 26
    restored, doubted = channel.announced
    assert "Held after a restore: 25 cards" in restored
    assert "app.hubspot.com" not in restored
    assert "#1 <https://app.hubspot.com/1>" in doubted
    assert name(channel) == 0


def test_a_messages_worth_of_restored_tickets_is_named_one_by_one(ledger: Ledger) -> None:
    channel = hold_restored(ledger, 9)
    assert name(channel) == 10
    (message,) = channel.announced
    assert "#108 <https://app.hubspot.com/108>" in message


def test_a_sentence_that_was_not_sent_is_sent_later_and_one_in_doubt_is_not(ledger: Ledger) -> None:
    channel = hold_restored(ledger, 11)
    channel.announcing = NotSent("unreachable")
    assert name(channel) == 0
    channel.announcing = Unknown("timeout")
    assert name(channel) == 0
    assert read_pause("discord", "") is not None
    channel.announced, channel.announcing = [], FakeChannel().announcing
    assert name(channel) == 1
    assert "restore" not in channel.announced[0]


def test_several_workers_say_the_sentence_once(ledger: Ledger) -> None:
    hold_restored(ledger, 30)
    with ThreadPoolExecutor(4) as threads:
        notices = list(threads.map(lambda _: take_restored("discord", 10), range(4)))
    assert sum(one.cards for one in notices if one) == 30
    assert take_restored("discord", 0) is None
