"""What an element's own attributes say of whether its words can be seen: style, hidden, color, bgcolor.

Only what is declared inline counts. A style sheet's rules are not read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

_DECLARATION = re.compile(r"([a-z-]{2,20})\s*+:\s*+([^;]*+)")
_ZERO = re.compile(r"[+-]?(?:0+(?:\.0*)?|\.0+)(?:[a-z]{1,4}|%)?(?:\s|!|$)")
_TINY = re.compile(r"[01](?:\.\d*)?(?:px|pt)(?:\s|!|$)")
_AWAY = re.compile(r"-\d{3,}(?:\.\d*)?(?:px|pt|em|rem|%)?")
_RELATIVE = re.compile(r"[\d.]+(?:em|%)|inherit|smaller|larger|unset")
_RGB = re.compile(r"rgba?\(\s*(\d+)[\s,]+(\d+)[\s,]+(\d+)(?:[\s,/]+([\d.]+%?))?\s*\)")
_HEX = re.compile(r"#([0-9a-f]{3,8})")
_NAMED = {"white": (255, 255, 255), "black": (0, 0, 0), "snow": (255, 250, 250), "ivory": (255, 255, 240)}
_TRANSPARENT = (-1, -1, -1)
_UNKNOWN = (-999, -999, -999)
WHITE = _NAMED["white"]
_NEAR = 12
_STYLE_CHARACTERS = 2_000

Color = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Look:
    """How the words at one place look; what of it an element does not say it has from its parent."""

    tiny: bool = False
    invisible: bool = False
    color: Color | None = None
    background: Color | None = None

    @property
    def hidden(self) -> bool:
        return self.tiny or self.invisible or self._is_camouflaged()

    @property
    def doubtful(self) -> bool:
        """White on a ground that only a style sheet could tell: a button, or an order to the model."""
        return self.background is None and self.color is not None and _is_near(self.color, WHITE)

    def _is_camouflaged(self) -> bool:
        if self.color is None or self.color == _TRANSPARENT:
            return self.color is not None
        return self.background is not None and _is_near(self.color, self.background)


def look_of(attributes: Mapping[str, str | None], parent: Look) -> Look | None:
    """The look of an element within ``parent``; None where neither it nor anything in it can be seen."""
    if "hidden" in attributes:
        return None
    said = _read(attributes.get("style") or "")
    if _is_gone(said):
        return None
    look = parent
    if (size := said.get("font-size") or said.get("font")) and not _RELATIVE.match(size):
        look = replace(look, tiny=bool(_ZERO.match(size) or _TINY.match(size)))
    elif size and _ZERO.match(size):
        look = replace(look, tiny=True)
    if seen := said.get("visibility"):
        look = replace(look, invisible=seen.startswith(("hidden", "collapse")))
    if color := _color(said.get("color") or attributes.get("color") or ""):
        look = replace(look, color=color)
    ground = said.get("background-color") or said.get("background") or attributes.get("bgcolor") or ""
    ground = ground or attributes.get("background") or ""
    if ground and (color := _color(ground)) != _TRANSPARENT:
        look = replace(look, background=color or _UNKNOWN)
    return look


def _is_near(one: Color, other: Color) -> bool:
    return all(abs(a - b) <= _NEAR for a, b in zip(one, other, strict=True))


def _read(style: str) -> dict[str, str]:
    """Later declarations win, as in a browser; comments and escapes inside are no honest mail's."""
    plain = re.sub(r"/\*.*?\*/", "", style[:_STYLE_CHARACTERS].lower(), flags=re.DOTALL)
    return {found[1]: found[2].strip() for found in _DECLARATION.finditer(plain)}


def _is_gone(said: Mapping[str, str]) -> bool:
    clipped = said.get("overflow", "").startswith("hidden")
    return (
        said.get("display", "").startswith("none")
        or said.get("mso-hide", "").startswith("all")
        or bool(_ZERO.match(said.get("opacity", "")))
        or (
            clipped and any(_ZERO.match(said.get(side, "")) for side in ("height", "max-height", "max-width"))
        )
        or any(_AWAY.match(said.get(side, "")) for side in ("left", "top", "text-indent", "margin-left"))
    )


def _color(value: str) -> Color | None:
    """The color that ``value`` starts with or names; None for one that is not known here."""
    value = value.strip().lower()
    if value.startswith("transparent"):
        return _TRANSPARENT
    if found := _RGB.search(value):
        alpha = found[4]
        clear = alpha is not None and float(alpha.rstrip("%.") or 0) == 0
        return _TRANSPARENT if clear else (int(found[1][:4]), int(found[2][:4]), int(found[3][:4]))
    if found := _HEX.search(value):
        digits = found[1]
        full = digits if len(digits) >= 6 else "".join(digit * 2 for digit in digits[:3])
        return int(full[:2], 16), int(full[2:4], 16), int(full[4:6], 16)
    return _NAMED.get(value.split("!")[0].split(" ")[0])
