"""From a list of processed tickets to a ledger: states, leases, deliveries, inbox, cursors, counts."""

from typing import Any

ADDED_COLUMNS = (
    "state varchar(20) NOT NULL DEFAULT 'notified'",
    "source varchar(20)",
    "ticket_created_at {time}",
    "attempts integer NOT NULL DEFAULT 0",
    "crashes integer NOT NULL DEFAULT 0",
    "next_attempt_at {time}",
    "lease_owner varchar(100)",
    "lease_expires_at {time}",
    "last_error varchar(100)",
    "reason varchar(50)",
    "missing_since_at {time}",
    "creation_event_at {time}",
    "priority varchar(20)",
    "handling_mode varchar(50)",
    "confidence {real}",
    "model varchar(100)",
    "triage_ms integer",
    "triage_attempts integer",
    "merged_into varchar(255)",
)
OPEN_INDEXES = (
    "CREATE INDEX processed_tickets_open ON processed_tickets (created_at, ticket_id) "
    "WHERE state IN ('found', 'claimed', 'retry')",
    "CREATE INDEX processed_tickets_held ON processed_tickets (ticket_id) WHERE state = 'unconfirmed'",
)
TABLES = (
    """
    CREATE TABLE deliveries (
        id {serial} PRIMARY KEY,
        ticket_id varchar(255) NOT NULL,
        channel varchar(100) NOT NULL,
        state varchar(20) NOT NULL,
        nonce varchar(25),
        attempts integer NOT NULL DEFAULT 0,
        first_sending_at {time},
        sending_at {time},
        sent_at {time},
        message_id varchar(50),
        place varchar(50),
        last_error varchar(100),
        resent_at {time},
        notice_at {time})""",
    "CREATE UNIQUE INDEX deliveries_ticket_id_channel ON deliveries (ticket_id, channel)",
    """
    CREATE TABLE webhook_inbox (
        id {serial} PRIMARY KEY,
        portal_id varchar(32) NOT NULL,
        event_type varchar(64) NOT NULL,
        object_id varchar(255) NOT NULL,
        event_id varchar(64) NOT NULL DEFAULT '',
        occurred_at {time} NOT NULL,
        merged_ids varchar(4000),
        received_at {time} NOT NULL,
        attempts integer NOT NULL DEFAULT 0,
        last_error varchar(100),
        set_aside_at {time})""",
    "CREATE UNIQUE INDEX webhook_inbox_event ON webhook_inbox "
    "(portal_id, event_type, object_id, event_id, occurred_at)",
    "CREATE INDEX webhook_inbox_received_at ON webhook_inbox (received_at)",
    """
    CREATE TABLE hourly_counts (
        id {serial} PRIMARY KEY,
        hour {time} NOT NULL,
        source varchar(20) NOT NULL DEFAULT '',
        provider varchar(50) NOT NULL DEFAULT 'none',
        priority varchar(20) NOT NULL DEFAULT '',
        state varchar(20) NOT NULL,
        tickets integer NOT NULL DEFAULT 0,
        tokens_in bigint NOT NULL DEFAULT 0,
        tokens_out bigint NOT NULL DEFAULT 0,
        cost_usd {real} NOT NULL DEFAULT 0,
        card_5s integer NOT NULL DEFAULT 0,
        card_15s integer NOT NULL DEFAULT 0,
        card_1m integer NOT NULL DEFAULT 0,
        card_5m integer NOT NULL DEFAULT 0,
        card_15m integer NOT NULL DEFAULT 0,
        card_1h integer NOT NULL DEFAULT 0,
        card_over integer NOT NULL DEFAULT 0,
        triage_500ms integer NOT NULL DEFAULT 0,
        triage_1s integer NOT NULL DEFAULT 0,
        triage_2s integer NOT NULL DEFAULT 0,
        triage_5s integer NOT NULL DEFAULT 0,
        triage_10s integer NOT NULL DEFAULT 0,
        triage_20s integer NOT NULL DEFAULT 0,
        triage_over integer NOT NULL DEFAULT 0)""",
    "CREATE UNIQUE INDEX hourly_counts_key ON hourly_counts (hour, source, provider, priority, state)",
    """
    CREATE TABLE job_runs (
        name varchar(50) NOT NULL PRIMARY KEY,
        last_started_at {time},
        last_finished_at {time},
        last_result varchar(100),
        next_run_at {time},
        runs integer NOT NULL DEFAULT 0,
        failures integer NOT NULL DEFAULT 0)""",
    """
    CREATE TABLE switches (
        id {serial} PRIMARY KEY,
        name varchar(100) NOT NULL,
        key_hash varchar(64) NOT NULL DEFAULT '',
        reason varchar(100) NOT NULL,
        streak integer NOT NULL DEFAULT 0,
        set_at {time} NOT NULL,
        until_at {time})""",
    "CREATE UNIQUE INDEX switches_name_key_hash ON switches (name, key_hash)",
    # poll_cursors is there already, with its lease: migrations run under it.
    "ALTER TABLE poll_cursors ADD COLUMN portal_id varchar(32)",
    "ALTER TABLE poll_cursors ADD COLUMN activated_at {time}",
    "ALTER TABLE poll_cursors ADD COLUMN horizon_at {time}",
    "ALTER TABLE poll_cursors ADD COLUMN restored_at {time}",
    "ALTER TABLE poll_cursors ADD COLUMN looked_from_at {time}",
    "ALTER TABLE poll_cursors ADD COLUMN looked_until_at {time}",
)
POSTGRES_TYPES = {"time": "timestamptz(3)", "real": "double precision", "serial": "serial"}
SQLITE_TYPES = {"time": "text", "real": "real", "serial": "integer"}
ORIGINAL_COLUMNS = "id, ticket_id, processed_at, provider, success, created_at, updated_at"
INDEXES_OF_THE_ORIGINAL = (
    "CREATE UNIQUE INDEX processed_tickets_ticket_id_key ON processed_tickets (ticket_id)",
    "CREATE INDEX idx_processed_at ON processed_tickets (processed_at)",
    "CREATE INDEX idx_provider ON processed_tickets (provider)",
)


def up(migrator: Any, db: Any) -> None:
    on_postgres = type(migrator).__name__.startswith("Postgres")
    statements = loosen_postgres() if on_postgres else loosen_sqlite()
    types = POSTGRES_TYPES if on_postgres else SQLITE_TYPES
    for statement in (*statements, *OPEN_INDEXES, *TABLES):
        db.execute_sql(statement.format(**types) if "{" in statement else statement)


def loosen_postgres() -> list[str]:
    """One pass over the table: every added column has a constant default, so nothing is rewritten."""
    added = [f"ADD COLUMN {column}" for column in ADDED_COLUMNS]
    loosened = [
        "ALTER COLUMN provider DROP NOT NULL",
        "ALTER COLUMN success DROP NOT NULL",
        "ALTER COLUMN success DROP DEFAULT",
    ]
    return [f"ALTER TABLE processed_tickets {', '.join([*added, *loosened])}"]


def loosen_sqlite() -> list[str]:
    """SQLite cannot drop NOT NULL: the table is copied into one of the new shape."""
    now = "(strftime('%Y-%m-%d %H:%M:%f+00:00', 'now'))"
    columns = ",\n        ".join(ADDED_COLUMNS)
    created = f"""
    CREATE TABLE loosened (
        id text NOT NULL PRIMARY KEY,
        ticket_id varchar(255) NOT NULL,
        processed_at text NOT NULL DEFAULT {now},
        provider varchar(50),
        success smallint,
        created_at text NOT NULL DEFAULT {now},
        updated_at text NOT NULL DEFAULT {now},
        {columns})"""
    return [
        created,
        f"INSERT INTO loosened ({ORIGINAL_COLUMNS}) SELECT {ORIGINAL_COLUMNS} FROM processed_tickets",
        "DROP TABLE processed_tickets",
        "ALTER TABLE loosened RENAME TO processed_tickets",
        *INDEXES_OF_THE_ORIGINAL,
    ]


# Back to the original: it tells a ticket that has no row, and reads every row as told, so a row that was
# told, or may have been, stays, and one that nobody was told of goes.
NOBODY_WAS_TOLD = (
    "DELETE FROM processed_tickets WHERE state IN ('found', 'claimed', 'retry') AND ticket_id NOT IN "
    "(SELECT ticket_id FROM deliveries WHERE state IN ('sending', 'sent', 'unconfirmed'))"
)
FILL_IN = (
    "UPDATE processed_tickets SET provider = coalesce(provider, 'none'), "
    "success = CASE WHEN state = 'notified' THEN coalesce(success, {false}) ELSE {false} END"
)
ADDED_TABLES = ("deliveries", "webhook_inbox", "hourly_counts", "job_runs", "switches")
ADDED_CURSOR_COLUMNS = (
    *("portal_id", "activated_at", "horizon_at", "restored_at", "looked_from_at", "looked_until_at"),
)


def down(migrator: Any, db: Any) -> None:
    on_postgres = type(migrator).__name__.startswith("Postgres")
    for statement in (
        NOBODY_WAS_TOLD,
        FILL_IN.format(false="false" if on_postgres else "0"),
        "DROP INDEX processed_tickets_open",
        "DROP INDEX processed_tickets_held",
        *(tighten_postgres() if on_postgres else tighten_sqlite()),
        *(f"DROP TABLE {table}" for table in ADDED_TABLES),
        *(f"ALTER TABLE poll_cursors DROP COLUMN {column}" for column in ADDED_CURSOR_COLUMNS),
    ):
        db.execute_sql(statement)


def tighten_postgres() -> list[str]:
    dropped = [f"DROP COLUMN {column.split()[0]}" for column in ADDED_COLUMNS]
    tightened = [
        "ALTER COLUMN provider SET NOT NULL",
        "ALTER COLUMN success SET NOT NULL",
        "ALTER COLUMN success SET DEFAULT true",
    ]
    return [f"ALTER TABLE processed_tickets {', '.join([*dropped, *tightened])}"]


def tighten_sqlite() -> list[str]:
    now = "(strftime('%Y-%m-%d %H:%M:%f+00:00', 'now'))"
    created = f"""
    CREATE TABLE tightened (
        id text NOT NULL PRIMARY KEY,
        ticket_id varchar(255) NOT NULL,
        processed_at text NOT NULL DEFAULT {now},
        provider varchar(50) NOT NULL,
        success smallint NOT NULL DEFAULT 1,
        created_at text NOT NULL DEFAULT {now},
        updated_at text NOT NULL DEFAULT {now})"""
    return [
        created,
        f"INSERT INTO tightened ({ORIGINAL_COLUMNS}) SELECT {ORIGINAL_COLUMNS} FROM processed_tickets",
        "DROP TABLE processed_tickets",
        "ALTER TABLE tightened RENAME TO processed_tickets",
        *INDEXES_OF_THE_ORIGINAL,
    ]
