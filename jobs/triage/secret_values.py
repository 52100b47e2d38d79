"""Keys, tokens and passwords in a folded text: by their form, or by the word that announces them.

All patterns are linear: a repetition is possessive, bounded, or takes all that it looked at.
"""

import re
from collections.abc import Iterator

from jobs.triage.spans import Span

# Forms that vendors publish for secret scanners, and what the web's standards say a credential looks like.
_FORMS = re.compile(
    r"""
    -----BEGIN\ [A-Z ]{0,30}PRIVATE\ KEY(?:\ BLOCK)?-----[^\0]*?(?:-----END\ [A-Z ]{0,40}-----|\Z)
    | (?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16} | (?<![A-Za-z0-9])AIza[\w-]{30,}
    | (?<![\w-])eyJ[\w-]{8,}+\.[\w-]{4,}+(?:\.[\w-]*+)*+
    | (?<![A-Za-z0-9])(?:ya29|SG|hvs|hvb|v1\.public)\.[\w.-]{16,}+
    | (?:hooks\.slack\.com/services|discord(?:app)?\.com/api/webhooks)/[\w/-]{8,}+
    | (?<![A-Za-z0-9])\d{8,10}:AA[\w-]{30,}+
    """,
    re.VERBOSE,
)
_MARKS = (
    "-----BEGIN ",
    "AKIA",
    "ASIA",
    "AIza",
    "eyJ",
    "ya29.",
    "SG.",
    "hv",
    "v1.",
    "slack",
    "webhooks",
    ":AA",
)
_PREFIXED = re.compile(
    r"(?<![A-Za-z0-9])(?:sk|pk|rk|gsk|whsec|gh[opsur]|github_pat|glpat|xox[a-z]|xapp|hf|npm|pypi|dop_v1|shp[a-z]{2}"
    r"|pat|key|token|secret|xai|sbp|lin_api|sntrys|dapi|age-secret-key)[-_][\w-]{12,}+",
    re.IGNORECASE,
)
_LONG = re.compile(r"(?<![\w+/-])[\w+/-]{15,}+")
_CREDENTIALS = re.compile(
    r"://[^\s/@:\0]{0,100}:(?P<value>[^\s/@\0]{1,200})(?=@)"
    r"|(?<![A-Za-z0-9])(?:bearer|basic)\s{1,3}(?P<bearer>[\w.~+/=-]{12,}+)",
    re.IGNORECASE,
)
_DIGIT_GROUPS = re.compile(r"\d+")

_PASSWORDS = (
    r"pass ?words?|passwd|passphrase|passcode|pass|pwd?|pw|(?:user )?credentials?|passworte?|kennwort"
    r"|contrasena|contrasenya|clave|mot de passe|mdp|senha|palavra[- ]passe|wachtwoord|haslo|losenord"
    r"|adgangskode|пароль|парол[яюе]|密码|パスワード"
)
_CODES = (
    r"cvv2?|cvc2?|cvn|security code|card code|pin(?:[ -]?code)?|puk|otp|one[- ]time code"
    r"|(?:verification|2fa|mfa) code"
)
_KEYS = (
    r"(?:api|access|secret|private|auth|account|encryption|signing|licen[cs]e|product|recovery|backup|shared)"
    r"[ _-]?(?:key|code)s?|(?:(?:api|access|auth|refresh|session|id|bearer|bot|csrf|reset)[ _-]?)?token"
    r"|(?:(?:api|client|app|webhook)[ _-]?)?secret|signature|sig|authorization|connection string"
    r"|(?:wlan|wifi|sicherheits|lizenz|produkt|zugangs)?[ -]?schlussel"
)
_PHRASES = r"(?:seed|recovery|backup|secret|mnemonic)[ -]phrase"
_FIRST_LETTERS = "2abcehiklmoprstvwz密パп"
_LABEL = re.compile(
    # For text in lower case, and what no label begins with is passed over first: five times as fast.
    rf"(?=[{_FIRST_LETTERS}])(?:(?<![a-z0-9])"
    rf"(?:(?P<phrase>{_PHRASES})|(?P<password>{_PASSWORDS})|(?P<code>{_CODES})|(?P<key>{_KEYS}))"
    # The end of a longer word: "dbPassword", "Zugangspasswort".
    r"|(?<=[a-z])(?P<inner>password|passwort|kennwort|passwd|passphrase))(?![a-z0-9])"
)
_AFTER = re.compile(
    r"""(?:_\w{1,20}+)? ["'`*)\]]{0,3}
    (?: [ \t]{0,3} (?P<sign> := | =+>? | -> | : | >(?=\S) ) [ \t]{0,3} \n? [ \t]{0,3}
      | \s{1,3} (?:is|was|were|has\ been|had\ been) \s (?:now\s)? (?:changed|set|reset|updated) \s to \s
      | \s{1,3} (?P<verb> is | was | ist | war | lautet | es | era | est ) \s? :? \s{1,3}
      | \s (?:for|of|on|in|to|fur|von|para|del?|pour|du) \s (?:[^\s\0]{1,40}\s){1,5}?
        (?:is|was|ist|war|lautet|es|era|est) \s
      | \s{1,3} (?: (?:to|auf|en|a|-{1,2}) \s{1,3} )? )
    (?: (?P<quote>["'`]) (?P<quoted> (?:(?!(?P=quote))[^\n\0]){1,200}) (?P=quote)
      | (?P<value> [^\s\0]{1,256}+) )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_LINE = re.compile(r"(?:\s{1,3}is\b)?\s{0,3}[:=]?\s{0,3}(?P<value>[^\n\0]{8,400})", re.IGNORECASE)
_PLAIN_WORDS = re.compile(r"(?: [a-z]{2,12}){2,8}(?=[ \t]*(?:\n|\Z))")
_NEAR_WORD = re.compile(r"(?<=\s)[^\s\0]{8,64}")
_NEAR_CHARACTERS, _DRAWN_LETTERS = 60, 8
#: "login: ada / hunter2"
_LOGIN = re.compile(
    r"(?<![a-z0-9])(?:log-?in|logon|credentials?|zugang(?:sdaten)?|anmeldung|acceso|identifiants?)\s?[:=]\s?"
    r"[^\s\0/,;|]{1,60}\s?(?P<by>[/,;|])\s?(?P<value>[^\s\0,;]{4,60})",
    re.IGNORECASE,
)
_TRAILING = ".,;:)]}'\"`"
_HIDDEN = re.compile(r"[Xx*•.\-_#?…]+")
_SYMBOL = re.compile(r"\w[!@#$%^&*+=?~\\|]+\w|[#$%^&*+=~]")
_PARTICIPLE = re.compile(r"[A-Z]?[a-z]+(?:ed|ing|able|ible|ly)|[a-z]+n't|\W+")
# What follows "password is" or "Password:" where somebody talks about a password and does not tell it.
_ORDINARY_WORDS = """
    a about accepted again all already also always an and are as at be because been being belongs
    blank but by can cannot case changed correct could default different does done empty entered
    even expired expiring false fine for forgotten from gone good had has have her here his how i if
    impossible in incorrect invalid is it just lost may me missing must my needed never new no none
    not nothing now null of old on one only or our pending please protected rejected required
    requested resent reset right same saved secure sent set should so still stolen stored strong
    temporary that the their them then there they this to too true undefined unknown until used
    valid very was we weak well what when where which why will with within without working wrong you
    your abgelaufen falsch nicht vergessen ungultig unbekannt noch und oder mein das die der ein
    eine zu immer incorrecta incorrecto olvidada olvidado caducada no la el mi una un que y o muy
    oublie incorrect invalide expire pas le mon un une et ou toujours admin change forgot help link
    login manager page policy recovery resetting screen settings update
"""
_ORDINARY = frozenset(_ORDINARY_WORDS.split())


def find_secrets(text: str) -> Iterator[Span]:
    """Where keys, tokens and passwords stand, in no order, and some of them twice."""
    lower = text.lower()
    if any(mark in text for mark in _MARKS):
        yield from (match.span() for match in _FORMS.finditer(text))
    for run in _LONG.finditer(text):
        if _is_token(run[0]):
            yield run.span()
        else:
            for found in _PREFIXED.finditer(text, *run.span()):
                if _has_digit(found[0]) or _is_drawn(found[0]):
                    yield found.span()
    if "://" in text or "bearer" in lower or "basic" in lower:
        yield from (match.span(match.lastgroup or 0) for match in _CREDENTIALS.finditer(text))
    yield from _find_labelled(text, lower)
    for login in _LOGIN.finditer(text):
        if _is_strong(login["value"]) or _has_digit(login["value"]) or login["by"] == "/":
            yield login.span("value")


def _find_labelled(text: str, lower: str) -> Iterator[Span]:
    for label in _LABEL.finditer(lower):
        found = (_LINE if label["phrase"] else _AFTER).match(text, label.end())
        if found is None:
            continue
        kind = "password" if label["inner"] else str(label.lastgroup)
        group = found.lastgroup or "value"
        value = found[group] if group == "quoted" else found[group].rstrip(_TRAILING) or found[group]
        start = found.start(group)
        if label["phrase"] or _is_told(kind, value, after=_announced_by(found)):
            yield start, start + len(value)
            if kind == "password" and found["sign"]:
                yield from _rest_of_phrase(text, start + len(value))
        elif kind == "password":
            yield from _told_later(text, label.end())


def _rest_of_phrase(text: str, start: int) -> Iterator[Span]:
    """Further plain words up to the line's end, as in "correct horse battery staple"."""
    found = _PLAIN_WORDS.match(text, start)
    if found and not any(word in _ORDINARY for word in found[0].split()):
        yield found.span()


def _told_later(text: str, start: int) -> Iterator[Span]:
    """What only a password looks like, soon after one was spoken of: "the one you gave me, X, fails"."""
    for found in _NEAR_WORD.finditer(text, start, start + _NEAR_CHARACTERS):
        value = found[0].rstrip(_TRAILING)
        if (
            len(value) >= _DRAWN_LETTERS
            and _is_strong(value)
            and not value.isdecimal()
            and value.lower() != value
        ):
            yield found.start(), found.start() + len(value)


def _announced_by(found: re.Match[str]) -> str:
    """``sign`` for a colon and its like, ``verb`` for "is", nothing where the words only stand together."""
    return "sign" if found["sign"] else "verb" if found["verb"] else ""


def _is_told(kind: str, value: str, *, after: str) -> bool:
    """Whether ``value`` is the secret itself, and not what somebody says about it."""
    if _HIDDEN.fullmatch(value) or value.casefold() in _ORDINARY:
        return False
    match kind:
        case "code":
            return value[:3].isdecimal()
        case "key" if after:
            return len(value) >= 16 or (len(value) >= 6 and _has_digit(value))
        case "password" if after == "sign":
            return any(map(str.isalnum, value))
        case "password" if after == "verb":
            return not _PARTICIPLE.fullmatch(value)
        case _:
            return _is_strong(value)


def _is_drawn(value: str) -> bool:
    """Long, and of letters of both cases in the midst of it: no slug is."""
    tail = value.rpartition("_")[2]
    return len(tail) >= 20 and tail.isalnum() and tail[1:].lower() != tail[1:] and tail.upper() != tail


def _is_strong(value: str) -> bool:
    """Whether it looks like a password and not like a word, in a sentence that only may tell one."""
    if value.isdecimal():
        return len(value) >= 6
    has_both = _has_digit(value) and any(map(str.isalpha, value))
    return len(value) >= 6 and (has_both or bool(_SYMBOL.search(value)))


def _is_token(run: str) -> bool:
    """Whether a long run without spaces looks drawn by lot: no word, number, path, slug or UUID does."""
    if len(run) < 24:
        return False
    mixed = run.upper() != run and run.lower() != run
    if "/" in run:  # a path, but for the length of Amazon's secret keys
        return len(run) == 40 and mixed and _has_digit(run)
    groups = len(_DIGIT_GROUPS.findall(run))
    if all(character in "0123456789abcdefABCDEF" for character in run):
        return len(run) >= 32 and groups >= 3
    return groups >= 3 and mixed


def _has_digit(text: str) -> bool:
    return any(map(str.isdecimal, text))
