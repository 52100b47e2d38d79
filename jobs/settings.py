"""All settings, read once from the environment and ``.env``, every mistake told together.

The names, ranges and defaults are the design's section 7; ``.env.example`` explains each in a line.
Importing this costs about 0.15 s (pydantic), so verbs import it when they run.
"""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from enum import Flag, auto
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from jobs import setting_checks as check
from jobs.errors import SettingsError

WEBHOOK_EXAMPLE = "https://discord.com/api/webhooks/your-id/your-token"

# Beside the handling threads: the poll or sweep, the drain, the receiver, and health.
SPARE_CONNECTIONS = 4


class Need(Flag):
    """What a verb cannot do without. The database has a default, so DATABASE alone demands nothing."""

    DATABASE = auto()
    HUBSPOT = auto()
    CHANNEL = auto()
    MODEL = auto()
    LIVE = DATABASE | HUBSPOT | CHANNEL | MODEL


class Settings(BaseSettings):
    """The settings of one run; made by ``load_settings`` only, which alone reads environment and ``.env``.

    ``warnings`` are lines for the log: what was accepted and probably not meant. ``discord_ping`` is
    ``here``, ``none`` or the digits of a role id. URLs come without trailing slashes, but ``heartbeat_url``.
    """

    model_config = SettingsConfigDict(
        frozen=True, enable_decoding=False, validate_default=False, hide_input_in_errors=True
    )

    hubspot_access_token: check.Token | None = Field(None, examples=["pat-eu1-your-key"])
    discord_webhook_url: check.SecretUrl | None = Field(None, examples=[WEBHOOK_EXAMPLE])
    discord_bot_token: check.Token | None = Field(None, examples=["your-bot-token"])
    discord_channel_id: check.DiscordId | None = Field(None, examples=["123456789012345678"])
    local_llm_url: check.Url | None = Field(None, examples=["http://localhost:11434"])
    groq_api_key: check.Token | None = Field(None, examples=["gsk_your-key"])

    database_url: check.DatabaseUrl = Field(
        SecretStr("sqlite:///triage.db"),
        examples=["postgresql://user:p%40ss@host:5432/triage?sslmode=require"],
    )

    hubspot_base_url: check.Url = "https://api.hubapi.com"
    hubspot_pipelines: check.Pipelines = Field((), examples=["0,12345678"])
    customer_tier_property: check.CrmPropertyName | None = Field(None, examples=["company.tier"])
    product_area_property: check.CrmPropertyName | None = Field(None, examples=["ticket.product_area"])
    notify_since: check.PastTime | None = Field(None, examples=["2025-12-14T09:00:00Z"])
    poll_interval_seconds: check.Seconds = 30
    poll_overlap_seconds: Annotated[int, check.whole(1, 604_800)] = 900
    sweep_interval_minutes: check.Minutes = 30
    sweep_hours: Annotated[int, check.whole(1, 720)] = 72

    public_url: check.Url | None = Field(None, examples=["https://triage.example.com"])
    hubspot_client_secret: check.Token | None = Field(None, examples=["your-client-secret"])
    hubspot_webhook_token: check.Tokens = Field((), examples=["new-token,old-token"])
    port: Annotated[int, check.whole(1, 65_535)] = 8080

    discord_api_url: check.Url = "https://discord.com/api/v10"
    discord_ping: check.Ping = "here"
    unconfirmed_policy: check.UnconfirmedPolicy = "hold"

    local_llm_model: check.ModelName = "llama3.2"
    local_llm_token: check.Token | None = Field(None, examples=["your-token"])
    cf_access_client_id: check.Token | None = Field(None, examples=["your-id.access"])
    cf_access_client_secret: check.Token | None = Field(None, examples=["your-access-secret"])
    groq_model: check.ModelName = "openai/gpt-oss-120b"
    groq_base_url: check.Url = "https://api.groq.com"
    groq_monthly_budget: check.Dollars | None = Field(None, examples=["20"])
    cloud_triage: check.CloudTriage = "masked"
    company_name: check.ShortText = "our company"
    sop_file: check.TextFile | None = Field(None, examples=["procedures.md"])

    triage_concurrency: Annotated[int, check.whole(1, 64)] = 8
    local_llm_concurrency: Annotated[int, check.whole(1, 64)] = Field(
        default_factory=lambda data: int(data["triage_concurrency"]), examples=["8"]
    )
    lease_seconds: check.Seconds = 120
    drain_seconds: Annotated[int, check.whole(0, 3_600)] = 30
    db_pool_size: Annotated[int, check.whole(1, 500)] = Field(
        default_factory=lambda data: int(data["triage_concurrency"]) + SPARE_CONNECTIONS, examples=["12"]
    )
    retention_days: Annotated[int, check.whole(1, 3_650)] = 7
    retention_hour_utc: Annotated[int, check.whole(0, 23)] = 3
    backup_dir: Path | None = Field(None, examples=["backups"])
    backup_keep: Annotated[int, check.whole(1, 3_650)] = 7

    heartbeat_url: check.SecretAddress | None = Field(None, examples=["https://hc-ping.com/your-id"])
    alert_discord_webhook_url: check.SecretUrl | None = Field(None, examples=[WEBHOOK_EXAMPLE])
    admin_token: check.AdminToken | None = Field(None, examples=["a-long-random-word"])
    log_level: check.LogLevel = "INFO"

    _warnings: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        return self._warnings

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_unprintable(cls, value: str) -> str:
        if value.isprintable():
            return value
        raise ValueError("holds a line break or another character that does not print")

    @classmethod
    def settings_customise_sources(cls, *_: Any, **sources: Any) -> tuple[Any, ...]:
        """Leave the reading to load_settings, so that nothing leaks into the sandbox."""
        return (sources["init_settings"],)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Plain URLs are left out as well: a person may have put a password into one."""
        return ((name, value) for name, value in super().__repr_args__() if "://" not in str(value))


# What the sandbox may take over: these tune the work and name no service, no place and no secret.
TUNING_SETTINGS = (
    "log_level", "company_name", "sop_file", "triage_concurrency", "local_llm_concurrency", "lease_seconds",
    "poll_interval_seconds", "poll_overlap_seconds", "sweep_interval_minutes", "drain_seconds", "port",
)  # fmt: skip

# What the database verbs use (connection, lease, activation, retention, backup, studio). They read no other
# setting, so that a wrong one elsewhere does not stop them and no vendor's token is in their memory.
DATABASE_SETTINGS = (
    "database_url", "db_pool_size", "triage_concurrency", "lease_seconds", "notify_since",
    "poll_overlap_seconds", "sweep_hours", "retention_days", "backup_dir", "backup_keep", "admin_token",
    "port", "log_level",
)  # fmt: skip

CHANNEL_SETTINGS = {"discord_webhook_url", "discord_bot_token", "discord_channel_id"}
MODEL_SETTINGS = {"local_llm_url", "groq_api_key"}
PARTNERS = (
    ("hubspot_client_secret", "public_url"),
    ("discord_bot_token", "discord_channel_id"),
    ("discord_channel_id", "discord_bot_token"),
    ("cf_access_client_id", "cf_access_client_secret"),
    ("cf_access_client_secret", "cf_access_client_id"),
)


class Mistake(NamedTuple):
    """``wrong`` follows the name in the message; ``write`` is the value to write, empty for the example."""

    name: str
    wrong: str
    write: str = ""


def load_settings(
    overrides: Mapping[str, str] | None = None, *, needs: Need = Need.LIVE, isolated: bool = False
) -> Settings:
    """Read and judge all settings; SettingsError has a line for every mistake, and no secret in it.

    ``overrides`` (names in any case) win over the environment, which wins over ``.env`` in the current
    folder; a blank value counts as not set. ``isolated`` takes only TUNING_SETTINGS from these two and
    demands DATABASE_URL in ``overrides``, so that a sandbox cannot reach a live service or ledger.
    With ``needs`` of the database alone only DATABASE_SETTINGS are read and judged.
    """
    used = set(DATABASE_SETTINGS if needs == Need.DATABASE else Settings.model_fields)
    env_file = check.read_env_file(Path(".env"))
    found = _read_given(env_file)
    found = {name: value for name, value in found.items() if name in TUNING_SETTINGS or not isolated}
    ours = {name.lower(): value for name, value in (overrides or {}).items()}
    values = {name: value for name, value in {**found, **_without_blanks(ours)}.items() if name in used}

    settings, mistakes = _build(values)
    mistakes += [Mistake(name, "is not a setting") for name in ours if name not in Settings.model_fields]
    mistakes += _find_missing(values, needs, isolated=isolated)
    mistakes += _find_conflicts(settings, values, {mistake.name for mistake in mistakes})
    broken = [line.number for line in env_file if line.value is None]
    readable = used & set(TUNING_SETTINGS) if isolated else used
    hints = list(_find_misspelt(env_file, readable - set(values)))
    if mistakes or broken:
        raise SettingsError(_message(mistakes, broken, hints))
    settings._warnings = (*hints, *_find_doubtful(settings))
    return settings


def given_settings() -> set[str]:
    """The names, as the fields are called, that the environment or ``.env`` gives a value, right or wrong."""
    return set(_read_given(check.read_env_file(Path(".env"))))


def _read_given(env_file: Iterable[check.EnvLine]) -> dict[str, str]:
    written = {line.name: line.value for line in env_file if line.value is not None}
    return {**_without_blanks(written), **_without_blanks(EnvSettingsSource(Settings)())}


def _without_blanks(values: Mapping[str, str]) -> dict[str, str]:
    return {name: value.strip() for name, value in values.items() if value.strip()}


def _build(values: Mapping[str, str]) -> tuple[Settings, list[Mistake]]:
    """Build from the good values alone, so that the rules between settings are checked in any case."""
    try:
        return Settings.model_validate(values), []
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_input=False)
    wrong = {str(at["loc"][0]): str(at.get("ctx", {}).get("error", "cannot be used")) for at in errors}
    good = {name: value for name, value in values.items() if name not in wrong}
    mistakes = [Mistake(name, words) for name, words in wrong.items() if name in values]
    return Settings.model_validate(good), mistakes


def _find_missing(given: Iterable[str], needs: Need, *, isolated: bool) -> Iterator[Mistake]:
    given = set(given)
    if isolated and "database_url" not in given:
        yield Mistake("database_url", "is missing, and the sandbox must not use the live ledger")
    if Need.HUBSPOT in needs and "hubspot_access_token" not in given:
        yield Mistake("hubspot_access_token", "is missing")
    if Need.CHANNEL in needs and not given & CHANNEL_SETTINGS:
        yield Mistake(
            "discord_webhook_url", "is missing, and so is DISCORD_BOT_TOKEN with DISCORD_CHANNEL_ID"
        )
    if Need.MODEL in needs and not given & MODEL_SETTINGS:
        yield Mistake("local_llm_url", "is missing, and so is GROQ_API_KEY: one model is needed")
    for name, partner in PARTNERS:
        if name in given and partner not in given:
            yield Mistake(partner, f"is missing, and {name.upper()} needs it")


def _find_conflicts(settings: Settings, given: Iterable[str], wrong: set[str]) -> Iterator[Mistake]:
    """``wrong`` names are skipped: their value in ``settings`` is a default that nobody wrote."""
    given = set(given)
    least = settings.triage_concurrency + SPARE_CONNECTIONS
    if settings.db_pool_size < least and not wrong & {"db_pool_size", "triage_concurrency"}:
        yield Mistake("db_pool_size", f"must be TRIAGE_CONCURRENCY + {SPARE_CONNECTIONS} or more", str(least))
    if settings.cloud_triage == "off" and "groq_api_key" in given and "local_llm_url" not in given:
        yield Mistake("cloud_triage", "is off, and without LOCAL_LLM_URL no model is left")


def _find_misspelt(env_file: Iterable[check.EnvLine], unset: set[str]) -> Iterator[str]:
    for line in env_file:
        near = [] if line.name in Settings.model_fields else get_close_matches(line.name, unset, cutoff=0.85)
        if near:
            yield f".env line {line.number}: {line.name.upper()} is ignored; did you mean {near[0].upper()}?"


def _find_doubtful(settings: Settings) -> Iterator[str]:
    if settings.discord_bot_token and settings.discord_webhook_url:
        yield "DISCORD_WEBHOOK_URL: is not used, the bot tells (DISCORD_BOT_TOKEN); remove one of the two"
    if settings.retention_days < 4:
        yield "RETENTION_DAYS: less than 4 works like 4: what a source may still propose is not forgotten"


def _message(mistakes: Iterable[Mistake], broken_lines: Iterable[int], hints: Iterable[str]) -> str:
    order = list(Settings.model_fields)
    lines = [f".env line {line}: is not NAME=value; write it so, or # before it" for line in broken_lines]
    lines += [f"{name.upper()}: {wrong}; remove it" for name, wrong, _ in mistakes if name not in order]
    known = [mistake for mistake in mistakes if mistake.name in order]
    for name, wrong, write in sorted(known, key=lambda mistake: order.index(mistake.name)):
        lines.append(f"{name.upper()}: {wrong}; write {name.upper()}={write or _example(name)}")
    head = f"The settings have {len(lines)} mistake{'s' if len(lines) > 1 else ''} (environment, then .env):"
    return "\n".join([head, *lines, *hints])


def _example(name: str) -> str:
    field = Settings.model_fields[name]
    return str((field.examples or [field.default])[0])
