"""The part of ``doctor`` that asks the services, by reads alone but for a test card that is asked for."""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from jobs.errors import ModelError, SettingsError, TriageError
from jobs.finding import Finding, fail, ok, warn
from jobs.hubspot.client import HubSpotClient
from jobs.hubspot.events import WEBHOOK_PATH
from jobs.hubspot.faults import SCOPE_OF
from jobs.hubspot.gateway import parse_account
from jobs.notify.card import NOT_TRIAGED_COLOUR, Card
from jobs.notify.channel import Channel
from jobs.notify.discord import DiscordWebhook
from jobs.notify.discord_bot import DiscordBot
from jobs.notify.outcome import NotSent, Sent
from jobs.outgoing import client_options
from jobs.setting_checks import CrmProperty
from jobs.settings import Settings
from jobs.ticket import Ticket
from jobs.triage.chain import Triager
from jobs.triage.groq import GroqModel
from jobs.triage.masking import mask
from jobs.triage.ollama import OllamaModel
from jobs.verdict import Priority
from jobs.wiring import build_channels, build_groq, build_ollama, secret
from models.cursors import wrong_portal_line

if TYPE_CHECKING:
    import httpx

WEBHOOK_SECONDS = 5.0
ANY_RECORD = "1"  #: whether there is one or not, a read of its id shows the scope and nothing of anybody
PLURAL = {"ticket": "tickets", "contact": "contacts", "company": "companies"}
INVENTED = Ticket(
    ticket_id="0",
    subject="How do I export a report?",
    body="Hello, where do I find the export of the monthly report? Thank you.",
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    link="https://app.hubspot.com/contacts/0/record/0-5/0",
)
TEST_CARD = Card(
    ticket_id="0",
    priority=Priority.LOW,
    title="TEST: this is no ticket",
    url="",
    description="Sent by python main.py doctor --send-test-card. Nobody needs to do anything.",
    colour=NOT_TRIAGED_COLOUR,
    fields=(),
    footer="Test card",
    pings=False,
)


def examine_hubspot(settings: Settings, *, known_portal: str | None) -> Iterator[Finding]:
    """``known_portal`` is the ledger's, None where it has none or cannot be read."""
    client = HubSpotClient(settings.hubspot_base_url, secret(settings.hubspot_access_token) or "")
    try:
        account = parse_account(client.account_details())
        yield ok("hubspot", f"takes the token of portal {account.portal_id}")
        if known_portal not in (None, account.portal_id):
            yield fail("portal", wrong_portal_line(str(known_portal), account.portal_id), mend=True)
        yield from (examine_scope(client, object_type) for object_type in SCOPE_OF)
        chosen = {
            "CUSTOMER_TIER_PROPERTY": settings.customer_tier_property,
            "PRODUCT_AREA_PROPERTY": settings.product_area_property,
        }
        yield from (examine_property(client, name, one) for name, one in chosen.items() if one is not None)
    finally:
        client.close()


def examine_scope(client: HubSpotClient, object_type: str) -> Finding:
    name = f"hubspot {object_type}"
    try:
        if object_type == "tickets":
            client.search(object_type, {"limit": 1, "properties": ["hs_object_id"]})
        client.batch_read(object_type, [ANY_RECORD], ["hs_object_id"])
    except TriageError as error:
        return fail(name, str(error), mend=error.permanent)
    return ok(name, f"can be read (scope {SCOPE_OF[object_type]})")


def examine_property(client: HubSpotClient, setting: str, chosen: CrmProperty) -> Finding:
    """HubSpot leaves a misspelt property out of its answers without a word."""
    try:
        found = client.has_property(PLURAL[chosen.object], chosen.name)
    except SettingsError:
        return warn(
            setting, f"cannot be checked: the token may not read properties; compare {chosen.name} by eye"
        )
    except TriageError as error:
        return fail(setting, str(error))
    if found:
        return ok(setting, f"the portal's {PLURAL[chosen.object]} have {chosen.name}")
    line = (
        f"the portal's {PLURAL[chosen.object]} have no property {chosen.name}; write its internal name, as "
        "HubSpot's settings show it under Properties"
    )
    return fail(setting, line, mend=True)


def examine_models(settings: Settings) -> Iterator[Finding]:
    if settings.local_llm_url is None:
        yield ok("local model", "LOCAL_LLM_URL is not set: Groq triages alone")
    else:
        yield examine_model("local model", build_ollama(settings, settings.local_llm_url), settings)
    key = secret(settings.groq_api_key)
    if key is None or settings.cloud_triage == "off":
        why = "GROQ_API_KEY is not set" if key is None else "CLOUD_TRIAGE is off"
        yield ok("groq", f"{why}: where the local model fails, rules triage")
    else:
        yield examine_model("groq", build_groq(settings, key), settings)


def examine_model(name: str, model: OllamaModel | GroqModel, settings: Settings) -> Finding:
    """Present, and an invented ticket gets a valid answer; the first call may only load the model."""
    masker = None if settings.cloud_triage == "full" else mask
    triager = Triager([model], company_name=settings.company_name, sop="", masker=masker)
    try:
        model.check_present()
        for _ in range(2):
            verdict = triager.triage(INVENTED)
            if verdict.provider is model.provider:
                return ok(name, f"{model.model} answers with valid JSON in {verdict.triage_ms / 1000:.1f} s")
        fault = triager.take_faults()[-1]
        return fail(name, fault.line, mend=fault.settings_fault)
    except ModelError as error:
        return fail(name, str(error), mend=error.permanent)
    finally:
        triager.close()


def examine_channels(settings: Settings, *, send_test_card: bool) -> Iterator[Finding]:
    for channel in build_channels(settings):
        yield examine_channel(channel.name, channel)
        if isinstance(channel, DiscordBot):
            yield from examine_history(channel)
        if send_test_card:
            yield send_test(channel)
        channel.close()
    url = secret(settings.alert_discord_webhook_url)
    if url is None:
        yield ok("alarms", "ALERT_DISCORD_WEBHOOK_URL is not set: alarms go to the log")
        return
    alarms = DiscordWebhook(url)
    found = examine_channel("alarms", alarms)
    alarms.close()
    # The channel names the setting that it is made for.
    yield Finding(
        found.name, found.level, found.line.replace("DISCORD_WEBHOOK_URL", "ALERT_DISCORD_WEBHOOK_URL")
    )


def examine_channel(name: str, channel: Channel) -> Finding:
    seen = channel.probe()
    if seen.fault:
        return fail(name, seen.fault, mend=True)
    if not seen.answers:
        return fail(name, "Discord cannot be reached, or fails; try again, and check the network")
    if isinstance(channel, DiscordBot):
        return ok(name, "the bot sees its channel")
    return ok(name, "the webhook is there")


def examine_history(bot: DiscordBot) -> Iterator[Finding]:
    """Without it Discord shows an empty list and no error, and the bot cannot look for a card in doubt."""
    shown = bot.shows_history()
    if shown is None:
        return
    name = f"{bot.name} history"
    if shown:
        yield ok(name, "the bot can look whether a card arrived")
    else:
        line = (
            "DISCORD_CHANNEL_ID: the bot sees no message in the channel; give it Read Message History there, "
            "or a card in doubt waits for a person"
        )
        yield warn(name, line)


def send_test(channel: Channel) -> Finding:
    name = f"{channel.name} test card"
    # An id of its own: a bot's nonce would make a second test card the first one again.
    match channel.send(replace(TEST_CARD, ticket_id=secrets.token_hex(8))):
        case Sent():
            return ok(name, "was sent; look for it in the channel")
        case NotSent(error, fault=fault):
            return fail(name, fault or f"was not sent ({error}); try again", mend=fault is not None)
        case unknown:
            return fail(name, f"nobody can tell whether it was sent ({unknown.error}); look into the channel")


def examine_webhook(settings: Settings) -> Iterator[Finding]:
    """An unsigned call of the public URL must be refused, in our own words."""
    has_secret = bool(settings.hubspot_client_secret or settings.hubspot_webhook_token)
    if not has_secret:
        yield ok(
            "webhook", "HUBSPOT_CLIENT_SECRET and HUBSPOT_WEBHOOK_TOKEN are not set: polls alone find tickets"
        )
    elif settings.public_url is None:
        yield warn(
            "webhook", "PUBLIC_URL is not set, so nobody can tell from here whether HubSpot reaches it"
        )
    else:
        yield call_webhook(f"{settings.public_url}{WEBHOOK_PATH}")


def call_webhook(url: str) -> Finding:
    import httpx

    name = "webhook"
    try:
        with httpx.Client(**client_options(WEBHOOK_SECONDS, {})) as client:
            answer = client.post(url, json=[])
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        line = (
            f"PUBLIC_URL cannot be reached ({type(error).__name__}); is the worker up, and its domain set up?"
        )
        return fail(name, line)
    said = read_error(answer)
    if answer.status_code == 401 and said == "unauthorized":
        return ok(name, "the public URL leads to a worker, which refuses unsigned calls")
    if said == "service_unavailable":
        line = (
            "the worker at PUBLIC_URL takes no webhooks: it has neither secret set, or is too busy just now"
        )
        return fail(name, line)
    if answer.status_code >= 500:
        return fail(name, f"PUBLIC_URL answers {answer.status_code}; is the worker up?")
    line = (
        f"PUBLIC_URL answers {answer.status_code} and not as this worker does; write the exact address that "
        "HubSpot calls, without a redirect, and without the path /webhook/hubspot"
    )
    return fail(name, line, mend=True)


def read_error(answer: "httpx.Response") -> str | None:
    """The error's code where the answer is in the receiver's own shape."""
    try:
        body = answer.json()
    except ValueError:
        return None
    is_ours = isinstance(body, dict) and "request_id" in body
    return str(body.get("error")) if is_ours else None
