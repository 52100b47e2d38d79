"""What leaves for the cloud, counted at its other end: 500 planted secrets, and what is nobody's secret."""

import json
import random
import re
import string
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from jobs.sandbox.groq import SANDBOX_GROQ_KEY, SimulatedGroq
from jobs.ticket import Ticket
from jobs.triage.chain import Triager
from jobs.triage.groq import GroqModel
from jobs.triage.masking import Masked, mask
from tests.unit.test_triage_masking import german_iban, with_luhn

SECRETS, HARMLESS = 500, 600
SEED = 20261126
LETTERS = string.ascii_letters + string.digits
BASE64 = LETTERS + "+/"
TICKET = Ticket("1", "Help", "", datetime(2026, 11, 26, tzinfo=UTC), "https://hubspot.test/1")
Make = Callable[[random.Random], str]


def some(characters: str, least: int, most: int | None = None) -> Make:
    """So many, at least one of them a digit, as keys have."""

    def make(luck: random.Random) -> str:
        size = luck.randint(least, most or least)
        return "".join(luck.choices(characters, k=size - 1)) + luck.choice("23456789")

    return make


def password(luck: random.Random) -> str:
    word = luck.choice(["Sommer", "tiger", "Blume", "s3cret", "Qwertz", "Tr0ub4dor", "correcthorse", "Maria"])
    return f"{word}{luck.choice(['', '!', '#', '$'])}{luck.randint(10, 9999)}{luck.choice(['', '!', '&'])}"


def grouped(number: str, luck: random.Random) -> str:
    return luck.choice([" ", "-", "", "."]).join(re.findall(".{1,4}", number))


def card(luck: random.Random) -> str:
    start, size = luck.choice([("4", 15), ("51", 15), ("37", 14), ("6011", 15), ("2221", 15)])
    number = with_luhn(start + "".join(luck.choices(string.digits, k=size - len(start))))
    return grouped(number, luck)


def iban(luck: random.Random) -> str:
    return grouped(german_iban("".join(luck.choices(string.digits, k=18))), luck)


hexadecimal = string.hexdigits[:16]
#: What is secret, and the words it stands in: {} is its place.
PLANTED: tuple[tuple[Make, tuple[str, ...]], ...] = (
    (
        password,
        (
            "Password: {}",
            "my password is {} and it does not work",
            "user: maria\npass: {}\nplease check",
            "login maria / password {}",
            "I set the password to {} yesterday",
            "PW = {}",
            "the admin pwd: {}",
            "Mein Passwort lautet {} und geht nicht",
            "Kennwort: {}",
            "Benutzer: maria, Passwort: {}",
            "contraseña: {}",
            "mi contraseña es {}, gracias",
            "mot de passe : {}",
            "mon mot de passe est {}",
            "DB_PASSWORD={}",
            '{{"user": "maria", "password": "{}"}}',
            "postgres://app:{}@db.internal:5432/shop",
            "wifi passphrase: {}",
        ),
    ),
    (some(LETTERS, 24), ("STRIPE=sk_live_{}", "we use sk_test_{} in the tests")),
    (some(LETTERS, 36), ("my token ghp_{} is refused", "curl -H 'Authorization: token gho_{}'")),
    (some(BASE64, 40), ("aws_secret_access_key = {}", "secret access key: {}")),
    (some(string.ascii_uppercase + string.digits, 16), ("AKIA{} has no rights", "the key is ASIA{}")),
    (some(LETTERS + "-_", 35), ("AIza{} gives 403", "maps key AIza{}")),
    (some(LETTERS, 40, 60), ("Authorization: Bearer {}", "access_token={}&state=1", "api key: {}")),
    (some(hexadecimal, 32), ("the secret is {}", "client_secret: {}", "X-Api-Key: {}")),
    (some(BASE64, 86), ("DefaultEndpointsProtocol=https;AccountName=shop;AccountKey={}==;",)),
    (some(LETTERS, 24), ("https://hooks.slack.com/services/T01ABCDEF/B01ABCDEF/{}",)),
    (some(LETTERS + "-_", 68), ("https://discord.com/api/webhooks/123456789012345678/{}",)),
    (some(LETTERS + "-_", 43), ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{}",)),
    (some(BASE64, 200), ("-----BEGIN PRIVATE KEY-----\nMIIE{}\n-----END PRIVATE KEY-----",)),
    (some(string.digits, 6), ("CVV: 123, one-time code: {}", "my verification code is {}", "PIN: {}")),
    (card, ("My card {} was charged", "Kreditkarte {} bitte prüfen", "card number: {}, exp 12/28")),
    (iban, ("Please refund to {}", "IBAN: {}", "Meine IBAN lautet {}.")),
    (some("abcdefghijk", 8), ("write to {}@example.test", "mail: {}@firma.example.test please")),
    (lambda luck: f"+49 30 {luck.randint(1_000_000, 9_999_999)}", ("call me: {}", "Tel. {}")),
)

NOBODYS: tuple[tuple[Make, tuple[str, ...]], ...] = (
    (
        lambda luck: str(luck.randint(10_000, 99_999_999)),
        ("order {}", "my order number is {}", "Bestellung {}", "invoice #{}", "ticket {}", "pedido {}"),
    ),
    (
        lambda luck: "-".join(str(luck.randint(10**size, 10 ** (size + 1) - 1)) for size in (2, 6, 6)),
        ("order {}", "order no. {} has not come"),
    ),
    (
        lambda luck: f"INV-{luck.randint(2020, 2026)}-{luck.randint(1, 99_999):05}",
        ("invoice {}", "{} is wrong"),
    ),
    (
        lambda luck: f"{luck.randint(1, 30)}.{luck.randint(0, 20)}.{luck.randint(0, 9_999)}",
        ("version {}", "since {} it crashes", "v{}", "we updated to {}"),
    ),
    (
        lambda luck: f"{luck.randint(60, 150)}.0.{luck.randint(1000, 9999)}.{luck.randint(10, 250)}",
        ("Chrome {}",),
    ),
    (
        lambda luck: f"{luck.randint(2019, 2026)}-{luck.randint(1, 12):02}-{luck.randint(1, 28):02}",
        ("since {}", "on {} at 10:30", "am {}", "from {} on"),
    ),
    (
        lambda luck: f"{luck.randint(1, 28)}.{luck.randint(1, 12)}.{luck.randint(2019, 2026)}",
        ("am {}", "seit dem {}", "el {}"),
    ),
    (
        lambda luck: f"{luck.randint(1, 12)}/{luck.randint(1, 28)}/{luck.randint(2019, 2026)}",
        ("on {}", "{} 9:15 am"),
    ),
    (lambda luck: f"${luck.randint(1, 9999)}.{luck.randint(0, 99):02}", ("you charged {}", "{} too much")),
    (lambda luck: f"{luck.randint(100, 999)} rows of {luck.randint(1_000, 99_999)}", ("only {} came",)),
    (
        lambda luck: f"SKU-{luck.randint(1000, 99999)}-{luck.choice('ABC')}",
        ("article {}", "the {} is sold out"),
    ),
    (lambda luck: f"0x{luck.randint(0x80000000, 0xFFFFFFFF):08X}", ("error {}", "it says {}")),
)


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatedGroq]:
    with SimulatedGroq() as running:
        yield running


def bodies(
    planted: tuple[tuple[Make, tuple[str, ...]], ...], luck: random.Random, number: int
) -> list[tuple[str, str]]:
    """``number`` values, each with its body: all sentences in turn."""
    sentences = [(make, words) for make, several in planted for words in several]
    made = []
    for at in range(number):
        make, words = sentences[at % len(sentences)]
        value = make(luck)
        made.append((value, f"Hello,\n{words.format(value)}\nThank you for your help with the export."))
    return made


def what_leaves(server: SimulatedGroq, triager: Triager, body: str) -> str:
    """All that the server was sent about a ticket, as a model would read it."""
    server.requests_seen.clear()
    triager.triage(replace(TICKET, body=body))
    assert server.chats
    return json.dumps(server.chats, ensure_ascii=False).replace('\\\\"', '"')


def shows(value: str, sent: str) -> bool:
    """Whether any six characters in a row of ``value`` were sent."""
    return any(value[start : start + 6] in sent for start in range(len(value) - 5))


@contextmanager
def asking(server: SimulatedGroq, masker: Callable[[Ticket], Masked] | None = mask) -> Iterator[Triager]:
    model = GroqModel(api_key=SANDBOX_GROQ_KEY, model="openai/gpt-oss-120b", base_url=server.url)
    with closing(Triager([model], company_name="", sop="", masker=masker)) as triager:
        yield triager


def test_no_planted_secret_leaves_in_masked_mode(server: SimulatedGroq) -> None:
    made = bodies(PLANTED, random.Random(SEED), SECRETS)
    with asking(server) as triager:
        leaked = [body for value, body in made if shows(value, what_leaves(server, triager, body))]
    assert leaked == [], f"{len(leaked)} of {SECRETS}"


def test_order_numbers_versions_and_dates_are_left(server: SimulatedGroq) -> None:
    made = bodies(NOBODYS, random.Random(SEED), HARMLESS)
    with asking(server) as triager:
        masked = [body for value, body in made if value not in what_leaves(server, triager, body)]
    assert len(masked) <= 0.02 * HARMLESS, masked


def test_the_count_would_see_a_leak(server: SimulatedGroq) -> None:
    """With the masker off every planted value is found at the other end."""
    with asking(server, masker=None) as triager:
        for value, body in bodies(PLANTED, random.Random(SEED), 45):
            assert shows(value, what_leaves(server, triager, body))
