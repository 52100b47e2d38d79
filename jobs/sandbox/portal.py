"""The simulated portal's records: tickets, contacts, companies and who belongs to whom."""

import threading
import time
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter

Properties = dict[str, str | None]

_STANDARD = "createdate hs_object_id"
DEFAULTS = {
    "tickets": f"{_STANDARD} hs_lastmodifieddate content hs_pipeline hs_pipeline_stage hs_ticket_category "
    "hs_ticket_priority subject",
    "contacts": f"{_STANDARD} lastmodifieddate email firstname lastname",
    "companies": f"{_STANDARD} hs_lastmodifieddate domain name",
}
OTHERS = {
    "tickets": "hs_merged_object_ids hubspot_owner_id source_type closed_date",
    "contacts": "company phone",
    "companies": "industry phone",
}
ALWAYS = {name: [p for p in text.split() if p.endswith(("date", "_id"))] for name, text in DEFAULTS.items()}


@dataclass(slots=True)
class Record:
    """One object; times are epoch milliseconds, except ``indexed_at`` in epoch seconds.

    ``indexed_at`` is when the portal learned of it, which a back-dated ``created_ms`` does not show.
    """

    record_id: int
    created_ms: int
    modified_ms: int
    indexed_at: float
    properties: Properties = field(default_factory=dict)
    archived: bool = False


by_id = attrgetter("record_id")


@lru_cache(maxsize=4_096)
def to_iso(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


class Collection:
    """The records of one type, in the order of their ids."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.records: list[Record] = []
        self.known = {*DEFAULTS[name].split(), *OTHERS[name].split()}
        self._by_id: dict[int, Record] = {}

    def add(self, record: Record) -> None:
        """Raises ValueError if the id is taken."""
        if record.record_id in self._by_id:
            raise ValueError(f"there is already a record {record.record_id} among the {self.name}")
        self._by_id[record.record_id] = record
        self.known.update(record.properties)
        insort(self.records, record, key=by_id)

    def remove(self, record: Record) -> None:
        """Takes it out of search and reads for good."""
        del self._by_id[record.record_id]
        del self.records[bisect_left(self.records, record.record_id, key=by_id)]

    def find(self, record_id: int) -> Record | None:
        return self._by_id.get(record_id)

    def properties(self, record: Record, wanted: Iterable[str]) -> Properties:
        """As HubSpot returns them: nothing wanted gives its defaults, a misspelt name gives nothing."""
        names = [*ALWAYS[self.name], *wanted] if wanted else DEFAULTS[self.name].split()
        computed = self._computed(record)
        return {n: computed.get(n, record.properties.get(n)) for n in sorted(set(names)) if n in self.known}

    def _computed(self, record: Record) -> Properties:
        modified = "lastmodifieddate" if self.name == "contacts" else "hs_lastmodifieddate"
        return {
            "createdate": to_iso(record.created_ms),
            modified: to_iso(record.modified_ms),
            "hs_object_id": str(record.record_id),
        }


class Portal:
    """Everything the simulated account holds; ids are digits in a string.

    Changes take ``lock``; hold it too around reads that belong together. ``created_at`` is aware and may be
    back-dated; without it, it is now. A ticket that is not there, or was merged, is a KeyError.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.collections = {name: Collection(name) for name in DEFAULTS}
        self.aliases: dict[int, int] = {}
        self._associated: dict[tuple[int, str], list[int]] = defaultdict(list)
        self._last_id = 41_000_000_000

    def add_ticket(
        self,
        subject: str | None = "A question",
        content: str | None = "",
        *,
        ticket_id: str | None = None,
        created_at: datetime | None = None,
        contact: str | None = None,
        company: str | None = None,
        **properties: str | None,
    ) -> str:
        pipeline: Properties = {"hs_pipeline": "0", "hs_pipeline_stage": "1"}
        values = pipeline | {"subject": subject, "content": content} | properties
        with self.lock:
            added = self._add("tickets", values, ticket_id, created_at)
            self.associate(added, contact=contact, company=company)
        return added

    def add_many(
        self, count: int, *, created_at: datetime | None = None, subject: str = "Import", content: str = "x"
    ) -> list[str]:
        """Tickets of one and the same millisecond, as an import leaves them."""
        moment = created_at or self._now()
        return [self.add_ticket(f"{subject} {n}", content, created_at=moment) for n in range(count)]

    def add_contact(self, *, contact_id: str | None = None, **properties: str | None) -> str:
        return self._add("contacts", properties, contact_id)

    def add_company(self, *, company_id: str | None = None, **properties: str | None) -> str:
        return self._add("companies", properties, company_id)

    def associate(self, ticket_id: str, *, contact: str | None = None, company: str | None = None) -> None:
        """Adds to what the ticket already has; HubSpot often does it seconds after creation."""
        with self.lock:
            for kind, other in (("contacts", contact), ("companies", company)):
                if other is not None and int(other) not in self.associated(int(ticket_id), kind):
                    self._associated[self.resolve(int(ticket_id)), kind].append(int(other))

    def touch(self, ticket_id: str, **properties: str | None) -> None:
        """Changes properties, or nothing but the time of the last change."""
        with self.lock:
            record = self._ticket(ticket_id)
            record.modified_ms = int(self.clock() * 1000)
            record.properties.update(properties)
            self.collections["tickets"].known.update(properties)

    def archive(self, ticket_id: str) -> None:
        with self.lock:
            self._ticket(ticket_id).archived = True

    def restore(self, ticket_id: str) -> None:
        """Takes an archived ticket out of the bin."""
        with self.lock:
            self._ticket(ticket_id).archived = False

    def merge(self, primary_id: str, other_id: str) -> str:
        """HubSpot's merge makes a third ticket: the primary's values, the older createdate.

        The two leave search; reading either of their ids, or of tickets merged into them, gives the third.
        """
        with self.lock:
            primary, other = self._ticket(primary_id), self._ticket(other_id)
            merged = ";".join([*self._merged_ids(primary), *self._merged_ids(other)])
            values = primary.properties | {"hs_merged_object_ids": merged}
            oldest = datetime.fromtimestamp(min(primary.created_ms, other.created_ms) / 1000, UTC)
            survivor = self._add("tickets", values, None, oldest)
            for record in (primary, other):
                self._absorb(record, survivor)
        return survivor

    def resolve(self, ticket_id: int) -> int:
        """The id that a merged one lives on under; any other is its own."""
        while ticket_id in self.aliases:
            ticket_id = self.aliases[ticket_id]
        return ticket_id

    def associated(self, ticket_id: int, kind: str) -> list[int]:
        return list(self._associated.get((self.resolve(ticket_id), kind), ()))

    def visible_tickets(self, lag_seconds: float = 0.0) -> Iterator[Record]:
        """What search may show, in the order of ids: neither archived nor younger than the index."""
        newest = self.clock() - lag_seconds if lag_seconds else float("inf")
        records = self.collections["tickets"].records
        return (r for r in records if not r.archived and r.indexed_at <= newest)

    def _absorb(self, record: Record, survivor: str) -> None:
        for kind in ("contacts", "companies"):
            for other in self.associated(record.record_id, kind):
                key = "contact" if kind == "contacts" else "company"
                self.associate(survivor, **{key: str(other)})
        self.collections["tickets"].remove(record)
        self.aliases[record.record_id] = int(survivor)

    def _merged_ids(self, record: Record) -> list[str]:
        earlier = record.properties.get("hs_merged_object_ids")
        return [*(earlier.split(";") if earlier else []), str(record.record_id)]

    def _ticket(self, ticket_id: str) -> Record:
        record = self.collections["tickets"].find(int(ticket_id))
        if record is None:
            raise KeyError(f"there is no ticket {ticket_id}")
        return record

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.clock(), UTC)

    def _add(
        self, kind: str, values: Properties, record_id: str | None, created_at: datetime | None = None
    ) -> str:
        with self.lock:
            now = self.clock()
            created_ms = round((created_at.timestamp() if created_at else now) * 1e6) // 1000
            number = self._last_id + 1 if record_id is None else int(record_id)
            self._last_id = max(self._last_id, number)
            modified_ms = max(created_ms, int(now * 1000))
            self.collections[kind].add(Record(number, created_ms, modified_ms, now, dict(values)))
        return str(number)
