"""docs/states.md is what the table of moves and the enums say."""

from tests.store.draw_states import DOCUMENT, PARTS, drawn


def test_the_document_is_what_would_be_drawn() -> None:
    document = DOCUMENT.read_text()
    assert document == drawn(document), "run: python -m tests.store.draw_states"
    assert all(f"<!-- drawn: {part} -->" in document for part in PARTS)
