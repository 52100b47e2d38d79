"""``health``: what the ledger says of how things are; needs no running worker."""

from jobs.check_health import HealthReport, Status, check_health, report_unread
from jobs.settings import Settings, load_settings
from jobs.take_readings import limits_of, take_readings
from jobs.verbs.printing import print_json, say
from jobs.wiring import build_channels
from models.database import close_database, open_database
from models.errors import StoreUnreachable


def show_health(*, as_json: bool) -> int:
    """0 healthy, 1 degraded. What settings must mend is raised, as everywhere."""
    report = read_report(load_settings())
    if as_json:
        print_json(report.as_json())
    else:
        say(report.status)
        for check in report.checks:
            say(f"{'ok' if check.ok else 'warn':<5} {check.name}: {check.line}")
    return 0 if report.status is Status.HEALTHY else 1


def read_report(settings: Settings) -> HealthReport:
    try:
        open_database(settings.database_url.get_secret_value(), settings.db_pool_size)
        readings = take_readings(build_channels(settings), float(settings.poll_overlap_seconds))
    except StoreUnreachable as error:
        return report_unread(str(error))
    finally:
        close_database()
    return check_health(readings, limits_of(settings))
