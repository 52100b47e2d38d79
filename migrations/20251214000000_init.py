"""The ledger as the original left it: the same columns, defaults and indexes."""

from typing import Any

POSTGRES = (
    """
    CREATE TABLE processed_tickets (
        id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
        ticket_id varchar(255) NOT NULL,
        processed_at timestamptz(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
        provider varchar(50) NOT NULL,
        success boolean NOT NULL DEFAULT true,
        created_at timestamptz(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
        updated_at timestamptz(3) NOT NULL DEFAULT CURRENT_TIMESTAMP)""",
    "CREATE UNIQUE INDEX processed_tickets_ticket_id_key ON processed_tickets (ticket_id)",
    "CREATE INDEX idx_processed_at ON processed_tickets (processed_at)",
    "CREATE INDEX idx_provider ON processed_tickets (provider)",
)
NOW = "(strftime('%Y-%m-%d %H:%M:%f+00:00', 'now'))"
SQLITE = (
    f"""
    CREATE TABLE processed_tickets (
        id text NOT NULL PRIMARY KEY,
        ticket_id varchar(255) NOT NULL,
        processed_at text NOT NULL DEFAULT {NOW},
        provider varchar(50) NOT NULL,
        success smallint NOT NULL DEFAULT 1,
        created_at text NOT NULL DEFAULT {NOW},
        updated_at text NOT NULL DEFAULT {NOW})""",
    *POSTGRES[1:],
)


def up(migrator: Any, db: Any) -> None:
    on_postgres = type(migrator).__name__.startswith("Postgres")
    for statement in POSTGRES if on_postgres else SQLITE:
        db.execute_sql(statement)


def down(migrator: Any, db: Any) -> None:
    db.execute_sql("DROP TABLE processed_tickets")
