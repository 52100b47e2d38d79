"""``health``: what the ledger says of how things are; needs no running worker."""

from contextlib import suppress
from dataclasses import replace

from jobs.check_health import Check, HealthReport, Status, check_health, report_unread
from jobs.errors import SettingsError
from jobs.settings import CHANNEL_SETTINGS, MODEL_SETTINGS, Need, Settings, given_settings, load_settings
from jobs.take_readings import limits_of, take_readings
from jobs.verbs.faults import MISUSED, UNREACHED
from jobs.verbs.ledger import require_made
from jobs.verbs.printing import print_json, say
from jobs.wiring import build_channels
from models.database import close_database, open_database
from models.errors import StoreError

SERVICE_SETTINGS = {"hubspot_access_token", *CHANNEL_SETTINGS, *MODEL_SETTINGS}
ALONE = Check(
    "settings",
    ok=True,
    line="no service is set here: the database alone was judged, and a paused channel is not seen",
)


def show_health(*, as_json: bool) -> int:
    """0 healthy, 1 degraded, 2 beside a mistake in the settings.

    What they must mend before anything can be judged is raised, as everywhere.
    """
    settings, judged = read_settings()
    report = read_report(settings, judged)
    if as_json:
        print_json(report.as_json())
    else:
        say(report.status)
        for check in report.checks:
            say(f"{'ok' if check.ok else 'warn':<5} {check.name}: {check.line}")
    if is_mistaken(judged):
        return MISUSED
    return 0 if report.status is Status.HEALTHY else UNREACHED


def read_settings() -> tuple[Settings, list[Check]]:
    """All of them; the database's alone, with what is wrong, where the others cannot be used.

    Who sets no service at all, to watch the database, misses none.
    """
    is_alone = not given_settings() & SERVICE_SETTINGS
    try:
        return load_settings(needs=Need(0) if is_alone else Need.LIVE), [ALONE] if is_alone else []
    except SettingsError as error:
        mistakes = [Check("settings", ok=False, line=line) for line in str(error).splitlines()[1:]]
        with suppress(SettingsError):
            return load_settings(needs=Need.DATABASE), mistakes
        raise


def read_report(settings: Settings, judged: list[Check]) -> HealthReport:
    report = read_ledger(settings, may_raise=not is_mistaken(judged))
    status = Status.DEGRADED if is_mistaken(judged) else report.status
    return replace(report, status=status, checks=(*judged, *report.checks))


def read_ledger(settings: Settings, *, may_raise: bool) -> HealthReport:
    channels = build_channels(settings) if settings.model_fields_set & CHANNEL_SETTINGS else []
    try:
        require_made(settings)
        open_database(settings.database_url.get_secret_value(), settings.db_pool_size)
        readings = take_readings(channels, float(settings.poll_overlap_seconds))
    except StoreError as error:
        if error.permanent and may_raise:
            raise
        return report_unread(str(error))
    finally:
        close_database()
    return check_health(readings, limits_of(settings))


def is_mistaken(judged: list[Check]) -> bool:
    return not all(check.ok for check in judged)
