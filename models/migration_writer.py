"""New migration files: named by UTC time, empty or from the difference between models and database."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playhouse.migrations import template
from playhouse.schema_diff import diff_models

from models.errors import MigrationFailed
from models.schema_drift import MODELS

LONGEST_NAME = 60
SKELETON = '''"""{words}"""

from typing import Any


def up(migrator: Any, db: Any) -> None:
    db.execute_sql("...")


def down(migrator: Any, db: Any) -> None:
    db.execute_sql("...")
'''


def write_migration(folder: Path, name: str, now: datetime, database: Any | None = None) -> Path | None:
    """Write the file and return its path; with ``database`` what models and database differ in.

    None where they do not differ. Raises MigrationFailed for a name of no letters, a file that is there, and
    a folder that takes none.
    """
    slug = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:LONGEST_NAME]
    if not re.search("[a-z]", slug):
        raise MigrationFailed("NAME: has no letters; write a few words, such as add_team_column")
    body = SKELETON.format(words=f"{slug.replace('_', ' ').capitalize()}.")
    if database is not None:
        difference = diff_models(database, MODELS)
        if not difference:
            return None
        body = template(difference)
    path = folder / f"{max(int(f'{now.astimezone(UTC):%Y%m%d%H%M%S}'), newest_stamp(folder) + 1)}_{slug}.py"
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(body)
    except FileExistsError:
        raise MigrationFailed(f"{path.name} is there already; try again in a second") from None
    except OSError as error:
        raise MigrationFailed(f"{folder} takes no file ({type(error).__name__}); check its rights") from None
    return path


def newest_stamp(folder: Path) -> int:
    """A new file comes after all others, also where one is dated ahead."""
    return max((int(file.name[:14]) for file in folder.glob("[0-9]" * 14 + "_*.py")), default=0)
