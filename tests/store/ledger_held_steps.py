"""The steps of persons, pauses and time, on the real ledger and on its plain model."""

from dataclasses import astuple

from models import held, horizon, notices, retention, switches
from tests.store import ledger_model_held as model_held
from tests.store import ledger_model_upkeep as model_upkeep
from tests.store.ledger_machine import CHANNELS
from tests.store.ledger_steps import KEY, POLL_OVERLAP, LedgerSteps


class HeldSteps(LedgerSteps):
    def confirm(self, ticket_id: str) -> None:
        expected = model_held.confirm_ticket(self.model, ticket_id)
        self.agree("held.confirm_ticket", held.confirm_ticket(ticket_id), expected)

    def resend(self, ticket_id: str) -> None:
        expected = model_held.resend_ticket(self.model, ticket_id)
        if self.agree("held.resend_ticket", held.resend_ticket(ticket_id), expected) == held.Release.DONE:
            self.truth.release(self.truth.group_of(ticket_id), CHANNELS)

    def notice(self, channel: str, limit: int, among: list[str] | None, lost: bool) -> None:
        taken = notices.take_unnoticed(channel, limit, among)
        expected = model_held.take_unnoticed(self.model, channel, limit, among)
        self.agree("notices.take_unnoticed", sorted(taken), expected)
        if lost:
            notices.give_back(channel, taken)
            model_held.give_notices_back(self.model, channel, taken)
            self.agree("notices.give_back", None, None)

    def notice_restored(self, channel: str, more_than: int) -> None:
        taken = notices.take_restored(channel, more_than)
        expected = model_held.take_restored(self.model, channel, more_than)
        self.agree("notices.take_restored", taken and taken.cards, expected)

    def pause(self, channel: str, how: str) -> None:
        answered = expected = None
        match how:
            case "unknown":
                switches.pause_after_unknown(channel, KEY, how)
                model_upkeep.pause_after_unknown(self.model, channel, KEY, how)
            case "look":
                switches.pause_until_look(channel, KEY, how)
                model_upkeep.pause_until_look(self.model, channel, KEY, how)
            case "fault":
                switches.pause_for_fault(channel, KEY, how)
                model_upkeep.pause_for_fault(self.model, channel, KEY, how)
            case "extend":
                switches.extend_pause(channel, KEY)
                model_upkeep.extend_pause(self.model, channel, KEY)
            case "probe":
                answered = switches.take_probe(channel, KEY, 60.0)
                expected = model_upkeep.take_probe(self.model, channel, KEY, 60.0)
            case "decided":
                answered = switches.lift_doubt(channel, KEY)
                expected = model_upkeep.lift_doubt(self.model, channel, KEY)
            case "lift":
                switches.lift_pause(channel, KEY)
                model_upkeep.lift_pause(self.model, channel, KEY)
        self.agree("switches", answered, expected)

    # -- time -------------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        self.time.let_pass(seconds)
        self.model.now += seconds
        self.agree("time", None, None)

    def raise_horizon(self, days: int, now: float) -> None:
        raised = horizon.raise_horizon(days, POLL_OVERLAP, self.time.stored(now))
        overlap = POLL_OVERLAP.total_seconds()
        at, held_by = model_upkeep.raise_horizon(self.model, days, overlap, now)
        self.agree("horizon.raise_horizon", self.time.told(raised.at), at)
        assert raised.held_by in held_by

    def forget(self, days: int, limit: int) -> None:
        after: str | None = ""
        while after is not None:
            page = retention.forget_batch(days, limit, after)
            expected = model_upkeep.forget_batch(self.model, days, limit, after)
            self.agree("retention.forget_batch", astuple(page), expected)
            after = page.last_id
