"""Fonts for text in any script: which families have its characters, and what to write where none has."""

import unicodedata
from collections.abc import Iterator
from functools import cache

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

#: Comes with matplotlib; everything that it has is drawn with it, on every machine.
BASE = "DejaVu Sans"
#: Families that may stand in for a script that the base lacks, in the order in which they are asked.
_STAND_INS = (
    "Noto Sans", "Noto Serif", "Noto Naskh", "Noto Kufi", "WenQuanYi", "Source Han", "IPA", "Nanum", "Lohit",
)  # fmt: skip
#: Weights of regular fonts, as fonts name them.
_REGULAR = ("400", "500", "normal", "regular", "book", "medium")
#: Fonts of pictures in colour, which vector files cannot hold.
_UNUSABLE = ("Emoji", "Color")


def drawable(text: str) -> tuple[str, tuple[str, ...]]:
    """Text that can be drawn, and the font families that it needs.

    Args:
        text: printable text.

    Returns:
        The text with every character that no font of this machine has written as ``⟨U+65E5⟩``, and the families in
        the order in which they are to be tried, :data:`BASE` first.
    """
    families = [BASE]
    pieces = []
    for character in text:
        family = _family_of(character)
        if family is None:
            pieces.append(f"⟨U+{ord(character):04X}⟩")
        else:
            pieces.append(character)
            if family not in families:
                families.append(family)
    return "".join(pieces), tuple(families)


@cache
def _family_of(character: str) -> str | None:
    code = ord(character)
    if code in _characters(font_manager.findfont(BASE)):
        return BASE
    if unicodedata.category(character) == "Cn":
        return None
    return next((family for family, path in _stand_ins() if code in _characters(path)), None)


@cache
def _stand_ins() -> tuple[tuple[str, str], ...]:
    """Regular fonts of this machine by family, in the order of :data:`_STAND_INS`, then by name."""
    paths: dict[str, str] = {}
    for entry in sorted(font_manager.fontManager.ttflist, key=lambda entry: (entry.name, entry.fname)):
        plain = entry.style == "normal" and str(entry.weight) in _REGULAR
        if plain and not any(word in entry.name for word in _UNUSABLE):
            paths.setdefault(entry.name, entry.fname)
    return tuple((family, path) for _, family, path in sorted(_rank(paths)))


def _rank(paths: dict[str, str]) -> Iterator[tuple[int, str, str]]:
    for family, path in paths.items():
        for place, start in enumerate(_STAND_INS):
            if family.startswith(start):
                yield place, family, path
                break


@cache
def _characters(path: str) -> frozenset[int]:
    return frozenset(FT2Font(path).get_charmap())
