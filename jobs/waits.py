"""What a ticket waits for before its next try, and how long."""

PAUSED = "channel_paused"  #: the error of a ticket that waits for a pause's end
RETRY_SECONDS = (30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)


def backoff_seconds(attempt: int) -> float:
    """By how often it was tried, from 1; 0 is a card that a restore holds, of which no try is known."""
    return RETRY_SECONDS[min(attempt, len(RETRY_SECONDS)) - 1] if attempt else 0.0
