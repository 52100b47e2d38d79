"""What a migration's SQL destroys, and what of it locks a table for long: judged by its words alone."""

import re
from collections.abc import Iterator, Mapping, Sequence

BIG_ROWS = 100_000

_DROP_TABLE = re.compile(r"^drop table (?:if exists )?(\S+)")
_RENAMED = re.compile(r"^alter table \S+ rename to (\S+)")
_DESTROYS = (
    (re.compile(r"\bdrop column (?:if exists )?(\S+)"), "drops the column {0}"),
    (re.compile(r"^truncate (?:table )?(\S+)"), "empties {0}"),
    (re.compile(r"^delete from (\S+)"), "deletes rows of {0}"),
    (re.compile(r"^drop schema (\S+)"), "drops the schema {0}"),
)
_LOCKS = (
    (
        re.compile(r"^create (?:unique )?index (?!concurrently).*? on (?:only )?(\S+)"),
        "blocks writes to {table} while it builds the index: atomic = False and CREATE INDEX CONCURRENTLY",
    ),
    (
        re.compile(r"^drop index (?!concurrently)(\S+)"),
        "waits for and then blocks all of the table: atomic = False and DROP INDEX CONCURRENTLY",
    ),
    (
        re.compile(r"^alter table (\S+).*\balter column \S+ (?:set data )?type\b"),
        "writes {table} anew under a lock that stops reads: add a column, copy in pieces, swap",
    ),
    (
        re.compile(r"^alter table (\S+).*\balter column \S+ set not null\b"),
        "reads all of {table} under a lock: ADD CHECK ... NOT VALID first, then VALIDATE CONSTRAINT",
    ),
    (
        re.compile(r"^alter table (\S+).*\badd (?:constraint \S+ )?(?:check|foreign key)\b(?!.*not valid)"),
        "reads all of {table} under a lock: add it NOT VALID, then VALIDATE CONSTRAINT",
    ),
    (
        re.compile(
            r"^alter table (\S+).*\badd (?:constraint \S+ )?(?:unique|primary key)\b(?!.*using index)"
        ),
        "builds an index of {table} under a lock: make it concurrently, then ADD ... USING INDEX",
    ),
    (
        re.compile(
            r"^alter table (\S+).*\badd column .*\bdefault \w*(?:random|clock_timestamp|nextval|uuid)"
        ),
        "writes {table} anew: a default that is not constant goes to every row; fill it in pieces",
    ),
    (
        re.compile(r"^(?:update|delete from) (\S+)(?!.*\bwhere\b)"),
        "changes every row of {table} in one transaction: in pieces, outside of it",
    ),
    (re.compile(r"^(?:vacuum full|cluster|reindex (?!.*concurrently)).*?(\S+)$"), "locks {table} whole"),
)


def find_destruction(statements: Sequence[str]) -> list[str]:
    """What cannot be had back, as short lines. A table that is copied and renamed into place is not lost."""
    plain = [flat(one) for one in statements]
    remade = {unquoted(found[1]) for one in plain if (found := _RENAMED.match(one))}
    dropped = [unquoted(found[1]) for one in plain if (found := _DROP_TABLE.match(one))]
    lines = [f"drops the table {table}" for table in dropped if table not in remade]
    for one in plain:
        lines += [
            words.format(unquoted(found[1])) for what, words in _DESTROYS for found in what.finditer(one)
        ]
    return lines


def find_locks(statements: Sequence[str], rows: Mapping[str, int]) -> list[str]:
    """Advice on statements that hold a lock on a table of BIG_ROWS ``rows`` or more while they work."""
    return list(_locks(statements, rows))


def _locks(statements: Sequence[str], rows: Mapping[str, int]) -> Iterator[str]:
    for one in map(flat, statements):
        for what, words in _LOCKS:
            found = what.search(one)
            table = unquoted(found[1]) if found else ""
            # An index has no rows of its own: which table it is of, its name does not say.
            if found and (
                rows.get(table, 0) >= BIG_ROWS
                or (
                    table not in rows
                    and max(rows.values(), default=0) >= BIG_ROWS
                    and one.startswith("drop index")
                )
            ):
                yield words.format(table=table)


def flat(statement: str) -> str:
    return " ".join(statement.split()).rstrip(";").lower()


def unquoted(name: str) -> str:
    return name.strip('"();,').rpartition(".")[2].strip('"')
