"""P3: nothing a customer wrote is stored or logged."""

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.acceptance.conftest import Bench
from tests.acceptance.worker import CLIENT_SECRET, wait_until, worker
from tests.conftest import connect

RECENT = datetime.now(UTC) - timedelta(minutes=2)
MARKERS = (
    "SUBJECTmarker",
    "BODYmarker",
    "FIRSTmarker",
    "LASTmarker",
    "COMPANYmarker",
    "mail-marker@example.org",
)


def plant(bench: Bench) -> None:
    person = bench.hubspot.add_contact(
        firstname="FIRSTmarker", lastname="LASTmarker", email="mail-marker@example.org"
    )
    company = bench.hubspot.add_company(name="COMPANYmarker")
    for number in range(4):
        bench.hubspot.add_ticket(
            f"SUBJECTmarker {number}",
            "BODYmarker, write to mail-marker@example.org",
            created_at=RECENT,
            contact=person,
            company=company,
        )


def written(bench: Bench, logs: str) -> str:
    """Everything the product left behind, but for the cards themselves."""
    texts = [logs]
    texts += [file.read_bytes().decode("latin-1") for file in bench.folder.rglob("*") if file.is_file()]
    if bench.env["DATABASE_URL"].startswith("postgres"):
        texts.append(dump(bench.env["DATABASE_URL"]))
    return "\n".join(texts)


def dump(url: str) -> str:
    session = connect(url)
    cursor = session.cursor()
    cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    rows = []
    for (table,) in cursor.fetchall():
        cursor.execute(f"SELECT t::text FROM {table} t")
        rows += [row for (row,) in cursor.fetchall()]
    session.close()
    assert len(rows) > 4
    return "\n".join(rows)


def assert_clean(text: str) -> None:
    assert [marker for marker in MARKERS if marker in text] == []


def test_nothing_a_customer_wrote_is_stored_or_logged(bench: Bench) -> None:
    plant(bench)
    run = bench.run("run-once", LOG_LEVEL="DEBUG")
    assert str(bench.discord.messages).count("SUBJECTmarker") >= 4
    assert_clean(written(bench, run.out + run.err))


def test_nor_when_everything_fails(bench: Bench) -> None:
    plant(bench)
    bench.ollama.faults.content = "BODYmarker is no JSON, FIRSTmarker"
    run = bench.run("run-once", "--json", LOG_LEVEL="DEBUG")
    assert run.json["failed"] == 4
    assert_clean(written(bench, run.out + run.err))

    bench.hubspot.add_ticket("SUBJECTmarker late", "BODYmarker", created_at=RECENT)
    bench.hubspot.faults.down = True
    run = bench.run("run-once", "--json", LOG_LEVEL="DEBUG")
    assert_clean(written(bench, run.out + run.err))


def test_nor_does_a_worker_with_webhooks_health_and_metrics(bench: Bench) -> None:
    plant(bench)
    bench.hubspot.add_ticket("SUBJECTmarker at once", "BODYmarker")
    with worker(bench, env={"LOG_LEVEL": "DEBUG", "HUBSPOT_WEBHOOK_TOKEN": "TOKENmarker"}) as running:
        texts = [
            enrol(running.url, {"hs_object_id": one, "subject": "SUBJECTmarker", "content": "BODYmarker"})
            for one in (str(bench.hubspot.add_ticket("SUBJECTmarker by webhook", "BODYmarker")), "BODYmarker")
        ]
        wait_until(lambda: str(bench.discord.messages).count("SUBJECTmarker") >= 6)
        texts += [
            running.get(path).text for path in ("/health", "/metrics", "/health/BODYmarker?q=BODYmarker")
        ]
        assert running.stop() == 0
    everything = written(bench, "\n".join(texts))
    assert_clean(everything)
    assert not [secret for secret in ("TOKENmarker", CLIENT_SECRET) if secret in everything]


def enrol(url: str, ticket: dict[str, str]) -> str:
    """A workflow's webhook with a ticket's text in it; what was answered."""
    headers = {"X-Webhook-Token": "TOKENmarker", "X-Request-ID": "r1"}
    return httpx.post(f"{url}/webhook/hubspot", json=ticket, headers=headers).text


def test_the_markers_would_be_seen() -> None:
    with pytest.raises(AssertionError):
        assert_clean("x BODYmarker")


def test_groq_sees_the_ticket_masked(sqlite_bench: Bench) -> None:
    person = sqlite_bench.hubspot.add_contact(firstname="FIRSTmarker", lastname="LASTmarker")
    sqlite_bench.hubspot.add_ticket(
        "Refund", "I am LASTmarker, write to mail-marker@example.org", created_at=RECENT, contact=person
    )
    settings = {**sqlite_bench.vendors.groq_settings, "LOCAL_LLM_URL": ""}
    assert sqlite_bench.run("run-once", "--json", **settings).json["by_provider"] == {"groq": 1}
    seen = str([request.body for request in sqlite_bench.vendors.groq.requests_seen])
    assert "Refund" in seen
    assert_clean(seen)


def test_no_card_number_or_password_reaches_the_chat(sqlite_bench: Bench) -> None:
    """The stand-in repeats the subject in its summary, as a local model may."""
    bench = sqlite_bench
    (ticket,) = bench.add(1, "Card 4111 1111 1111 1111, login hunter22!x", "My password: hunter22!x")
    assert bench.run("run-once", "--json").json["notified"] == 1
    (card,) = bench.discord.cards_for(ticket)
    seen = json.dumps(bench.discord.requests_seen[-1].json())
    assert "[card number]" in seen.replace("\\", "")
    assert not any(secret in seen for secret in ("4111", "hunter22"))
    assert card.embeds
