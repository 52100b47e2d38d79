"""Which tickets a record stands for: HubSpot makes a new record of those it merges, and their ids lead there.

https://developers.hubspot.com/changelog/announcement-deals-now-support-merging says it of deals: of A and B
comes C, a read of A answers with C and its id, and associations are known by C's id alone. A record's
``hs_merged_object_ids`` names all that became part of it, of earlier merges too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jobs.hubspot.payload import is_id

MERGED_IDS = "hs_merged_object_ids"


@dataclass(frozen=True, slots=True)
class ReadRecord:
    """A record of a batch read, under its own id, which may not be the one that was asked for."""

    record_id: str
    properties: dict[str, Any]


def parse_aliases(record_id: str, properties: Mapping[str, Any]) -> tuple[str, ...]:
    """The ids of the tickets that became part of this one, each once; what is no id is left out."""
    told = (one.strip() for one in str(properties.get(MERGED_IDS) or "").split(";"))
    return tuple(dict.fromkeys(one for one in told if is_id(one) and one != record_id))


def by_asked_id(asked: Iterable[str], records: Iterable[ReadRecord]) -> dict[str, ReadRecord]:
    """The record that each id leads to; ids that HubSpot does not know are left out.

    Where A and what it became were both asked for, HubSpot may answer with the one record once.
    """
    by_id = {one.record_id: one for one in records}
    became = {alias: one for one in by_id.values() for alias in parse_aliases(one.record_id, one.properties)}
    found = {one: by_id.get(one) or became.get(one) for one in asked}
    return {one: record for one, record in found.items() if record is not None}
