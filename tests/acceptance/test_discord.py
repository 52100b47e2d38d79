"""The rows of docs/reliability.md that begin with Discord: no double, nothing lost, few held."""

import json
import time

import pytest

from jobs.sandbox.faults import (
    DROP_AFTER,
    DROP_BEFORE,
    ERROR_AFTER,
    GLOBAL_429,
    HTML_429,
    TRUNCATED,
    DiscordFaults,
    Fault,
)
from jobs.sandbox.rate_limits import RateLimits
from tests.acceptance.conftest import Bench

THREADS = 4
UNKNOWN = {
    "500": Fault(500),
    "502": Fault(502),
    "504 page": Fault(504, html=True),
    "502 after storing": ERROR_AFTER,
    "dropped before storing": DROP_BEFORE,
    "dropped after storing": DROP_AFTER,
}


@pytest.fixture(autouse=True)
def few_threads(bench: Bench) -> None:
    bench.env["TRIAGE_CONCURRENCY"] = str(THREADS)


def test_an_answer_that_proves_nothing_holds_the_ticket(bench: Bench, subtests: pytest.Subtests) -> None:
    for name, fault in UNKNOWN.items():
        with subtests.test(name):
            (one,) = bench.add()
            bench.discord.faults = DiscordFaults(fail_next=[fault])
            run = bench.run("run-once", "--json")
            assert (run.code, run.json["unconfirmed"] >= 1) == (1, True)
            assert bench.states()[one] == "unconfirmed"
            assert bench.cards_of([one])[0] == int(fault.stored)
            bench.make_due()
            bench.run("run-once", "--json")
            assert bench.cards_of([one])[0] == int(fault.stored)


def test_a_held_ticket_is_named_once_and_released_by_a_person(bench: Bench) -> None:
    (one, other) = bench.add(2)
    bench.discord.faults = DiscordFaults(fail_next=[DROP_AFTER, DROP_BEFORE])
    bench.run("run-once")
    bench.make_due()
    bench.run("run-once")
    bench.make_due()
    bench.run("run-once")
    notices = [message for message in bench.discord.messages if not message.embeds]
    named = "".join(message.content or "" for message in notices)
    assert (named.count(f"#{one} "), named.count(f"#{other} ")) == (1, 1)
    stored, lost = (one, other) if bench.cards_of([one]) == [1] else (other, one)
    assert bench.run("confirm", stored).code == 0
    assert bench.run("resend", lost).code == 0
    run = bench.run("run-once", "--json")
    assert (run.code, run.json["unconfirmed"]) == (0, 0)
    assert bench.cards_of([one, other]) == [1, 1]


def test_a_broken_off_answer_to_a_stored_card_is_sent(bench: Bench) -> None:
    ids = bench.add(3)
    bench.discord.faults = DiscordFaults(fail_next=[TRUNCATED])
    run = bench.run("run-once", "--json")
    assert (run.code, run.json["notified"]) == (0, 3)
    assert bench.cards_of(ids) == [1, 1, 1]


def end_when_paused(bench: Bench) -> None:
    """A run that is told to stop when it waits for a pause to end."""
    process = bench.start("run-once", "--json")
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
        if bench.waits():
            process.terminate()
            break
    _, err = process.communicate(timeout=60)
    assert "Traceback" not in err


def test_an_outage_holds_at_most_as_many_tickets_as_there_are_threads(bench: Bench) -> None:
    bench.add(40)
    bench.discord.faults = DiscordFaults(status=500)
    for _ in range(4):
        # Ended at its first pause; the next run begins as if the pause had run out.
        end_when_paused(bench)
        bench.make_due()
    states = list(bench.states().values())
    assert states.count("unconfirmed") <= THREADS
    assert bench.discord.messages == []

    bench.discord.faults = DiscordFaults()
    bench.run("run-once", "--json")
    assert list(bench.states().values()).count("unconfirmed") <= THREADS
    told = [one for one, state in bench.states().items() if state == "notified"]
    assert len(told) >= 40 - THREADS
    assert bench.cards_of(told) == [1] * len(told)


def test_a_discord_that_is_not_there_loses_and_holds_nothing(bench: Bench) -> None:
    ids = bench.add(5)
    bench.discord.stop()
    process = bench.start("run-once", "--json")
    deadline = time.monotonic() + 60
    while set(bench.states().values()) != {"retry"} and time.monotonic() < deadline:
        time.sleep(0.3)
    process.terminate()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert [line for line in json.loads(out)["problems"] if "discord could not be reached" in line]
    assert list(bench.states().values()) == ["retry"] * 5
    bench.discord.start()
    bench.make_due()
    assert bench.run("run-once", "--json").json["notified"] == 5
    assert bench.cards_of(ids) == [1] * 5


def test_rate_limits_are_kept_and_waited_out(bench: Bench) -> None:
    ids = bench.add(12)
    bench.discord.rate_limits = RateLimits(count=5, seconds=1.0, per_minute=1000)
    run = bench.run("run-once", "--json")
    assert (run.code, run.json["notified"]) == (0, 12)
    assert bench.cards_of(ids) == [1] * 12
    # Two at once share one webhook: an answer may cross with a send, but not many.
    assert bench.discord.statuses[429] <= 4


@pytest.mark.parametrize("fault", [Fault(429), HTML_429, GLOBAL_429], ids=["429", "429 page", "global 429"])
def test_a_429_is_certainly_not_sent(bench: Bench, fault: Fault) -> None:
    ids = bench.add(3)
    bench.discord.faults = DiscordFaults(fail_next=[fault, fault], retry_after_seconds=0.5)
    run = bench.run("run-once", "--json")
    assert (run.code, run.json["notified"]) == (0, 3)
    assert bench.cards_of(ids) == [1] * 3


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refused_webhook_is_a_settings_fault_and_tickets_stay_open(bench: Bench, status: int) -> None:
    ids = bench.add(6)
    bench.discord.faults = DiscordFaults(status=status, get_status=status)
    run = bench.run("run-once", "--json")
    assert run.code == 2
    assert [line for line in run.error_lines if "DISCORD_WEBHOOK_URL" in line]
    assert bench.vendors.discord.webhook.token not in run.out + run.err
    assert (run.json["unconfirmed"], run.json["open"]) == (0, 6)
    posts = bench.discord.requests["POST", "webhook"]
    bench.make_due()
    assert bench.run("run-once", "--json").code == 2
    assert bench.discord.requests["POST", "webhook"] == posts

    bench.discord.faults = DiscordFaults()
    bench.make_due()
    assert bench.run("run-once", "--json").json["notified"] == 6
    assert bench.cards_of(ids) == [1] * 6


def test_another_webhook_is_not_paused_by_the_first_ones_fault(bench: Bench) -> None:
    ids = bench.add(2)
    gone = bench.discord.add_webhook(bench.discord.channel.channel_id)
    bench.discord.remove_webhook(gone.webhook_id)
    assert bench.run("run-once", DISCORD_WEBHOOK_URL=bench.discord.url_of(gone)).code == 2
    bench.make_due()
    assert bench.run("run-once", "--json").json["notified"] == 2
    assert bench.cards_of(ids) == [1, 1]


def test_a_refused_card_is_followed_by_the_minimal_one(bench: Bench) -> None:
    ids = bench.add(3)
    bench.discord.faults = DiscordFaults(refuse_first_embed=1.0)
    run = bench.run("run-once", "--json")
    assert (run.code, run.json["notified"]) == (0, 3)
    assert bench.cards_of(ids) == [1] * 3
    assert all(not message.embeds[0].get("fields") for message in bench.discord.messages)


def test_a_card_that_is_refused_twice_is_held(bench: Bench) -> None:
    (one,) = bench.add()
    bench.discord.faults = DiscordFaults(fail_next=[400, 400])
    run = bench.run("run-once", "--json")
    assert (run.code, run.json["unconfirmed"]) == (1, 1)
    assert bench.states()[one] == "unconfirmed"
    bench.run("resend", one)
    assert bench.run("run-once", "--json").json["notified"] == 1
    assert bench.cards_of([one]) == [1]


def test_closed_keep_alive_connections_are_mistaken_for_nothing(bench: Bench) -> None:
    ids = bench.add(20)
    bench.discord.idle_close_seconds = 0.01
    bench.discord.idle_lost_seconds = 0.0
    bench.ollama.faults.latency_seconds = 0.1
    run = bench.run("run-once", "--json")
    assert (run.code, run.json["notified"], run.json["unconfirmed"]) == (0, 20, 0)
    assert bench.cards_of(ids) == [1] * 20
