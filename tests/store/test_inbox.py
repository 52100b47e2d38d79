"""The inbox takes each event once, whatever repeats, and one statement leaves what the plain query leaves."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import models.inbox
from models.database import close_database, connection, open_database, read_clock
from models.inbox import EPOCH, EventType, WebhookEvent, store_events
from tests.fakes.inbox import ReceivedEvent

AT = datetime(2026, 11, 23, 10, 0, 0, 123000, tzinfo=UTC)


def created(object_id: str, **more: Any) -> ReceivedEvent:
    return ReceivedEvent("62515", EventType.CREATION, object_id, "7", AT, **more)


def rows() -> list[dict[str, Any]]:
    order = (WebhookEvent.object_id, WebhookEvent.event_id, WebhookEvent.occurred_at, WebhookEvent.portal_id)
    with connection():
        return list(cast(Any, WebhookEvent.select().order_by(*order, WebhookEvent.event_type).dicts()))


def test_an_event_is_kept_with_its_ids_and_times_alone(store_url: str) -> None:
    assert store_events([created("101")]) == 1
    (row,) = rows()
    assert abs(row.pop("received_at") - read_clock()) < timedelta(minutes=1)
    del row["id"]
    assert row == {
        "portal_id": "62515",
        "event_type": "creation",
        "object_id": "101",
        "event_id": "7",
        "occurred_at": AT,
        "merged_ids": None,
        "attempts": 0,
        "last_error": None,
        "set_aside_at": None,
    }


def test_an_event_without_id_and_time_has_the_empty_text_and_the_epoch_in_its_key(store_url: str) -> None:
    bare = ReceivedEvent("62515", EventType.WORKFLOW, "101")
    assert (store_events([bare]), store_events([bare])) == (1, 0)
    (row,) = rows()
    assert (row["event_id"], row["occurred_at"]) == ("", EPOCH)


def test_repeats_within_a_call_and_between_calls_are_stored_once(store_url: str) -> None:
    assert store_events([created("1"), created("2"), created("1")]) == 2
    assert store_events([created("2"), created("3")]) == 1
    assert store_events([]) == 0
    assert [row["object_id"] for row in rows()] == ["1", "2", "3"]


def test_a_merge_keeps_the_ids_that_became_one(store_url: str) -> None:
    store_events([ReceivedEvent("62515", EventType.MERGE, "3", "7", AT, ("1", "2"))])
    store_events([created("9")])
    assert [row["merged_ids"] for row in rows()] == ["1;2", None]


@pytest.mark.parametrize(
    "wrong",
    [
        created("1" * 256),
        created("1\0"),
        created("1\ud800"),
        ReceivedEvent("1" * 33, "creation", "1"),
        ReceivedEvent("1", "c" * 65, "1"),
        ReceivedEvent("1", "creation", "1", "e" * 65),
        created("1", merged_ids=("2" * 4001,)),
    ],
)
def test_what_no_column_holds_is_refused_before_anything_is_stored(
    store_url: str, wrong: ReceivedEvent
) -> None:
    with pytest.raises(ValueError, match="does not fit its column"):
        store_events([created("1"), wrong])
    assert rows() == []


def test_more_rows_than_one_statement_of_sqlite_takes(store_url: str) -> None:
    many = [created(str(number)) for number in range(5_000)]
    assert store_events(many) == 5_000
    assert store_events([*many, created("5000")]) == 1


def test_writers_with_the_same_rows_in_other_orders_do_not_lock_each_other_out(store_url: str) -> None:
    many = [created(str(number)) for number in range(300)]
    new: list[int] = []
    barrier = threading.Barrier(4)

    def store(turn: int) -> None:
        ordered = many if turn % 2 else many[::-1]
        barrier.wait()
        new.extend(store_events(ordered[start : start + 50]) for start in range(0, 300, 50))

    threads = [threading.Thread(target=store, args=(turn,)) for turn in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sum(new), len(new), len(rows())) == (300, 24, 300)


@pytest.fixture(scope="module")
def postgres(server_url: str, template: str) -> Iterator[None]:
    from tests.conftest import renamed, with_server

    name = f"inbox_{template}"
    with_server(server_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    open_database(renamed(server_url, name))
    yield
    close_database()
    with_server(server_url, f"DROP DATABASE {name} WITH (FORCE)")


texts = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=12)
times = st.integers(-(10**12), 10**13).map(lambda number: EPOCH + timedelta(microseconds=number * 700))
received = st.builds(
    ReceivedEvent,
    st.sampled_from(["1", "62515"]) | texts,
    st.sampled_from([*EventType]),
    st.sampled_from(["1", "2", "10"]) | texts,
    st.sampled_from(["", "7", "{7}", 'a"b\\c', "NULL"]),
    st.none() | st.sampled_from([AT, AT + timedelta(microseconds=400)]) | times,
    st.lists(st.sampled_from(["1", "2", 'a"b\\c']), max_size=3).map(tuple),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(received, max_size=8), min_size=1, max_size=3))
def test_the_one_statement_leaves_the_rows_of_the_plain_query(
    postgres: None, batches: list[list[ReceivedEvent]]
) -> None:
    left = []
    for hot in (True, False):
        with pytest.MonkeyPatch.context() as patch, connection():
            patch.setattr(models.inbox, "on_postgres", lambda hot=hot: hot)
            WebhookEvent.delete().execute()
            new = [store_events(batch) for batch in batches]
            unlike = ("id", "received_at")
            left.append((new, [{name: row[name] for name in row if name not in unlike} for row in rows()]))
    assert left[0] == left[1]
