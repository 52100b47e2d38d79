"""The whole sandbox at once: a simulated HubSpot with tickets in it, two models and a chat."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from jobs.sandbox.discord import SimulatedDiscord
from jobs.sandbox.groq import SANDBOX_GROQ_MODELS, SimulatedGroq
from jobs.sandbox.hubspot import SimulatedHubSpot
from jobs.sandbox.ollama import SANDBOX_MODEL, SimulatedOllama
from jobs.sandbox.tickets import SandboxTicket, built_in_tickets, load_tickets

COMPANY_NAME = "Lumora Cloud (sandbox)"
SURROUNDINGS = {
    "HEARTBEAT_URL": "",
    "ALERT_DISCORD_WEBHOOK_URL": "",
    "DATABASE_URL": "sqlite:///sandbox.db",
    "NOTIFY_SINCE": "2000-01-01T00:00:00Z",
    "COMPANY_NAME": COMPANY_NAME,
}


@dataclass(frozen=True, slots=True)
class SandboxWorld:
    """The simulators, running, and the ``settings`` that point the product at them.

    An empty setting stands for "not set": a live account's pipelines, models or alarms must not reach in.
    The local model does the work; ``CLOUD_TRIAGE=full`` lets Groq, which is served too, take part.
    """

    hubspot: SimulatedHubSpot
    ollama: SimulatedOllama
    discord: SimulatedDiscord
    groq: SimulatedGroq
    settings: dict[str, str]


@contextmanager
def sandbox_world(
    tickets_file: Path | None = None,
    *,
    hubspot_port: int = 0,
    ollama_port: int = 0,
    discord_port: int = 0,
    groq_port: int = 0,
) -> Iterator[SandboxWorld]:
    """Serves until left. Raises InputError for a bad file, OSError if a port is taken."""
    tickets = built_in_tickets() if tickets_file is None else load_tickets(tickets_file)
    hubspot, ollama = SimulatedHubSpot(port=hubspot_port), SimulatedOllama(port=ollama_port)
    fill(hubspot, tickets)
    discord, groq = SimulatedDiscord(port=discord_port), SimulatedGroq(port=groq_port)
    with ExitStack() as serving:
        for simulator in (hubspot, ollama, discord, groq):
            serving.enter_context(simulator)
        settings = {**_sources(hubspot, ollama), **_services(discord, groq), **SURROUNDINGS}
        yield SandboxWorld(hubspot, ollama, discord, groq, settings)


def fill(hubspot: SimulatedHubSpot, tickets: Iterable[SandboxTicket]) -> None:
    """Adds the tickets, each with its customer and company where it names them."""
    for ticket in tickets:
        add_ticket(hubspot, ticket, ticket_id=ticket.ticket_id, created_at=ticket.created_at)


def add_ticket(
    hubspot: SimulatedHubSpot,
    ticket: SandboxTicket,
    *,
    ticket_id: str | None = None,
    created_at: datetime | None = None,
) -> str:
    """One with the text, customer and company of ``ticket``; its id. A new one unless told otherwise."""
    first, _, last = (ticket.customer or "").rpartition(" ")
    named = ticket.customer or ticket.email
    return hubspot.add_ticket(
        ticket.subject,
        ticket.body,
        ticket_id=ticket_id,
        created_at=created_at,
        contact=hubspot.add_contact(firstname=first, lastname=last, email=ticket.email) if named else None,
        company=_add_company(hubspot, ticket) if ticket.company else None,
        product_area=ticket.product_area,
    )


def _add_company(hubspot: SimulatedHubSpot, ticket: SandboxTicket) -> str:
    return hubspot.add_company(name=ticket.company, customer_tier=ticket.tier)


def _sources(hubspot: SimulatedHubSpot, ollama: SimulatedOllama) -> dict[str, str]:
    return {
        "HUBSPOT_BASE_URL": hubspot.url,
        "HUBSPOT_ACCESS_TOKEN": hubspot.access_token,
        "HUBSPOT_PIPELINES": "",
        "CUSTOMER_TIER_PROPERTY": "company.customer_tier",
        "PRODUCT_AREA_PROPERTY": "ticket.product_area",
        "LOCAL_LLM_URL": ollama.url,
        "LOCAL_LLM_MODEL": SANDBOX_MODEL,
    }


def _services(discord: SimulatedDiscord, groq: SimulatedGroq) -> dict[str, str]:
    return {
        "CLOUD_TRIAGE": "off",
        "GROQ_API_KEY": groq.api_key,
        "GROQ_BASE_URL": groq.url,
        "GROQ_MODEL": SANDBOX_GROQ_MODELS[0],
        "DISCORD_WEBHOOK_URL": discord.webhook_url,
        "DISCORD_API_URL": discord.api_url,
        "DISCORD_BOT_TOKEN": "",
        "DISCORD_CHANNEL_ID": "",
    }
