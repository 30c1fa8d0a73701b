"""Which script a text is written in, by Unicode blocks."""

import re
from functools import cache

import numpy as np

#: Scripts that get a domain of their own; every other one is ``other_script``.
SCRIPTS = (
    "arabic", "armenian", "bengali", "cyrillic", "devanagari", "ethiopic", "georgian", "greek", "han",
    "hangul", "hebrew", "kana", "latin", "tamil", "thai", "other_script",
)  # fmt: skip

# First and last code point (hexadecimal). What is in no block is another script; "-" counts for none.
_BLOCKS = {
    "-": "0-40 5b-60 7b-bf 2b0-36f 2000-2bff 2e00-2e7f 3000-303f 3200-33ff fe00-fe6f feff-ff20 ff5b-ff65 "
    "ffe0-ffff 1f000-1faff e0000-e0fff",
    "latin": "41-5a 61-7a c0-2af 1d00-1dbf 1e00-1eff 2c60-2c7f a720-a7ff ab30-ab6f fb00-fb06 ff21-ff5a",
    "greek": "370-3ff 1f00-1fff",
    "cyrillic": "400-52f 1c80-1c8f 2de0-2dff a640-a69f",
    "armenian": "530-58f fb13-fb17",
    "hebrew": "590-5ff fb1d-fb4f",
    "arabic": "600-6ff 750-77f 870-8ff fb50-fdff fe70-fefe",
    "devanagari": "900-97f a8e0-a8ff",
    "bengali": "980-9ff",
    "tamil": "b80-bff",
    "thai": "e00-e7f",
    "georgian": "10a0-10ff 1c90-1cbf 2d00-2d2f",
    "hangul": "1100-11ff 3130-318f a960-a97f ac00-d7ff ffa0-ffdc",
    "ethiopic": "1200-139f 2d80-2ddf ab00-ab2f",
    "kana": "3040-30ff 31f0-31ff ff66-ff9f",
    "han": "2e80-2fdf 3400-4dbf 4e00-9fff f900-faff 20000-323af",
}
# Placeholders and tags of interface texts are not what the text is written in.
_MARKUP = re.compile(r"%\(\w+\)[sd]|\{\w*\}|<[^<>]{1,200}>")
_KANA_SHARE = 0.1


@cache
def _table() -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Sorted block starts, the script code of each, and the scripts by code (``-`` first, other last)."""
    names = ("-", *SCRIPTS)
    starts, codes, position = [], [], 0
    blocks = sorted(
        (*(int(end, 16) for end in block.split("-")), names.index(script))
        for script, listed in _BLOCKS.items()
        for block in listed.split()
    )
    for first, last, code in blocks:
        if first > position:
            starts.append(position)
            codes.append(names.index("other_script"))
        starts.append(first)
        codes.append(code)
        position = last + 1
    starts.append(position)
    codes.append(names.index("other_script"))
    return np.array(starts), np.array(codes), names


def script_counts(text: str) -> dict[str, int]:
    """Characters of each script in a text; digits, punctuation, symbols and markup count for none."""
    starts, codes, names = _table()
    points = np.frombuffer(_MARKUP.sub("", text).encode("utf-32-le"), dtype="<u4")
    counts = np.bincount(codes[np.searchsorted(starts, points, side="right") - 1], minlength=len(names))
    return {name: int(n) for name, n in zip(names[1:], counts[1:], strict=True) if n}


def majority_script(text: str) -> str:
    """The script that most characters of a text belong to.

    Japanese mixes kana with Han characters: a text is ``kana`` if at least a tenth of the two together
    is kana, whichever is more frequent.

    Returns:
        One of ``SCRIPTS``; ``latin`` for a text without any letter.
    """
    counts = script_counts(text)
    if not counts:
        return "latin"
    best = max(counts, key=lambda script: (counts[script], script))
    if best in ("han", "kana"):
        kana, han = counts.get("kana", 0), counts.get("han", 0)
        return "kana" if kana >= _KANA_SHARE * (kana + han) else "han"
    return best
