"""Nothing of the requester's own leaves for the cloud, and the card reads as if it had."""

import json
import re
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobs.ticket import Ticket
from jobs.triage.answer import ITEM_CHARS, SUMMARY_CHARS, Answer, parse_answer
from jobs.triage.chain import Triager
from jobs.triage.masking import Masked, hide_secrets, mask
from jobs.triage.rules import decide_by_rules
from jobs.verdict import Provider, ProviderFailure
from jobs.without_secrets import without_secrets
from tests.unit.test_triage_answer import answer_with
from tests.unit.test_triage_chain import ScriptedModel, groq, local

COMPLAINTS = Path(__file__).resolve().parents[3] / "shared" / "data" / "complaints.jsonl"
ANYTHING = st.text(alphabet=st.characters(exclude_categories=()))
PLACEHOLDER = re.compile(r"\[(EMAIL|PHONE|NAME|CARD|IBAN|SECRET)_\d+\]")
TICKET = Ticket("1", "Help", "", datetime(2026, 11, 1, tzinfo=UTC), "https://hubspot.test/1")
VISA = "4111 1111 1111 1111"
IBAN = "DE89 3704 0044 0532 0130 00"


def masked(body: str, name: str | None = "José García-Müller", subject: str = "Help") -> Masked:
    return mask(replace(TICKET, body=body, subject=subject, customer_name=name))


def body_of(body: str, name: str | None = "José García-Müller") -> str:
    return masked(body, name).ticket.body


def answering(**changes: object) -> Answer:
    return parse_answer(answer_with(**changes))


@pytest.mark.parametrize(
    "value",
    [
        *("bob@example.com", "Bob.Smith+tag@mail.example.co.uk", "o'hara@example.ie", "bob%40example.com"),
        *(
            "jörg@müller.de",
            "иван@почта.рф",
            "用户@例子.公司",
            "bob (at) example [dot] com",
            "bob＠example.com",
        ),
        *("bob\u200b@exam\u200bple.com", "b@x.com"),
    ],
)
def test_a_mail_address_becomes_a_placeholder(value: str) -> None:
    assert body_of(f"Write to <{value}>, please") == "Write to <[EMAIL_1]>, please"


@pytest.mark.parametrize(
    "value",
    [
        *(
            "4111111111111111",
            VISA,
            "4111-1111-1111-1111",
            "4111 – 1111 – 1111 – 1111",
            "4111.1111.1111.1111",
            "378282246310005",
        ),
        *("3782 822463 10005", "30569309025904", "4222222222222", "6011 0009 9013 9424", "2223003122003222"),
        *("４１１１ １１１１ １１１１ １１１１", "٤١١١١١١١١١١١١١١١", "4111\u00a01111\u20111111\u20091111"),
        *("4\u200b111\u20601111\ufeff1111\u00ad1111", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"),
        *(
            "4111/1111/1111/1111",
            "4111, 1111, 1111, 1111",
            "4111_1111_1111_1111",
            "4111 | 1111 | 1111 | 1111",
        ),
        "4111\n1111\n1111\n1111",
    ],
)
def test_a_card_number_becomes_a_placeholder(value: str) -> None:
    assert body_of(f"My card {value}, valid to 12/27.") == "My card [CARD_1], valid to 12/27."


@pytest.mark.parametrize(
    "value",
    [
        IBAN,
        "DE89370400440532013000",
        "de89 3704 0044 0532 0130 00",
        "GB82-WEST-1234-5698-7654-32",
        "DE89_3704_0044_0532_0130_00",
        "DE89 3704\n0044 0532 0130 00",
    ],
)
def test_an_iban_becomes_a_placeholder(value: str) -> None:
    assert body_of(f"Pay to {value} soon") == "Pay to [IBAN_1] soon"


@pytest.mark.parametrize(
    "value",
    [
        *("+49 30 1234567", "+1 (555) 010-9999", "+447911123456", "0049 30 123456", "(030) 123-4567"),
        *("555-010-9999", "555.010.9999", "1-800-555-0199", "030/1234567", "0171 2345678", "06 12 34 56 78"),
        *(
            "020 7946 0958",
            "612 345 678",
            "555-0199",
            "+４９ ３０ １２３４５６７",
            "+49\u00a030\u20111234567",
        ),
        *("01711234567", "0612345678"),
        *("98765 43210", "+4\u200b9301234567"),
    ],
)
def test_a_phone_number_becomes_a_placeholder(value: str) -> None:
    assert body_of(f"Ring {value}, please") == "Ring [PHONE_1], please"


def test_after_its_label_a_phone_number_needs_no_pattern() -> None:
    assert body_of("Mobile: 5550109999. Tel 03012345") == "Mobile: [PHONE_1]. Tel [PHONE_2]"


@pytest.mark.parametrize(
    "value",
    [
        *("ghp_abcdefghijABCDEFGHIJabcdefghijABCDEF", "AKIAIOSFODNN7EXAMPLA"),
        *("sk-proj-abcDEF1234567890abcdef", "ghp_abcdefghijklmnopqrstuvwxyz012345", "AKIAIOSFODNN7EXAMPLE"),
        *("pat-eu1-01234567-89ab-cdef-0123-456789abcdef", "AIzaSyA-1234567890abcdefghijklmnopqrs"),
        *("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.SflKxwRJSMeKKF2QT4", "xoxb-123456789012-abcdefABCDEF"),
        *("d41d8cd98f00b204e9800998ecf8427e", "a8Kd73jfQz91LmX0pRt5vB2n", "gsk_a1B2c3D4e5F6g7H8i9J0"),
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n\nabc=\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_a_key_is_known_by_its_form(value: str) -> None:
    assert body_of(f"I use {value} here") == "I use [SECRET_1] here"


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [
        ("Password: ", "hunter2", "."),
        ("my password is ", "sunshine", " and"),
        ("PASSWORD IS: ", "Xy9!", " ok"),
        ("pw=", "abc", " ok"),
        ("pwd ", "abc12345", " ok"),
        ('"password": "', "a b c", '"'),
        ("DB_PASSWORD_PROD=", "tiger", "\n"),
        ("the password for my account is ", "Hunter22!", ", sorry"),
        ("I changed my password to ", "s3cretX", " today"),
        ("Password:\n", "hunter2", "\nThanks"),
        ("my password was changed to ", "Sommer2024", " today"),
        ("the password you gave me, ", "Sommer2024!", ", fails"),
        ("Zugangspasswort: ", "hunter22", " ok"),
        ("dbPassword=", "hunter22", "\n"),
        ("mypassword: ", "hunter22", " ok"),
        ("WLAN-Schlüssel: ", "hunter2233", " ok"),
        ("login: ada / ", "hunter2", " ok"),
        ("Passwort: ", "geheim", " bitte"),
        ("mein Passwort lautet ", "Sommer", " danke"),
        ("contraseña: ", "secreto", " gracias"),
        ("mot de passe : ", "soleil", " merci"),
        ("пароль: ", "солнце", " спасибо"),
        ("PIN: ", "1234", " ok"),
        ("CVV ", "123", " ok"),
        ("api key: ", "abc123", " ok"),
        ("client_secret=", "abcdefghijklmnop", " ok"),
        ("https://bob:", "pa55", "@host.test/x"),
        ("Authorization: Bearer ", "abc.def-123456", " ok"),
        ("seed phrase: ", "witch collapse practice feed", "\nbye"),
        ("Password: ", 'a"b<c`d', " ok"),
        ("<password>", "hunter2</password>", " ok"),
        ('password: "', "it's my pass", '" ok'),
        ("pass\u200bword: ", "hun\u200bter2", " ok"),
    ],
)
def test_a_secret_is_known_by_its_label(before: str, value: str, after: str) -> None:
    assert body_of(before + value + after) == before + "[SECRET_1]" + after


@pytest.mark.parametrize(
    "text",
    [
        *("José García-Müller", "jose garcia-muller", "JOSÉ", "García", "garcia", "Mueller", "Jose\u0301"),
        *("García, José", "jose_garcia", "J\u200bosé", "Müller's"),
    ],
)
def test_the_requesters_name_becomes_a_placeholder_however_it_is_written(text: str) -> None:
    body = body_of(f"Hello, this is {text}. Thanks")
    assert re.fullmatch(r"Hello, this is \[NAME_\d\]('s|(, |_)\[NAME_\d\])?\. Thanks", body)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Dr. Al Bo", "do as Dr. Albo's team told us, an also-ran"),
        ("Support Team", "dear support team, the support is good"),
        ("Jan van der Berg", "der van, the iceberg and January"),
        ("XXXX XXXX", "XXXX XXXX said XX/XX/2018"),
        ("An Do", "an idea: do it"),
        ("  ", "nothing"),
        ("!?", "what!?"),
    ],
)
def test_ordinary_words_and_parts_of_words_are_no_names(name: str, text: str) -> None:
    assert body_of(text, name) == text


@pytest.mark.parametrize("name", ["王伟", "伟 王", "王 伟"])
def test_names_are_found_where_words_have_no_spaces(name: str) -> None:
    assert re.fullmatch(r"我是\[NAME_\d\]。", body_of("我是王伟。", name))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "2026-01-02 01.02.2026 10:30, 12/25/2026 and 2026-11-01T09:00:00Z",
            "order 123-456-7890, #788-6642751-0367653",
        ),
        *("Ticket 20260012345, invoice 2026-000123, order 12345678901", "version 10.15.7 at 192.168.100.100"),
        *("$1,234,567.89, 1.234.567,00 € or 612 345 678 €", "4111 1111 1111 1112 fails Luhn's check"),
        *("550e8400-e29b-41d4-a716-446655440000", "GB82 WEST 1234 5698 7654 33 has a wrong check"),
        *(
            "1700000000000 and 1234567890123",
            "How-To-Configure-2026-Settings-Page-Now",
            "see /Users/docs/v2/a3/b4c5",
        ),
        *("XXXX XXXX XX/XX/2018 {$1500.00}", "my account XXXX-XXXX-XXXX-XXXX, SSN XXX-XX-XXXX"),
        *(
            "My password is not working, password reset failed",
            "Password: XXXX",
            "password was changed and expired",
        ),
        *("the token is invalid, API key expired", "the pin is on the map", "I pinned 1234 items"),
        *("5 @ 3.20 each", "follow @bob", "look at (that) dot", "see you at 9"),
    ],
)
def test_what_is_nobodys_secret_stays(text: str) -> None:
    assert body_of(text) == text


def test_one_value_has_one_placeholder_in_all_texts_and_each_value_its_own() -> None:
    cards, phones = f"{VISA} 4111111111111111", "+49 30 1234567 +49-30-1234567"
    body = f"bob@x.test BOB@X.test eve@x.test {cards} {phones} Garcia García"
    ticket = masked(body, subject="bob@x.test wrote: García").ticket
    name = ticket.body.rsplit(" ", 1)[1]
    assert ticket.subject == f"[EMAIL_1] wrote: {name}"
    assert ticket.body == f"[EMAIL_1] [EMAIL_1] [EMAIL_2] [CARD_1] [CARD_1] [PHONE_1] [PHONE_1] {name} {name}"
    assert ticket.customer_name == "[NAME_1]"


def test_a_secret_told_once_is_masked_wherever_it_stands() -> None:
    ticket = masked("I typed hunter2, then (hunter2).", subject="Password: hunter2").ticket
    assert (ticket.subject, ticket.body) == ("Password: [SECRET_1]", "I typed [SECRET_1], then ([SECRET_1]).")


def test_the_companys_name_stays_but_for_values_in_it() -> None:
    ticket = replace(TICKET, customer_name="Eve Moss", company_name="Moss & Sons GmbH, eve@moss.test")
    assert mask(ticket).ticket.company_name == "[NAME_2] & Sons GmbH, [EMAIL_1]"
    assert mask(replace(ticket, company_name="Globex GmbH")).ticket.company_name == "Globex GmbH"


def test_values_in_the_portals_own_fields_are_masked_too() -> None:
    ticket = replace(TICKET, customer_tier="gold", product_area="eve@moss.test", category="BILLING")
    assert mask(ticket).ticket == replace(ticket, product_area="[EMAIL_1]")


def test_a_placeholder_that_the_ticket_brings_is_not_given_out_and_not_filled() -> None:
    result = masked("[EMAIL_1] [email_2] ［EMAIL_３］ bob@x.test", name="[NAME_1] Eve")
    assert result.ticket.body == "[EMAIL_1] [email_2] ［EMAIL_３］ [EMAIL_4]"
    answer = result.restore(answering(customer_summary="[EMAIL_1] [EMAIL_2] [EMAIL_4] [EMAIL_9]"))
    assert answer.customer_summary == "[EMAIL_1] [EMAIL_2] bob@x.test [EMAIL_9]"


def test_addresses_numbers_and_names_come_back_in_every_text() -> None:
    result = masked(f"bob@x.test, +49 30 1234567, {IBAN}")
    said = "[NAME_1] [email_1] [PHONE_1] [IBAN_1]"
    values = f"José García-Müller bob@x.test +49 30 1234567 {IBAN}"
    answer = result.restore(
        answering(
            customer_summary=said,
            reply_needed=True,
            reply_draft=said,
            questions_for_customer=[said, said],
            internal_notes=[said],
        )
    )
    assert (answer.customer_summary, answer.reply_draft) == (values, values)
    assert (answer.questions_for_customer, answer.internal_notes) == ((values, values), (values,))


def test_cards_keys_and_passwords_never_come_back() -> None:
    result = masked(f"{VISA} password: hunter2")
    answer = result.restore(answering(customer_summary="[CARD_1] and [SECRET_1]"))
    assert answer.customer_summary == "[card number] and [key or password]"
    assert "hunter2" not in str(result._originals)
    assert VISA not in str(result._originals)
    assert "José" not in repr(result), "whoever logs it logs no name"


def test_a_restored_answer_keeps_its_limits_and_its_other_fields() -> None:
    long = "x" * 5_000 + "@x.test"
    before = answering(customer_summary="[EMAIL_1]", internal_notes=["[EMAIL_1]"], reply_needed=False)
    after = masked(long).restore(before)
    assert (len(after.customer_summary), len(after.internal_notes[0])) == (SUMMARY_CHARS, ITEM_CHARS)
    assert after.reply_draft is None
    assert after.model_copy(update=before.model_dump()) == before


UNTRIAGED = decide_by_rules(TICKET, ())


@pytest.mark.parametrize(
    ("subject", "body", "shown"),
    [
        (f"My card {VISA} was declined", "", "My card [card number] was declined"),
        ("login hunter22!x fails", "My password: hunter22!x", "login [key or password] fails"),
        ("Password reset does not work", "", "Password reset does not work"),
        ("is **Tr0ub4dor99x** or ada:Tr0ub4dor99x", "My password is Tr0ub4dor99x", "is **?** or ada:?"),
        ("see https://x.test/?p=Tr0ub4dor99x", "My password is Tr0ub4dor99x", "see https://x.test/?p=?"),
        ("The outage is a breach", "password: outage\npassword: breach", "The outage is a breach"),
        ("4111\t1111\t1111\t1111, 4111:1111:1111:1111", "", "[card number], [card number]"),
        ("4111 1111 [card number] 1111 1111", "", "4111 1111 [card number] 1111 1111"),
        ("Call me at 030 1234567, I am at b@x.com", "", "Call me at 030 1234567, I am at b@x.com"),
    ],
)
def test_a_card_shows_no_card_number_key_or_password_whoever_wrote_it(
    subject: str, body: str, shown: str
) -> None:
    """A local model reads the ticket as it is, and the title is the customer's own."""
    shown = shown.replace("?*", "[key or password]*").replace(":?", ":[key or password]")
    shown = shown.replace("p=?", "p=[key or password]")
    ticket = replace(TICKET, subject=subject, body=body, company_name=subject)
    written = replace(
        UNTRIAGED,
        customer_summary=subject,
        reply_draft=f"Re: {subject}",
        questions_for_customer=(subject,),
        internal_notes=(subject, subject),
    )
    safe, verdict = hide_secrets(ticket, written)
    assert (safe.subject, safe.company_name, safe.body) == (shown, shown, body)
    assert (verdict.customer_summary, verdict.reply_draft) == (shown, f"Re: {shown}")
    assert (verdict.questions_for_customer, verdict.internal_notes) == ((shown,), (shown, shown))
    assert hide_secrets(safe, verdict) == (safe, verdict)


def test_no_subject_of_real_complaints_changes_on_the_card() -> None:
    if not COMPLAINTS.exists():
        pytest.skip("../shared/data/complaints.jsonl is not here")
    for line in COMPLAINTS.read_text().splitlines():
        complaint = json.loads(line)
        ticket = replace(TICKET, subject=complaint["subject"], body=complaint["body"])
        assert hide_secrets(ticket, UNTRIAGED) == (ticket, UNTRIAGED)


def test_a_search_for_secrets_that_fails_costs_the_words_and_not_the_card(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise RecursionError(VISA)

    monkeypatch.setattr("jobs.without_secrets.hide_secrets", fail)
    safe, verdict = without_secrets(replace(TICKET, subject=VISA, customer_name="Ada"), UNTRIAGED)
    assert VISA not in f"{safe} {verdict}"
    assert (safe.customer_name, verdict.priority) == (None, UNTRIAGED.priority)


def triager(*models: ScriptedModel, **changes: object) -> Triager:
    return Triager(models, **{"company_name": "Acme", "sop": "Ask eve@acme.test."} | changes)  # type: ignore[arg-type]


def sent(model: ScriptedModel) -> str:
    return "\n".join(message.content for messages in model.asked for message in messages)


MAIL = replace(TICKET, body="Write to bob@x.test", customer_name="Eve Moss")


def test_a_cloud_model_sees_placeholders_and_the_verdict_shows_the_values() -> None:
    model = groq(answer_with(customer_summary="[NAME_1] wants mail to [EMAIL_1]"))
    verdict = triager(model).triage(MAIL)
    assert verdict.customer_summary == "Eve Moss wants mail to bob@x.test"
    assert "Write to [EMAIL_1]" in sent(model)
    assert not re.search("bob@x.test|Eve|Moss", sent(model))


def test_the_teams_own_words_are_not_masked() -> None:
    model = groq(answer_with())
    triager(model, company_name="Moss & Sons").triage(MAIL)
    assert "Ask eve@acme.test." in sent(model)
    assert "Moss & Sons" in sent(model)


def test_a_repair_holds_only_masked_text() -> None:
    for budget in (30_000, 12_000):
        model = groq("[EMAIL_1] is no JSON", answer_with(customer_summary="[EMAIL_1]"), budget_chars=budget)
        long = replace(MAIL, body="Write to bob@x.test. " * 2_000)
        assert triager(model, sop="").triage(long).customer_summary == "bob@x.test"
        assert len(model.asked) == 2
        assert "bob@x" not in sent(model)


def test_the_local_model_reads_the_ticket_as_it_is_and_its_answer_never_leaves() -> None:
    near, far = local("bob@x.test is no JSON"), groq(answer_with())
    triager(near, far).triage(MAIL)
    assert "Write to bob@x.test" in sent(near)
    assert "Eve Moss" in sent(near)
    assert "bob@x.test" not in sent(far)


def test_a_model_that_says_where_it_runs_is_believed() -> None:
    near, far = groq(answer_with()), local(answer_with())
    near.cloud, far.cloud = False, True  # type: ignore[attr-defined]
    for model in (near, far):
        triager(model).triage(MAIL)
    assert "bob@x.test" in sent(near)
    assert "bob@x.test" not in sent(far)


def test_without_a_masker_the_cloud_sees_everything() -> None:
    model = groq(answer_with())
    triager(model, masker=None).triage(MAIL)
    assert "Write to bob@x.test" in sent(model)


def test_where_masking_fails_nothing_is_sent_and_the_next_is_asked() -> None:
    def fail(ticket: Ticket) -> Masked:
        raise RuntimeError(ticket.body)

    far, near = groq(answer_with()), local(answer_with())
    chain = triager(far, near, masker=fail)
    verdict = chain.triage(MAIL)
    assert (verdict.provider, verdict.attempts) == (Provider.LOCAL, 1)
    assert verdict.failures == (ProviderFailure(Provider.GROQ, "masking_failed"),)
    assert far.asked == []
    assert [fault.line for fault in chain.take_faults()] == [
        "masking failed (RuntimeError), so nothing was sent to the cloud; please report it"
    ]
    assert triager(groq(answer_with()), masker=fail).triage(MAIL).provider is Provider.RULES


def with_luhn(digits: str) -> str:
    return next(number for n in "0123456789" if passes_luhn(number := digits + n))


def passes_luhn(digits: str) -> bool:
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(value // 10 + value % 10 for value in doubled) % 10 == 0


def german_iban(account: str) -> str:
    return f"DE{98 - int(account + '131400') % 97:02}{account}"


def digits(size: int) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=size, max_size=size)


LOW = "abcdefghijklmnopqrstuvwxyz"
MIXED = st.text(LOW + LOW.upper() + "0123456789", min_size=20, max_size=40)
SEPARATORS = st.sampled_from(["", " ", "-", "\u00a0", "\u2011", "\u200b", "."])
MAILS = st.builds("{}.{}@{}.test".format, *[st.text(LOW, min_size=2, max_size=9)] * 3)
CARDS = st.builds(
    lambda number, by: by.join(re.findall(".{1,4}", number)),
    st.one_of(digits(14).map("4".__add__), digits(13).map("51".__add__)).map(with_luhn),
    SEPARATORS,
)
IBANS = st.builds(
    lambda number, by: by.join(re.findall(".{1,4}", number)), digits(18).map(german_iban), SEPARATORS
)
PHONES = st.builds(
    "+{}{}{}{}{}".format, st.sampled_from(["1", "49", "351"]), SEPARATORS, digits(3), SEPARATORS, digits(6)
)
KEYS = st.builds("{}_{}7".format, st.sampled_from(["sk_live", "ghp", "gsk", "hf"]), MIXED)
PASSWORDS = st.builds("{}{}!{}".format, st.text(LOW, min_size=3, max_size=8), digits(2), MIXED)
NAMES = st.sampled_from(["Zoë Quimby", "zoe", "QUIMBY", "Zoe\u0308 Quimby", "quimby"])
PLANTED = st.one_of(MAILS, CARDS, IBANS, PHONES, KEYS, PASSWORDS.map("password: {}".format), NAMES)
WORDS = st.lists(
    st.sampled_from(["the", "export", "fails,", "since", "v2.1", "on 2026-01-02", "über"]), min_size=1
)


@settings(deadline=None, max_examples=300)
@given(
    parts=st.lists(st.tuples(WORDS.map(" ".join), PLANTED), min_size=1, max_size=6), end=WORDS.map(" ".join)
)
def test_no_planted_value_leaves_and_the_text_between_stays(parts: list[tuple[str, str]], end: str) -> None:
    body = " ".join(f"{words}: {value};" for words, value in parts) + " " + end
    model = groq("no JSON", answer_with())
    triager(model, sop="").triage(replace(TICKET, subject=end, body=body, customer_name="Zoë Quimby"))
    for _, value in parts:
        assert value.removeprefix("password: ") not in sent(model)
    bare = PLACEHOLDER.sub("*", masked(body, "Zoë Quimby").ticket.body)
    labels = ("password: " if value.startswith("password: ") else "" for _, value in parts)
    between = " ".join(f"{words}: {label}*;" for (words, _), label in zip(parts, labels, strict=True))
    assert bare == f"{between} {end}"


@settings(deadline=None)
@given(subject=ANYTHING, body=ANYTHING, name=ANYTHING)
@example(subject="\x00", body="İ\u0130ß" * 3, name="İ ß")
@example(subject="[NAME_1]", body="\u0301\u200b", name="\u200b\u0301a")
def test_no_text_makes_masking_or_restoring_raise(subject: str, body: str, name: str) -> None:
    result = masked(body, name, subject)
    texts = f"{result.ticket.customer_name} {result.ticket.subject} {result.ticket.body}"
    found = [match[0] for match in PLACEHOLDER.finditer(texts)] or ["nothing"]
    assert result.restore(answering(customer_summary=found[0], internal_notes=found)).customer_summary


@pytest.mark.parametrize(
    "unit",
    [
        *(
            "a",
            "a@",
            "a.",
            "@",
            " ",
            "\n",
            "4",
            "4 ",
            "4- ",
            "+1 ",
            "+1(",
            "(",
            "DE11 ",
            "password:",
            "password is ",
        ),
        *(
            "sk-",
            "eyJaaaaaaaa.",
            "://a:",
            "-----BEGIN PRIVATE KEY-----",
            "a\u200b",
            "[EMAIL_1]",
            "josé ",
            "pin ",
            "0 ",
        ),
        *(
            "password for a b c d ",
            "seed phrase ",
            "'\"",
            "a (at) ",
            "a @ ",
            "a%40",
            "(dot) b",
            "555-",
            "aB1",
            "tel:",
        ),
        *("4111111111111111 ", "bob@x.test ", "password: a1b2c3d4 ", "\U000e0041", "é", "[", "_-"),
    ],
)
def test_hostile_repetition_costs_no_more_than_its_length(unit: str) -> None:
    """Takes 0.03 to 0.2 s; what looks twice at every character of 200,000 takes minutes."""
    body = (unit * 200_000)[:200_000]
    started = time.process_time()
    masked(body, subject=body[:1000])
    assert time.process_time() - started < 2


def test_real_complaints_stay_readable() -> None:
    """They are redacted with XXXX, so that hardly anything is left to mask."""
    if not COMPLAINTS.exists():
        pytest.skip("the complaints are not part of the repository")
    kinds: Counter[str] = Counter()
    changed = 0
    for line in COMPLAINTS.read_text().splitlines():
        complaint = json.loads(line)
        ticket = masked(complaint["body"], "Maria Schmidt", complaint["subject"]).ticket
        changed += (ticket.subject, ticket.body) != (complaint["subject"], complaint["body"])
        kinds.update(found[1] for found in PLACEHOLDER.finditer(ticket.body))
    assert changed <= 8, "of 400, at most 2 % altered by mistake"
    assert kinds["NAME"] == kinds["CARD"] == 0


def test_a_phrase_of_plain_words_and_a_joined_name_are_masked() -> None:
    assert "staple" not in body_of("Passphrase: purple horse battery staple\nThanks")
    assert body_of("Password: please reset it for me").endswith("please reset it for me")
    assert "Lovelace" not in body_of("write to @AdaLovelace", "Ada Lovelace")
