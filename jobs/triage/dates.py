"""Dates, times of the day and times to wait in a folded text, in English, German, Spanish and French."""

import re
from collections.abc import Iterator

from jobs.triage.spans import Span

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan januar januari enero janvier",
            "february feb februar febrero fevrier",
            "march mar marz marzo mars",
            "april apr abril avril",
            "may mai mayo",
            "june jun juni junio juin",
            "july jul juli julio juillet",
            "august aug agosto aout",
            "september sep sept septiembre septembre",
            "october oct oktober okt octubre octobre",
            "november nov noviembre novembre",
            "december dec dezember dez diciembre decembre",
        ),
        start=1,
    )
    for name in names.split()
}
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_WEEKDAYS = {
    name: number
    for number, names in enumerate(
        (
            "monday montag lunes lundi",
            "tuesday dienstag martes mardi",
            "wednesday mittwoch miercoles mercredi",
            "thursday donnerstag jueves jeudi",
            "friday freitag viernes vendredi",
            "saturday samstag sabado samedi",
            "sunday sonntag domingo dimanche",
        )
    )
    for name in names.split()
}
_UNITS = {
    name: unit
    for unit, names in {
        "minute": "minute minutes min minuten minutos",
        "hour": "hour hours hrs hr stunde stunden hora horas heure heures h",
        "day": "day days tag tage tagen dia dias jour jours werktag werktage werktagen",
        "week": "week weeks woche wochen semana semanas semaine semaines",
        "month": "month months monat monate monaten mes meses mois",
    }.items()
    for name in names.split()
}
_WRITTEN = {
    word: str(number)
    for number, words in enumerate(
        (
            "one a an einer einem un una une",
            "two zwei dos deux",
            "three drei tres trois",
            "four vier cuatro quatre",
            "five funf cinco cinq",
            "six sechs seis",
            "seven sieben siete sept",
            "eight acht ocho huit",
            "nine neun nueve neuf",
            "ten zehn diez dix",
        ),
        start=1,
    )
    for word in words.split()
}
_FEW = rf"\d{{1,3}}|couple\sof|{'|'.join(_WRITTEN)}"
_DATES = re.compile(
    rf"""
      (?<![\d.])(?P<iso>\d{{4}}[-/.]\d\d?[-/.]\d\d?)(?!\d)
    | (?<![\d./-])(?P<short>\d\d?(?:[./-]\d\d?[./-](?:\d{{4}}|\d\d)|\.\d\d?\.))(?!\d)
    | \b(?:by|on|until|before|from|since)\s(?P<slashed>\d\d?/\d\d?)(?![/\d])
    | \b(?:by|on|until|before)\sthe\s(?P<ordinal>\d\d?)(?:st|nd|rd|th)\b
    | \b(?P<day>\d\d?)(?:st|nd|rd|th|er|\.)?\s(?:of\s|de\s)?(?P<month>{_MONTH})\b
      (?:,?\s(?:de\s)?(?P<year>(?:19|20)\d\d)\b)?
    | \b(?P<month2>{_MONTH})\.?\s(?P<day2>\d\d?)(?:st|nd|rd|th)?\b(?![:.,]\d)
      (?:,?\s(?P<year2>(?:19|20)\d\d)\b)?
    | (?<![\d:.])(?P<hour>\d\d?)
      (?::(?P<minute>\d\d)(?:\s?(?P<half>[ap])\.?m\b)?|\s?(?P<half2>[ap])\.?m\b|\s?uhr\b|h(?P<minute2>\d\d)\b)
    | \b(?P<weekday>{"|".join(_WEEKDAYS)})s?\b
    | \b(?:(?:with)?in|innerhalb\svon|binnen|en|dans|sous|in\sden\snachsten)\s(?:the\snext\s|\w+\s)?
      (?P<number>{_FEW})(?:\s?(?:-|to|bis|a)\s?\d{{1,3}})?
      [\s-](?:business\s|working\s|more\s)?(?P<unit>{"|".join(_UNITS)})\b
    | \b(?P<soon>tomorrow|tonight|(?:by|later|before|still)\s(?:today|noon|midnight|eod|eob|cob)
      |next\s(?:week|month)|end\sof\s(?:the\s)?(?:day|week|month)|(?<!guten\s)morgen|noch\sheute|heute\sabend
      |nachste[nr]?\s(?:woche|monat)|(?<!la\s)manana|proxima\ssemana|demain|semaine\sprochaine)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)

_TAKES = re.compile(
    rf"""\b(?P<number>\d{{1,3}}|one|{"|".join(word for word, number in _WRITTEN.items() if number != "1")})
    (?:\s?(?:-|to|bis|a)\s?\w{{1,6}})?[\s-](?:business\s|working\s)?(?P<unit>{"|".join(_UNITS)})\b""",
    re.IGNORECASE | re.VERBOSE,
)
_NUMBERED = re.compile(r"(\d\d?\.\d\d?)\.")
_VERSION = re.compile(r"(?<![\d.])(\d\d?\.\d\d?)(?!\.?\d)")

#: Without one of these there is nothing to find: most texts are spared the larger pattern.
_MAY_HOLD = re.compile(
    r"\d|day|tag|tomorrow|tonight|next|noon|midnight|eo[db]|cob|couple|month|week|hour|minute|end of"
    r"|mittwoch|sonnabend|morgen|heute|woche|monat|stunde|lunes|martes|miercoles|jueves|viernes|sabado|domingo|manana|semana|hora|mes|dia|minuto"
    r"|lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche|demain|semaine|heure|jour|mois",
    re.IGNORECASE,
)


def find_dates(folded: str) -> Iterator[tuple[Span, frozenset[str]]]:
    """Each with its keys: ``month-day``, ``month-day-year`` of two digits, or a time; two where in doubt."""
    if not _MAY_HOLD.search(folded):
        return
    for found in _DATES.finditer(folded):
        if keys := frozenset(_date_keys(found)):
            yield found.span(), keys


def numbers_like_days(folded: str) -> Iterator[str]:
    """Keys of the versions and sections that a text names: one of them is no day that nobody gave."""
    return (f"number {found[1]}" for found in _VERSION.finditer(folded))


def times_to_wait(folded: str) -> Iterator[str]:
    """Keys of what procedures say a thing takes, also without an "in" before it: "5 to 7 business days"."""
    for found in _TAKES.finditer(folded):
        number = found["number"].lower()
        yield f"{_WRITTEN.get(number, number)} {_UNITS[found['unit'].lower()]}"


def _date_keys(found: re.Match[str]) -> Iterator[str]:
    yield from _day_keys(found)
    if found["hour"]:
        half = (found["half"] or found["half2"] or "").lower()
        hour = int(found["hour"]) % 12 + 12 * (half == "p") if half else int(found["hour"])
        if hour < 25:
            yield f"{hour}:{int(found['minute'] or found['minute2'] or 0)}"
    elif found["weekday"]:
        yield f"weekday {_WEEKDAYS[found['weekday'].lower()]}"
    elif found["unit"]:
        number = found["number"].lower()
        yield f"{_WRITTEN.get(number, number)} {_UNITS[found['unit'].lower()]}"
    elif found["soon"]:
        yield found["soon"].lower()


def _day_keys(found: re.Match[str]) -> Iterator[str]:
    if found["short"] and (number := _NUMBERED.fullmatch(found["short"])):
        yield f"number {number[1]}"  # at a sentence's end the day 3.4. and version 3.4 look alike
    if found["iso"]:
        year, month, day = map(int, re.split(r"[-/.]", found["iso"]))
        yield day_key(month, day, year)
    elif found["ordinal"]:
        yield f"the {int(found['ordinal'])}"
    elif short := found["short"] or found["slashed"]:
        one, other, *years = (int(part) for part in re.split(r"[-/.]", short) if part)
        for month, day in ((one, other), (other, one)):
            if month <= 12 and day <= 31:
                yield day_key(month, day, *years)
    elif name := found["month"] or found["month2"]:
        told = found["year"] or found["year2"]
        yield day_key(_MONTHS[name.lower()], int(found["day"] or found["day2"]), int(told) if told else None)


def day_key(month: int, day: int, year: int | None = None) -> str:
    return f"{month}-{day}" if year is None else f"{month}-{day}-{year % 100}"


def with_and_without_year(key: str, around: int) -> Iterator[str]:
    """A day without a year may be of those ``around``; one with a year may be named without."""
    yield key
    parts = key.split("-")
    if len(parts) == 3:
        yield "-".join(parts[:2])
    elif len(parts) == 2:
        yield from (day_key(int(parts[0]), int(parts[1]), year) for year in (around - 1, around, around + 1))
