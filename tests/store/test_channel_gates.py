"""Rules 7 and 8 on the real ledger: who may send, who looks, and how few are held."""

import pytest

from jobs.channel_gates import ChannelGates
from jobs.name_held_tickets import KNOCK
from jobs.notify.outcome import NotSent, Outcome, Probe, Sent, Unknown
from jobs.run_report import RunReport
from jobs.waits import PAUSED
from models import claims, releases, switches
from models.database import connection
from models.notices import take_unnoticed
from tests.fakes.channel import FakeChannel
from tests.store.conftest import CREATED, Ledger


class Watch:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 10
        return self.now


@pytest.fixture
def channel(ledger: Ledger) -> FakeChannel:
    return FakeChannel("discord")


@pytest.fixture
def gates(channel: FakeChannel) -> ChannelGates:
    return ChannelGates([channel], lambda one: f"https://hubspot.test/{one}", Watch())


def run_out() -> None:
    with connection():
        switches.Switch.update(until_at=CREATED).execute()


def test_a_channel_is_open_and_not_looked_at(gates: ChannelGates, channel: FakeChannel) -> None:
    gates.look()
    assert (gates.any_open, gates.any_on_trial, channel.probes) == (True, False, 0)


def test_after_an_unknown_answer_a_look_opens_it_for_one_ticket(
    gates: ChannelGates, channel: FakeChannel
) -> None:
    switches.pause_after_unknown("discord", "", "http_500")
    gates.look()
    assert (gates.is_open("discord"), gates.on_trial("discord"), channel.probes) == (True, True, 1)


def test_a_look_without_answer_keeps_it_closed(gates: ChannelGates, channel: FakeChannel) -> None:
    switches.pause_after_unknown("discord", "", "http_500")
    channel.probing = Probe(answers=False)
    gates.look()
    assert not gates.any_open
    assert gates.seconds_until_open >= 0
    gates.look()
    assert channel.probes == 1


def test_a_pause_that_runs_is_not_looked_at(gates: ChannelGates, channel: FakeChannel) -> None:
    for _ in range(2):
        switches.pause_after_unknown("discord", "", "http_500")
    gates.look()
    assert (gates.any_open, channel.probes) == (False, 0)
    assert 25 < gates.seconds_until_open <= 30.01


def test_a_mended_setting_is_seen_at_start(channel: FakeChannel) -> None:
    switches.pause_for_fault("discord", "", "http_404")
    later = ChannelGates([channel], str, Watch())
    later.look()
    assert (later.any_open, later.any_on_trial) == (True, False)
    assert switches.read_pause("discord", "") is None


@pytest.mark.parametrize("key_hash", ["", "the hash of the setting before"])
def test_what_waited_for_a_mended_setting_is_due_at_start(
    channel: FakeChannel, ledger: Ledger, key_hash: str
) -> None:
    switches.pause_for_fault("discord", key_hash, "http_404")
    for ticket_id, error in (("1", PAUSED), ("2", "rate_limited")):
        ledger.find(ticket_id)
        assert releases.release_for_retry(ledger.claim(ticket_id, "one"), 600, error)
    ChannelGates([channel], str, Watch()).look()
    assert claims.find_due(9) == ["1"]


def test_what_waits_for_a_fault_that_stays_waits_on(channel: FakeChannel, ledger: Ledger) -> None:
    switches.pause_for_fault("discord", "", "http_404")
    channel.probing = Probe(answers=False, fault="DISCORD_WEBHOOK_URL: gone")
    ledger.find("1")
    releases.release_for_retry(ledger.claim("1", "one"), 600, PAUSED)
    ChannelGates([channel], str, Watch()).look()
    assert claims.find_due(9) == []


def test_a_fault_that_stays_is_told_as_a_setting(gates: ChannelGates, channel: FakeChannel) -> None:
    switches.pause_for_fault("discord", "", "http_404")
    channel.probing = Probe(answers=False, fault="DISCORD_WEBHOOK_URL: gone")
    gates.look()
    report = RunReport()
    gates.report_into(report)
    assert (report.problems, report.exit_code) == (["DISCORD_WEBHOOK_URL: gone"], 2)


def test_held_tickets_are_named_before_a_ticket_is_put_at_risk(
    gates: ChannelGates, channel: FakeChannel, ledger: Ledger
) -> None:
    hold(ledger, "1")
    switches.pause_after_unknown("discord", "", "http_500")
    gates.look()
    assert "#1 <https://hubspot.test/1>" in channel.announced[0]
    assert (gates.any_open, gates.any_on_trial) == (True, False)


def test_a_check_message_with_an_unknown_answer_counts_in_the_streak(
    gates: ChannelGates, channel: FakeChannel, ledger: Ledger
) -> None:
    hold(ledger, "1")
    switches.pause_after_unknown("discord", "", "http_500")
    channel.announcing = Unknown("http_500")
    gates.look()
    pause = switches.read_pause("discord", "")
    assert pause is not None
    assert (gates.any_open, pause.streak) == (False, 2)
    run_out()
    gates.look()
    assert gates.any_on_trial
    assert len(channel.announced) == 1


def test_a_check_message_that_was_not_sent_is_sent_later(
    gates: ChannelGates, channel: FakeChannel, ledger: Ledger
) -> None:
    hold(ledger, "1")
    channel.announcing = NotSent("http_429")
    gates.name_held()
    gates.name_held()
    assert len(channel.announced) == 2


def hold(ledger: Ledger, ticket_id: str) -> None:
    from models.sends import conclude_claim, record_unknown

    taken = ledger.sending(ticket_id, channel="discord")
    record_unknown(ticket_id, "discord", 1, "timeout")
    conclude_claim(taken, ["discord"], 30, "timeout")


def test_a_trial_is_used_up_by_one_ticket(gates: ChannelGates, channel: FakeChannel) -> None:
    switches.pause_after_unknown("discord", "", "http_500")
    gates.look()
    assert gates.on_trial("discord")
    gates.shut("discord")
    assert not gates.any_open
    gates.pass_trial("discord")
    assert (gates.any_open, gates.any_on_trial) == (True, False)


def test_a_channel_out_of_reach_is_told_until_a_send_finds_it(gates: ChannelGates) -> None:
    gates.note_reach("discord", reached=False)
    away = RunReport()
    gates.report_into(away)
    assert (away.exit_code, len(away.problems)) == (1, 1)
    assert "could not be reached" in away.problems[0]
    gates.note_reach("discord", reached=True)
    back = RunReport()
    gates.report_into(back)
    assert (back.exit_code, back.problems) == (0, [])


@pytest.mark.parametrize(("answer", "opens"), [(Sent("m", "p"), True), (Unknown("http_500"), False)])
def test_where_enough_is_held_our_own_words_try_the_channel(
    channel: FakeChannel, ledger: Ledger, answer: Outcome, opens: bool
) -> None:
    for ticket_id in ("1", "2"):
        hold(ledger, ticket_id)
    assert [*take_unnoticed("discord", 9)] == ["1", "2"]
    switches.pause_after_unknown("discord", "", "http_500")
    channel.announcing = answer
    gates = ChannelGates([channel], str, Watch(), most_held=2)
    gates.look()
    assert channel.announced == [KNOCK]
    assert gates.is_open("discord") is opens
    assert not gates.on_trial("discord")
    assert (switches.read_pause("discord", "") is None) is opens


def test_where_fewer_are_held_one_ticket_tries_the_channel(channel: FakeChannel, ledger: Ledger) -> None:
    hold(ledger, "1")
    take_unnoticed("discord", 9)
    switches.pause_after_unknown("discord", "", "http_500")
    gates = ChannelGates([channel], str, Watch(), most_held=2)
    gates.look()
    assert gates.on_trial("discord")
    assert channel.announced == []
