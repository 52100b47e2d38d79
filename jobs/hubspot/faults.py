"""What can go wrong between us and HubSpot, each in one line without a word of what was sent or answered."""

import urllib3

from jobs.errors import SettingsError, SourceError

SCOPE_OF = {
    "tickets": "tickets",
    "contacts": "crm.objects.contacts.read",
    "companies": "crm.objects.companies.read",
}
SCOPES = ", ".join(SCOPE_OF.values())


class Refused(Exception):
    """HubSpot answered ``status``; unlike the library's exceptions it holds no body, header or token."""

    def __init__(self, status: int, retry_after: float | None) -> None:
        super().__init__(status)
        self.status, self.retry_after = status, retry_after


class Unreadable(Exception):
    """The answer was no JSON object; unlike a JSONDecodeError it does not hold the answer."""


class NoSuchResource(SourceError):
    """404: a wrong address, or nothing of that name."""


def scope_of(object_type: str) -> str:
    """The scope that reads of the type need, or all where it is not one of ours."""
    return SCOPE_OF.get(object_type, SCOPES)


def translated(error: Exception, scopes: str = SCOPES) -> SettingsError | SourceError:
    """One line for what came of a call, without a word of it."""
    if isinstance(error, Refused):
        return refusal_line(error, scopes)
    if isinstance(error, urllib3.exceptions.HTTPError):
        return SourceError(
            f"HubSpot could not be reached ({reason_of(error)}); check the network and HUBSPOT_BASE_URL, "
            "nothing was lost, the next run asks again"
        )
    if isinstance(error, Unreadable):
        return SourceError("HubSpot's answer was not JSON; check HUBSPOT_BASE_URL and any proxy between")
    if isinstance(error, ValueError):
        return SettingsError(
            "HUBSPOT_ACCESS_TOKEN: holds a character that no request can carry; set it again"
        )
    return SourceError(f"asking HubSpot failed ({type(error).__name__}); please report this")


def refusal_line(error: Refused, scopes: str) -> SettingsError | SourceError:
    match error.status:
        case 401:
            return SettingsError(
                "HUBSPOT_ACCESS_TOKEN: HubSpot refuses the token (401); create a new service key and set it"
            )
        case 403:
            return SettingsError(
                "HUBSPOT_ACCESS_TOKEN: the token may not read this (403); give its key the scopes " + scopes
            )
        case 429:
            line = (
                "HubSpot limits this account's requests (429) and did not let up; other integrations share "
                "the limit, try again later"
            )
        case 404:
            return NoSuchResource("HubSpot answered 404, as a wrong address does; check HUBSPOT_BASE_URL")
        case status if 300 <= status < 400:
            line = f"HubSpot answered {status}, as a wrong address does; check HUBSPOT_BASE_URL"
        case status:
            line = f"HubSpot answered {status}; nothing was lost, the next run asks again"
    return SourceError(line, retry_after=error.retry_after)


def reason_of(error: Exception) -> str:
    """The class of the deepest fault; its text may hold what the user did not mean to show."""
    cause = getattr(error, "reason", None)
    return type(cause if isinstance(cause, Exception) else error).__name__
