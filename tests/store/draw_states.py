"""Writes the drawn parts of docs/states.md: ``python -m tests.store.draw_states``.

They come from the table of moves, which test_ledger_model.py holds against the real ledger, and from the
sentences beside the members of the enums.
"""

import inspect
import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path

from models.deliveries import DeliveryState
from models.tickets import SkipReason, TicketState
from tests.store.ledger_moves import DELIVERY_MOVES, TICKET_MOVES, Move

DOCUMENT = Path(__file__).parents[2] / "docs" / "states.md"
SENTENCE = re.compile(r'= "([^"]+)"  #: (.+)')
PART = re.compile(r"(<!-- drawn: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def drawn(document: str) -> str:
    """The document as it must be; what stands outside of the marked parts stays."""
    return PART.sub(lambda part: f"{part[1]}\n{PARTS[part[2]]()}\n\n{part[3]}", document)


def picture(moves: Sequence[Move]) -> str:
    """A Mermaid diagram with one arrow from a state to another, however many functions make it."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for move in moves:
        for before, after, made_by in move.each():
            verbs = arrows.setdefault((before or "[*]", after or "[*]"), [])
            verb = made_by.rpartition(".")[2]
            verbs += [] if verb in verbs else [verb]
    lines = [f"    {before} --> {after}: {', '.join(verbs)}" for (before, after), verbs in arrows.items()]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])


def table_of_states(states: type[StrEnum], moves: Sequence[Move]) -> str:
    rows = [[state, sentence, ", ".join(next_states(state, moves))] for state, sentence in sentences(states)]
    return table(["state", "sentence", "next"], rows)


def table_of_reasons() -> str:
    return table(["reason", "sentence"], [[reason, sentence] for reason, sentence in sentences(SkipReason)])


def table_of_moves(moves: Sequence[Move]) -> str:
    rows = [
        [
            ", ".join(before or "(no row)" for before in move.before),
            move.after or "(forgotten)",
            ", ".join(f"`{made_by}`" for made_by in move.made_by),
            move.when,
        ]
        for move in moves
    ]
    return table(["from", "to", "function", "when"], rows)


def sentences(states: type[StrEnum]) -> list[tuple[str, str]]:
    found = SENTENCE.findall(inspect.getsource(states).replace("``", "`"))
    assert [value for value, _ in found] == list(states), f"{states.__name__}: a member without its sentence"
    return found


def next_states(state: str, moves: Sequence[Move]) -> list[str]:
    after = [move.after or "(forgotten)" for move in moves if state in move.before]
    return list(dict.fromkeys(after))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


PARTS: dict[str, Callable[[], str]] = {
    "ticket picture": lambda: picture(TICKET_MOVES),
    "ticket states": lambda: table_of_states(TicketState, TICKET_MOVES),
    "ticket moves": lambda: table_of_moves(TICKET_MOVES),
    "skip reasons": table_of_reasons,
    "delivery picture": lambda: picture(DELIVERY_MOVES),
    "delivery states": lambda: table_of_states(DeliveryState, DELIVERY_MOVES),
    "delivery moves": lambda: table_of_moves(DELIVERY_MOVES),
}


if __name__ == "__main__":
    DOCUMENT.write_text(drawn(DOCUMENT.read_text()))
