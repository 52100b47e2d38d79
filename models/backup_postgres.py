"""Backup and restore on PostgreSQL, by its own programs: all of a moment, and all or nothing."""

import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import IO, Any

import psycopg2
import psycopg2.extensions

from models.backup_files import Kind, Told, no_ledger_line
from models.backup_seal import NO_LEDGER, seal_of_postgres
from models.database import database
from models.errors import BackupFailed, BackupRefused
from models.postgres_programs import (
    client,
    complaint,
    errors_in,
    run,
    started,
    text_of,
    without_password,
)

WHOLE = "whole"
UNCHANGED = "the database is as it was"
UNSURE = "perhaps all of it was restored, python main.py stats shows; to restore again is safe"
OURS_HINT = "make it of the ledger's tables alone, by backup or by pg_dump --table=NAME for each"
PLAIN_HINT = "make it by pg_dump -Fc, or with --no-owner --no-acl and without --clean and --create"
RIGHTS_HINT = (
    "DATABASE_URL: this user must own the ledger's tables, and have CREATE on the schema and TEMPORARY on "
    "the database"
)
PREAMBLE_LINES = 40
#: A server before 17 does not know it; 0 is what holds without it.
NEWER_SETTING = b"SET transaction_timeout = 0;"
LOCKED, THERE_ALREADY, DENIED = "55P03", "42P07", "42501"
UNREADABLE = """
SELECT quote_ident(current_schema()), quote_ident(current_user), c.oid::regclass::text FROM pg_class c
WHERE c.relnamespace = current_schema()::regnamespace AND NOT has_table_privilege(c.oid, 'SELECT')
AND (c.relname = ANY(%s) OR c.relkind = 'S' AND EXISTS (SELECT FROM pg_depend d
    WHERE d.objid = c.oid AND d.deptype = 'a' AND d.refobjid::regclass::text = ANY(%s)))"""
VIEWS = """
SELECT DISTINCT CASE v.relkind WHEN 'm' THEN 'MATERIALIZED VIEW ' ELSE 'VIEW ' END || v.oid::regclass
FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class
WHERE d.classid = 'pg_rewrite'::regclass AND d.refobjid::regclass::text = ANY(%s)
AND v.relkind IN ('v', 'm')"""
READ_ONLY = "-c default_transaction_read_only=on"  #: of what a file does outside of the loading transaction
ENDED_SECONDS = 10.0  #: until the server has noticed that a program is gone
STATEMENT_FAULTS = ("25", "42")  #: SQLSTATE's classes of what a statement may not do here
#: No such table, table there already, no such object, not allowed: these quote names only.
QUOTES_NAMES = ("42P01", THERE_ALREADY, "42704", DENIED)
#: SQLSTATE's classes whose words are the server's own; a function of the file's may say anything in others.
SERVERS_OWN = ("08", "0A", "22", "23", "25", "42", "53", "54", "55", "57", "58")
_SERVER_SAID = re.compile(r"^(?:ERROR|FATAL|PANIC):\s+(\w{5}): (.*)", re.MULTILINE)
_QUOTED = re.compile(r"[\"\\].*")


def dump(file: Path, tables: Sequence[str], told: Told) -> dict[str, int]:
    """Write a custom-format dump into ``file``, which is there and empty; rows by table, of that moment."""
    command = [client("pg_dump"), "--format=custom", "--no-password", f"--file={file}"]
    command += [*(f'--table="{table}"' for table in tables), f"--dbname={without_password()}"]
    refuse_unreadable(tables)
    with snapshot() as (name, session):
        rows = {table: count(session, table) for table in tables}
        run([*command, f"--snapshot={name}"], file, told)
    return rows


def refuse_unreadable(tables: Sequence[str]) -> None:
    unreadable = database.execute_sql(UNREADABLE, (list(tables), list(tables))).fetchone()
    if unreadable:
        schema, user, name = unreadable
        raise BackupRefused(
            f"DATABASE_URL: this user may not read {name}; "
            f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {user}, and the same ON ALL SEQUENCES"
        )


def restore(file: Path, kind: Kind, replaced: Sequence[str], told: Told) -> None:
    """All of ``file`` in the place of the tables ``replaced``, behind the barrier, or nothing.

    One session of psql reads all of it: a program that is killed never writes ``COMMIT``. What came of it
    the server is asked, not the program. Raises BackupRefused where there is no ledger in it, and
    BackupFailed.
    """
    command = [client("psql"), "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--no-password"]
    command += ["--set=ON_ERROR_STOP=1", "--set=VERBOSITY=verbose", without_password(but="options")]
    guarded = f"{database.obj.asked_options} {READ_ONLY if takes_options() else ''}".strip()
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complaints:
        with started(command, guarded, stdin=subprocess.PIPE, stdout=said, stderr=complaints) as psql:
            with suppress(BrokenPipeError), psql.stdin as script:
                script.write(opening(replaced))
                with statements(file, kind) as source:
                    pour(source, script, told)
                script.write(ending())
            code = psql.wait()
        outcome = outcome_of(text_of(said).partition("\n")[0], code)
        if outcome is not None:
            raise failed(file, kind, code, text_of(complaints), outcome)


def takes_options() -> bool:
    """A proxy between may refuse them; then the pool has left its own out."""
    pool = database.obj
    return bool(not pool.settings or pool.connect_params["options"] != pool.asked_options)


def outcome_of(begun: str, code: int) -> str | None:
    """None where it was committed; ``begun`` is what ``opening`` told of the transaction."""
    number, _, guard = begun.partition("|")
    if not number.isdigit():
        return UNSURE if code < 0 else UNCHANGED
    try:
        status = status_of(number)
    except psycopg2.Error:
        return UNSURE
    if status == "committed":
        return None
    return UNCHANGED if (status, guard) == ("aborted", "on") else UNSURE


def status_of(number: str) -> Any:
    """``in progress`` only where it stays so."""
    deadline = time.monotonic() + ENDED_SECONDS
    with closing(psycopg2.connect(database.obj.database)) as session, session.cursor() as cursor:
        session.autocommit = True
        while True:
            cursor.execute("SELECT txid_status(%s)", (int(number),))
            status = read(cursor)
            if status != "in progress" or time.monotonic() > deadline:
                return status
            time.sleep(0.05)


def refuse_views(replaced: Sequence[str]) -> None:
    found = database.execute_sql(VIEWS, (list(replaced),)).fetchall()
    if found:
        raise BackupRefused(
            f"DATABASE_URL: a view reads what is to be replaced: DROP {found[0][0]}, and make it again after"
        )


def opening(replaced: Sequence[str]) -> bytes:
    """Whatever the file holds, ``COMMIT`` too, nothing is committed before ``ending`` has been read.

    Outside of this transaction, as after a ``ROLLBACK`` of the file's, the session may only read.
    """
    tables = ", ".join(f'"{table}"' for table in replaced)
    lines = (
        "BEGIN READ WRITE",
        "SELECT txid_current(), current_setting('default_transaction_read_only')",
        *(f"SET LOCAL {name} = '{value}'" for name, value in database.obj.settings.items()),
        f"CREATE TEMP TABLE {WHOLE} (id int PRIMARY KEY) ON COMMIT DROP",
        f"CREATE TEMP TABLE begun (id int REFERENCES {WHOLE} DEFERRABLE INITIALLY DEFERRED) ON COMMIT DROP",
        "INSERT INTO begun VALUES (1)",
        *([f"DROP TABLE {tables}"] if tables else []),
    )
    return "".join(f"{line};\n" for line in lines).encode()


def ending() -> bytes:
    end = f"INSERT INTO pg_temp.{WHOLE} VALUES (1);\nCOMMIT;\n"
    return f"\n\\o\nRESET ALL;\n{seal_of_postgres()}{end}".encode()


@contextmanager
def statements(file: Path, kind: Kind) -> Iterator[IO[bytes]]:
    """The SQL of ``file``. Raises BackupFailed at its end where pg_restore could not read all of it."""
    if kind is Kind.PLAIN:
        with file.open("rb") as source:
            yield source
        return
    command = [client("pg_restore"), "--no-owner", "--no-privileges", "--file=-", str(file)]
    with tempfile.TemporaryFile() as complaints:
        with started(command, stdout=subprocess.PIPE, stderr=complaints) as process:
            yield process.stdout
            code = process.wait()
        if code:
            raise BackupFailed(f"pg_restore {complaint(code, text_of(complaints))}; {UNCHANGED}")


def pour(source: IO[bytes], into: IO[bytes], told: Told) -> None:
    for line in islice(source, PREAMBLE_LINES):
        if line.rstrip() != NEWER_SETTING:
            into.write(line)
    done = 0
    while piece := source.read(1 << 16):
        into.write(piece)
        done += len(piece)
        told(done, None)


def failed(file: Path, kind: Kind, code: int, said: str, stands: str) -> BackupRefused | BackupFailed:
    """What psql said, as one line; what the server quotes may be of a row."""
    found = _SERVER_SAID.search(said)
    if code < 0 or not found:
        cut = code >= 0 and not errors_in(said)
        line = f"{file} ends half way" if cut else f"psql {complaint(code, said)}"
        return BackupFailed(f"{line}; {stands}")
    state, line = found.groups()
    if state == NO_LEDGER:
        return BackupRefused(no_ledger_line(file))
    if state == LOCKED:
        line = "another session holds a lock on the ledger; find it in pg_stat_activity"
    elif state[:2] not in SERVERS_OWN:
        line = f"SQLSTATE {state}"
    elif state not in QUOTES_NAMES:
        line = _QUOTED.sub("...", line)
    hint = ""
    if state == THERE_ALREADY:
        hint = f"; {OURS_HINT}"
    elif state == DENIED and "role" not in line.lower():  # that one is of the dump's OWNER TO
        hint = f"; {RIGHTS_HINT}"
    elif kind is Kind.PLAIN and state[:2] in STATEMENT_FAULTS:
        hint = f"; {PLAIN_HINT}"
    return BackupFailed(f"psql failed: {line[:300]}; {stands}{hint}")


@contextmanager
def snapshot() -> Iterator[tuple[str, "psycopg2.extensions.connection"]]:
    """A session of its own: one of the pool's would be ended for its silence while the dump runs."""
    session = psycopg2.connect(database.obj.database)
    try:
        session.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with session.cursor() as cursor:
            cursor.execute("SELECT pg_export_snapshot()")
            yield read(cursor), session
    finally:
        session.close()


def count(session: "psycopg2.extensions.connection", table: str) -> int:
    with session.cursor() as cursor:
        cursor.execute(f'SELECT count(*) FROM "{table}"')
        return int(read(cursor))


def read(cursor: "psycopg2.extensions.cursor") -> Any:
    row = cursor.fetchone()
    return row[0] if row else None
