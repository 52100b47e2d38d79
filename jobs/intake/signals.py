"""What was taken out of a ticket's texts, as counts: what a later judge may be wary of."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Signals:
    """Counts by kind, over all texts of one ticket; they quote nobody.

    ``hidden_text``: pieces of text that a mail program would not show, or that are white on a ground which
    only a style sheet could tell; the latter stay in the text. ``invisible_characters``: places where
    invisible characters hid something, such as words spelled in Unicode tags; what mails contain honestly
    (joined emoji, soft hyphens, marks of direction) is taken out and not counted. ``control_tokens``: what a
    model's chat template would read as a turn. ``oversized``: texts that were cut. ``too_deep``: mails whose
    tags were taken away without a tree. ``failed``: steps that raised, which is a fault of ours; their text
    went through the plain scan.
    """

    hidden_text: int = 0
    invisible_characters: int = 0
    control_tokens: int = 0
    oversized: int = 0
    too_deep: int = 0
    failed: int = 0

    def __add__(self, other: "Signals") -> "Signals":
        return Signals(*(getattr(self, kind.name) + getattr(other, kind.name) for kind in fields(self)))

    def __bool__(self) -> bool:
        return any(getattr(self, kind.name) for kind in fields(self))
