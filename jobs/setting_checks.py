"""What ``.env`` and one setting in it may look like: a check turns text into a value or says what is wrong.

A check raises ValueError with the words that follow the setting's name in the message. The words quote the
value only through ``_not``, so no secret can get into them.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from dotenv.parser import Binding, parse_stream
from pydantic import BeforeValidator, SecretStr

from jobs.errors import SettingsError

# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-SSLMODE
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

# The original's URLs may carry these; libpq refuses a connection over any name it does not know.
PRISMA_OPTIONS = ("schema", "connection_limit", "pool_timeout", "socket_timeout", "pgbouncer", "sslaccept")

LEAST_ADMIN_TOKEN = 16

UNENCODED = (
    "has a character in its user or password that must be percent-encoded "
    "(@ as %40, / as %2F, # as %23, ? as %3F, % as %25, a space as %20, in UTF-8)"
)


@dataclass(frozen=True, slots=True)
class CrmProperty:
    """A HubSpot property, by its internal name, on the ticket or on what is attached to it."""

    object: Literal["ticket", "contact", "company"]
    name: str


@dataclass(frozen=True, slots=True, repr=False)
class EnvLine:
    """A statement in ``.env``; ``name`` is in lower case, ``value`` None where the line is not NAME=value."""

    number: int
    name: str
    value: str | None


def read_env_file(path: Path) -> list[EnvLine]:
    """Values are taken as they stand, without ``${...}``: a password may hold one. No file is no fault."""
    try:
        bindings = list(parse_stream(StringIO(path.read_text(encoding="utf-8-sig"))))
    except (FileNotFoundError, IsADirectoryError):
        return []
    except OSError as exc:
        wrong = f"cannot be read ({type(exc).__name__}); write it anew or mend its rights"
    except UnicodeDecodeError:
        wrong = "is not UTF-8 text; write it again as UTF-8"
    else:
        return [_env_line(binding) for binding in bindings if binding.key or binding.error]
    raise SettingsError(f"{path}: {wrong}")


def _env_line(binding: Binding) -> EnvLine:
    # dotenv counts from the blank lines before a statement
    text = binding.original.string
    blank_lines = text[: len(text) - len(text.lstrip())].count("\n")
    return EnvLine(binding.original.line + blank_lines, (binding.key or "").lower(), binding.value)


def _not(value: str) -> str:
    """Quote only what cannot be a token pasted into the wrong line: a short word or a number with a unit."""
    harmless = re.fullmatch(r"[A-Za-z]{1,12}|[-+]?[0-9.,:]{1,8}[A-Za-z%]{0,3}", value)
    return f", not {value}" if harmless else ""


def whole(low: int, high: int) -> BeforeValidator:
    def check(value: str) -> int:
        if re.fullmatch(r"[0-9]{1,9}", value) and low <= int(value) <= high:
            return int(value)
        raise ValueError(f"must be a whole number from {low} to {high}{_not(value)}")

    return BeforeValidator(check)


def decimal(low: float, high: float, words: str) -> BeforeValidator:
    def check(value: str) -> float:
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value) and low <= float(value) <= high:
            return float(value)
        raise ValueError(f"must be {words}{_not(value)}")

    return BeforeValidator(check)


def choice(*allowed: str) -> BeforeValidator:
    """Capitals do not matter in what is written; the attribute has them as in ``allowed``."""
    known = {word.casefold(): word for word in allowed}

    def check(value: str) -> str:
        if value.casefold() in known:
            return known[value.casefold()]
        raise ValueError(f"must be {' or '.join(allowed)}{_not(value)}")

    return BeforeValidator(check)


def pattern(form: str, wrong: str) -> BeforeValidator:
    def check(value: str) -> str:
        if re.fullmatch(form, value):
            return value
        raise ValueError(wrong)

    return BeforeValidator(check)


def check_token(value: str) -> str:
    """Tokens travel in HTTP headers, which take neither spaces nor letters outside ASCII."""
    if value.isascii() and " " not in value:
        return value
    raise ValueError("holds a space or a letter outside ASCII, so it is not the token alone")


def check_admin_token(value: str) -> str:
    if len(value) >= LEAST_ADMIN_TOKEN:
        return check_token(value)
    raise ValueError(f"has fewer than {LEAST_ADMIN_TOKEN} characters, so it can be guessed")


def split_tokens(value: str) -> tuple[str, ...]:
    return tuple(check_token(token) for token in _split(value))


def split_pipelines(value: str) -> tuple[str, ...]:
    ids = _split(value)
    if all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", one) for one in ids):
        return ids
    raise ValueError("must be pipeline ids with commas between them")


def _split(value: str) -> tuple[str, ...]:
    parts = tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
    if not parts:
        raise ValueError("holds nothing but commas")
    return parts


def check_address(value: str) -> str:
    """Any http(s) URL with any host and path, as it was written."""
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or " " in value:
        raise ValueError("is not a URL that begins with http:// or https:// and names a host")
    return value


def check_base_url(value: str) -> str:
    """Like check_address, without trailing slashes, so that paths can be appended."""
    address = check_address(value)
    return address if urlsplit(address).query else address.rstrip("/")


def parse_crm_property(value: str) -> CrmProperty:
    match value.partition("."):
        case ("ticket" | "contact" | "company") as kind, ".", name if re.fullmatch(
            r"[\w-]{1,100}", name, re.A
        ):
            return CrmProperty(kind, name)
    raise ValueError("must be ticket, contact or company, a dot, and the property's internal name")


def parse_ping(value: str) -> str:
    word = value.removeprefix("@").casefold()
    if word in ("here", "none") or re.fullmatch(r"[0-9]{1,20}", word):
        return word
    raise ValueError(f"must be here, none or the digits of a role id{_not(value)}")


def parse_time(value: str) -> datetime:
    """ISO-8601 to aware UTC; without a zone it is UTC."""
    try:
        time = datetime.fromisoformat(value)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is not a time in ISO-8601") from None


def parse_past_time(value: str) -> datetime:
    """``parse_time`` of a setting: not in the future, and not before the year 2000."""
    time = parse_time(value)
    if time > datetime.now(UTC):
        raise ValueError("lies in the future")
    if time.year < 2000:
        raise ValueError("lies before the year 2000")
    return time


def check_text_file(value: str) -> Path:
    try:
        path = Path(value).expanduser()
        path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ValueError("names a file that does not exist") from None
    except (OSError, RuntimeError) as exc:  # RuntimeError: the home folder of ~someone is unknown
        raise ValueError(f"names a file that cannot be read ({type(exc).__name__})") from None
    except UnicodeDecodeError:
        raise ValueError("names a file that is not UTF-8 text") from None
    return path


def check_database_url(value: str) -> str:
    """Judge the URL without connecting; what comes back is untouched, percent-encoding included."""
    scheme, slashes, rest = value.partition("://")
    if not slashes or scheme not in ("sqlite", "postgresql", "postgres"):
        raise ValueError("does not begin with postgresql://, postgres:// or sqlite:///, the only databases")
    try:
        unquoted = unquote(rest, errors="strict")
    except UnicodeDecodeError:
        raise ValueError(UNENCODED) from None
    if "\0" in unquoted or re.search(r"%(?![0-9A-Fa-f]{2})", rest):
        raise ValueError(UNENCODED)
    if scheme == "sqlite":
        _check_sqlite(unquoted)
    else:
        _check_postgres(value)
    return value


def _check_sqlite(rest: str) -> None:
    if not rest.strip("/") or ":memory:" in rest or "mode=memory" in rest:
        raise ValueError("names no file: in memory each thread would see a database of its own")
    if not rest.startswith("/"):
        raise ValueError("needs three slashes for a file in the current folder, four for an absolute path")
    if "?" in rest or "#" in rest or rest.rpartition("/")[2] in ("", ".", ".."):
        raise ValueError("must end with a file's name for SQLite, without ? or #")


def _check_postgres(value: str) -> None:
    try:
        parts = urlsplit(value)
    except ValueError:
        raise ValueError(UNENCODED) from None
    # libpq ends the password at the first @ or /, urlsplit at the last @ before the first /, ? or #.
    if value.count("@") > ("@" in parts.netloc) or "#" in value or " " in value:
        raise ValueError(UNENCODED)
    # libpq tries several hosts in order: of a failover the one that takes writes.
    if not all(has_usable_port(host) for host in parts.netloc.rpartition("@")[2].split(",")):
        raise ValueError("has a port that is not a number from 1 to 65535")
    if not parts.path.strip("/") or "/" in parts.path[1:]:
        raise ValueError("does not end in a slash and the name of one database")
    _check_postgres_options(parts.query)


def has_usable_port(host: str) -> bool:
    try:
        return urlsplit(f"//{host}").port != 0
    except ValueError:
        return False


def _check_postgres_options(query: str) -> None:
    given = parse_qsl(query, keep_blank_values=True)
    theirs = dict.fromkeys(name for name, _ in given if name in PRISMA_OPTIONS)
    if theirs:
        what, them = ("option", "it") if len(theirs) == 1 else ("options", "them")
        words = f"has Prisma's {what} {' and '.join(theirs)}: leave {them} out"
        if any(name == "schema" and setting != "public" for name, setting in given):
            # Without either it would be another ledger, an empty one.
            words += ", and for that schema write options=-c%20search_path%3DNAME"
        raise ValueError(words)
    for name, setting in given:
        if name == "sslmode" and setting not in SSL_MODES:
            raise ValueError(f"has an sslmode that is not one of {', '.join(SSL_MODES)}")


Token = Annotated[SecretStr, BeforeValidator(check_token)]
AdminToken = Annotated[SecretStr, BeforeValidator(check_admin_token)]
Tokens = Annotated[tuple[SecretStr, ...], BeforeValidator(split_tokens)]
SecretUrl = Annotated[SecretStr, BeforeValidator(check_base_url)]
SecretAddress = Annotated[SecretStr, BeforeValidator(check_address)]
DatabaseUrl = Annotated[SecretStr, BeforeValidator(check_database_url)]
Url = Annotated[str, BeforeValidator(check_base_url)]
Pipelines = Annotated[tuple[str, ...], BeforeValidator(split_pipelines)]
CrmPropertyName = Annotated[CrmProperty, BeforeValidator(parse_crm_property)]
Ping = Annotated[str, BeforeValidator(parse_ping)]
PastTime = Annotated[datetime, BeforeValidator(parse_past_time)]
TextFile = Annotated[Path, BeforeValidator(check_text_file)]
Seconds = Annotated[int, whole(1, 86_400)]
ModelName = Annotated[str, pattern(r"\S{1,200}", "must be the name of one model, without spaces")]
DiscordId = Annotated[str, pattern(r"[0-9]{1,20}", "must be digits only, as Discord's Copy ID gives them")]
ShortText = Annotated[str, pattern(r".{1,100}", "must be one line of at most 100 characters")]
Minutes = Annotated[float, decimal(1 / 60, 1_440, "minutes from 0.017 (one second) to 1440")]
Dollars = Annotated[float, decimal(0, 1_000_000, "US dollars such as 20 or 12.50, without a sign")]
UnconfirmedPolicy = Annotated[Literal["hold", "resend"], choice("hold", "resend")]
CloudTriage = Annotated[Literal["off", "masked", "full"], choice("off", "masked", "full")]
LogLevel = Annotated[str, choice("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")]
