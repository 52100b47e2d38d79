"""Places in a text."""

from collections.abc import Iterable, Iterator

Span = tuple[int, int]  #: start and end, as slices take them


def merge_spans(spans: Iterable[Span]) -> Iterator[Span]:
    """In order, those that overlap made one, empty ones left out."""
    first, last = -1, -1
    for start, end in sorted(spans):
        if start >= last:
            if last > first:
                yield first, last
            first, last = start, end
        last = max(last, end)
    if last > first:
        yield first, last
