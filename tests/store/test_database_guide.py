"""docs/database.md is true: its queries run, and what it names is there."""

import re
from pathlib import Path

import pytest

from models.database import connection, database, on_postgres
from tests.store.conftest import Ledger

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "database.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"```sql\n(.*?)```", GUIDE, re.DOTALL)


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.splitlines()[0])
def test_every_query_of_the_guide_runs_and_finds_the_ledgers_rows(ledger: Ledger, query: str) -> None:
    if not on_postgres():
        pytest.skip("the guide's queries are PostgreSQL's")
    ledger.sending("1")
    ledger.edit(
        "1", state="notified", provider="rules", success=False, processed_at="2020-01-01 00:00:00+00:00"
    )
    ledger.find("2")
    with connection():
        assert database.execute_sql(query).fetchall()


def test_the_tests_and_files_that_the_guide_names_are_there() -> None:
    tests = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert set(re.findall(r"`(test_\w+\.py)`", GUIDE)) <= tests
    assert all((ROOT / "docs" / name).exists() for name in re.findall(r"\]\(([\w-]+\.md)\)", GUIDE))
