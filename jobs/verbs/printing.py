"""How commands print: lines, tables, and one JSON object for machines."""

import io
import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

PAGE_WIDTH = 400  #: more than any row of ours takes


def say(line: str) -> None:
    """To a person on standard output."""
    print(line, flush=True)


def remark(line: str) -> None:
    """Beside the result, on standard error."""
    print(line, file=sys.stderr, flush=True)


def print_json(answer: dict[str, object]) -> None:
    print(json.dumps(answer), flush=True)


def plain_table(*columns: str) -> "Table":
    from rich.table import Table

    return Table(*columns, box=None, show_header=any(columns), padding=(0, 1))


def print_table(table: "Table") -> None:
    """rich draws on a page of its own, since it ends the process on a broken pipe.

    The page is as wide as the table: a cut time or error class would be of no use.
    """
    from rich.console import Console

    page = io.StringIO()
    Console(file=page, width=PAGE_WIDTH, force_terminal=False).print(table)
    say("\n".join(line.rstrip() for line in page.getvalue().rstrip().splitlines()))
