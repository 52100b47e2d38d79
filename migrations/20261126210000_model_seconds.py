"""How long the models took for the answers that an hour counts."""

from typing import Any


def up(migrator: Any, db: Any) -> None:
    real = "double precision" if type(migrator).__name__.startswith("Postgres") else "real"
    db.execute_sql(f"ALTER TABLE hourly_counts ADD COLUMN model_seconds {real} NOT NULL DEFAULT 0")


def down(migrator: Any, db: Any) -> None:
    db.execute_sql("ALTER TABLE hourly_counts DROP COLUMN model_seconds")
