"""Everything that can go wrong outside the store, seen at a glance.

TriageError
├── SettingsError            a setting is missing, malformed or refused: exit 2
├── SourceError              HubSpot could not be asked: exit 1, nothing lost
├── ModelError               a model gave no usable answer: the next provider is asked
└── InputError               a file or argument the user gave cannot be used: exit 2

The store's own errors live in ``models.errors``, which imports nothing of ours.
"""


class TriageError(Exception):
    """A fault with one line that says what is wrong, where, and what to do.

    ``permanent`` is True where trying again cannot help. ``retry_after`` is in seconds, if the service
    named a time. The line never holds a secret or a customer's words.
    """

    permanent = False

    def __init__(self, line: str, *, retry_after: float | None = None) -> None:
        super().__init__(line)
        self.retry_after = retry_after


class SettingsError(TriageError):
    permanent = True


class InputError(TriageError):
    permanent = True


class SourceError(TriageError):
    pass


class ModelError(TriageError):
    """``kind`` is a short class for cards and counts: timeout, unreachable, http_503, invalid_answer, ...

    ``asked`` is False where no call was made, so that nothing was heard of the service.
    """

    def __init__(self, line: str, *, kind: str, retry_after: float | None = None, asked: bool = True) -> None:
        super().__init__(line, retry_after=retry_after)
        self.kind, self.asked = kind, asked
