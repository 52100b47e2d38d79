"""Text from tickets and models made harmless for any channel (promise P5): nothing hidden, live or pinging.

Nothing here escapes markup: that is the channel's own language and happens in its ``render``.
"""

import re

# HubSpot holds at most 65,536 characters in a property; the bound is for whatever else comes in.
MOST_CHARACTERS = 100_000
LONGEST_LINK = 2048

# Control characters, Unicode's Default_Ignorable_Code_Point (bidi, zero-width, variation selectors, tags:
# https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt) and interlinear annotations.
_UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0000-\U000e0fff]"
)
_BLANKS = str.maketrans("\t\u2800", "  ")

_COLON_BEFORE_SLASHES = re.compile(r":(?=[/\\]{2})")
_ACTIVE_SCHEME = re.compile(
    r"(?<![^\W_])(https?|ftp|javascript|vbscript|data|file|blob|mailto|tel|sms|discord|slack|steam):(?=\S)",
    re.I,
)
_LINKED_WITHOUT_SCHEME = re.compile(r"(www\d*|ftp|discord(?:app)?)\.(?=\S)", re.I)
_BROADCAST = re.compile(r"@(?=everyone|here)", re.I)
# <@user> <@&role> <#channel> <:emoji:1> <a:emoji:1> </command:1> <t:time> <id:guide> <sound:1> <+phone>
# and <mail@host>: https://docs.discord.com/developers/reference#message-formatting
_CHAT_TOKEN = re.compile(r"<(?=[@#:/+]|(?:a|t|id|sound):|[^\s<>]*@)", re.I)
_LINK = re.compile(r"https?://[!-~]+", re.I)


def one_line(text: str) -> str:
    """``text`` without line breaks, for titles, names and list items."""
    return _disarm(" ".join(visible(text).split()))


def paragraphs(text: str) -> str:
    """``text`` with its line breaks, and at most one empty line between two others."""
    return _disarm(visible(text))


def visible(text: str) -> str:
    """Only what a reader sees: no control or invisible characters, line breaks as ``\\n``, blanks collapsed.

    Surrogate pairs are joined, lone ones become U+FFFD. Applying it twice changes nothing.
    """
    text = text[:MOST_CHARACTERS].encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    lines = (" ".join(_UNSEEN.sub("", line.translate(_BLANKS)).split()) for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def safe_link(link: str) -> str:
    """``link`` as it is, or "" if it is no http(s) URL in printable ASCII that a chat would take."""
    return link if len(link) <= LONGEST_LINK and _LINK.fullmatch(link) else ""


def _disarm(text: str) -> str:
    """Links stay readable but dead (``https[:]//``, ``www[.]``), mentions and chat tokens get a space."""
    text = _COLON_BEFORE_SLASHES.sub("[:]", text)
    text = _ACTIVE_SCHEME.sub(r"\1[:]", text)
    text = _LINKED_WITHOUT_SCHEME.sub(r"\1[.]", text)
    text = _BROADCAST.sub("@ ", text)
    return _CHAT_TOKEN.sub("< ", text)
