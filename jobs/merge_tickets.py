"""Rule 11 at a claim: what HubSpot says of a ticket's merge is settled before anybody is told."""

from jobs.desk import Desk, Handled
from jobs.run_report import Result
from jobs.ticket import Ticket
from models import merges
from models.claims import Claim
from models.merges import Merge
from models.tickets import Source, TicketState


def merge_parts(desk: Desk, taken: Claim, ticket: Ticket | None) -> Handled | None:
    """Settle which ticket of the merge is told; None where it is the claimed one, and the claim goes on.

    For a ticket that was merged, or that others were merged into. Where HubSpot does not know it (``ticket``
    is None), what the ledger knows decides. A part that was or may have been told stays the one that is told,
    by its own id and link; its text is what HubSpot shows of it now, the new ticket's. After a restore a new
    part may have been told: then the claim has ended, and the next one judges its age.
    """
    merge = Merge(taken.ticket_id, ())
    if ticket is not None:
        parts = tuple(dict.fromkeys((*ticket.aliases, taken.ticket_id)))
        others = tuple(one for one in parts if one != ticket.ticket_id)
        merge = Merge(ticket.ticket_id, others, ticket.created_at)
    source = Source(taken.source) if taken.source else Source.POLL
    joined = merges.join_parts(merge, source)
    if joined.survivor == taken.ticket_id:
        return Handled(Result.RETRYING) if joined.released else None
    if taken.ticket_id not in joined.merged:
        return Handled(Result.LOST)
    desk.observations.ticket_settled(state=TicketState.MERGED.value, source=source.value)
    return Handled(Result.MERGED)
