"""Settings: each form and range, the rules between them, and that no message or repr holds a secret."""

import re
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import SecretStr

from jobs.errors import SettingsError
from jobs.setting_checks import SSL_MODES, CrmProperty
from jobs.settings import DATABASE_SETTINGS, TUNING_SETTINGS, Need, Settings, load_settings

MARKER = "Zq7LeakMarkerOf16"
EXAMPLE = Path(__file__).parents[2] / ".env.example"
LIVE = {
    "HUBSPOT_ACCESS_TOKEN": "pat-eu1-x",
    "DISCORD_WEBHOOK_URL": "http://127.0.0.1:9/api/webhooks/1/x",
    "LOCAL_LLM_URL": "http://127.0.0.1:9",
}
SECRETS = [name for name, field in Settings.model_fields.items() if "Secret" in str(field.annotation)]


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def load(**overrides: str) -> Settings:
    return load_settings({**LIVE, **overrides})


def refusal_of(overrides: Mapping[str, str], needs: Need = Need.LIVE, *, isolated: bool = False) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        load_settings(overrides, needs=needs, isolated=isolated)
    assert refused.value.__context__ is None, "the cause would show its input in a traceback"
    return str(refused.value).splitlines()[1:]


def the_line(**overrides: str) -> str:
    (line,) = refusal_of({**LIVE, **overrides})
    return line


def shown_for(overrides: Mapping[str, str], needs: Need = Need.LIVE) -> str:
    """All that a person gets to see, whether the settings were taken or refused."""
    try:
        return repr(load_settings(overrides, needs=needs))
    except SettingsError as exc:
        return "".join(traceback.format_exception(exc))


def test_all_kinds_of_mistake_are_told_together_in_the_order_of_the_settings() -> None:
    wrong = {"HUBSPOT_CLIENT_SECRET": "x", "POLL_INTERVAL_SECONDS": "soon", "PORT": "0", "DB_POOL_SIZE": "6"}
    lines = refusal_of({**wrong, "CF_ACCESS_CLIENT_ID": "x"})
    assert [line.partition(":")[0] for line in lines] == [
        "HUBSPOT_ACCESS_TOKEN", "DISCORD_WEBHOOK_URL", "LOCAL_LLM_URL", "POLL_INTERVAL_SECONDS", "PUBLIC_URL",
        "PORT", "CF_ACCESS_CLIENT_SECRET", "DB_POOL_SIZE",
    ]  # fmt: skip
    for line in lines:
        assert re.fullmatch(r"([A-Z_]+): .+; write \1=\S.*", line)
    name, _, words = lines[3].partition(": ")
    assert words == f"must be a whole number from 1 to 86400, not soon; write {name}=30"
    assert lines[-1].endswith("write DB_POOL_SIZE=12")


def test_every_secret_is_masked_in_repr_and_in_dumps() -> None:
    shape = {"url": f"http://h/{MARKER}", "database_url": f"postgresql://u:{MARKER}@h/d"}
    values = {name.upper(): shape.get(name, shape["url"] if "url" in name else MARKER) for name in SECRETS}
    loaded = load(**values, PUBLIC_URL=f"https://u:{MARKER}@h", DISCORD_CHANNEL_ID="1")
    assert MARKER in loaded.database_url.get_secret_value()
    assert MARKER not in f"{loaded!r} {loaded} {loaded.model_dump(exclude={'public_url'})}"


@pytest.mark.parametrize("name", SECRETS)
def test_a_refused_secret_is_not_shown(name: str) -> None:
    for wrong in (f"{MARKER} {MARKER}", f"{MARKER}\x00", f"postgresql://u:{MARKER}@{MARKER}é @h/d"):
        assert any(line.startswith(name.upper()) for line in refusal_of({**LIVE, name.upper(): wrong}))
        assert MARKER not in shown_for({**LIVE, name.upper(): wrong})


@pytest.mark.parametrize("name", sorted(set(Settings.model_fields) - set(SECRETS)))
def test_a_secret_in_the_wrong_line_is_not_shown_when_refused(name: str) -> None:
    assert MARKER not in shown_for({"DISCORD_BOT_TOKEN": MARKER, name.upper(): f"gsk_{MARKER}"})


def test_secrets_are_all_that_grants_something() -> None:
    assert {name.upper() for name in SECRETS} == {
        "HUBSPOT_ACCESS_TOKEN", "DISCORD_WEBHOOK_URL", "DISCORD_BOT_TOKEN", "GROQ_API_KEY", "DATABASE_URL",
        "HUBSPOT_CLIENT_SECRET", "HUBSPOT_WEBHOOK_TOKEN", "LOCAL_LLM_TOKEN", "CF_ACCESS_CLIENT_ID",
        "CF_ACCESS_CLIENT_SECRET", "HEARTBEAT_URL", "ALERT_DISCORD_WEBHOOK_URL", "ADMIN_TOKEN",
    }  # fmt: skip


def test_env_example_names_every_setting_with_its_default() -> None:
    blocks = re.findall(r"^# (.+)\n#?([A-Z_]+)=(.*)$", EXAMPLE.read_text(), re.M)
    assert {name.lower() for _, name, _ in blocks} == set(Settings.model_fields)
    defaults = load_settings(needs=Need.DATABASE)
    for comment, name, written in blocks:
        stated = comment.partition("Default: ")[2]
        default = getattr(defaults, name.lower())
        if stated in ("none", ""):
            assert default in (None, ()), name
        else:
            plain = default.get_secret_value() if isinstance(default, SecretStr) else default
            assert (str(plain), stated) == (stated, written), name


def test_env_example_marks_as_later_what_nothing_uses_yet() -> None:
    marked = re.findall(r"^# \(later\) .+\n#?([A-Z_]+)=", EXAMPLE.read_text(), re.M)
    code = "".join(path.read_text() for path in (EXAMPLE.parent / "jobs").rglob("*.py"))
    used = set(re.findall(r"settings\.([a-z_]+)", code))
    assert {name.lower() for name in marked} == set(Settings.model_fields) - used


def test_env_example_as_it_is_misses_the_needed_and_with_every_line_open_is_valid() -> None:
    Path(".env").write_text(EXAMPLE.read_text())
    assert len(refusal_of({})) == 3
    Path("procedures.md").write_text("# Ours")
    Path(".env").write_text(re.sub(r"^#([A-Z_]+=)", r"\1", EXAMPLE.read_text(), flags=re.M))
    (bot_wins,) = load().warnings
    assert bot_wins.startswith("DISCORD_WEBHOOK_URL: is not used, the bot tells")


def test_overrides_win_over_the_environment_and_that_over_env_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("PORT=1001\nLEASE_SECONDS=2\nDRAIN_SECONDS=3\nLOG_LEVEL=ERROR\n")
    monkeypatch.setenv("PORT", "1002")
    monkeypatch.setenv("LEASE_SECONDS", "4")
    monkeypatch.setenv("LOG_LEVEL", "")
    loaded = load(PORT="1003", DRAIN_SECONDS="  ")
    assert (loaded.port, loaded.lease_seconds, loaded.drain_seconds, loaded.log_level) == (
        1003,
        4,
        3,
        "ERROR",
    )


def test_unknown_names_are_ignored_outside_and_refused_in_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARNINGS", "x")
    Path(".env").write_text("SOMETHING_ELSE=1\n")
    assert load().warnings == ()
    assert the_line(NO_SUCH="1") == "NO_SUCH: is not a setting; remove it"


def test_env_file_takes_quotes_crlf_bom_export_and_dollar_signs() -> None:
    text = "COMPANY_NAME='Ä & Co'\r\nexport LOG_LEVEL=\"debug\"\r\n\r\n"
    text += "ADMIN_TOKEN=a${HOME}b#c-and-on # remark\r\n"
    Path(".env").write_bytes(text.encode("utf-8-sig"))
    loaded = load()
    assert (loaded.company_name, loaded.log_level) == ("Ä & Co", "DEBUG")
    assert loaded.admin_token == SecretStr("a${HOME}b#c-and-on")


def test_an_env_file_that_is_not_text_gives_one_line() -> None:
    Path(".env").write_bytes("PORT=1".encode("utf-16"))
    with pytest.raises(SettingsError, match=r"^\.env: is not UTF-8 text; write it again as UTF-8$"):
        load()


def test_an_env_file_that_cannot_be_read_gives_one_line() -> None:
    Path(".env").symlink_to(".env")
    with pytest.raises(SettingsError, match=r"^\.env: cannot be read \(OSError\); \S.+$"):
        load()


def test_a_folder_named_env_is_no_env_file() -> None:
    Path(".env").mkdir()
    assert load().port == 8080


def test_a_malformed_line_is_named_by_its_number_alone() -> None:
    Path(".env").write_text(f'PORT=1\n\n\n{MARKER} x\nLOG_LEVEL\nADMIN_TOKEN="{MARKER}\n')
    assert [line.partition(":")[0] for line in refusal_of(LIVE)] == [
        ".env line 4",
        ".env line 5",
        ".env line 6",
    ]


def test_a_misspelt_name_is_warned_of_and_told_beside_the_mistakes() -> None:
    Path(".env").write_text("\nHUBSPOT_ACESS_TOKEN=x\nLOG_LEVELS=x\n")
    hint = ".env line 2: HUBSPOT_ACESS_TOKEN is ignored; did you mean HUBSPOT_ACCESS_TOKEN?"
    assert hint in refusal_of({})
    assert load().warnings == (".env line 3: LOG_LEVELS is ignored; did you mean LOG_LEVEL?",)


WHOLE_RANGES = {
    "POLL_INTERVAL_SECONDS": (1, 86_400), "POLL_OVERLAP_SECONDS": (1, 604_800), "SWEEP_HOURS": (1, 720),
    "PORT": (1, 65_535), "LOCAL_LLM_CONCURRENCY": (1, 64), "TRIAGE_CONCURRENCY": (1, 64),
    "LEASE_SECONDS": (1, 86_400), "DRAIN_SECONDS": (0, 3_600), "DB_POOL_SIZE": (12, 500),
    "RETENTION_DAYS": (1, 3_650), "RETENTION_HOUR_UTC": (0, 23), "BACKUP_KEEP": (1, 3_650),
}  # fmt: skip


@pytest.mark.parametrize("name", [*WHOLE_RANGES])
def test_a_whole_number_is_taken_inside_its_range_only(name: str) -> None:
    low, high = WHOLE_RANGES[name]
    assert [getattr(load(**{name: str(n)}), name.lower()) for n in (low, high)] == [low, high]
    for wrong in (str(low - 1), str(high + 1), "1.5", "٣", "1_0", "9" * 20):
        assert the_line(**{name: wrong}).startswith(f"{name}: must be ")


GOOD_FORMS: list[tuple[str, str, object]] = [
    ("SWEEP_INTERVAL_MINUTES", "0.017", 0.017),
    ("SWEEP_INTERVAL_MINUTES", "1440", 1440.0),
    ("GROQ_MONTHLY_BUDGET", "12.50", 12.5),
    ("HUBSPOT_PIPELINES", "0, 77,0,", ("0", "77")),
    ("HUBSPOT_WEBHOOK_TOKEN", "new, old", (SecretStr("new"), SecretStr("old"))),
    ("CUSTOMER_TIER_PROPERTY", "company.tier", CrmProperty("company", "tier")),
    ("PRODUCT_AREA_PROPERTY", "ticket.product_area", CrmProperty("ticket", "product_area")),
    ("DISCORD_PING", "@here", "here"),
    ("DISCORD_PING", "None", "none"),
    ("DISCORD_PING", "123456789012345678", "123456789012345678"),
    ("CLOUD_TRIAGE", "OFF", "off"),
    ("LOCAL_LLM_URL", "http://[::1]:11434/some/path//", "http://[::1]:11434/some/path"),
    ("HUBSPOT_BASE_URL", "http://simulator/v?a=/", "http://simulator/v?a=/"),
    ("DISCORD_WEBHOOK_URL", "https://h/1/x/", SecretStr("https://h/1/x")),
    ("HEARTBEAT_URL", "https://h/ping/", SecretStr("https://h/ping/")),
    ("BACKUP_DIR", "backups", Path("backups")),
    ("NOTIFY_SINCE", "2025-12-14", datetime(2025, 12, 14, tzinfo=UTC)),
    ("NOTIFY_SINCE", "2025-12-14T09:00:00", datetime(2025, 12, 14, 9, tzinfo=UTC)),
    ("NOTIFY_SINCE", "2025-12-14T09:00:00+02:00", datetime(2025, 12, 14, 7, tzinfo=UTC)),
]


@pytest.mark.parametrize(("name", "text", "value"), GOOD_FORMS)
def test_a_good_form_becomes_its_value(name: str, text: str, value: object) -> None:
    loaded = getattr(load(**{name: text}), name.lower())
    assert loaded == value
    assert not isinstance(loaded, datetime) or loaded.tzinfo is UTC


BAD_FORMS = [
    ("SWEEP_INTERVAL_MINUTES", ["0", "0.016", "1441", "nan", "inf"]),
    ("GROQ_MONTHLY_BUDGET", ["$20", "-1", "1e3"]),
    ("HUBSPOT_PIPELINES", [",", "a b", "a;b"]),
    ("HUBSPOT_WEBHOOK_TOKEN", [" , ", "a b,c"]),
    ("CUSTOMER_TIER_PROPERTY", ["tier", "deal.tier", "company.", "company.a b", "company.a.b"]),
    ("DISCORD_PING", ["everyone", "@role", "<@&1>"]),
    ("DISCORD_CHANNEL_ID", ["general", "https://discord.com/channels/1/2"]),
    ("UNCONFIRMED_POLICY", ["resent", "send"]),
    ("CLOUD_TRIAGE", ["yes"]),
    ("LOG_LEVEL", ["verbose", "10"]),
    ("GROQ_MODEL", ["a model"]),
    ("COMPANY_NAME", ["x" * 101, "a\nb", "a\x1b[31m"]),
    (
        "LOCAL_LLM_URL",
        ["localhost:11434", "ftp://h", "http://", "http://h:x", "http://h:0", "http://[", "http://a b"],
    ),
    ("HEARTBEAT_URL", ["hc-ping.com/x"]),
    ("NOTIFY_SINCE", ["yesterday", "2999-01-01", "0001-01-01T00:00+14:00"]),
    ("SOP_FILE", ["missing.md", "~nobody-here/x", ".", "x" * 5000]),
]


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in BAD_FORMS for text in texts])
def test_a_bad_form_is_refused_by_name(name: str, text: str) -> None:
    assert any(line.startswith(f"{name}: ") for line in refusal_of({**LIVE, name: text}))


def test_the_sop_file_must_be_text() -> None:
    Path("sop.md").write_bytes(b"\xff\xfe")
    assert "not UTF-8" in the_line(SOP_FILE="sop.md")
    Path("sop.md").write_text("Wir grüßen.", encoding="utf-8")
    assert load(SOP_FILE="sop.md").sop_file == Path("sop.md")


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///triage.db", "sqlite:////data/triage.db", "sqlite:///a folder/x.db", "postgresql://h/d",
        "postgres://u:p@h:5432/railway", "postgresql:///d", "postgresql://u:p%40%2F%23%25ss%C3%BC@[::1]:5432/d",
        "postgresql://u:a:b@h/d?application_name=x&connect_timeout=5", "postgresql:///d?host=/var/run/postgresql",
        *(f"postgresql://u:p@h/d?sslmode={mode}" for mode in SSL_MODES),
    ],
)  # fmt: skip
def test_a_good_database_url_passes_untouched(url: str) -> None:
    assert load(DATABASE_URL=url).database_url.get_secret_value() == url


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("mysql://u:p@h/d", "does not begin with postgresql://"),
        ("triage.db", "does not begin with"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:///%3Amemory%3A", "in memory"),
        ("sqlite:///file:x?mode=memory", "in memory"),
        ("sqlite://triage.db", "three slashes"),
        ("sqlite:///folder/", "file's name"),
        ("sqlite:///x.db?timeout=5", "without ? or #"),
        ("postgresql://h", "name of one database"),
        ("postgresql://h/", "name of one database"),
        ("postgresql://h/a/b", "name of one database"),
        ("postgresql://h:port/d", "port"),
        ("postgresql://h:70000/d", "port"),
        ("postgresql://h:0/d", "port"),
        ("postgresql://h/d?sslmode=on", "sslmode that is not one of disable, allow"),
        ("postgresql://h/d?sslmode=", "sslmode"),
        ("postgresql://h/d?schema=public", "has Prisma's option schema: leave it out;"),
        (
            "postgresql://h/d?connection_limit=5&sslmode=require&pgbouncer=true",
            "has Prisma's options connection_limit and pgbouncer: leave them out;",
        ),
        (
            "postgresql://h/d?schema=app&pgbouncer=true",
            "has Prisma's options schema and pgbouncer: leave them out, and for that schema write "
            "options=-c%20search_path%3DNAME;",
        ),
    ],
)
def test_a_bad_database_url_is_told_what_is_wrong(url: str, wrong: str) -> None:
    assert wrong in the_line(DATABASE_URL=url)


@pytest.mark.parametrize("raw", ["@", "/", "#", "?", "%", "%zz", "%00", "%ff", "[", "]", " ", "/@", "℀"])
def test_a_raw_character_in_a_password_is_told_to_be_percent_encoded(raw: str) -> None:
    line = the_line(DATABASE_URL=f"postgresql://u:{MARKER}{raw}{MARKER}@host:5432/d")
    assert "must be percent-encoded" in line
    assert MARKER not in line


@hypothesis_settings(deadline=None)
@given(
    start=st.sampled_from(["postgresql://u:", "sqlite:///", "http://u:", ""]), left=st.text(), right=st.text()
)
@example(start="postgresql://u:", left="@/", right="@[h/d")
def test_no_text_in_the_settings_leaks_when_refused(start: str, left: str, right: str) -> None:
    hostile = f"{start}{left}{MARKER}{right}"
    assert MARKER not in shown_for({name.upper(): hostile for name in Settings.model_fields})


@hypothesis_settings(deadline=None)
@given(end=st.text(alphabet="psqlitegr:/@?#%[]=&. 0a\x00", max_size=30))
def test_no_database_url_leaks_taken_or_refused(end: str) -> None:
    assert MARKER not in shown_for({"DATABASE_URL": f"postgresql://u:{MARKER}{end}"}, Need.DATABASE)


@pytest.mark.parametrize(
    ("given_name", "missing"),
    [
        ("HUBSPOT_CLIENT_SECRET", "PUBLIC_URL"),
        ("DISCORD_BOT_TOKEN", "DISCORD_CHANNEL_ID"),
        ("DISCORD_CHANNEL_ID", "DISCORD_BOT_TOKEN"),
        ("CF_ACCESS_CLIENT_ID", "CF_ACCESS_CLIENT_SECRET"),
        ("CF_ACCESS_CLIENT_SECRET", "CF_ACCESS_CLIENT_ID"),
    ],
)
def test_a_setting_alone_asks_for_its_partner(given_name: str, missing: str) -> None:
    assert the_line(**{given_name: "1"}).startswith(
        f"{missing}: is missing, and {given_name} needs it; write "
    )
    assert load(
        **{given_name: "1", missing: "https://1"}
        if missing == "PUBLIC_URL"
        else {given_name: "1", missing: "1"}
    )


def test_the_pool_follows_the_concurrency_and_may_not_be_smaller() -> None:
    assert load(TRIAGE_CONCURRENCY="20").db_pool_size == 24
    assert load(TRIAGE_CONCURRENCY="2", DB_POOL_SIZE="6").db_pool_size == 6
    assert the_line(TRIAGE_CONCURRENCY="20", DB_POOL_SIZE="23").endswith("; write DB_POOL_SIZE=24")
    assert the_line(TRIAGE_CONCURRENCY="x", DB_POOL_SIZE="5").startswith("TRIAGE_CONCURRENCY: ")


def test_one_model_must_be_left_when_the_cloud_is_off() -> None:
    assert load(CLOUD_TRIAGE="off", GROQ_API_KEY="x").cloud_triage == "off"
    assert the_line(CLOUD_TRIAGE="off", GROQ_API_KEY="x", LOCAL_LLM_URL="").startswith("CLOUD_TRIAGE: is off")


def test_a_short_retention_is_taken_with_a_warning() -> None:
    assert load(RETENTION_DAYS="3").warnings[0].startswith("RETENTION_DAYS: less than 4 works like 4")
    assert load(RETENTION_DAYS="4").warnings == ()


def test_either_channel_and_either_model_will_do() -> None:
    token = {"HUBSPOT_ACCESS_TOKEN": "x"}
    bot = {"DISCORD_BOT_TOKEN": "x", "DISCORD_CHANNEL_ID": "1"}
    assert load_settings({**token, **bot, "GROQ_API_KEY": "x"}).discord_channel_id == "1"
    assert load_settings({**token, "GROQ_API_KEY": "x"}, needs=Need.HUBSPOT | Need.MODEL).groq_api_key


def test_a_database_verb_reads_and_judges_only_what_it_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", MARKER)
    monkeypatch.setenv("POLL_INTERVAL_SECONDS", "soon")
    monkeypatch.setenv("DATABASE_URL", "sqlite:///mine.db")
    loaded = load_settings(needs=Need.DATABASE)
    assert loaded.database_url == SecretStr("sqlite:///mine.db")
    assert loaded.hubspot_access_token is None
    monkeypatch.setenv("LEASE_SECONDS", "0")
    assert len(refusal_of({}, Need.DATABASE)) == 1


def test_the_sandbox_takes_tuning_alone_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("DATABASE_URL=sqlite:///live.db\nGROQ_API_KEY=live\nTRIAGE_CONCURRENCY=3\n")
    for name in set(Settings.model_fields) - set(TUNING_SETTINGS):
        monkeypatch.setenv(name.upper(), "not even valid\x01")
    monkeypatch.setenv("COMPANY_NAME", "Ours")
    loaded = load_settings({**LIVE, "DATABASE_URL": "sqlite:///sandbox.db"}, isolated=True)
    assert (loaded.company_name, loaded.triage_concurrency) == ("Ours", 3)
    assert loaded.model_fields_set == {
        "company_name", "triage_concurrency", "database_url", *(name.lower() for name in LIVE),
    }  # fmt: skip


def test_the_sandbox_must_name_its_own_ledger() -> None:
    lines = refusal_of(LIVE, isolated=True)
    assert [line.partition(":")[0] for line in lines] == ["DATABASE_URL"]


def test_tuning_names_no_service_and_no_secret() -> None:
    assert {*TUNING_SETTINGS, *DATABASE_SETTINGS} <= set(Settings.model_fields)
    assert not [name for name in TUNING_SETTINGS if name in SECRETS or "url" in name]
