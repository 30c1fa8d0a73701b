"""Fonts for text in any script: which families have its characters, and what to write where none has."""

import os
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
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


def drawable(text: str) -> str:
    """Text that can be drawn: a character that no font of this machine has is written as ``⟨U+65E5⟩``."""
    return "".join(character if _has_font(character) else f"⟨U+{ord(character):04X}⟩" for character in text)


def families_of(text: str) -> tuple[str, ...]:
    """Font families for a text, in the order in which they are to be tried: :data:`BASE`, then as few as have the rest.

    Marks must come from the font of their letter, and fonts of one script have some marks of others.
    """
    families = [BASE]
    rest = set(text) - _characters(font_manager.findfont(BASE))
    while rest:
        counts = [(len(rest & _characters(path)), family, path) for family, path in _stand_ins()]
        most, family, path = max(counts, key=lambda count: count[0], default=(0, "", ""))
        if not most:
            break
        families.append(family)
        rest -= _characters(path)
    return tuple(families)


@cache
def _has_font(character: str) -> bool:
    if character in _characters(font_manager.findfont(BASE)):
        return True
    return unicodedata.category(character) != "Cn" and any(character in _characters(path) for _, path in _stand_ins())


@cache
def _stand_ins() -> tuple[tuple[str, str], ...]:
    """Regular fonts of this machine by family, in the order of :data:`_STAND_INS`, then by name."""
    paths: dict[str, str] = {}
    _add_new_fonts()
    for entry in sorted(font_manager.fontManager.ttflist, key=lambda entry: (entry.name, entry.fname)):
        plain = entry.style == "normal" and str(entry.weight) in _REGULAR
        if plain and not any(word in entry.name for word in _UNUSABLE):
            paths.setdefault(entry.name, entry.fname)
    return tuple((family, path) for _, family, path in sorted(_rank(paths)))


def _add_new_fonts() -> None:
    """Fonts that were installed after matplotlib made its list, which it never makes anew."""
    known = {os.path.realpath(entry.fname) for entry in font_manager.fontManager.ttflist}
    # By folders: without them fontconfig is asked, which starts a process.
    found = font_manager.findSystemFonts([*font_manager.X11FontDirectories, *font_manager.OSXFontDirectories])
    for path in sorted(set(map(os.path.realpath, found)) - known):
        with suppress(OSError, RuntimeError, ValueError):  # what no library can read is no font
            font_manager.fontManager.addfont(path)


def _rank(paths: dict[str, str]) -> Iterator[tuple[int, str, str]]:
    for family, path in paths.items():
        for place, start in enumerate(_STAND_INS):
            if family.startswith(start):
                yield place, family, path
                break


@cache
def _characters(path: str) -> frozenset[str]:
    return frozenset(map(chr, FT2Font(path).get_charmap()))
