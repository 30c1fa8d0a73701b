"""The order in which text of several directions is drawn: Unicode's bidirectional algorithm (UAX #9).

For one line of text without controls of direction: token text shows those as marks. Names of rules are of UAX #9,
revision 50. A drawing library orders whatever string it is given; this says where each part of a string goes, so that
tokens can be marked.
"""

import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import groupby, takewhile
from typing import NamedTuple

_STRONG = {"L": "L", "R": "R", "EN": "R", "AN": "R"}
#: Whole spans of these take the direction of what is around them.
_NEUTRAL = ("ON", "WS", "S", "B", "BN")


class Run(NamedTuple):
    """A stretch of text of one direction.

    Attributes:
        start: place of its first character in the text.
        stop: place after its last one.
        right: whether it runs from right to left.
    """

    start: int
    stop: int
    right: bool


def levels_of(text: str, *, right: bool) -> list[int]:
    """Embedding level of each character of a paragraph: even ones run from left to right.

    Args:
        text: without explicit embeddings, overrides or isolates.
        right: whether the paragraph runs from right to left.
    """
    base = "R" if right else "L"
    own = [unicodedata.bidirectional(character) or "L" for character in text]
    types = _without_weak(own, base)
    _resolve_brackets(text, own, types, base)
    _resolve_neutrals(types, base)
    if right:
        return [1 if kind == "R" else 2 for kind in types]
    return [{"L": 0, "R": 1}.get(kind, 2) for kind in types]


def visual_runs(text: str, levels: Sequence[int], *, right: bool) -> list[Run]:
    """Runs of a line from left to right, as they are seen.

    Args:
        text: of the line.
        levels: of its characters, as its paragraph has them.
        right: whether the paragraph runs from right to left.
    """
    blanks = len(text) - len(text.rstrip())  # L1: they stand at the end of the line, wherever that is
    levels = [*levels[: len(text) - blanks], *[int(right)] * blanks]
    runs: list[tuple[int, Run]] = []
    start = 0
    for level, same in groupby(levels):
        stop = start + len(list(same))
        runs.append((level, Run(start, stop, level % 2 == 1)))
        start = stop
    for lowest in range(max(levels, default=0), 0, -1):  # L2
        turned: list[tuple[int, Run]] = []
        for inside, group in groupby(runs, lambda run, at_least=lowest: run[0] >= at_least):
            own = list(group)
            turned += own[::-1] if inside else own
        runs = turned
    return [run for _, run in runs]


def _without_weak(own: Sequence[str], base: str) -> list[str]:
    """W1 to W7: marks, numbers, and what separates and ends them."""
    types = list(own)
    for i, kind in enumerate(own):
        if kind == "NSM":
            types[i] = types[i - 1] if i else base
    strong = base
    for i, kind in enumerate(types):
        if kind in ("L", "R", "AL"):
            strong = kind
        elif kind == "EN" and strong == "AL":
            types[i] = "AN"
    types = ["R" if kind == "AL" else kind for kind in types]
    for i in range(1, len(types) - 1):
        before, kind, after = types[i - 1 : i + 2]
        if before == after and ((kind in ("ES", "CS") and before == "EN") or (kind == "CS" and before == "AN")):
            types[i] = before
    start = 0
    for kind, same in groupby(list(types)):
        stop = start + len(list(same))
        if kind == "ET" and "EN" in (*types[max(start - 1, 0) : start], *types[stop : stop + 1]):
            types[start:stop] = ["EN"] * (stop - start)
        start = stop
    types = ["ON" if kind in ("ES", "ET", "CS") else kind for kind in types]
    strong = base
    for i, kind in enumerate(types):
        if kind in ("L", "R"):
            strong = kind
        elif kind == "EN" and strong == "L":
            types[i] = "L"
    return types


def _resolve_brackets(text: str, own: Sequence[str], types: list[str], base: str) -> None:
    """N0: the two brackets of a pair get one direction."""
    opened: list[tuple[str, int]] = []
    pairs: list[tuple[int, int]] = []
    for i, character in enumerate(text.translate({0x2329: 0x3008, 0x232A: 0x3009})):
        if types[i] != "ON":
            continue
        if character in _closing():
            opened.append((_closing()[character], i))
        elif places := [k for k, (closing, _) in enumerate(opened) if closing == character]:
            pairs.append((opened[places[-1]][1], i))
            del opened[places[-1] :]
    other = "L" if base == "R" else "R"
    for first, last in sorted(pairs):
        inside = {_STRONG.get(kind) for kind in types[first + 1 : last]}
        if base in inside:
            direction = base
        elif other in inside:
            before = [_STRONG[kind] for kind in types[:first] if kind in _STRONG]
            direction = other if (before[-1] if before else base) == other else base
        else:
            continue
        for bracket in (first, last):
            marks = takewhile(lambda place: own[place] == "NSM", range(bracket + 1, len(own)))
            for place in (bracket, *marks):
                types[place] = direction


def _resolve_neutrals(types: list[str], base: str) -> None:
    """N1 and N2: between two of one direction as these, else as the paragraph."""
    start = 0
    for neutral, same in groupby(list(types), lambda kind: kind in _NEUTRAL):
        stop = start + len(list(same))
        if neutral:
            before = _STRONG[types[start - 1]] if start else base
            after = _STRONG[types[stop]] if stop < len(types) else base
            types[start:stop] = [before if before == after else base] * (stop - start)
        start = stop


@cache
def _closing() -> dict[str, str]:
    """Closing bracket of each opening one: the next mirrored one, but for two that cross."""
    pairs = {"\u298d": "\u2990", "\u298f": "\u298e"}
    for code in range(0x28, 0xFF63):
        if unicodedata.category(chr(code)) == "Ps" and unicodedata.mirrored(chr(code)):
            following = [chr(code + 1), chr(code + 2)]
            found = [c for c in following if unicodedata.category(c) == "Pe" and unicodedata.mirrored(c)]
            if found:
                pairs.setdefault(chr(code), found[0])
    return pairs
