"""A check message stays within what Discord takes, however many parts its tickets have."""

from jobs.name_held_tickets import TICKETS_A_MESSAGE, check_message

CHARACTERS_OF_A_MESSAGE = 2_000
FIRST_ID = 98_765_432_100_000


def link_of(ticket_id: str) -> str:
    return f"https://app-eu1.hubspot.com/contacts/1234567890/record/0-5/{ticket_id}"


def test_a_full_message_is_short_enough() -> None:
    ids = [str(FIRST_ID + one) for one in range(9 * TICKETS_A_MESSAGE)]
    parts = {ids[at]: ids[at + 1 : at + 9] for at in range(0, len(ids), 9)}
    assert len(parts) == TICKETS_A_MESSAGE
    message = check_message(parts, link_of)
    assert message.count(", others") == TICKETS_A_MESSAGE
    assert len(message) <= CHARACTERS_OF_A_MESSAGE
