"""From settings to the parts that use them: the one place that knows both."""

from jobs.errors import SettingsError
from jobs.hubspot.client import HubSpotClient, OnAnswer, ignore
from jobs.hubspot.gateway import HubSpotGateway
from jobs.hubspot.payload import RecordProperty
from jobs.notify.channel import Channel
from jobs.notify.discord import DiscordWebhook
from jobs.notify.discord_bot import DiscordBot
from jobs.setting_checks import CrmProperty
from jobs.settings import Settings
from jobs.triage.breaker import OnBreaker
from jobs.triage.calls import OnUsage, Usage
from jobs.triage.chain import Model, Triager
from jobs.triage.groq import GroqModel
from jobs.triage.masking import mask
from jobs.triage.ollama import OllamaModel
from jobs.triage.prompt import load_sop
from jobs.triage.safety import OnGuard
from jobs.triage.slots import LONE_SECONDS, SPILL_SECONDS, Slots
from jobs.verdict import Provider


def build_gateway(settings: Settings, on_answer: OnAnswer = ignore) -> HubSpotGateway:
    token = settings.hubspot_access_token
    client = HubSpotClient(
        settings.hubspot_base_url, token.get_secret_value() if token else "", on_answer=on_answer
    )
    return HubSpotGateway(
        client,
        tier=record_property(settings.customer_tier_property),
        area=record_property(settings.product_area_property),
        pipelines=settings.hubspot_pipelines,
    )


def record_property(chosen: CrmProperty | None) -> RecordProperty | None:
    return None if chosen is None else RecordProperty(chosen.object, chosen.name)


def nobody(_: Usage) -> None:
    pass


def uncounted(_kind: str, _number: int) -> None:
    pass


def unwatched(_provider: Provider, _open: bool) -> None:
    pass


def build_triager(
    settings: Settings,
    on_usage: OnUsage = nobody,
    on_breaker: OnBreaker = unwatched,
    on_guard: OnGuard = uncounted,
) -> Triager:
    """The local model first, Groq behind it; the rules behind both are the triager's own."""
    sop = load_sop(settings.sop_file) if settings.sop_file else ""
    masker = None if settings.cloud_triage == "full" else mask
    models = build_models(settings, on_usage)
    return Triager(
        models,
        company_name=settings.company_name,
        sop=sop,
        masker=masker,
        on_breaker=on_breaker,
        on_guard=on_guard,
    )


def build_models(settings: Settings, on_usage: OnUsage = nobody) -> list[Model]:
    """Those that are set up, in the order they are asked in."""
    key = settings.groq_api_key if settings.cloud_triage != "off" else None
    models: list[Model] = []
    if settings.local_llm_url:
        patience_seconds = SPILL_SECONDS if key else LONE_SECONDS
        slots = Slots(settings.local_llm_concurrency, patience_seconds)
        models.append(build_ollama(settings, settings.local_llm_url, on_usage, slots, patience_seconds))
    if key:
        models.append(build_groq(settings, key.get_secret_value(), on_usage))
    return models


def build_groq(settings: Settings, api_key: str, on_usage: OnUsage = nobody) -> GroqModel:
    return GroqModel(
        api_key=api_key, model=settings.groq_model, base_url=settings.groq_base_url, on_usage=on_usage
    )


def build_ollama(
    settings: Settings,
    url: str,
    on_usage: OnUsage = nobody,
    slots: Slots | None = None,
    patience_seconds: float = LONE_SECONDS,
) -> OllamaModel:
    return OllamaModel(
        url=url,
        model=settings.local_llm_model,
        token=secret(settings.local_llm_token),
        cf_access_id=secret(settings.cf_access_client_id),
        cf_access_secret=secret(settings.cf_access_client_secret),
        on_usage=on_usage,
        slots=slots,
        patience_seconds=patience_seconds,
    )


def secret(setting: object) -> str | None:
    return getattr(setting, "get_secret_value", lambda: None)()


def build_channels(settings: Settings) -> list[Channel]:
    """Where a live run tells: the team's one Discord channel, by the bot where there is one."""
    if settings.discord_bot_token and settings.discord_channel_id:
        token = settings.discord_bot_token.get_secret_value()
        return [
            DiscordBot(settings.discord_api_url, token, settings.discord_channel_id, settings.discord_ping)
        ]
    if settings.discord_webhook_url is None:
        raise SettingsError(
            "DISCORD_WEBHOOK_URL: is missing, and so is DISCORD_BOT_TOKEN with DISCORD_CHANNEL_ID; write "
            "DISCORD_WEBHOOK_URL=https://discord.com/api/webhooks/your-id/your-token"
        )
    return [DiscordWebhook(settings.discord_webhook_url.get_secret_value(), settings.discord_ping)]
