"""What the product asks of HubSpot: the account, what was created or changed when, and whole tickets."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from jobs.errors import SourceError
from jobs.hubspot.client import HubSpotClient, Json
from jobs.hubspot.merged import MERGED_IDS, ReadRecord, by_asked_id, parse_aliases
from jobs.hubspot.payload import TICKET_PROPERTIES, RecordProperty, is_id, parse_ticket, parse_time
from jobs.ticket import Ticket

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CREATED, CHANGED = "createdate", "hs_lastmodifieddate"
SEARCH_PAGE = 200
SEARCH_BODY = 3_000  # characters; HubSpot refuses longer ones
HOST_NAME = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
READ_BATCH = 100
ASSOCIATION_BATCH = 1_000
PERSON_PROPERTIES = ["firstname", "lastname"]
COMPANY_PROPERTIES = ["name"]


@dataclass(frozen=True, slots=True)
class Account:
    """The portal a token belongs to."""

    portal_id: str
    ui_domain: str

    def ticket_link(self, ticket_id: str) -> str:
        return f"https://{self.ui_domain}/contacts/{self.portal_id}/record/0-5/{ticket_id}"


@dataclass(frozen=True, slots=True)
class FoundTicket:
    """What a search says of a ticket: the creation time is None where the portal gave none.

    ``aliases`` are the tickets that were merged into it.
    """

    ticket_id: str
    created_at: datetime | None
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundPage:
    """One page of a search; ``more`` tells whether to ask again after ``last_id``."""

    tickets: tuple[FoundTicket, ...]
    last_id: str
    more: bool


class HubSpotGateway:
    """Reads of HubSpot in the product's own words. It cannot write: its client knows read paths only."""

    def __init__(
        self,
        client: HubSpotClient,
        *,
        tier: RecordProperty | None = None,
        area: RecordProperty | None = None,
        pipelines: Sequence[str] = (),
    ) -> None:
        self._client, self._tier, self._area = client, tier, area
        self._pipelines = list(pipelines)
        self._account: Account | None = None

    def now(self) -> datetime | None:
        """HubSpot's clock, or None before the first answer."""
        return self._client.now()

    def close(self) -> None:
        self._client.close()

    def fetch_account(self) -> Account:
        """The token's portal, asked once and kept; raises SettingsError for a refused token."""
        if self._account is None:
            self._account = parse_account(self._client.account_details())
        return self._account

    def search_created(self, start: datetime, end: datetime, after_id: str) -> FoundPage:
        """Up to 200 tickets created in [start, end) with an id above ``after_id``, by rising id.

        Paging by id inside a closed window neither skips nor repeats, and meets no 10,000 limit.
        """
        return self._search(CREATED, start, end, after_id)

    def search_changed(self, start: datetime, end: datetime, after_id: str) -> FoundPage:
        """The same of tickets last changed in [start, end).

        One that changes between two pages leaves the window, and is in the one that follows.
        """
        return self._search(CHANGED, start, end, after_id)

    def _search(self, time_property: str, start: datetime, end: datetime, after_id: str) -> FoundPage:
        def body(pipelines: Sequence[str]) -> Json:
            return search_body(time_property, start, end, after_id, pipelines)

        narrowed = body(self._pipelines)
        # What does not fit is asked for without its pipelines, and they are picked here.
        fits = len(json.dumps(narrowed)) <= SEARCH_BODY
        page = parse_page(
            self._client.search("tickets", narrowed if fits else body([])),
            frozenset() if fits else frozenset(self._pipelines),
        )
        if page.more and int(page.last_id) <= int(after_id):
            raise SourceError(
                "HubSpot's search gives the same page again and again; check any proxy between, "
                "nothing was lost, the next run asks again"
            )
        return page

    def fetch_tickets(self, ticket_ids: Sequence[str]) -> dict[str, Ticket]:
        """Whole tickets by the id asked for, with customer and company; ids unknown to HubSpot are left out.

        A merged id gives the ticket that it became, under the id asked for. Five requests for up to 100
        tickets, whatever their number of contacts' repeats. An id that is no number is none of HubSpot's and
        not asked for: it would have the whole batch refused.
        """
        account = self.fetch_account()
        askable = [one for one in dict.fromkeys(ticket_ids) if is_id(one)]
        properties = [*TICKET_PROPERTIES, MERGED_IDS, *self._extra("ticket")]
        tickets = by_asked_id(askable, self._read_all("tickets", askable, properties))
        owners = list(dict.fromkeys(record.record_id for record in tickets.values()))
        people = self._read_first("contacts", owners, [*PERSON_PROPERTIES, *self._extra("contact")])
        companies = self._read_first("companies", owners, [*COMPANY_PROPERTIES, *self._extra("company")])
        return {
            asked: parse_ticket(
                record.record_id,
                {
                    "ticket": record.properties,
                    "contact": people.get(record.record_id),
                    "company": companies.get(record.record_id),
                },
                link=account.ticket_link(asked),
                tier=self._tier,
                area=self._area,
                aliases=parse_aliases(record.record_id, record.properties),
            )
            for asked, record in tickets.items()
        }

    def fetch_merged(self, ticket_ids: Sequence[str]) -> dict[str, FoundTicket]:
        """What each ticket is, or has become, by now: all its parts, and the creation time of the oldest.

        By the id asked for; ids unknown to HubSpot are left out. One request for up to 100.
        """
        askable = [one for one in dict.fromkeys(ticket_ids) if is_id(one)]
        tickets = by_asked_id(askable, self._read_all("tickets", askable, [CREATED, MERGED_IDS]))
        return {asked: found_ticket(one.record_id, one.properties) for asked, one in tickets.items()}

    def _extra(self, record: str) -> list[str]:
        return [one.name for one in (self._tier, self._area) if one is not None and one.record == record]

    def _read_all(self, object_type: str, ids: Iterable[str], properties: list[str]) -> list[ReadRecord]:
        return [
            ReadRecord(id_of(one, "id"), object_of(one, "properties"))
            for batch in batches(ids, READ_BATCH)
            for one in results_of(self._client.batch_read(object_type, batch, properties))
        ]

    def _read_first(self, object_type: str, ticket_ids: list[str], properties: list[str]) -> dict[str, Json]:
        """Each ticket's first associated record of ``object_type``."""
        first: dict[str, str] = {}
        for batch in batches(ticket_ids, ASSOCIATION_BATCH):
            for one in results_of(self._client.batch_associations(object_type, batch)):
                others = objects_of(one, "to")
                # A row without an id is a ticket without a customer, and no reason to tell none of the batch.
                if others and others[0].get("toObjectId"):
                    first[id_of(object_of(one, "from"), "id")] = id_of(others[0], "toObjectId")
        read = self._read_all(object_type, dict.fromkeys(first.values()), properties)
        records = {one.record_id: one.properties for one in read}
        return {ticket: records[record] for ticket, record in first.items() if record in records}


def search_body(
    time_property: str, start: datetime, end: datetime, after_id: str, pipelines: Sequence[str]
) -> Json:
    """Ask for the tickets whose ``time_property`` lies in [start, end); of any pipeline if none is named."""
    filters: list[Json] = [
        {"propertyName": time_property, "operator": "GTE", "value": epoch_ms(start)},
        {"propertyName": time_property, "operator": "LT", "value": epoch_ms(end)},
        {"propertyName": "hs_object_id", "operator": "GT", "value": after_id},
    ]
    if pipelines:
        filters.append({"propertyName": "hs_pipeline", "operator": "IN", "values": list(pipelines)})
    return {
        "filterGroups": [{"filters": filters}],
        "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
        "properties": [CREATED, "hs_pipeline", MERGED_IDS],
        "limit": SEARCH_PAGE,
    }


def parse_account(details: Json) -> Account:
    """Raises SourceError for what cannot make a link: the card would show it."""
    portal_id, ui_domain = str(details.get("portalId")), str(details.get("uiDomain"))
    if not is_id(portal_id) or not HOST_NAME.fullmatch(ui_domain):
        raise SourceError("HubSpot's account details lack portalId or uiDomain; check HUBSPOT_BASE_URL")
    return Account(portal_id, ui_domain)


def parse_page(answer: Json, pipelines: frozenset[str] = frozenset()) -> FoundPage:
    """The page's tickets, of ``pipelines`` only where some are named; one that tells none counts."""
    results = results_of(answer)
    found = tuple(
        found_ticket(id_of(one, "id"), object_of(one, "properties"))
        for one in results
        if not pipelines or object_of(one, "properties").get("hs_pipeline") in (*pipelines, None, "")
    )
    last_id = id_of(results[-1], "id") if results else ""
    return FoundPage(found, last_id, more=bool(results and object_of(answer, "paging").get("next")))


def found_ticket(ticket_id: str, properties: Json) -> FoundTicket:
    created_at, aliases = parse_time(properties.get(CREATED)), parse_aliases(ticket_id, properties)
    return FoundTicket(ticket_id, created_at, aliases)


def results_of(answer: Json) -> list[Json]:
    """An answer without results is no answer: taken for an empty one, it would lose tickets."""
    if answer.get("results") is None:
        raise unexpected()
    return objects_of(answer, "results")


def objects_of(record: Json, name: str) -> list[Json]:
    value = record.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise unexpected()
    return value


def object_of(record: Json, name: str) -> Json:
    value = record.get(name)
    if not isinstance(value, dict | None):
        raise unexpected()
    return value or {}


def id_of(record: Json, name: str) -> str:
    value = str(record.get(name))
    if not is_id(value):
        raise unexpected()
    return value


def unexpected() -> SourceError:
    return SourceError("HubSpot's answer has not the shape of its API; check HUBSPOT_BASE_URL and any proxy")


def epoch_ms(moment: datetime) -> str:
    return str((moment - EPOCH) // timedelta(milliseconds=1))


def batches(ids: Iterable[str], size: int) -> Iterator[list[str]]:
    every = list(ids)
    return (every[at : at + size] for at in range(0, len(every), size))
