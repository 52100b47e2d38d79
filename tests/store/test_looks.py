"""Rule 5 on the real ledger: what is looked for, and what a look may change."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobs.channel_gates import ChannelGates
from jobs.errors import SourceError
from jobs.hubspot.gateway import FoundTicket
from jobs.look_for_cards import LookOut
from jobs.name_held_tickets import name_held_tickets
from jobs.notify.card import build_minimal_card
from jobs.notify.discord_bot import DiscordBot
from jobs.notify.outcome import Sent
from jobs.notify.view import View
from jobs.run_report import RunReport
from jobs.sandbox.discord import SimulatedDiscord
from jobs.verdict import Priority
from jobs.waits import PAUSED
from models import releases, switches
from models.barrier import hold_restored, raise_barrier
from models.claims import Claim, claim, find_due
from models.cursors import activate
from models.database import connection
from models.deliveries import Delivery, DeliveryState
from models.held import resend_ticket
from models.looks import decide_absent, find_doubts, list_sent
from models.merges import Merge, join_parts
from models.releases import skip_ticket
from models.sends import conclude_claim, record_sent, record_unknown
from models.tickets import LedgerEntry, SkipReason, Source, TicketState, list_parts
from models.write_ahead import begin_delivery
from tests.store.conftest import CREATED, VERDICT, Ledger

BOT = "discord_bot"
ONE = [BOT]
HISTORY = "READ_MESSAGE_HISTORY"


def link_of(ticket_id: str) -> str:
    return f"https://hubspot.test/{ticket_id}"


class Watch:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class World:
    """A bot, its Discord, and a lookout over a real ledger."""

    def __init__(self, ledger: Ledger, discord: SimulatedDiscord) -> None:
        self.ledger, self.discord = ledger, discord
        self.bot = DiscordBot(discord.api_url, discord.bot.token, discord.channel.channel_id)
        self.watch = Watch()
        self.decided: list[tuple[str, str]] = []
        self.merged: dict[str, FoundTicket] = {}
        self.asked: list[str] = []
        self.hubspot_is_away = False
        self.lookout = self.another()

    def another(self) -> LookOut:
        """Another process's."""
        return LookOut([self.bot], link_of, self.note, self.watch, self.fetch_merged)

    def fetch_merged(self, ticket_ids: Sequence[str]) -> Mapping[str, FoundTicket]:
        """As HubSpot would."""
        self.asked += [*ticket_ids]
        if self.hubspot_is_away:
            raise SourceError("HubSpot is away")
        return {one: self.merged[one] for one in ticket_ids if one in self.merged}

    def merge(
        self, new_id: str, *parts: str, asked: str | None = None, created_at: datetime = CREATED
    ) -> None:
        self.merged[asked or new_id] = FoundTicket(new_id, created_at, parts)

    def note(self, entry: LedgerEntry) -> None:
        self.decided.append((entry.ticket_id, entry.state.value))

    def begin(self, ticket_id: str, place: str = "") -> Claim:
        """Written ahead as the bot would, and not sent."""
        self.ledger.find(ticket_id)
        taken = self.ledger.claim(ticket_id)
        nonce = self.bot.nonce_of(ticket_id, link_of(ticket_id))
        begun = begin_delivery(taken, BOT, VERDICT, 60, nonce=nonce, place=place or self.bot.place)
        assert begun == 1
        return taken

    def show(self, ticket_id: str) -> Sent:
        told = self.bot.send(build_minimal_card(ticket_id, link_of(ticket_id), Priority.LOW))
        assert isinstance(told, Sent)
        return told

    def tell(self, ticket_id: str) -> None:
        self.begin(ticket_id)
        told = self.show(ticket_id)
        record_sent(ticket_id, BOT, ONE, told.message_id, told.place)

    def doubt(self, ticket_id: str, *, stored: bool = False, seconds: float = 120, place: str = "") -> None:
        """A held ticket whose card was sent ``seconds`` ago."""
        taken = self.begin(ticket_id, place)
        if stored:
            self.show(ticket_id)
        record_unknown(ticket_id, BOT, 1, "timeout")
        conclude_claim(taken, ONE, 30, "timeout")
        self.age(ticket_id, seconds)

    def age(self, ticket_id: str, seconds: float) -> None:
        self.edit(ticket_id, sending_at=datetime.now(UTC) - timedelta(seconds=seconds))

    def edit(self, ticket_id: str, **columns: object) -> None:
        with connection():
            Delivery.update(**columns).where(Delivery.ticket_id == ticket_id).execute()

    def edit_ticket(self, ticket_id: str, **columns: object) -> None:
        with connection():
            self.ledger.edit(ticket_id, **columns)

    def state(self, ticket_id: str) -> tuple[str, str]:
        return self.ledger.ticket(ticket_id).state, self.ledger.delivery(ticket_id, BOT).state

    def scans(self) -> int:
        return self.discord.requests["GET", "messages"]


@pytest.fixture
def world(ledger: Ledger) -> Iterator[World]:
    with SimulatedDiscord() as discord:
        made = World(ledger, discord)
        yield made
        made.bot.close()
    assert discord.crashes == []


@pytest.fixture
def restored(world: World) -> World:
    activate(datetime.now(UTC), CREATED, timedelta(0))
    raise_barrier()
    return world


# --- The ledger's part


def test_a_delivery_keeps_nonce_and_place_from_its_write_ahead_on(world: World) -> None:
    world.begin("1")
    row = world.ledger.delivery("1", BOT)
    assert (row.state, row.nonce, row.place) == (
        "sending",
        world.bot.nonce_of("1", link_of("1")),
        world.bot.place,
    )


def test_what_is_in_doubt_is_found_with_what_a_look_needs(world: World) -> None:
    world.tell("1")
    world.doubt("2", seconds=90)
    world.begin("3")
    (doubt,) = find_doubts(BOT)
    assert (doubt.ticket_id, doubt.attempt, doubt.place) == ("2", 1, world.bot.place)
    assert doubt.nonce == world.bot.nonce_of("2", link_of("2"))
    assert 89 < doubt.seconds < 150
    assert doubt.first_at == world.ledger.delivery("2", BOT).first_sending_at
    assert find_doubts("discord") == []


def test_a_card_of_a_part_tells_for_what_a_restore_holds(restored: World) -> None:
    """After the backup ticket 1 was told, and HubSpot merged it; the restored ledger knows neither."""
    world = restored
    world.tell("9")
    world.show("1")
    join_parts(Merge("3", ("1", "2")), Source.SWEEP)
    join_parts(Merge("5", ("3", "4")), Source.SWEEP)
    hold_restored(world.ledger.claim("5"), CREATED, {BOT: world.bot.place}, ONE)
    (doubt,) = find_doubts(BOT)
    assert doubt.parts == ("3", "4", "1", "2")
    assert world.lookout.look_where_due() == 1
    assert world.state("5") == ("notified", "sent")
    assert world.ledger.delivery("5", BOT).message_id is None
    world.doubt("6", stored=True)
    assert world.lookout.look_where_due() == 1, "a part's card does not blind a later look"


@pytest.fixture
def unseen(world: World) -> World:
    """After the backup ticket 1 may have been told; it is part of 3, which was skipped and is part of 5."""
    world.tell("9")
    join_parts(Merge("3", ("1", "2")), Source.SWEEP)
    assert skip_ticket(world.ledger.claim("3"), SkipReason.OTHER_PIPELINE, CREATED)
    join_parts(Merge("5", ("3", "4", "1", "2")), Source.SWEEP)
    assert list_parts("5") == ["4"], "the ledger knows no way from 5 to 1"
    hold_restored(world.ledger.claim("5"), CREATED, {BOT: world.bot.place}, ONE, ("3", "4", "1", "2"))
    return world


def test_hubspot_is_asked_for_the_parts_that_a_restored_ledger_does_not_know(unseen: World) -> None:
    unseen.show("1")
    unseen.merge("5", "3", "4", "1", "2")
    assert unseen.lookout.look_where_due() == 1
    assert unseen.state("5") == ("notified", "sent")
    assert unseen.asked == ["5"]


def test_a_restored_card_goes_again_where_no_part_that_hubspot_names_was_told(unseen: World) -> None:
    unseen.merge("5", "3", "4", "1", "2")
    assert unseen.lookout.look_where_due() == 1
    assert unseen.state("5")[1] == "pending"


@pytest.mark.parametrize("is_away", [True, False])
def test_a_restored_card_stays_in_doubt_while_hubspot_does_not_name_its_parts(
    unseen: World, is_away: bool
) -> None:
    unseen.show("1")
    unseen.hubspot_is_away = is_away
    assert unseen.lookout.look_where_due() == 0
    assert unseen.state("5") == ("unconfirmed", "unconfirmed")
    unseen.show("5")
    assert unseen.lookout.look(unseen.bot)
    assert unseen.state("5") == ("notified", "sent")


def test_a_restored_card_is_looked_for_where_all_of_its_parts_are_known(restored: World) -> None:
    """A part that is told for the merge is among those that HubSpot shows; absent, it is due at once."""
    world = restored
    world.tell("9")
    join_parts(Merge("5", ("3", "4")), Source.SWEEP)
    just_now = datetime.now(UTC) - timedelta(minutes=2)
    hold_restored(world.ledger.claim("5"), just_now, {BOT: world.bot.place}, ONE, ("5", "3", "4"))
    world.merge("5", "3", "4", created_at=just_now)
    assert world.lookout.look_where_due() == 1
    assert world.state("5")[1] == "pending"
    assert [one.ticket_id for one in claim(find_due(1), "another", 60)] == ["5"]


def test_a_merge_with_what_has_parts_of_its_own_is_asked_for_at_hubspot(restored: World) -> None:
    """Ticket 9 was told and became part of 2, of which the restored ledger knows no more than its id."""
    world = restored
    world.tell("8")
    world.show("9")
    world.ledger.find("1")
    hold_restored(world.ledger.claim("1"), CREATED, {BOT: world.bot.place}, ONE)
    assert join_parts(Merge("3", ("1", "2")), Source.WEBHOOK).survivor == "1"
    world.hubspot_is_away = True
    assert world.lookout.look_where_due() == 0
    assert world.state("1") == ("unconfirmed", "unconfirmed")
    world.hubspot_is_away = False
    world.merge("3", "1", "2", "9", asked="1")
    assert world.lookout.look(world.bot)
    assert world.state("1") == ("notified", "sent")


def test_a_part_that_is_older_than_what_a_restore_holds_may_have_been_told_before_that_was_created(
    restored: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HubSpot gives what it made of them the age of the oldest, and no card of a part is older than that."""
    world = restored
    world.tell("8")
    now = datetime.now(UTC)
    world.ledger.find("1")
    hold_restored(world.ledger.claim("1"), now, {BOT: world.bot.place}, ONE)
    join_parts(Merge("3", ("1", "2")), Source.WEBHOOK)
    looked_since: list[datetime] = []
    look = world.bot.look

    def look_since(place: str, since: datetime, *args: Any) -> View:
        looked_since.append(since)
        return look(place, since, *args)

    monkeypatch.setattr(world.bot, "look", look_since)
    world.merge("3", "1", "2", asked="1", created_at=now - timedelta(days=3))
    world.lookout.look_where_due()
    assert looked_since == [now - timedelta(days=3, hours=1, minutes=5)]


def test_a_look_asks_for_the_cards_of_the_parts(world: World) -> None:
    world.tell("9")
    world.show("1")
    join_parts(Merge("3", ("1", "2")), Source.SWEEP)
    world.doubt("3")
    (doubt,) = find_doubts(BOT)
    assert (doubt.parts, doubt.asks_for_parts) == (("1", "2"), False)
    world.lookout.look_where_due()
    assert world.ledger.ticket("3").state == "notified"


def test_a_merge_that_a_look_did_not_know_of_keeps_a_restored_card_in_doubt(
    restored: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ticket 2 was told after the backup, and the sweep shows its merge while the channel is read back."""
    world = restored
    world.tell("9")
    world.show("2")
    world.ledger.find("1")
    hold_restored(world.ledger.claim("1"), CREATED, {BOT: world.bot.place}, ONE)
    look = world.bot.look

    def look_meanwhile(*args: Any) -> View:
        view = look(*args)
        assert join_parts(Merge("3", ("1", "2")), Source.SWEEP).survivor == "1"
        return view

    monkeypatch.setattr(world.bot, "look", look_meanwhile)
    world.lookout.look_where_due()
    assert world.state("1") == ("unconfirmed", "unconfirmed")
    monkeypatch.setattr(world.bot, "look", look)
    assert world.lookout.look_where_due() == 1
    assert world.state("1") == ("notified", "sent")


def test_a_card_of_a_part_tells_for_what_was_in_doubt_already_as_the_backup_was_made(world: World) -> None:
    """It was not sent after all, was merged, and the new ticket was told instead of it."""
    world.tell("9")
    world.show("3")
    world.doubt("1")
    activate(datetime.now(UTC), CREATED, timedelta(0))
    raise_barrier()
    assert join_parts(Merge("3", ("1", "2")), Source.POLL).survivor == "1"
    (doubt,) = find_doubts(BOT)
    assert doubt.parts == ("3", "2")
    assert world.lookout.look_where_due() == 1
    assert world.state("1") == ("notified", "sent")


@pytest.mark.parametrize("merged_first", [False, True])
def test_a_card_of_a_part_tells_for_what_came_into_doubt_since_a_restore(
    restored: World, merged_first: bool
) -> None:
    """Ticket 2 was told after the backup, and HubSpot merges it with one of which nobody knows."""
    world = restored
    world.tell("9")
    world.show("2")
    if not merged_first:
        world.doubt("7")
    else:
        taken = world.begin("7")
    assert join_parts(Merge("10", ("2", "7")), Source.WEBHOOK).survivor == "7"
    if merged_first:
        record_unknown("7", BOT, 1, "timeout")
        assert conclude_claim(taken, ONE, 30, "timeout") is None, "the merge ended the claim"
        world.edit_ticket("7", next_attempt_at=CREATED)
        conclude_claim(world.ledger.claim("7"), ONE, 30, "timeout")
        world.age("7", 120)
    assert world.lookout.look_where_due() == 1
    assert world.state("7") == ("notified", "sent")


def test_what_hubspot_has_in_its_bin_has_the_parts_that_the_ledger_knows(restored: World) -> None:
    """Nothing is sent of it before HubSpot shows it again, with all of its parts."""
    restored.tell("9")
    join_parts(Merge("5", ("3", "4")), Source.SWEEP)
    hold_restored(restored.ledger.claim("5"), CREATED, {BOT: restored.bot.place}, ONE, ("5", "3", "4"))
    assert restored.lookout.look_where_due() == 1
    assert restored.state("5")[1] == "pending"


def test_a_restored_delivery_counts_from_what_is_known_of_it(world: World) -> None:
    world.doubt("1")
    world.edit("1", sending_at=None, first_sending_at=CREATED, nonce=None)
    (doubt,) = find_doubts(BOT)
    assert (doubt.first_at, doubt.nonce) == (CREATED, None)
    assert doubt.seconds > 0


def test_what_a_restore_holds_is_looked_for_from_an_hour_before_its_creation(world: World) -> None:
    world.doubt("1")
    world.edit("1", sending_at=None, first_sending_at=CREATED, last_error="restored")
    (doubt,) = find_doubts(BOT)
    assert doubt.first_at == CREATED - timedelta(hours=1)
    assert abs(datetime.now(UTC) - CREATED - timedelta(seconds=doubt.seconds)) < timedelta(minutes=1)


def test_the_last_cards_of_a_place_are_the_evidence(world: World) -> None:
    for ticket_id in ("1", "2", "3"):
        world.tell(ticket_id)
    world.edit("1", place="elsewhere")
    world.doubt("4", stored=True)
    assert [ticket_id for ticket_id, _ in list_sent(BOT, world.bot.place, 5)] == ["3", "2"]
    assert [ticket_id for ticket_id, _ in list_sent(BOT, world.bot.place, 1)] == ["3"]


def test_an_absent_card_is_due_again_and_keeps_when_it_was_decided(world: World) -> None:
    world.doubt("1")
    assert decide_absent("1", BOT, 1, -1)
    assert world.state("1") == ("retry", "pending")
    assert world.ledger.delivery("1", BOT).decided_at is not None
    (taken,) = claim(["1"], "two", 60)
    assert begin_delivery(taken, BOT, VERDICT, 60, nonce="n", place="p") == 2
    assert world.ledger.delivery("1", BOT).first_sending_at < world.ledger.delivery("1", BOT).sending_at


@pytest.mark.parametrize("attempt", [0, 2])
def test_a_look_for_another_attempt_decides_nothing(world: World, attempt: int) -> None:
    world.doubt("1")
    assert not decide_absent("1", BOT, attempt, 0)
    assert world.state("1") == ("unconfirmed", "unconfirmed")


@pytest.mark.parametrize("settle", ["sent", "resend", "sending"])
def test_a_look_that_comes_late_decides_nothing(world: World, settle: str) -> None:
    world.doubt("1")
    match settle:
        case "sent":
            record_sent("1", BOT, ONE, "9", "p")
        case "resend":
            resend_ticket("1")
        case "sending":
            resend_ticket("1")
            begin_delivery(world.ledger.claim("1"), BOT, VERDICT, 60)
    before = world.state("1")
    assert not decide_absent("1", BOT, 1, 0)
    assert world.state("1") == before


def test_many_looks_decide_once(world: World) -> None:
    world.doubt("1")
    with ThreadPoolExecutor(8) as threads:
        decided = list(threads.map(lambda _: decide_absent("1", BOT, 1, -1), range(8)))
    assert sum(decided) == 1


def test_a_late_sent_after_an_absent_settles_with_the_verdict(world: World) -> None:
    world.doubt("1")
    decide_absent("1", BOT, 1, 600)
    assert record_sent("1", BOT, ONE, "9", "p") is TicketState.NOTIFIED
    assert world.ledger.ticket("1").provider == "local"


# --- The look


def test_one_scan_settles_what_is_there_and_frees_what_is_not(world: World) -> None:
    world.tell("1")
    for number in range(2, 12):
        world.doubt(str(number), stored=number % 2 == 0)
    before = world.scans()
    assert world.lookout.look_where_due() == 10
    assert world.scans() - before <= 2
    states = {number: world.state(str(number)) for number in range(2, 12)}
    assert {states[number] for number in (2, 4, 6, 8, 10)} == {("notified", "sent")}
    assert {states[number] for number in (3, 5, 7, 9, 11)} == {("retry", "pending")}
    assert dict(world.decided) == {str(number): states[number][0] for number in states}
    assert world.ledger.delivery("2", BOT).message_id == world.discord.cards_for("2")[0].message_id


def test_an_absent_card_is_due_at_once_and_after_more_tries_later(world: World) -> None:
    world.tell("1")
    world.doubt("2")
    world.doubt("3")
    world.edit("3", attempts=4)
    world.lookout.look_where_due()
    assert find_due(9) == ["2"]
    assert world.state("3") == ("retry", "pending")


def test_a_card_on_its_way_is_looked_for_again_when_it_must_have_arrived(world: World) -> None:
    world.tell("1")
    world.doubt("2", seconds=1)
    assert world.lookout.look_where_due() == 0
    assert world.state("2") == ("unconfirmed", "unconfirmed")
    (seconds,) = world.lookout.seconds_until_decided()
    assert 50 < seconds < 60
    scans = world.scans()
    assert (world.lookout.look_where_due(), world.scans()) == (0, scans)
    world.age("2", 61)
    assert world.lookout.look_where_due() == 1
    assert world.state("2") == ("retry", "pending")
    assert world.lookout.seconds_until_decided() == []


def test_what_cannot_be_seen_is_looked_for_every_quarter_of_an_hour(world: World) -> None:
    world.doubt("1", seconds=3600)
    assert world.lookout.look_where_due() == 0
    scans = world.scans()
    for now, looked in ((899, 0), (901, 1), (1700, 1), (1802, 2)):
        world.watch.now = now
        world.lookout.look_where_due()
        assert world.scans() - scans == looked
    assert world.state("1") == ("unconfirmed", "unconfirmed")


def test_a_new_doubt_is_looked_for_at_once(world: World) -> None:
    world.tell("1")
    world.doubt("2", seconds=1)
    world.lookout.look_where_due()
    world.doubt("3", seconds=1, stored=True)
    assert world.lookout.look_where_due() == 1
    assert world.state("3") == ("notified", "sent")


def test_without_history_nothing_is_decided_and_the_report_says_so(world: World) -> None:
    world.tell("1")
    world.doubt("2")
    world.doubt("3", stored=True)
    world.discord.bot.permissions.discard(HISTORY)
    assert world.lookout.look_where_due() == 0
    report = RunReport()
    world.lookout.report_into(report)
    assert (report.exit_code, "Read Message History" in report.problems[0]) == (2, True)
    world.discord.bot.permissions.add(HISTORY)
    assert world.another().look_where_due() == 2
    assert world.state("2") == ("retry", "pending")
    assert world.state("3") == ("notified", "sent")


def test_what_a_person_decided_is_no_problem_any_more(world: World) -> None:
    world.doubt("1")
    world.lookout.look_where_due()
    resend_ticket("1")
    world.lookout.look_where_due()
    report = RunReport()
    world.lookout.report_into(report)
    assert report.problems == []


def test_a_look_goes_where_the_card_went(world: World) -> None:
    elsewhere = world.discord.add_channel().channel_id
    world.tell("1")
    world.doubt("2", stored=True)
    moved = DiscordBot(world.discord.api_url, world.discord.bot.token, elsewhere)
    assert LookOut([moved], link_of).look_where_due() == 1
    assert world.state("2") == ("notified", "sent")
    moved.close()


def test_a_card_of_another_bot_stays_for_a_person(world: World) -> None:
    world.tell("1")
    world.doubt("2", stored=True)
    other = world.discord.add_bot()
    bot = DiscordBot(world.discord.api_url, other.token, world.bot.place)
    told = bot.send(build_minimal_card("1", link_of("1"), Priority.LOW))
    assert isinstance(told, Sent)
    world.edit("1", message_id=told.message_id)
    assert LookOut([bot], link_of).look_where_due() == 0
    assert world.state("2") == ("unconfirmed", "unconfirmed")
    bot.close()


def test_two_processes_that_look_at_once_settle_each_card_once(world: World) -> None:
    world.tell("1")
    for number in range(2, 8):
        world.doubt(str(number), stored=number % 2 == 0)
    lookouts = [world.another() for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda one: one.look_where_due(), lookouts))
    states = [world.ledger.ticket(str(number)).state for number in range(2, 8)]
    assert states == ["notified", "retry"] * 3
    told = [state for _, state in world.decided if state == "notified"]
    assert len(told) >= 3


# --- The channel's gate


@pytest.fixture
def gates(world: World) -> ChannelGates:
    class Hours:
        now = 0.0

        def __call__(self) -> float:
            self.now += 10
            return self.now

    return ChannelGates([world.bot], link_of, Hours(), lookout=world.lookout)


def test_a_look_that_sees_opens_the_channel_without_a_trial(world: World, gates: ChannelGates) -> None:
    world.tell("1")
    world.doubt("2", seconds=1)
    switches.pause_until_look(BOT, world.bot.key_hash, "timeout")
    gates.look()
    assert (gates.is_open(BOT), gates.on_trial(BOT)) == (True, False)
    assert switches.read_pause(BOT, world.bot.key_hash) is None


def test_a_bot_that_cannot_look_is_tried_as_a_webhook_is(world: World, gates: ChannelGates) -> None:
    world.tell("1")
    world.doubt("2", seconds=1)
    world.discord.bot.permissions.discard(HISTORY)
    switches.pause_until_look(BOT, world.bot.key_hash, "timeout")
    gates.look()
    assert gates.on_trial(BOT)


def test_a_bot_that_cannot_reach_discord_stays_paused(world: World, gates: ChannelGates) -> None:
    world.doubt("1", seconds=1)
    switches.pause_until_look(BOT, world.bot.key_hash, "timeout")
    world.discord.faults.down = True
    gates.look()
    assert not gates.any_open
    pause = switches.read_pause(BOT, world.bot.key_hash)
    assert pause is not None
    assert pause.seconds_left > 20


def test_a_look_by_the_clock_ends_the_pause_too(world: World, gates: ChannelGates) -> None:
    world.tell("1")
    world.doubt("2", seconds=1)
    for _ in range(3):
        switches.pause_after_unknown(BOT, world.bot.key_hash, "timeout")
    world.ledger.find("3")
    releases.release_for_retry(world.ledger.claim("3"), 600, PAUSED)
    gates.look()
    assert not gates.any_open
    gates.look_for_cards()
    gates.look()
    assert gates.any_open
    assert find_due(9) == ["3"]


def test_a_setting_to_mend_is_not_mended_by_a_look(world: World) -> None:
    world.tell("1")
    world.doubt("2", seconds=1)
    switches.pause_for_fault(BOT, world.bot.key_hash, "http_403")
    world.lookout.look_where_due()
    assert switches.read_pause(BOT, world.bot.key_hash) is not None


def test_a_pause_until_a_look_does_not_shorten_another(world: World) -> None:
    for _ in range(3):
        switches.pause_after_unknown(BOT, world.bot.key_hash, "timeout")
    switches.pause_until_look(BOT, world.bot.key_hash, "timeout")
    pause = switches.read_pause(BOT, world.bot.key_hash)
    assert pause is not None
    assert (pause.streak, pause.seconds_left > 40) == (3, True)


# --- Check messages


def named(world: World) -> str:
    words = [one.content for one in world.discord.messages if not one.embeds]
    return "".join(words)


def test_only_what_no_look_could_decide_is_named_and_without_a_mention(world: World) -> None:
    world.doubt("1", seconds=400)
    world.doubt("2", seconds=30)
    world.lookout.look_where_due()
    assert name_held_tickets(world.bot, link_of, world.lookout.undecided(BOT)) == 1
    assert ("#1 <https://hubspot.test/1>" in named(world), "#2 " in named(world)) == (True, False)
    assert name_held_tickets(world.bot, link_of, world.lookout.undecided(BOT)) == 0
    assert not any(one.pinged for one in world.discord.messages)


def test_before_any_look_nothing_is_named(world: World) -> None:
    world.doubt("1", seconds=4000)
    assert name_held_tickets(world.bot, link_of, world.lookout.undecided(BOT)) == 0


def test_a_card_that_the_channel_refused_is_named_at_once(world: World) -> None:
    world.doubt("1", seconds=1)
    world.edit("1", state=DeliveryState.REFUSED)
    assert name_held_tickets(world.bot, link_of, world.lookout.undecided(BOT)) == 1


def test_a_card_is_looked_for_while_its_ticket_is_held(ledger: Ledger) -> None:
    taken = ledger.sending("1", channel="bot")
    record_unknown("1", "bot", 1, "timeout")
    assert find_doubts("bot") == []
    conclude_claim(taken, ["bot"], 30, "timeout")
    assert [(one.ticket_id, one.attempt) for one in find_doubts("bot")] == [("1", 1)]
