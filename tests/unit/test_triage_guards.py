"""What an answer may not say goes, what an honest one says stays."""

import base64
import codecs
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.intake.normalise import normalise
from jobs.sandbox.kinds import IN_ORDER, VAGUE
from jobs.sandbox.ollama import SimulatedOllama
from jobs.sandbox.stand_in import triage as stand_in
from jobs.ticket import Ticket
from jobs.triage import safety
from jobs.triage.answer import parse_answer, to_verdict
from jobs.triage.chain import Triager
from jobs.triage.claims import Claim, find_claims_in_notes
from jobs.triage.guards import DROPPED, MOST_MARKS, guard
from jobs.triage.guidelines import GUIDELINES
from jobs.triage.ollama import OllamaModel
from jobs.triage.safety import FLOOR_FAULT, GUARD_FAULT
from jobs.triage.supported import number_key, phone_keys
from jobs.verdict import Provider, Verdict
from tests.fakes.triage import make_verdict

COMPLAINTS = Path(__file__).resolve().parents[3] / "shared" / "data" / "complaints.jsonl"
CREATED = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)
BODY = (
    "On 12 March 2026 I was charged $1,234.50 for order 4711 and the page https://shop.example.com/pay?x=1 "
    "says error 500 since 10:30. Write to ada@example.com or call +49 30 1234567. It costs 20% more."
)
TICKET = Ticket("1", "Charged twice", BODY, CREATED, "https://app.hubspot.com/1", customer_name="Ada")
SOP = "Refunds take 5 days. Help is at https://help.example.com/refunds and billing@example.com. Fee: 15 EUR."


def guarded(draft: str, *, sop: str = "", **changes: Any) -> Verdict:
    verdict = replace(make_verdict(), customer_summary="Asks for help", reply_draft=draft, **changes)
    return guard(TICKET, verdict, sop=sop, company_name="Globex").verdict


def draft_of(draft: str, *, sop: str = "") -> str | None:
    return guarded(draft, sop=sop).reply_draft


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        *[
            (link, "link")
            for link in (
                "https://evil.example/x",
                "http://1.2.3.4/a",
                "www.evil.com",
                "evil.com/login",
                "hxxps[:]//evil[.]com",
                "https://shop.example.com/pay?x=2",
                "evil (dot) com",
                "help.example.com.evil.io",
                *("bit.ly/abc123", "evil.zip/x", "1.2.3.4/login"),
            )
        ],
        *[(mail, "address") for mail in ("eve@evil.com", "eve (at) evil (dot) com", "EVE@EXAMPLE.COM")],
        *[
            (phone, "phone")
            for phone in ("+1 555 010 9999", "01711234568", "0800 765 4321", "(030) 765-4321")
        ],
        *[
            (sum_, "amount")
            for sum_ in (
                *("$1,234.51", "500 EUR", "1,234.50 EUR", "€20", "20 USD", "€ 20.50", "12.34 €"),
                *("five hundred dollars", "500 quid", "500 kr", "500 zloty", "0.5 BTC", "EUR five hundred"),
                *("fünfhundert Euro",),
            )
        ],
        *[
            (time, "date")
            for time in (
                "13 March",
                "2026-04-12",
                "4 pm",
                "11:30",
                "Friday",
                "tomorrow",
                "within 24 hours",
                "in 3 Tagen",
                "in four hours",
                "3.4.",
            )
        ],
    ],
)
def test_a_fact_that_nobody_gave_becomes_a_mark(text: str, kind: str) -> None:
    assert draft_of(f"Hello Ada, about {text} we ask you.") == f"Hello Ada, about [check: {kind}] we ask you."


@pytest.mark.parametrize(
    "text",
    [
        *(
            "https://shop.example.com/pay?x=1",
            "shop.example.com/pay?x=1",
            "ada@example.com",
            "Ada@Example.com",
        ),
        *("+49 30 1234567", "004930 1234567", "030/1234567"),
        *("$1,234.50", "1.234,50 $", "USD 1234.50", "20 %", "20%"),
        *("12 March 2026", "2026-03-12", "12.03.2026", "March 12th", "3/12/2026", "10:30", "10:30 am"),
        *("November 26", "26.11.2026"),  # the day on which the ticket was made
        *(
            "100 %",
            "a few minutes",
            "ASP.NET",
            "Socket.IO",
            "section 4.2",
            "and/or",
            "version 2.1.3",
            "order 4711",
            "error 500",
            "step 3 of 5",
            "Windows 11",
            "Node.js",
            "report.pdf",
        ),
    ],
)
def test_what_the_ticket_says_in_any_way_of_writing_stays(text: str) -> None:
    assert draft_of(f"Hello Ada, about {text} we ask you.") == f"Hello Ada, about {text} we ask you."


def test_what_the_procedures_say_stays_and_only_with_them() -> None:
    text = "The fee is 15 EUR, see https://help.example.com/refunds or billing@example.com."
    assert draft_of(text, sop=SOP) == text
    assert draft_of(text) == "The fee is [check: amount], see [check: link] or [check: address]."


@pytest.mark.parametrize(
    "text",
    [
        "Refunds are completed in 5 to 7 business days.",
        "You hear from us within 1 day, or in five days.",
        "Guten Morgen Ada, por la mañana.",
    ],
)
def test_times_of_the_procedures_and_greetings_stay(text: str) -> None:
    assert draft_of(text, sop="Refunds take 5 to 7 business days. We answer in one day.") == text


def test_a_time_that_a_customer_waited_is_not_promised() -> None:
    said = replace(make_verdict(), customer_summary="Asks", reply_draft="It takes place within 9 days.")
    ticket = replace(TICKET, body="I have waited 9 days.")
    marked = guard(ticket, said, sop="", company_name="").verdict.reply_draft
    assert marked == "It takes place [check: date]."


def test_a_version_at_the_end_of_a_sentence_is_no_day() -> None:
    ticket = replace(TICKET, body="Version 3.4 fails.")
    said = replace(
        make_verdict(), customer_summary="Asks", reply_draft="You use version 3.4. Not on 3.5. Yes"
    )
    marked = guard(ticket, said, sop="", company_name="").verdict.reply_draft
    assert marked == "You use version 3.4. Not on [check: date] Yes"


ACTIONS = [
    "We have refunded your order.",
    "I've reset your password.",
    "I have already escalated this to our engineers.",
    "We fixed the issue.",
    "Your account has been unlocked.",
    "Refund issued.",
    "Your refund was approved.",
    "We have paid you back.",
    "We've sent you the money.",
    "Your subscription was cancelled.",
    "The bug was fixed.",
    "Hemos devuelto el dinero.",
    "We cannot wait to tell you we refunded you.",
    "If you agree or not, we have refunded you.",
    "Das Problem ist jetzt behoben.",
    "The invoice has now been cancelled.",
    "The problem is now resolved.",
    "Wir haben den Betrag erstattet.",
    "Ich habe Ihr Passwort zurückgesetzt.",
    "Ihr Konto wurde freigeschaltet.",
    "Hemos reembolsado el pedido.",
    "Su acceso ha sido restablecido.",
    "Nous avons remboursé la commande.",
    "Votre compte a été débloqué.",
    "I went ahead and closed your account.",
    "Our engineers already patched this.",
    "We took care of it for you.",
    "Consider it done.",
    "The charge has been reversed.",
    "The bug is gone as of now.",
    "Der Fehler ist behoben.",
]
PROMISES = [
    "We will refund your order.",
    "You will receive a full refund.",
    "Your refund is on its way.",
    "We are refunding you.",
    "We give you two free months.",
    "Wir erstatten Ihnen den Betrag.",
    "Vous serez remboursé.",
    "This will be fixed.",
    "We guarantee that it works.",
    "I'll cancel the invoice for you.",
    "We are going to replace it.",
    "Wir werden den Fehler beheben.",
    "Sie erhalten eine Rückerstattung.",
    "Vamos a reembolsar el pedido.",
    "Recibirá un reembolso.",
    "Nous allons rembourser la commande.",
    "Vous recevrez un remboursement.",
    "You have my word that it works.",
    "We'll cover the cost.",
    "You won't be charged again.",
    "We are sending you a new device.",
    "A replacement ships today.",
    "Expect a credit on your next bill.",
    "Sie bekommen Ihr Geld zurück.",
    "Le devolveremos el dinero.",
]
HONEST = [
    "Thank you for your message. We have received it.",
    "Have you already reset your password?",
    "Once we have fixed the issue, the export works again.",
    "If your account has been locked, use the link on the login page.",
    "We are sorry that your order was not refunded.",
    "We understand that your account has been blocked.",
    "You can reset your password on the login page.",
    "Please tell us which invoice is affected.",
    "We will look into it.",
    "We are sending you a link to the form.",
    "Please tell us whether the problem is gone.",
    "We will send you an answer here.",
    "Our engineers will read the log that you sent.",
    "We have not refunded anything.",
    "Could you check whether the setting is enabled?",
    "To export, open Reports and choose Export.",
    "Our team will get back to you.",
    "Die Funktion ist standardmäßig aktiviert.",
    "Die Liste wird automatisch aktualisiert.",
    "Nach dem Klick wird eine neue Datei erstellt.",
    "The option is already enabled by default in the Pro plan.",
    "The report will be automatically updated every hour.",
    "El archivo se ha creado en la carpeta Descargas.",
    "Un fichier sera créé dans le dossier.",
    "The free plan has no export.",
    "Drafts are saved each minute, and old ones are deleted automatically.",
    "We are sorry that your subscription was cancelled.",
    "Please tell us whether your invoice was corrected.",
    "Sobald der Fehler behoben wurde, melden wir uns.",
    "We can check whether the refund has been issued.",
    "Bitte prüfen Sie, ob die Einstellung aktiviert ist.",
    "Vielen Dank für Ihre Nachricht. Wir haben sie erhalten.",
    "Wir sehen uns das an.",
    "Gracias por su mensaje. Lo hemos recibido.",
    "¿Puede decirnos qué factura es?",
    "Merci pour votre message. Nous l'avons bien reçu.",
    "Pouvez-vous nous dire quelle facture est concernée ?",
]


@pytest.mark.parametrize("sentence", ACTIONS)
def test_a_claimed_action_goes(sentence: str) -> None:
    assert draft_of(f"Hello. {sentence} Kind regards") == "Hello. [check: claims an action] Kind regards"


@pytest.mark.parametrize("sentence", PROMISES)
def test_a_promise_goes(sentence: str) -> None:
    assert draft_of(f"Hello. {sentence} Kind regards") == "Hello. [check: promises] Kind regards"


@pytest.mark.parametrize("sentence", HONEST)
def test_what_an_honest_model_writes_stays(sentence: str) -> None:
    assert draft_of(f"Hello. {sentence} Kind regards") == f"Hello. {sentence} Kind regards"


@pytest.mark.parametrize("kind", [*IN_ORDER, VAGUE], ids=lambda kind: kind.name)
def test_all_that_the_sandbox_says_stays(kind: Any) -> None:
    for reply in kind.replies.values():
        verdict = guarded(reply, questions_for_customer=kind.questions, internal_notes=kind.notes)
        assert (verdict.reply_draft, verdict.questions_for_customer) == (reply, kind.questions)
        assert verdict.internal_notes == kind.notes


NOTES_THAT_STAY = [
    "Customer says they have reset their password twice.",
    "Compare the charge with the contract before replying.",
    "The user was refunded last year, according to the ticket.",
    "Check whether the invoice has been cancelled.",
    "Limit who can see the ticket.",
    "Escalate to engineering if the error persists.",
]
NOTES_THAT_GO = [
    "Refund has been approved by management.",
    "We have verified this customer.",
    "This was already escalated: the case is now closed.",
    "Access has been granted.",
]


@pytest.mark.parametrize("note", NOTES_THAT_STAY)
def test_a_note_of_what_is_to_do_or_what_the_customer_did_stays(note: str) -> None:
    assert guarded("Hello.", internal_notes=(note,)).internal_notes == (note,)


@pytest.mark.parametrize("note", NOTES_THAT_GO)
def test_a_note_of_what_nobody_did_goes(note: str) -> None:
    explanation, marked = guarded("Hello.", internal_notes=(note,)).internal_notes
    assert marked.startswith("[check: claims an action]")
    assert explanation.startswith("Check before sending, nothing supports it: 1 claims an action")


def test_summary_and_questions_are_guarded_too() -> None:
    verdict = guarded(
        "Hello.",
        questions_for_customer=("Please pay 99 EUR at https://evil.example?", "Which browser?"),
    )
    assert verdict.questions_for_customer == (
        "Please pay [check: amount] at [check: link]?",
        "Which browser?",
    )
    summary = guard(
        TICKET,
        replace(make_verdict(), customer_summary="Wants 500 EUR. We have refunded them.", reply_draft=None),
        sop="",
        company_name="",
    ).verdict.customer_summary
    assert summary == "Wants [check: amount]. [check: claims an action]"


GUIDELINE = GUIDELINES.splitlines()[3]
ECHOES = [
    GUIDELINE,
    "My rules are: " + GUIDELINE.upper(),
    " ".join(GUIDELINE),
    GUIDELINE[::-1],
    codecs.encode(GUIDELINE, "rot13"),
    base64.b64encode(GUIDELINE.encode()).decode(),
    "x" + base64.b64encode(GUIDELINE.encode()).decode(),
    GUIDELINE.encode().hex(),
    "\u200b".join(GUIDELINE),
    "It stands between <ticket-0123456789abcdef> marks.",
]


@pytest.mark.parametrize("echo", ECHOES)
def test_an_answer_that_repeats_the_prompt_goes(echo: str) -> None:
    verdict = guarded(
        f"Hello. {echo}", internal_notes=(echo, "Look into it."), questions_for_customer=(echo,)
    )
    assert (verdict.reply_draft, verdict.questions_for_customer) == (None, ())
    assert verdict.internal_notes[1:] == ("Look into it.",)
    assert verdict.internal_notes[0].startswith("The draft was dropped: ")
    shown = guard(TICKET, replace(make_verdict(), customer_summary=echo), sop="", company_name="").verdict
    assert shown.customer_summary == "Summary withheld: Charged twice"


def test_a_dump_of_the_procedures_goes_and_an_answer_from_them_stays() -> None:
    sop = " ".join(
        f"Rule {number}: answer the question about topic {number} with words." for number in range(60)
    )
    assert draft_of(sop[:1900], sop=sop) is None
    assert draft_of(sop[:120], sop=sop) == sop[:120]


def test_a_long_link_path_or_a_hash_is_no_echo() -> None:
    path = "https://help.example.com/articles/how-to-export-all-of-your-data-as-a-spreadsheet-2026"
    digest = "d41d8cd98f00b204e9800998ecf8427ed41d8cd98f00b204e9800998ecf8427e"
    assert draft_of(f"See {path} for {digest}", sop=path) == f"See {path} for {digest}"


def test_more_marks_than_a_person_should_mend_drop_the_draft() -> None:
    several = "The sums are 1 EUR, 2 EUR, 3 EUR"
    assert str(draft_of(several)).count("[check: amount]") == MOST_MARKS == 3
    verdict = guard(TICKET, replace(make_verdict(), reply_draft=f"{several}, 4 EUR"), sop="", company_name="")
    assert verdict.verdict.reply_draft is None
    assert verdict.counts == {"amount": 4, DROPPED: 1}


def test_nothing_is_altered_or_counted_where_nothing_is_wrong() -> None:
    verdict = replace(make_verdict(), reply_draft="Hello Ada, thank you for order 4711 of 12 March.")
    found = guard(TICKET, verdict, sop="", company_name="")
    assert (found.verdict, found.counts) == (verdict, {})


@pytest.mark.parametrize(
    ("written", "key"),
    [
        *[(one, "1234.5") for one in ("1,234.50", "1.234,50", "1234.5", "1'234.50", "1 234,50")],
        *[("1,234", "1234"), ("1.234", "1234"), ("0.5", "0.5"), ("0,50", "0.5"), ("12,345,678", "12345678")],
        *[("007", "7"), ("0", "0"), ("3.50", "3.5")],
    ],
)
def test_a_number_has_one_key_however_it_is_written(written: str, key: str) -> None:
    assert number_key(written) == key


SUMS = st.builds(
    "{}{}.{:02}".format, st.sampled_from(["$", "€", "£"]), st.integers(2, 99_999), st.integers(1, 99)
)
LINKS = st.builds("https://{}.{}/{}".format, *[st.text("abcdefgh", min_size=3, max_size=9)] * 3)
MAILS = st.builds("{}@{}.test".format, *[st.text("abcdefgh", min_size=3, max_size=9)] * 2)
PHONES = st.builds(
    "+{} {} {}".format, st.integers(1, 99), st.integers(100, 999), st.integers(100_000, 999_999)
)


@settings(deadline=None)
@given(
    st.lists(st.one_of(SUMS, LINKS, MAILS, PHONES), min_size=1, max_size=MOST_MARKS, unique=True),
    st.booleans(),
)
def test_any_fact_stays_if_the_ticket_has_it_and_goes_if_not(facts: list[str], given_them: bool) -> None:
    ticket = replace(TICKET, body="; ".join(facts) if given_them else "Hello")
    draft = "About " + " and also ".join(facts) + " we ask you."
    found = guard(ticket, replace(make_verdict(), reply_draft=draft), sop="", company_name="")
    if given_them:
        assert found.verdict.reply_draft == draft
    else:
        assert not any(fact in str(found.verdict.reply_draft) for fact in facts)
        assert found.counts.total() >= len(facts)


@settings(deadline=None)
@given(st.text(max_size=500), st.text(max_size=500))
def test_no_text_makes_the_guard_raise(body: str, draft: str) -> None:
    found = guard(
        replace(TICKET, body=body), replace(make_verdict(), reply_draft=draft), sop="", company_name=""
    )
    assert found.verdict.customer_summary


@pytest.fixture
def server() -> Iterator[SimulatedOllama]:
    with SimulatedOllama() as running:
        yield running


def answer(**changes: Any) -> str:
    return json.dumps(
        {
            "customer_summary": "Asks for a refund",
            "priority": "low",
            "recommended_internal_action": "None",
            "asana_ticket_type_if_needed": "None",
            "confidence": 0.9,
            "handling_mode": "reply_only",
            "reply_needed": True,
            "reply_draft": "We have refunded 500 EUR. Thank you.",
            "questions_for_customer": [],
            "internal_notes": [],
        }
        | changes
    )


def test_the_guard_stands_on_the_way_of_every_answer_and_is_counted(server: SimulatedOllama) -> None:
    counted: list[tuple[str, int]] = []
    server.faults.content = answer()
    model = OllamaModel(url=server.url, model="llama3.2")
    triager = Triager(
        [model], company_name="", sop="", on_guard=lambda kind, number: counted.append((kind, number))
    )
    verdict = triager.triage(Ticket("1", "Hi", "How do I export?", CREATED, ""))
    triager.close()
    assert verdict.reply_draft == "[check: claims an action] Thank you."
    assert counted == [("claims an action", 1)]


def test_a_guard_that_fails_costs_the_words_and_not_the_card(
    server: SimulatedOllama, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(safety, "guard", fail)
    server.faults.content = answer(priority="high")
    triager = Triager([OllamaModel(url=server.url, model="llama3.2")], company_name="", sop="")
    verdict = triager.triage(Ticket("1", "Hi", "How do I export?", CREATED, ""))
    triager.close()
    assert (verdict.priority, verdict.reply_draft, verdict.questions_for_customer) == ("high", None, ())
    assert verdict.customer_summary == "Summary withheld: Hi"
    assert triager.take_faults() == (GUARD_FAULT,)
    assert verdict.internal_notes == ("The answer could not be checked, so its words are not shown",)


@pytest.mark.parametrize("priority", ["low", "critical"])
def test_a_floor_that_fails_costs_the_words_and_not_the_card(
    server: SimulatedOllama, monkeypatch: pytest.MonkeyPatch, priority: str
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(safety, "raise_to_floor", fail)
    server.faults.content = answer(priority=priority)
    triager = Triager([OllamaModel(url=server.url, model="llama3.2")], company_name="", sop="")
    verdict = triager.triage(Ticket("1", "Hi", "How do I export?", CREATED, ""))
    triager.close()
    assert (verdict.priority, verdict.reply_draft) == ("high", None)
    assert verdict.claimed_critical == (priority == "critical")
    assert triager.take_faults() == (FLOOR_FAULT,)


def test_honest_answers_to_real_complaints_are_altered_in_at_most_two_of_a_hundred() -> None:
    if not COMPLAINTS.exists():
        pytest.skip("the complaints are not part of the repository")
    altered, texts = 0, [json.loads(line) for line in COMPLAINTS.read_text(encoding="utf-8").splitlines()]
    for one in texts:
        ticket = normalise(Ticket("1", one["subject"], one["body"], CREATED, "")).ticket
        said = stand_in({"subject": ticket.subject, "body": ticket.body})
        verdict = to_verdict(parse_answer(json.dumps(said)), Provider.LOCAL, "stand-in")
        altered += bool(guard(ticket, verdict, sop="", company_name="").counts)
    assert altered <= 0.02 * len(texts)


def test_a_number_that_only_ends_like_the_tickets_is_not_supported() -> None:
    ours = phone_keys("+49 30 5550123")
    assert ours & phone_keys("030 5550123")
    assert ours & phone_keys("0049 (0)30 5550123")
    assert not ours & phone_keys("+1 900 5550123")


def test_a_promise_goes_from_notes_too_and_a_reported_wish_stays() -> None:
    assert [claim for claim, _ in find_claims_in_notes("We will refund the customer.")] == [Claim.PROMISE]
    assert not list(find_claims_in_notes("Customer asks whether we will refund the order."))


def test_a_share_is_a_sum_where_something_is_off_or_paid_alone() -> None:
    assert draft_of("You get 50 per cent off.") == "You get [check: amount] off."
    assert draft_of("A discount of 50 % is yours.") == "A discount of [check: amount] is yours."
    assert draft_of("Set the zoom to 100 % and print.") == "Set the zoom to 100 % and print."
