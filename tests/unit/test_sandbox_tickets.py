"""The sandbox's tickets: its own, and those of a file."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from jobs.errors import InputError
from jobs.sandbox.tickets import built_in_tickets, load_tickets

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECRET = "the customer's own words"


def write(folder: Path, *lines: str) -> Path:
    path = folder / "some.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_the_built_in_tickets_are_a_dozen_or_so_with_the_same_ids_each_time() -> None:
    first, second = built_in_tickets(), built_in_tickets()
    assert 12 <= len(first) <= 16
    assert [one.ticket_id for one in first] == [one.ticket_id for one in second]
    assert all(one.customer and one.company and one.tier for one in first)


def test_the_built_in_tickets_show_html_length_and_emptiness() -> None:
    bodies = [one.body or "" for one in built_in_tickets()]
    assert any(body.startswith("<html") for body in bodies)
    assert max(map(len, bodies)) > 40_000
    assert "" in bodies


def test_missing_times_are_just_past_and_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, *(f'{{"id": "{n}"}}' for n in range(1, 400)))
    times = [one.created_at for one in load_tickets(path, NOW)]
    assert times == sorted(times)
    assert times[-1] <= NOW - timedelta(seconds=2)
    assert NOW - times[0] < timedelta(minutes=2)
    assert max(b - a for a, b in pairwise(times)) <= timedelta(seconds=1)


def test_ids_may_be_numbers_texts_may_be_absent_and_other_keys_are_ignored(tmp_path: Path) -> None:
    path = write(
        tmp_path, '{"id": 7, "subject": null, "colour": {}, "customer": 3}', "", '{"id": "8", "body": "b"}'
    )
    seven, eight = load_tickets(path, NOW)
    assert (seven.ticket_id, seven.subject, seven.body, seven.customer) == ("7", None, None, None)
    assert (eight.ticket_id, eight.body) == ("8", "b")


def test_a_time_without_a_zone_is_utc(tmp_path: Path) -> None:
    path = write(tmp_path, '{"id": 7, "created_at": "2026-11-20T10:00:00"}')
    assert load_tickets(path, NOW)[0].created_at == datetime(2026, 11, 20, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        (f'{{"id": 1, "body": "{SECRET}"', "not JSON"),
        (f'["{SECRET}"]', "not an object"),
        (f'{{"body": "{SECRET}"}}', "id is missing"),
        (f'{{"id": "{SECRET}"}}', "must be digits"),
        ('{"id": true}', "must be digits"),
        ('{"id": 1.5}', "must be digits"),
        ('{"id": "-4"}', "must be digits"),
        ('{"id": "٣"}', "must be digits"),
        ('{"id": "007"}', "start with 0"),
        ('{"id": 9}', "used again"),
        (f'{{"id": 1, "created_at": "{SECRET}"}}', "created_at must be a time"),
        ('{"id": 1, "created_at": 5}', "created_at must be a time"),
        ('{"id": 1, "created_at": "2026-11-24T10:00:00Z"}', "in the future"),
        ('{"id": 1, "subject": ["x"]}', "subject must be text"),
        ("[" * 100_000, "cannot be read"),
        ('{"id": ' + "9" * 5_000 + "}", "cannot be read"),
    ],
)
def test_a_bad_line_is_named_by_file_and_number_and_never_quoted(
    tmp_path: Path, line: str, wrong: str
) -> None:
    path = write(tmp_path, '{"id": 9}', line)
    with pytest.raises(InputError, match=f"some.jsonl, line 2: .*{wrong}") as caught:
        load_tickets(path, NOW)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_not_utf_8_are_named_by_their_line(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    path.write_bytes(b'{"id": 1}\n{"id": 2, "body": "\xff"}\n')
    with pytest.raises(InputError, match="line 2: this is not UTF-8"):
        load_tickets(path)


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": 1}\r\n')
    assert load_tickets(path)[0].ticket_id == "1"


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_a_file_without_tickets_is_an_input_error(tmp_path: Path, content: str) -> None:
    with pytest.raises(InputError, match="holds no tickets"):
        load_tickets(write(tmp_path, content))


def test_a_missing_file_and_a_directory_are_input_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load_tickets(tmp_path / "absent.jsonl")
    with pytest.raises(InputError, match="is a directory"):
        load_tickets(tmp_path)
