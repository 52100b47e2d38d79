"""The drivers' errors become the store's own here: one line each, without their text."""

from typing import cast

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
REFUSALS = (
    "authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "is not permitted to log in",
)
STORE_FAULTS = (*CONNECTION_FAULTS, DatabaseError)


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


def translated(error: Exception) -> StoreRefused | StoreUnreachable:
    text = str(error)
    if any(sign in text for sign in REFUSALS):
        return LoginRefused("DATABASE_URL: the server refuses this user or password; correct the URL")
    if "does not exist" in text and ("database" in text or "role" in text):
        return StoreRefused(
            "DATABASE_URL: the server has no such database or user; create it or correct the URL"
        )
    if "unable to open database file" in text:
        return StoreRefused(
            "DATABASE_URL: the SQLite file cannot be opened; check its folder and permissions"
        )
    if "lock timeout" in text:
        return StoreUnreachable(
            "another session holds a lock on the ledger for too long; find it in pg_stat_activity"
        )
    if isinstance(error, MaxConnectionsExceeded):
        return StoreUnreachable("the database pool is exhausted; raise DB_POOL_SIZE")
    return StoreUnreachable(
        f"the database cannot be reached or was lost ({reason_of(text)}); check DATABASE_URL"
    )


def reason_of(text: str) -> str:
    """A known phrase of the driver's message: the message itself may hold host names and query text."""
    phrases = (
        "Connection refused",
        "could not translate host name",
        "timeout expired",
        "statement timeout",
        "server closed the connection",
        "terminating connection",
        "the database system is starting up",
        "the database system is shutting down",
        "too many clients",
        "certificate",
        "SSL",
        "disk I/O error",
        "database or disk is full",
        "readonly database",
        "database is locked",
        "file is not a database",
    )
    return next((phrase for phrase in phrases if phrase in text), "connection error")
