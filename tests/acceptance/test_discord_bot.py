"""The rows of docs/reliability.md that begin with bot: what nobody could tell, a look settles."""

import signal
import time
from datetime import UTC, datetime, timedelta

import pytest

from jobs.sandbox.faults import DROP_AFTER, DROP_BEFORE, ERROR_AFTER, TRUNCATED, DiscordFaults, Fault
from models.deliveries import Delivery
from tests.acceptance.conftest import Bench
from tests.acceptance.worker import wait_until, worker

HISTORY = "READ_MESSAGE_HISTORY"
LOST = {"dropped before storing": DROP_BEFORE, "502 page": Fault(502, html=True)}
STORED = {"dropped after storing": DROP_AFTER, "502 after storing": ERROR_AFTER}


def by_bot(bench: Bench) -> Bench:
    discord = bench.discord
    del bench.env["DISCORD_WEBHOOK_URL"]
    bench.env |= {
        "DISCORD_BOT_TOKEN": discord.bot.token,
        "DISCORD_CHANNEL_ID": discord.channel.channel_id,
        "DISCORD_API_URL": discord.api_url,
        "TRIAGE_CONCURRENCY": "4",
    }
    return bench


@pytest.fixture
def bot(bench: Bench) -> Bench:
    return by_bot(bench)


@pytest.fixture
def sqlite_bot(sqlite_bench: Bench) -> Bench:
    return by_bot(sqlite_bench)


def tell_a_first_card(bench: Bench) -> None:
    """So that there is a card that a look can read back."""
    bench.add()
    assert bench.run("run-once").code == 0


def let_cards_arrive(bench: Bench) -> None:
    """A minute passes: what is not in the channel by now never will be."""
    with bench.ledger():
        ago = datetime.now(UTC) - timedelta(minutes=2)
        Delivery.update(sending_at=ago).where(Delivery.state == "unconfirmed").execute()


def end_when_held(bench: Bench) -> None:
    """A run that is stopped as it waits for the next look."""
    process = bench.start("run-once", "--json")
    try:
        wait_until(lambda: "unconfirmed" in bench.states().values())
        time.sleep(0.5)
    finally:
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert "Traceback" not in err


def nonces(bench: Bench) -> list[object]:
    posts = [one for one in bench.discord.requests_seen if one.method == "POST"]
    return [one.json().get("nonce") for one in posts]


def test_a_card_is_told_by_the_bot_and_its_message_remembered(bot: Bench) -> None:
    ids = bot.add(5)
    run = bot.run("run-once", "--json")
    assert (run.code, run.json["notified"]) == (0, 5)
    assert bot.cards_of(ids) == [1] * 5
    stored = {message.message_id: message for message in bot.discord.messages}
    with bot.ledger():
        for row in Delivery.select():
            message = stored[str(row.message_id)]
            assert (row.channel, row.state, row.place) == ("discord_bot", "sent", message.channel_id)
            assert (row.nonce, len(str(row.nonce))) == (message.nonce, 25)
            assert message.author_id == bot.discord.bot.user_id
    assert bot.discord.bot.token not in run.out + run.err


@pytest.mark.parametrize("fault", STORED.values(), ids=STORED)
def test_a_card_that_was_stored_is_found_and_nobody_is_needed(bot: Bench, fault: Fault) -> None:
    tell_a_first_card(bot)
    ids = bot.add(3)
    bot.discord.faults = DiscordFaults(fail_next=[fault, fault])
    run = bot.run("run-once", "--json")
    assert (run.code, run.json["notified"], run.json["unconfirmed"]) == (0, 3, 0)
    assert bot.cards_of(ids) == [1] * 3
    assert run.json["by_provider"] == {"local": 3}


def test_the_very_first_card_is_found_without_an_earlier_one(bot: Bench) -> None:
    ids = bot.add()
    bot.discord.faults = DiscordFaults(fail_next=[DROP_AFTER])
    assert bot.run("run-once", "--json").json["notified"] == 1
    assert bot.cards_of(ids) == [1]


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
def test_a_card_that_was_lost_is_told_once_on_the_second_try(bot: Bench, fault: Fault) -> None:
    tell_a_first_card(bot)
    (one,) = bot.add()
    bot.discord.faults = DiscordFaults(fail_next=[fault])
    end_when_held(bot)
    assert bot.cards_of([one]) == [0]
    let_cards_arrive(bot)
    run = bot.run("run-once", "--json")
    assert (run.code, run.json["notified"], run.json["unconfirmed"]) == (0, 1, 0)
    assert bot.cards_of([one]) == [1]
    assert len(set(nonces(bot)[-2:])) == 1
    with bot.ledger():
        row = Delivery.get(Delivery.ticket_id == one)
        assert (row.attempts, row.decided_at is not None) == (2, True)
    assert [message for message in bot.discord.messages if not message.embeds] == []


def test_the_policy_for_what_nobody_can_tell_is_not_for_a_bot(sqlite_bot: Bench) -> None:
    sqlite_bot.env["UNCONFIRMED_POLICY"] = "resend"
    tell_a_first_card(sqlite_bot)
    ids = sqlite_bot.add()
    sqlite_bot.discord.faults = DiscordFaults(fail_next=[DROP_BEFORE])
    end_when_held(sqlite_bot)
    assert sqlite_bot.cards_of(ids) == [0]


def test_doctor_looks_at_the_bot_its_channel_and_its_history(sqlite_bot: Bench) -> None:
    tell_a_first_card(sqlite_bot)
    seen = sqlite_bot.run("doctor", "--send-test-card")
    assert "the bot sees its channel" in seen.out
    assert "the bot can look whether a card arrived" in seen.out
    again = sqlite_bot.run("doctor", "--send-test-card")
    assert "was sent" in again.out
    assert len(sqlite_bot.discord.messages) == 3
    sqlite_bot.discord.bot.permissions.discard(HISTORY)
    assert "Read Message History" in sqlite_bot.run("doctor").out
    lost = sqlite_bot.run("doctor", DISCORD_CHANNEL_ID="4711")
    assert (lost.code, "DISCORD_CHANNEL_ID" in lost.out) == (2, True)


def test_a_broken_off_answer_to_a_stored_card_is_sent(sqlite_bot: Bench) -> None:
    ids = sqlite_bot.add(3)
    sqlite_bot.discord.faults = DiscordFaults(fail_next=[TRUNCATED])
    assert sqlite_bot.run("run-once", "--json").json["notified"] == 3
    assert sqlite_bot.cards_of(ids) == [1] * 3


@pytest.mark.parametrize("fault", [DROP_AFTER, DROP_BEFORE], ids=["stored", "lost"])
def test_without_history_a_card_is_held_until_the_permission_is_given(bot: Bench, fault: Fault) -> None:
    tell_a_first_card(bot)
    ids = bot.add()
    bot.discord.bot.permissions.discard(HISTORY)
    bot.discord.faults = DiscordFaults(fail_next=[fault])
    end_when_held(bot)
    let_cards_arrive(bot)
    bot.make_due()
    run = bot.run("run-once", "--json")
    assert (run.code, run.json["unconfirmed"]) == (2, 1)
    assert [line for line in run.error_lines if "Read Message History" in line]
    assert bot.cards_of(ids) == [int(fault.stored)]

    bot.discord.bot.permissions.add(HISTORY)
    run = bot.run("run-once", "--json")
    assert (run.code, run.json["unconfirmed"], run.json["notified"]) == (0, 0, 1)
    assert bot.cards_of(ids) == [1]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refused_bot_is_a_settings_fault_and_tickets_stay_open(sqlite_bot: Bench, status: int) -> None:
    bot = sqlite_bot
    ids = bot.add(4)
    bot.discord.faults = DiscordFaults(status=status, get_status=status)
    run = bot.run("run-once", "--json")
    setting = "DISCORD_BOT_TOKEN" if status == 401 else "DISCORD_CHANNEL_ID"
    assert (run.code, run.json["unconfirmed"], run.json["open"]) == (2, 0, 4)
    assert [line for line in run.error_lines if line.startswith(setting)]
    bot.discord.faults = DiscordFaults()
    bot.make_due()
    assert bot.run("run-once", "--json").json["notified"] == 4
    assert bot.cards_of(ids) == [1] * 4


def test_an_address_without_the_api_names_its_setting(sqlite_bot: Bench) -> None:
    sqlite_bot.add()
    run = sqlite_bot.run("run-once", "--json", DISCORD_API_URL=f"{sqlite_bot.discord.url}/elsewhere")
    assert run.code == 2
    assert [line for line in run.error_lines if line.startswith("DISCORD_API_URL")]


def test_the_bot_wins_over_a_webhook_and_says_so(sqlite_bot: Bench) -> None:
    ids = sqlite_bot.add()
    run = sqlite_bot.run("run-once", "--json", DISCORD_WEBHOOK_URL=sqlite_bot.discord.webhook_url)
    assert (run.code, run.json["notified"]) == (0, 1)
    assert "DISCORD_WEBHOOK_URL: is not used" in run.err
    assert sqlite_bot.discord.cards_for(ids[0])[0].author_id == sqlite_bot.discord.bot.user_id


def test_another_channel_id_does_not_move_the_look(bot: Bench) -> None:
    tell_a_first_card(bot)
    (one,) = bot.add()
    bot.discord.bot.permissions.discard(HISTORY)
    bot.discord.faults = DiscordFaults(fail_next=[DROP_AFTER])
    end_when_held(bot)
    let_cards_arrive(bot)
    bot.discord.bot.permissions.add(HISTORY)
    elsewhere = bot.discord.add_channel().channel_id
    run = bot.run("run-once", "--json", DISCORD_CHANNEL_ID=elsewhere)
    assert (run.code, run.json["unconfirmed"]) == (0, 0)
    assert bot.cards_of([one]) == [1]


@pytest.mark.parametrize("stored", [True, False], ids=["stored", "not stored"])
def test_a_crash_between_send_and_record_is_settled_by_looking(bot: Bench, stored: bool) -> None:
    tell_a_first_card(bot)
    (one,) = bot.add()
    hanging = (
        Fault(200, stored=True, delay_after_seconds=30) if stored else Fault(500, delay_before_seconds=30)
    )
    bot.discord.faults = DiscordFaults(fail_next=[hanging])
    process = bot.start("run-once")
    wait_until(lambda: len(nonces(bot)) == 2 and bot.cards_of([one]) == [int(stored)])
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert bot.states()[one] == "claimed"
    bot.make_due()
    if not stored:
        end_when_held(bot)
        let_cards_arrive(bot)
    run = bot.run("run-once", "--json")
    assert (run.code, run.json["notified"], run.json["unconfirmed"]) == (0, 1, 0)
    assert bot.cards_of([one]) == [1]


def test_a_worker_settles_what_it_could_not_tell(bot: Bench) -> None:
    with worker(bot):
        first = bot.add()
        wait_until(lambda: bot.cards_of(first) == [1])
        bot.discord.faults = DiscordFaults(fail_next=[DROP_AFTER, DROP_BEFORE])
        ids = bot.add(2)
        # The stored one is found, the lost one waits until it can no longer be on its way.
        wait_until(lambda: sorted(bot.states().get(one, "") for one in ids) == ["notified", "unconfirmed"])
        let_cards_arrive(bot)
        wait_until(lambda: [bot.states()[one] for one in ids] == ["notified"] * 2)
        assert bot.cards_of(ids) == [1, 1]
