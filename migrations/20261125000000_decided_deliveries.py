"""When a look or a person last decided that a card is not there, and which tickets are part of another.

The first is what a restored database cannot know; the second is what retention asks of each ticket that it
would forget. Merge events that waited for a rule of merges are drained by it now.
"""

from typing import Any

MERGED_INDEX = (
    "CREATE INDEX processed_tickets_merged_into ON processed_tickets (merged_into) "
    "WHERE merged_into IS NOT NULL"
)
WAITED_FOR_THE_RULE = (
    "UPDATE webhook_inbox SET set_aside_at = NULL, last_error = NULL "
    "WHERE event_type = 'merge' AND last_error = 'kept for the merge rule'"
)


def up(migrator: Any, db: Any) -> None:
    on_postgres = type(migrator).__name__.startswith("Postgres")
    column = f"decided_at {'timestamptz(3)' if on_postgres else 'text'}"
    db.execute_sql(f"ALTER TABLE deliveries ADD COLUMN {column}")
    db.execute_sql(MERGED_INDEX)
    db.execute_sql(WAITED_FOR_THE_RULE)


def down(migrator: Any, db: Any) -> None:
    db.execute_sql("DROP INDEX processed_tickets_merged_into")
    db.execute_sql("ALTER TABLE deliveries DROP COLUMN decided_at")
