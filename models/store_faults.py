"""The drivers' errors become the store's own here: one line each, without their text."""

import re
from typing import NamedTuple, cast

import psycopg2
import psycopg2.extensions
from peewee import DatabaseError, InterfaceError, OperationalError
from playhouse.pool import MaxConnectionsExceeded

from models.errors import LoginRefused, StoreRefused, StoreUnreachable

# Peewee wraps most of the driver's errors, but not all classes below OperationalError: deadlocks escape it.
CONNECTION_FAULTS = (
    OperationalError,
    InterfaceError,
    psycopg2.OperationalError,
    psycopg2.InterfaceError,
    MaxConnectionsExceeded,
)
STORE_FAULTS = (*CONNECTION_FAULTS, DatabaseError)


class Remedy(NamedTuple):
    """The line for a fault that one of ``signs`` tells.

    A sign is the server's code, https://www.postgresql.org/docs/current/errcodes-appendix.html, or, where
    the driver gives none, as before there is a session, and of SQLite, a pattern in the message.
    """

    line: str
    signs: tuple[str, ...]
    fault: type[StoreRefused | StoreUnreachable] = StoreUnreachable


READ_ONLY = Remedy(
    "the database is read-only: a replica, as after a failover (check DATABASE_URL), or switched so (SHOW "
    "default_transaction_read_only), as some providers do when its disk is full",
    ("25006",),
)
READ_ONLY_FILE = Remedy(
    "DATABASE_URL: the SQLite file or its folder cannot be written; check their permissions, and whether the "
    "disk is mounted read-only",
    ("readonly database",),
)
NOT_ALLOWED = Remedy(
    "DATABASE_URL: this user may not do that here; make it the owner of the tables, or GRANT ALL ON ALL "
    "TABLES IN SCHEMA ... TO it, and the same ON ALL SEQUENCES; to migrate it must own them and have CREATE "
    "ON SCHEMA",
    ("42501",),
    StoreRefused,
)
NO_SCHEMA = Remedy(
    "DATABASE_URL: search_path names no schema that is there; CREATE SCHEMA it, or correct the options in "
    "the URL (or what ALTER ROLE or ALTER DATABASE ... SET search_path)",
    ("3F000",),
    StoreRefused,
)
# What comes first counts: a message may hold words of several.
REMEDIES = (
    READ_ONLY,
    READ_ONLY_FILE,
    NOT_ALLOWED,
    NO_SCHEMA,
    Remedy("the database server's disk is full; free space there or give it a larger one", ("53100",)),
    Remedy("the database server is out of memory; give it more, or lower DB_POOL_SIZE", ("53200",)),
    Remedy(
        "the database server takes no more connections; lower DB_POOL_SIZE, end what else uses it, or raise "
        "max_connections (or the user's or database's CONNECTION LIMIT)",
        ("too many clients", "too many connections", "connection slots", "no more connections"),
    ),
    Remedy("a limit that was set on the database server is reached; its log names it", ("53400",)),
    Remedy(
        "another session holds a lock on the ledger for too long; find it in pg_stat_activity",
        ("55P03", "lock timeout"),
    ),
    Remedy(
        "other sessions were in the way again and again (deadlocks); find them in pg_stat_activity",
        ("40001", "40P01"),
    ),
    Remedy("somebody cancelled the statement (pg_cancel_backend); try again", ("due to user request",)),
    Remedy(
        "a statement took too long and was ended (statement timeout); python main.py health names a long "
        "transaction or a slow database; a larger limit: "
        "options=-c%20statement_timeout%3D60s in DATABASE_URL",
        ("57014", "statement timeout"),
    ),
    Remedy(
        "the database server is starting, stopping or recovering; wait, its log says why",
        ("is starting up", "is shutting down", "in recovery mode", "not yet accepting connections"),
    ),
    Remedy(
        "DATABASE_URL: the server refuses a parameter that options= or another word after the ? gives it; "
        "correct its name and value (PGOPTIONS too)",
        (
            "unrecognized configuration parameter",
            "invalid value for parameter",
            "invalid command-line argument",
        ),
        StoreRefused,
    ),
    Remedy(
        "DATABASE_URL: the port or an option after the ? has a value that cannot be used; correct it "
        "(service= needs an entry in pg_service.conf)",
        (r"^invalid \w+ value", "^invalid port number", "definition of service", "service file"),
        StoreRefused,
    ),
    Remedy(
        "DATABASE_URL: no server there is what target_session_attrs asks for; name one that takes writes, "
        "and use target_session_attrs=read-write or leave it out",
        ("session is (not )?read-only", "server is (not )?in hot standby mode"),
    ),
    Remedy(
        "DATABASE_URL: the server has no TLS and sslmode requires it; switch TLS on there, or in a network "
        "that you trust use sslmode=prefer",
        ("server does not support SSL",),
    ),
    Remedy(
        "DATABASE_URL: sslrootcert names no file with a certificate in it; name the CA file of the server",
        ("root certificate file",),
    ),
    Remedy(
        "DATABASE_URL: the server's certificate is not one that sslrootcert vouches for, or it has expired; "
        "name the CA file that signed it",
        ("certificate verify failed",),
    ),
    Remedy(
        "DATABASE_URL: the server's certificate is for another host; name the host as the certificate does, "
        "or use sslmode=verify-ca",
        ("does not match host name",),
    ),
    Remedy(
        "DATABASE_URL: the server's pg_hba.conf has no entry for this user, database and address; have one "
        "added, or, where it wants TLS, use sslmode=require",
        ("no pg_hba.conf entry",),
        LoginRefused,
    ),
    Remedy(
        "DATABASE_URL: the server refuses this user or password; correct the URL",
        ("authentication failed", "no password supplied", "is not permitted to log in"),
        LoginRefused,
    ),
    Remedy(
        "DATABASE_URL: this database is closed to connections; ALTER DATABASE ... ALLOW_CONNECTIONS true",
        ("not currently accepting connections",),
    ),
    Remedy(
        "DATABASE_URL: this user may not connect to this database; GRANT it CONNECT",
        ("permission denied for database",),
        LoginRefused,
    ),
    Remedy(
        "DATABASE_URL: the server has no such database or user; create it or correct the URL",
        ('(database|role) ".*" does not exist',),
        StoreRefused,
    ),
    Remedy(
        "DATABASE_URL: the SQLite file cannot be opened; check its folder and permissions",
        ("unable to open database file",),
        StoreRefused,
    ),
    Remedy("the disk that holds the SQLite file is full; free space there", ("disk is full",)),
    Remedy(
        "the disk that holds the SQLite file is full or fails (disk I/O error); look at it with df and dmesg",
        ("disk I/O error",),
    ),
    Remedy(
        "another process holds the SQLite file's write lock for too long; end it (fuser names it) or wait",
        ("is locked",),
    ),
    Remedy(
        "DATABASE_URL: this file is not a SQLite database; name another file",
        ("not a database",),
        StoreRefused,
    ),
    Remedy(
        "DATABASE_URL: this SQLite file is damaged; name a new file and put a backup into it: "
        "python main.py restore FILE",
        ("malformed",),
        StoreRefused,
    ),
    Remedy(
        "a table or a column of the ledger is missing; python main.py migrate verify names it",
        ("no such (table|column)",),
    ),
    Remedy("the database pool is exhausted; raise DB_POOL_SIZE", ("Max connections exceeded",)),
)
CONNECTING = re.compile("connection to server|could not translate host name")
REASONS = (
    "Connection refused",
    "No such file or directory",
    "could not translate host name",
    "timeout expired",
    "server closed the connection",
    "connection already closed",
    "terminating connection",
    "certificate",
    "SSL",
)


def driver_error(error: Exception) -> Exception:
    """What the driver raised: Peewee keeps it in ``orig``, and only it has the server's code."""
    return cast(Exception, getattr(error, "orig", error))


def is_lost(error: Exception) -> bool:
    """Whether the connection is gone, so that nobody knows what was committed.

    What libpq itself says of a server that died has no code, and mostly no class of its own either.
    """
    cause = driver_error(error)
    wordless = type(cause) is psycopg2.DatabaseError and cause.pgcode is None
    return wordless or isinstance(error, CONNECTION_FAULTS)


def is_known(error: Exception) -> bool:
    """Whether there is a line for it; what is neither lost nor has a remedy is a fault of ours."""
    return is_lost(error) or remedy_of(error) is not None


def translated(error: Exception) -> StoreRefused | StoreUnreachable:
    """The store's own fault with the line for a known one."""
    remedy, text = remedy_of(error), str(error)
    if remedy:
        return remedy.fault(remedy.line)
    reason = next((phrase for phrase in REASONS if phrase in text), "connection error")
    if CONNECTING.match(text):
        return StoreUnreachable(
            f"the database cannot be reached ({reason}); check DATABASE_URL, and that the server runs"
        )
    return StoreUnreachable(
        f"the connection to the database was lost ({reason}): a restart, an administrator or a limit such as "
        "idle_in_transaction_session_timeout; the server's log says which"
    )


def remedy_of(error: Exception) -> Remedy | None:
    code = getattr(driver_error(error), "pgcode", None)
    # A refused row's message holds its values, and could say anything.
    words = str(error) if code is None or is_lost(error) else ""
    found = (one for one in REMEDIES if any(sign == code or re.search(sign, words) for sign in one.signs))
    return next(found, None)
