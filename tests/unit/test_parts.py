"""What run-once and the worker share: a write that insists, and the name of a setting in a fault's line."""

import threading

import pytest

from jobs.note_events import named_setting
from jobs.parts import Insistence, new_owner
from models.errors import LoginRefused, SchemaBehind, StoreError, StoreRefused, StoreUnreachable


class Store:
    """Away for the first ``failures`` writes; ``waiting`` has what ``insist`` said of itself at each."""

    def __init__(self, insist: Insistence, failures: int, fault: type[StoreError] = StoreUnreachable) -> None:
        self.insist, self.failures, self.fault = insist, failures, fault
        self.waiting: list[bool] = []

    def write(self) -> str:
        self.waiting.append(self.insist.waits)
        if len(self.waiting) <= self.failures:
            raise self.fault("away")
        return "written"


@pytest.mark.parametrize("fault", [StoreUnreachable, LoginRefused])
def test_a_write_is_repeated_until_the_store_took_it(fault: type[StoreError]) -> None:
    """Also where the password was changed: whoever changed it may allow the login again."""
    slept: list[float] = []
    insist = Insistence(slept.append)
    store = Store(insist, failures=7, fault=fault)
    assert insist(store.write) == "written"
    assert store.waiting == [False, *[True] * 7]
    assert not insist.waits
    assert slept == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


@pytest.mark.parametrize("fault", [SchemaBehind("migrate"), StoreRefused("GRANT it")])
def test_what_another_try_cannot_cure_is_raised(fault: StoreError) -> None:
    insist, errors = Insistence(lambda _: None), [StoreUnreachable("away"), fault]

    def write() -> None:
        raise errors.pop(0)

    with pytest.raises(type(fault)):
        insist(write)
    assert (errors, insist.waits) == ([], False)


def test_it_waits_while_any_thread_does() -> None:
    insist, go_on, inside = Insistence(lambda _: None), threading.Event(), threading.Event()
    tries: list[int] = []

    def write() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise StoreUnreachable("away")
        inside.set()
        go_on.wait(30)

    thread = threading.Thread(target=insist, args=(write,))
    thread.start()
    assert inside.wait(30)
    insist(lambda: None)
    assert insist.waits
    go_on.set()
    thread.join()
    assert not insist.waits


def test_no_two_owners_are_alike_and_none_outgrows_its_column() -> None:
    owners = {new_owner() for _ in range(100)}
    assert len(owners) == 100
    assert max(map(len, owners)) <= 100


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("HUBSPOT_ACCESS_TOKEN: HubSpot refuses the token (401)", "HUBSPOT_ACCESS_TOKEN"),
        ("the key is refused; set GROQ_API_KEY again", "GROQ_API_KEY"),
        ("CF_ACCESS_CLIENT_SECRET: is refused", "CF_ACCESS_CLIENT_SEC"),
        ("the service says NO to us", "setting"),
    ],
)
def test_a_faults_line_names_its_setting_in_twenty_characters(line: str, name: str) -> None:
    assert named_setting(line) == name
