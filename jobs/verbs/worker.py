"""``worker``: the long-running process, live or in the sandbox."""

import importlib
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import closing

from jobs.check_health import HealthReport, check_health
from jobs.intake.normalise import load_libraries
from jobs.logs import start_logging
from jobs.note_events import note_event
from jobs.notify.channel import Channel
from jobs.notify.console import ConsoleChannel
from jobs.parts import Parts
from jobs.settings import Need, Settings, load_settings
from jobs.take_readings import limits_of, take_readings
from jobs.verbs.printing import remark, say
from jobs.verbs.run import build_parts, stop_on_signals
from jobs.web.app import build_app
from jobs.web.health import HealthSource, health_routes
from jobs.web.metrics import CountedObservations, metrics_routes
from jobs.web.receiver import Receiver, ReceiverParts
from jobs.web.server import WebServer
from jobs.wiring import build_channels
from jobs.worker import Worker
from models.counts import Event
from models.database import close_database
from models.inbox import store_events

log = logging.getLogger("triage")

ARRIVAL_SECONDS = 5.0
CLIENTS = {"local": "ollama", "groq": "groq"}
#: Past ``DRAIN_SECONDS``, for claims to be given back and the HTTP side to end; longer means that it hangs.
LATE_SECONDS = 6.0
SANDBOX_CLIENT_SECRET = "sandbox-client-secret"  # noqa: S105
SIMULATION = (
    "This is a simulation: HubSpot, the model and Discord run on 127.0.0.1, the ledger is sandbox.db,\n"
    "a ticket arrives every few seconds, cards are shown here, and nothing leaves this machine.\n"
    "http://127.0.0.1:{port}/health and /metrics tell how it goes. Ctrl-C ends it.\n"
)
RECEIVER_OFF = (
    "the webhook receiver is off: neither HUBSPOT_CLIENT_SECRET nor HUBSPOT_WEBHOOK_TOKEN is set; "
    "tickets are found by polling alone"
)


def run_live() -> int:
    settings = load_settings(needs=Need.LIVE)
    for line in settings.warnings:
        remark(f"note: {line}")
    return work_with(settings, build_channels(settings), port=settings.port)


def run_sandbox() -> int:
    """Everything simulated but the work; tickets keep arriving, each with a signed webhook."""
    from jobs.sandbox.arrivals import Subscription, arriving_tickets
    from jobs.sandbox.world import sandbox_world

    port = free_port(load_settings(needs=Need.DATABASE).port)
    subscription = Subscription(f"http://127.0.0.1:{port}", SANDBOX_CLIENT_SECRET)
    with sandbox_world() as world:
        webhooks = {
            "PUBLIC_URL": subscription.public_url,
            "HUBSPOT_CLIENT_SECRET": subscription.client_secret,
            "PORT": str(port),
        }
        settings = load_settings(world.settings | webhooks, needs=Need.LIVE & ~Need.CHANNEL, isolated=True)
        say(SIMULATION.format(port=port))
        channels = [*build_channels(settings), ConsoleChannel()]
        with arriving_tickets(world.hubspot, subscription, ARRIVAL_SECONDS):
            return work_with(settings, channels, port=port)


def free_port(wanted: int) -> int:
    """``wanted``, or any other one where that is taken: a sandbox must not fail for a port."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:  # taken; the caller says which port it became
                continue
            return int(probe.getsockname()[1])
    return wanted


def work_with(settings: Settings, channels: Sequence[Channel], *, port: int) -> int:
    """Work until a signal; 0 then. A second signal ends the process at once."""
    start_logging(settings.log_level)
    try:
        with stop_on_signals() as stopping:
            end_in_time(stopping, settings.drain_seconds + LATE_SECONDS)
            observations = CountedObservations()
            import_clients(services_of(settings, channels))
            parts = build_parts(settings, channels, stopping, observations)
            with closing(parts):
                worker = Worker(parts)
                worker.run(build_web(worker, observations, port))
    finally:
        close_database()
    end_despite_threads()
    return 0


def build_web(worker: Worker, observations: CountedObservations, port: int) -> WebServer:
    settings = worker.parts.settings
    if not settings.hubspot_client_secret and not settings.hubspot_webhook_token:
        remark(f"note: {RECEIVER_OFF}")
    source = HealthSource(
        read=lambda: read_health(worker.parts),
        is_ready=lambda: worker.is_ready and not worker.presence.is_behind,
        is_shutting_down=lambda: worker.is_shutting_down,
        observations=observations,
        services=services_of(settings, worker.parts.channels),
    )
    routes = [*health_routes(source), *metrics_routes(observations)]
    return WebServer(build_app(routes, Receiver(receiver_parts(worker, observations))), port)


def receiver_parts(worker: Worker, observations: CountedObservations) -> ReceiverParts:
    settings = worker.parts.settings
    secret = settings.hubspot_client_secret

    def note_refused(number: int) -> None:
        observations.signature_refused(number)
        note_event(Event.WEBHOOK_REFUSED, number)

    return ReceiverParts(
        store=store_events,
        client_secret=secret.get_secret_value() if secret else None,
        tokens=[token.get_secret_value() for token in settings.hubspot_webhook_token],
        public_url=settings.public_url or "",
        portal_id=lambda: worker.portal_id,
        on_stored=worker.drain_due.set,
        on_refused=note_refused,
        on_answer=observations.webhook_answered,
    )


def read_health(parts: Parts) -> HealthReport:
    readings = take_readings(parts.channels, parts.overlap.total_seconds())
    return check_health(readings, limits_of(parts.settings))


def services_of(settings: Settings, channels: Sequence[Channel]) -> tuple[str, ...]:
    models = {
        "local": settings.local_llm_url is not None,
        "groq": settings.groq_api_key is not None and settings.cloud_triage != "off",
    }
    return ("hubspot", *(channel.name for channel in channels), *(name for name, on in models.items() if on))


def import_clients(services: Iterable[str]) -> None:
    """What the first ticket needs; imported by it, it would make that and every thread wait."""
    load_libraries()
    for service in services:
        if service in CLIENTS:
            importlib.import_module(CLIENTS[service])


def end_in_time(stopping: threading.Event, seconds: float) -> None:
    """End the process ``seconds`` after it was told to stop, also where its own end waits in vain.

    A database that hangs keeps whoever asks it, closes no connection, and no limit of ours reaches it there.
    """

    def end() -> None:
        stopping.wait()
        time.sleep(seconds)
        log.warning("the end hangs and is cut short; what was in hand follows when its lease is over")
        os._exit(0)

    threading.Thread(target=end, name="end", daemon=True).start()


def end_despite_threads() -> None:
    """A thread that waits for a slow service must not keep a process that is done; nothing is lost by it."""
    sys.stdout.flush()
    sys.stderr.flush()
    if any(not thread.daemon and thread is not threading.main_thread() for thread in threading.enumerate()):
        os._exit(0)
