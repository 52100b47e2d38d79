"""Fixed replies in the languages that the rules know, chosen by the commonest words of the text."""

import re
from collections import Counter

READ_CHARS = 4_000

THANKS = {
    "en": "Thank you for your message. We have received it.",
    "de": "Vielen Dank für Ihre Nachricht. Wir haben sie erhalten.",
    "es": "Gracias por su mensaje. Lo hemos recibido.",
    "fr": "Merci pour votre message. Nous l'avons bien reçu.",
}
# Words that stand in nearly every sentence of one of the languages, and in none of the others.
COMMON = {
    "en": "the and is are you we this that have with not my our was to",
    "de": "der das und ist nicht wir ich sie mit ein eine auf den von haben",
    "es": "el los y es no por para con una que mi su hemos está las",
    "fr": "le les et est pas nous vous avec une des je mon notre dans sur",
}
_WORD = re.compile(r"[^\W\d_]+")
_LANGUAGES = {
    word: [code for code, words in COMMON.items() if word in words.split()]
    for words in COMMON.values()
    for word in words.split()
}


def thank_without_confirming(text: str) -> str:
    """Thanks in the language of ``text``, English where it is none of the four. Reads 4,000 characters."""
    return THANKS[language_of(text)]


def language_of(text: str) -> str:
    votes = Counter(
        code for word in _WORD.findall(text[:READ_CHARS].casefold()) for code in _LANGUAGES.get(word, ())
    )
    return max(COMMON, key=lambda code: votes[code])
