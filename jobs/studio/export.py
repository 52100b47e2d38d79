"""A CSV file of rows, on disk until it is sent, so that the database is free before the browser reads."""

import csv
import io
import tempfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import IO, Any

IN_MEMORY_BYTES = 1_000_000
#: What a spreadsheet takes for the start of a formula.
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n")


def write_csv(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> IO[bytes]:
    """UTF-8, a line of titles first; rewound. The caller closes it."""
    file = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow(titles)
    writer.writerows([plain(value) for value in row] for row in rows)
    text.detach()
    file.seek(0)
    return file


def plain(value: object) -> object:
    """A time as ISO-8601, a text that no spreadsheet calculates with, nothing as nothing."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, str) and value.startswith(FORMULA_SIGNS):
        return f"'{value}"
    return value
