"""The ledger against a plain model, on both databases: the model says what must be, the rules what may be.

``LEDGER_EXAMPLES=5000 pytest tests/store/test_ledger_model.py`` runs long, with other examples each time.
"""

import os

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from models.database import connection, database, on_postgres
from tests.store.ledger_machine import KNOWN, SEEN
from tests.store.ledger_rules import LedgerMachine
from tests.store.ledger_stories import STORIES, begun
from tests.store.ledger_stories_held import HELD_STORIES
from tests.store.ledger_stories_parts import PARTS_STORIES
from tests.store.ledger_stories_restored import RESTORED_STORIES

GIVEN = int(os.environ.get("LEDGER_EXAMPLES", "0"))
SETTINGS = settings(
    max_examples=GIVEN or 80,
    stateful_step_count=50,
    derandomize=not GIVEN,
    database=None,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


def test_the_ledger_does_what_its_plain_model_does(store_url: str) -> None:
    SEEN.clear()
    with connection():
        spare_the_disk()
        for story in (*STORIES, *HELD_STORIES, *RESTORED_STORIES, *PARTS_STORIES):
            story(begun())
        run_state_machine_as_test(LedgerMachine, settings=SETTINGS)
    assert set(SEEN) == KNOWN, "in the table of moves and never seen"


def spare_the_disk() -> None:
    """The machine's power is not part of this: half of the time would go into waiting for the disk."""
    if not on_postgres():
        database.execute_sql("PRAGMA synchronous = OFF")
