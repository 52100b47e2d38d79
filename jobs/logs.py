"""Log lines: JSON on stderr, a constant message with ids and counts as fields, never anybody's words."""

import json
import logging
import sys
from datetime import UTC, datetime

STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "taskName"}


class JsonLines(logging.Formatter):
    """One object a line. Of an exception only the class is written: its text may hold anything."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.msg,
        }
        line |= {name: value for name, value in vars(record).items() if name not in STANDARD}
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
        return json.dumps(line, default=str)


def start_logging(level: str) -> None:
    """Send our own lines to stderr; those of the libraries go nowhere, since they hold URLs with secrets."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.getLogger().handlers = [logging.NullHandler()]
    ours = logging.getLogger("triage")
    ours.handlers, ours.propagate = [handler], False
    ours.setLevel(level)
