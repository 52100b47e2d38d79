"""``python -m tests.store.draw_migration_history``: docs/migration-history.md from the migration files."""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docs" / "migration-history.md"
HEAD = """\
# Migration history

Generated from `migrations/` by `python -m tests.store.draw_migration_history`; a test keeps it so.

| migration | date | what it does | tables | back |
|---|---|---|---|---|
"""
_TABLE = re.compile(
    r"(?:CREATE TABLE|ALTER TABLE|UPDATE|INSERT INTO|DELETE FROM| ON) \"?([a-z_]+)\"? ?[(\sA-Z]"
)
TEMPORARY = {"loosened", "tightened"}


def draw() -> str:
    return HEAD + "".join(row(file) for file in sorted((ROOT / "migrations").glob("[0-9]*.py")))


def row(file: Path) -> str:
    text = file.read_text(encoding="utf-8")
    words = (ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0].replace("\n", " ")
    stamp = file.stem[:8]
    tables = sorted(set(_TABLE.findall(text)) - TEMPORARY)
    back = "yes" if "def down(" in text else "no"
    date = f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:]}"
    return f"| {file.stem} | {date} | {words} | {', '.join(tables)} | {back} |\n"


if __name__ == "__main__":
    FILE.write_text(draw(), encoding="utf-8")
    sys.exit(0)
