"""When a look or a person last decided that a card is not there: what a restored database cannot know."""

from typing import Any


def up(migrator: Any, db: Any) -> None:
    on_postgres = type(migrator).__name__.startswith("Postgres")
    column = f"decided_at {'timestamptz(3)' if on_postgres else 'text'}"
    db.execute_sql(f"ALTER TABLE deliveries ADD COLUMN {column}")


def down(migrator: Any, db: Any) -> None:
    db.execute_sql("ALTER TABLE deliveries DROP COLUMN decided_at")
