"""What a browser is told when something fails: one line, never a traceback or a value."""

from flask import Flask, render_template
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from jobs.verbs.faults import line_of
from jobs.verbs.printing import remark
from models.errors import QuestionRefused, StoreError

LINES = {
    400: "This request cannot be read.",
    403: "This was not sent from a page of this browser session; open the page again.",
    404: "There is no such page.",
    405: "This cannot be changed here.",
    421: "The data browser answers to this machine's own names only.",
}
UNKNOWN = "Something failed; the console has a line about it."
UNAVAILABLE = {"Retry-After": "5"}


def add_fault_pages(app: Flask) -> None:
    app.register_error_handler(HTTPException, show_refusal)
    app.register_error_handler(StoreError, show_store_fault)
    app.register_error_handler(Exception, show_unknown)


def show_refusal(error: HTTPException) -> ResponseReturnValue:
    status = error.code or 500
    return page(LINES.get(status, UNKNOWN), status)


def show_store_fault(error: StoreError) -> ResponseReturnValue:
    if isinstance(error, QuestionRefused):
        return page(str(error), 400)
    remark(str(error))
    return page(str(error), 503)


def show_unknown(error: Exception) -> ResponseReturnValue:
    remark(line_of(error))
    return page(UNKNOWN, 500)


def page(line: str, status: int) -> ResponseReturnValue:
    headers = UNAVAILABLE if status == 503 else {}
    return render_template("studio/fault.html", line=line, status=status), status, headers
