"""What the stand-in model knows: the kinds of tickets it tells apart, and what it says of each."""

import re
from dataclasses import dataclass
from typing import Literal

Language = Literal["English", "German", "Spanish"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of ticket; the values are those of the product's table.

    ``verb`` opens the summary; ``replies`` by language, none of which promises a time or claims an action;
    no replies means that none is needed.
    """

    name: str
    pattern: re.Pattern[str]
    priority: str
    handling_mode: str
    action: str
    asana: str
    verb: str
    confidence: float
    replies: dict[Language, str]
    questions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def _words(*alternatives: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(alternatives)})", re.IGNORECASE)


_THANKS_FOR_WRITING: dict[Language, str] = {
    "English": "Thank you for your message.",
    "German": "vielen Dank für Ihre Nachricht.",
    "Spanish": "gracias por su mensaje.",
}


def _replies(english: str, german: str, spanish: str) -> dict[Language, str]:
    texts: dict[Language, str] = {"English": english, "German": german, "Spanish": spanish}
    return {language: f"{_THANKS_FOR_WRITING[language]} {text}" for language, text in texts.items()}


SECURITY = Kind(
    "security",
    _words(
        r"vulnerab", r"security (?:issue|hole|flaw|report|researcher)", r"xss\b", r"sql injection",
        r"data (?:breach|leak)", r"leak(?:ed|ing|s)?\b", r"hacked", r"phishing", r"unauthori[sz]ed access",
        r"(?:other|another|different) (?:customer|company|account|tenant)(?:'s|s')?\b.{0,40}\bdata",
        r"(?:see|view|read|open)\b.{0,40}\b(?:other|another) (?:customer|compan|account|tenant)", r"idor\b",
        r"sicherheitslücke", r"datenleck", r"vulnerabilidad", r"filtraci[oó]n de datos",
    ),
    "critical", "reply_and_internal_followup", "Escalate to security", "Escalation",
    "reports a possible security concern:", 0.9,
    _replies(
        "We have received your report and the team responsible will look at it.",
        "Ihr Hinweis ist eingegangen und liegt dem zuständigen Team vor.",
        "Hemos recibido su aviso y el equipo responsable lo tiene a la vista.",
    ),
    notes=("Confirm nothing to the sender; keep details out of the reply.", "Limit who can see the ticket."),
)  # fmt: skip

OUTAGE = Kind(
    "outage",
    _words(
        r"outage", r"(?:is|are|been|went|completely) down\b", r"(?:nobody|no one|none of (?:us|our))\b",
        r"(?:all|every|entire|whole) (?:of )?(?:our |the )?(?:users?|customers|team|company|offices?)\b",
        r"everyone (?:is|gets|sees|here)", r"503\b", r"totalausfall", r"alle (?:nutzer|kunden|standorte)",
        r"niemand kann", r"nadie puede", r"todos (?:los|nuestros) usuarios",
    ),
    "critical", "reply_and_internal_followup", "Escalate to engineering", "Escalation",
    "reports that many people are affected:", 0.88,
    _replies(
        "We understand that many of your colleagues are affected and are treating this as urgent.",
        "Wir verstehen, dass viele bei Ihnen betroffen sind, und behandeln dies als dringend.",
        "Entendemos que afecta a muchas personas y lo tratamos como urgente.",
    ),
    notes=("Check the status page and recent deployments.", "Look for other tickets about the same."),
)  # fmt: skip

WISH = Kind(
    "wish",
    _words(
        r"feature request", r"it would be (?:great|nice|lovely|helpful)", r"would love (?:to|a|if)",
        r"please (?:add|consider adding)", r"could you (?:please )?add", r"wish(?: list)?\b", r"suggestion",
        r"wunsch", r"schön wäre", r"sugerencia", r"sería (?:genial|útil)",
    ),
    "low", "reply_and_internal_followup", "Create feedback ticket", "Feedback",
    "suggests an improvement:", 0.84,
    _replies(
        "We appreciate the suggestion and pass ideas like yours to the product team.",
        "Wir geben Anregungen wie Ihre an das Produktteam weiter.",
        "Pasamos ideas como la suya al equipo de producto.",
    ),
    notes=("Check whether the wish is already on the roadmap.",),
)  # fmt: skip

BILLING = Kind(
    "billing",
    _words(
        r"invoices?\b", r"charged", r"refund", r"billing", r"overcharg", r"double payment",
        r"rechnung", r"abgebucht", r"erstattung", r"factura", r"cobr(?:o|ado|aron)\b", r"reembolso",
    ),
    "medium", "reply_and_internal_followup", "None", "None",
    "has a question about billing:", 0.82,
    _replies(
        "We are sorry about the trouble with your bill. Could you confirm the invoice number, please?",
        "der Ärger mit Ihrer Rechnung tut uns leid. Nennen Sie uns bitte die Rechnungsnummer?",
        "sentimos las molestias con su factura. ¿Nos confirma el número de factura, por favor?",
    ),
    ("Which invoice number is this about?",), ("Compare the charge with the contract before replying.",),
)  # fmt: skip

BUG = Kind(
    "bug",
    _words(
        r"bug\b", r"errors?\b", r"crash", r"broken", r"exception", r"(?:does ?n[o']t|not|stopped) work",
        r"fails?\b", r"failed", r"freez", r"slow(?:ly|er)?\b", r"500\b",
        r"(?:is|are|was) wrong", r"fehler", r"funktioniert nicht", r"stürzt", r"langsam",
        r"no funciona", r"falla", r"lento",
    ),
    "medium", "reply_and_internal_followup", "Create bug report", "Bug",
    "reports a malfunction:", 0.8,
    _replies(
        "We are sorry that this does not work as it should. The details you gave help us to look into it.",
        "es tut uns leid, dass dies nicht wie erwartet funktioniert. Ihre Angaben helfen bei der Prüfung.",
        "sentimos que esto no funcione como debería. Sus datos nos ayudan a revisarlo.",
    ),
    ("Since when does this happen?", "Which browser and version do you use?"),
    ("Try to reproduce with the steps in the ticket.",),
)  # fmt: skip

HOW_TO = Kind(
    "how_to",
    _words(
        r"how (?:do|can|could|should|to|would)\b", r"where (?:do|can|is)\b", r"is it possible",
        r"can (?:i|we)\b", r"what is the (?:best )?way", r"wie (?:kann|können|lässt|ändere|richte)",
        r"wo finde", r"ist es möglich", r"c[oó]mo (?:puedo|podemos|se|cambio)", r"d[oó]nde (?:puedo|est[aá])",
        r"es posible",
    ),
    "low", "reply_only", "None", "None",
    "asks how to do something:", 0.86,
    _replies(
        "You will find the steps in our help centre; tell us if anything stays unclear.",
        "die Schritte finden Sie in unserem Hilfe-Center; sagen Sie uns gern, wenn etwas unklar bleibt.",
        "encontrará los pasos en nuestro centro de ayuda; díganos si algo no queda claro.",
    ),
)  # fmt: skip

THANKS = Kind(
    "thanks",
    _words(r"thank(?:s| you)\b", r"appreciated", r"vielen dank", r"danke\b", r"muchas gracias", r"gracias"),
    "low", "no_action", "None", "None", "says thank you:", 0.9, {},
)  # fmt: skip

VAGUE = Kind(
    "vague", re.compile(r"(?!)"),
    "low", "request_more_info", "None", "None", "wrote without saying what is wrong:", 0.35,
    _replies(
        "So that we can help, could you answer the questions below, please?",
        "damit wir helfen können, beantworten Sie uns bitte die folgenden Fragen.",
        "para poder ayudarle, ¿podría responder a estas preguntas, por favor?",
    ),
    (
        "What were you trying to do, and on which page?",
        "What happened instead, and what did any message say, word for word?",
        "When did it start, and does it happen every time?",
        "Which account or user is affected?",
    ),
)  # fmt: skip

IN_ORDER = (SECURITY, OUTAGE, WISH, BILLING, BUG, HOW_TO, THANKS)
