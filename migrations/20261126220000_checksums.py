"""A checksum of each applied file, so that ``migrate verify`` sees one that was edited afterwards."""

from typing import Any


def up(migrator: Any, db: Any) -> None:
    db.execute_sql("ALTER TABLE schema_migration ADD COLUMN checksum varchar(64)")


def down(migrator: Any, db: Any) -> None:
    db.execute_sql("ALTER TABLE schema_migration DROP COLUMN checksum")
