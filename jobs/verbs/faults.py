"""One line and one exit code for whatever ended a command."""

from jobs.errors import TriageError
from models.errors import StoreError

UNREACHED, MISUSED = 1, 2


def line_of(error: Exception) -> str:
    """The fault's own line; of one in our code class and place: its text may hold anything."""
    if isinstance(error, TriageError | StoreError):
        return str(error)
    return f"internal fault: {type(error).__name__} at {place_of(error)}; please report it"


def exit_code_of(error: Exception) -> int:
    """2 for what settings or usage must mend, 1 for what another try may."""
    permanent = isinstance(error, TriageError | StoreError) and error.permanent
    return MISUSED if permanent else UNREACHED


def place_of(error: Exception) -> str:
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    if step is None:
        return "unknown place"
    code = step.tb_frame.f_code
    return f"{code.co_filename.rsplit('/', 1)[-1]}:{step.tb_lineno} {code.co_name}"
