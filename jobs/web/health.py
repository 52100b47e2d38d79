"""``/health``, ``/health/live`` and ``/health/ready``: how the worker is, without asking any vendor."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from jobs.check_health import HealthReport, Status, report_unread
from jobs.clock import utc_now
from jobs.observations import Observations, ServiceOutcome
from jobs.version import VERSION
from jobs.web.shared_read import SharedRead
from models.errors import StoreError

READ_SECONDS = 1.5  #: the answer is due within 2 s, also where the database hangs
FRESH_SECONDS = 2.0
SERVICES = ("hubspot", "discord", "local", "groq")
NO_STORE = {"Cache-Control": "no-store"}


@dataclass(frozen=True)
class HealthSource:
    """What the routes ask. ``read`` may block, hang or raise; the others answer at once.

    ``is_ready`` tells whether the ledger is open and not behind. ``services`` are those that are set up.
    """

    read: Callable[[], HealthReport]
    is_ready: Callable[[], bool]
    is_shutting_down: Callable[[], bool]
    observations: Observations = field(default_factory=Observations)
    services: tuple[str, ...] = SERVICES
    started_at: datetime = field(default_factory=utc_now)


def health_routes(source: HealthSource) -> list[Route]:
    """The three routes; the ledger is read at most every two seconds, however often they are asked."""
    reading = SharedRead(source.read, FRESH_SECONDS)

    async def health(_: Request) -> JSONResponse:
        report = await read_within(reading)
        return answer_health(source, report)

    async def live(_: Request) -> JSONResponse:
        return JSONResponse({"status": "alive"}, headers=NO_STORE)

    async def ready(_: Request) -> JSONResponse:
        is_ready = source.is_ready() and not source.is_shutting_down()
        words = "ready" if is_ready else "not ready"
        return JSONResponse({"status": words}, 200 if is_ready else 503, headers=NO_STORE)

    return [Route("/health", health), Route("/health/live", live), Route("/health/ready", ready)]


async def read_within(reading: SharedRead[HealthReport]) -> HealthReport:
    """The report, or one that says why there is none."""
    try:
        return await reading.get(READ_SECONDS)
    except TimeoutError:
        line = f"the database did not answer within {READ_SECONDS:g} s; look at its load and at DATABASE_URL"
    except StoreError as error:
        line = str(error)
    except Exception as error:  # noqa: BLE001 - health answers whatever broke
        line = f"health could not be read ({type(error).__name__}); please report it"
    return report_unread(line)


def answer_health(source: HealthSource, report: HealthReport) -> JSONResponse:
    now, is_ending = utc_now(), source.is_shutting_down()
    outcomes = source.observations.last_outcomes()
    body = {
        "status": Status.SHUTTING_DOWN if is_ending else report.status,
        "timestamp": now.isoformat(timespec="milliseconds"),
        "version": VERSION,
        "uptime_seconds": round((now - source.started_at).total_seconds(), 1),
        "dependencies": {
            "database": describe_database(report),
            **{name: describe(name, outcomes) for name in source.services},
        },
        "warnings": list(report.warnings),
    }
    return JSONResponse(body, 503 if is_ending else 200, headers=NO_STORE)


def describe_database(report: HealthReport) -> dict[str, object]:
    if report.latency_ms is None:
        return {"status": "failing", "latency_ms": None}
    return {"status": "ok", "latency_ms": round(report.latency_ms, 1)}


def describe(name: str, outcomes: Mapping[str, ServiceOutcome]) -> dict[str, object]:
    """As last known: nobody asks a vendor to answer a health check."""
    last = outcomes.get(name)
    if last is None:
        return {"status": "unknown", "latency_ms": None, "asked_at": None}
    return {
        "status": "ok" if last.ok else "failing",
        "latency_ms": None if last.seconds is None else round(last.seconds * 1000, 1),
        "asked_at": last.at.isoformat(timespec="seconds"),
    }
