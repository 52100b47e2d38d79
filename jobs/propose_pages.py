"""What poll and sweep share: a look over a closed window of times, page by page, under the source's lease."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from jobs.hubspot.gateway import FoundPage, HubSpotGateway
from models import cursors, merges, proposals
from models.database import read_clock
from models.merges import Joined, Merge
from models.proposals import Proposal, Proposed
from models.tickets import Source

#: One of the gateway's searches: start, end and the id to go on after.
Search = Callable[[datetime, datetime, str], FoundPage]


def never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Look:
    """Who looks over [start, end). The source's lease has its name, and so has its cursor."""

    source: Source
    owner: str
    lease_seconds: float
    start: datetime
    end: datetime


@dataclass(slots=True)
class Looked:
    """``shown`` counts tickets that the search gave, known ones too; ``found`` the new ones of them.

    ``merged`` are open ones that became part of what the search gave, or of what that is part of.

    ``completed``: the last page is stored, and the cursor with it, as far as it was behind. ``skipped`` is
    True where another process looks: it held the lease, or took it over meanwhile. Neither of both: it was
    stopped, or a clock is so far behind that nothing is to look at.
    """

    found: int = 0
    reopened: int = 0
    beyond_memory: int = 0
    merged: int = 0
    shown: int = 0
    searches: int = 0
    completed: bool = False
    skipped: bool = False

    def count(self, page: FoundPage, proposed: Proposed, joined: Sequence[Joined]) -> None:
        self.found += proposed.found
        self.reopened += proposed.reopened + sum(one.reopened for one in joined)
        self.beyond_memory += proposed.beyond_memory
        self.merged += sum(len(one.merged) for one in joined)
        self.shown += len(page.tickets)
        self.searches += 1


def propose_pages(look: Look, search: Search, stop: Callable[[], bool] = never) -> Looked:
    """Propose every ticket of the window as its page comes, and raise the cursor with the last page.

    Ends early, with what it proposed kept and the cursor where it was, when ``stop`` says so between two
    pages or another process took the lease. Raises what the search raises; calling again is safe.
    """
    looked = Looked()
    for page in pages_between(search, look.start, look.end):
        # A slow answer may have outlasted the lease: without it the cursor must not move, nor stand still.
        held = cursors.take_lease(look.source.value, look.owner, look.lease_seconds)
        looked.count(page, propose_page(look, page), join_page(page, look.source))
        looked.skipped, looked.completed = not held, held and not page.more
        if looked.skipped or (page.more and stop()):
            break
    return looked


def propose_page(look: Look, page: FoundPage) -> Proposed:
    given = [Proposal(one.ticket_id, one.created_at) for one in page.tickets]
    if page.more:
        return proposals.propose(given, look.source)
    return proposals.propose_last(given, look.source, look.owner, look.end, look.start)


def join_page(page: FoundPage, source: Source) -> list[Joined]:
    """Rule 11 for what the page shows as merged, after the page was proposed.

    A crash between the two loses nothing: whoever reads an open part does the same.
    """
    shown = [Merge(one.ticket_id, one.aliases, one.created_at) for one in page.tickets if one.aliases]
    return merges.join_shown(shown, source) if shown else []


def pages_between(search: Search, start: datetime, end: datetime) -> Iterator[FoundPage]:
    """The pages of the closed window [start, end), by rising id; none if the window is empty."""
    after_id, more = "0", start < end
    while more:
        page = search(start, end, after_id)
        more = page.more
        after_id = page.last_id if more else after_id
        yield page


def upper_bound(gateway: HubSpotGateway, now: Callable[[], datetime]) -> datetime:
    """The least of the worker's, the database's and HubSpot's clock: none may run ahead of the others."""
    gateway.fetch_account()  # asked once and kept: before the first answer HubSpot's clock is unknown
    hubspot_now = gateway.now()
    clocks = [now(), read_clock()] + ([hubspot_now] if hubspot_now else [])
    return min(clocks)
