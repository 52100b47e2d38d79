"""Alarms told once when they begin and once when they end, whoever looks and whatever restarts."""

import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from jobs.notify.outcome import NotSent, Outcome, Sent, Unknown
from jobs.raise_alarms import AlarmMemory, AlarmReport, alarm_sender, raise_alarms
from jobs.sandbox.discord import SimulatedDiscord
from jobs.take_readings import AlarmReadings, take_alarm_readings
from models import alarms
from models.counts import Event, count_event
from models.database import close_database, open_database
from models.errors import StoreUnreachable
from models.health import Told
from tests.conftest import with_server
from tests.fakes.channel import FakeChannel
from tests.fakes.readings import LIMITS, calm
from tests.store.conftest import Ledger

WELL, BAD = calm(), calm(channel_failures=6)
WORSE = calm(channel_failures=6, told=Told(10, 5, 10))


class Recorder:
    """A chat that answers with ``outcomes`` first, then always ``sent``."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes, self.tried = list(outcomes), 0
        self.texts: list[str] = []

    def __call__(self, text: str) -> Outcome:
        self.tried += 1
        outcome = self.outcomes.pop(0) if self.outcomes else Sent()
        if not isinstance(outcome, NotSent):
            self.texts.append(text)
        return outcome


class Worker:
    def __init__(self, send: Recorder) -> None:
        self.send, self.memory = send, AlarmMemory()

    def look(self, readings: AlarmReadings | None) -> AlarmReport:
        return raise_alarms(readings, self.send, self.memory, LIMITS)


def test_one_message_when_it_begins_and_one_when_it_ends(ledger: Ledger) -> None:
    chat = Recorder()
    worker = Worker(chat)
    for readings in (WELL, BAD, BAD, BAD, WELL, WELL):
        worker.look(readings)
    begun, ended = chat.texts
    assert begun.startswith("Alarm, channel failures: about 6 sends")
    assert ended.startswith("Over: channel failures, after ")


def test_each_condition_has_its_own_state(ledger: Ledger) -> None:
    worker = Worker(Recorder())
    assert worker.look(WORSE).begun == ["success", "channel failures"]
    report = worker.look(BAD)
    assert (report.begun, report.ended) == ([], ["success"])


def test_the_state_survives_a_restart_and_is_shared(ledger: Ledger) -> None:
    chat = Recorder()
    Worker(chat).look(BAD)
    Worker(chat).look(BAD)
    assert len(chat.texts) == 1
    Worker(chat).look(WELL)
    Worker(chat).look(WELL)
    assert len(chat.texts) == 2


def test_a_message_certainly_not_sent_is_tried_again(ledger: Ledger) -> None:
    chat = Recorder(NotSent("http_429"), Sent(), NotSent("ConnectError"))
    worker = Worker(chat)
    assert worker.look(BAD).unsent == ["channel failures"]
    assert worker.look(BAD).begun == ["channel failures"]
    assert worker.look(WELL).unsent == ["channel failures"]
    assert worker.look(WELL).ended == ["channel failures"]
    assert len(chat.texts) == 2


def test_a_message_in_doubt_is_not_repeated(ledger: Ledger) -> None:
    chat = Recorder(Unknown("timeout"), Unknown("timeout"))
    worker = Worker(chat)
    for readings in (BAD, BAD, WELL, WELL):
        worker.look(readings)
    assert [text.partition(" ")[0] for text in chat.texts] == ["Alarm,", "Over:"]
    assert chat.tried == 2


def test_of_many_workers_one_tells(ledger: Ledger) -> None:
    chat = Recorder()
    together = threading.Barrier(5)

    def look() -> None:
        together.wait()
        Worker(chat).look(BAD)

    threads = [threading.Thread(target=look) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(chat.texts) == 1


def test_an_unreachable_database_is_told_from_memory(ledger: Ledger) -> None:
    chat = Recorder(NotSent("ConnectError"))
    worker = Worker(chat)
    for readings in (None, None, None, WELL, WELL):
        worker.look(readings)
    begun, ended = chat.texts
    assert begun.startswith("Alarm, database unreachable: ")
    assert ended == "Over: database unreachable."


def test_what_stood_before_the_database_was_lost_is_told_when_it_is_back(ledger: Ledger) -> None:
    chat = Recorder()
    worker = Worker(chat)
    for readings in (BAD, None, BAD, WELL):
        worker.look(readings)
    assert [text.split(":")[0] for text in chat.texts] == [
        "Alarm, channel failures", "Alarm, database unreachable", "Over", "Over",
    ]  # fmt: skip
    assert alarms.list_alarms() == set()


def test_the_readings_come_from_the_ledger(ledger: Ledger) -> None:
    count_event(Event.CHANNEL_FAILED, 6)
    count_event(Event.WEBHOOK_REFUSED, 11)
    count_event(Event.CREDENTIAL_REFUSED, of="hubspot")
    readings = take_alarm_readings([FakeChannel()], overlap_seconds=900)
    assert (readings.channel_failures, readings.refused_signatures) == (6, 11)
    assert readings.refused_credentials == {"hubspot": 1}
    report = Worker(Recorder()).look(readings)
    assert report.begun == ["channel failures", "refused signatures", "credentials"]


def test_a_database_that_takes_no_writes_has_no_readings(
    server_url: str, template: str, new_postgres: Callable[..., str]
) -> None:
    url = new_postgres(template)
    name = url.partition("?")[0].rsplit("/", 1)[1]
    with_server(server_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    open_database(url)
    with pytest.raises(StoreUnreachable, match="read-only"):
        take_alarm_readings([FakeChannel()], overlap_seconds=900)
    close_database()


@pytest.fixture
def discord() -> Iterator[SimulatedDiscord]:
    with SimulatedDiscord() as simulator:
        yield simulator


def test_to_discord_it_pings_nobody(discord: SimulatedDiscord) -> None:
    assert isinstance(alarm_sender(discord.webhook_url)("Alarm @everyone"), Sent)
    (message,) = discord.messages
    assert message.content == "Alarm @everyone"
    assert not message.pinged


def test_without_a_webhook_it_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="triage"):
        assert isinstance(alarm_sender(None)("Alarm, budget: 3 dollars"), Sent)
    (record,) = caplog.records
    assert (record.msg, vars(record)["alarm"]) == ("alarm", "Alarm, budget: 3 dollars")
