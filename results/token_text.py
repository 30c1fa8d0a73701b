"""Tokens as text that a reader can trust: nothing hidden, nothing executed, nothing reordered.

A token is a string of bytes, often a part of a character, and corpora hold anything: markup, bidi controls,
zero-width characters, formulas. :func:`visible` and :func:`token_strings` turn bytes into printable text;
:func:`text_lines` says how that text is laid out, as one text whose letters join over the borders of tokens;
``results/token_strip.py`` draws it.
"""

import re
import unicodedata
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

#: Stands where a token holds only the first bytes of a character that a later token completes; never from the text.
PART_MARK = "┊"
#: Stands for a line feed.
NEWLINE_MARK = "⏎"

_MARKS = {
    "\n": NEWLINE_MARK,
    "\r": "␍",
    "\t": "⇥",
    "\x7f": "␡",
    "\u00a0": "⍽",
    **{chr(code): chr(0x2400 + code) for code in range(0x20) if code not in (0x09, 0x0A, 0x0D)},
    **{
        chr(code): f"⟨{name}⟩"
        for code, name in {
            0x00AD: "SHY", 0x061C: "ALM", 0x200B: "ZWSP", 0x200C: "ZWNJ", 0x200D: "ZWJ", 0x200E: "LRM",
            0x200F: "RLM", 0x202A: "LRE", 0x202B: "RLE", 0x202C: "PDF", 0x202D: "LRO", 0x202E: "RLO",
            0x2060: "WJ", 0x2066: "LRI", 0x2067: "RLI", 0x2068: "FSI", 0x2069: "PDI", 0xFEFF: "BOM",
        }.items()
    },
}  # fmt: skip
_INVISIBLE_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
#: What no text holds: names of marks, and bytes that complete no character.
_NOT_TEXT = re.compile(r"⟨[^⟨⟩]*⟩|\\x[0-9A-F]{2}")
#: A token as sentences quote it.
_QUOTED = re.compile("“[^“”]*”")
#: Two characters of one letter, beside marks on a letter: signs of two characters, conjuncts (UAX #29, rules GB6 to
#: GB9c), and lam with alef, which fonts draw as one. draw.js has the same.
_JOINED = re.compile(
    ".[\u0e33\u0eb3\U0001f3fb-\U0001f3ff]|[\u1100-\u11ff\uac00-\ud7a3][\u1160-\u11ff]"
    "|[\u094d\u09cd\u0acd\u0b4d\u0c4d\u0d4d\u1039\u17d2][\u0900-\u0dff\u1000-\u109f\u1780-\u17ff]"
    "|[\U0001f1e6-\U0001f1ff]{2}|\u0644[\u0622\u0623\u0625\u0627]"
)


def is_invisible(character: str) -> bool:
    """Whether a character has no glyph of its own or changes how its neighbours are laid out."""
    return character in _MARKS or unicodedata.category(character) in _INVISIBLE_CATEGORIES


def visible(token: bytes, *, mark_spaces: bool = False, limit: int | None = None) -> str:
    r"""A token as text in which everything can be seen.

    Args:
        token: the bytes of one token.
        mark_spaces: write a space as ``·``; for lists, where ``" the"`` and ``"the"`` must differ.
        limit: most characters before the text is cut with ``…`` and its length in bytes; default no limit.

    Returns:
        Printable text on one line: line feed as ``⏎``, tab as ``⇥``, other controls as their pictures, zero-width and
        bidi controls as ``⟨NAME⟩``, private and unassigned characters as ``⟨U+NNNN⟩``, bytes that are no UTF-8 as
        ``\xNN``. For reading only: a backslash in the text itself is not doubled.
    """
    text = "".join(piece for _, piece in _pieces(token))
    if mark_spaces:
        text = text.replace(" ", "·")
    if limit is not None and len(text) > limit:
        text = f"{text[:limit]}… ({len(token)} bytes)"
    return text


def token_strings(tokens: Sequence[bytes]) -> list[str]:
    r"""Consecutive tokens as text, with characters that span several tokens put together.

    Args:
        tokens: the bytes of each token, in order.

    Returns:
        One string per token, written as by :func:`visible`. A character whose bytes lie in several tokens
        stands at the token that completes it; each earlier one gets ``┊`` in its place. Bytes that complete
        no character (a window that starts or ends inside one) stay ``\xNN``.
    """
    owner = [index for index, token in enumerate(tokens) for _ in token]
    texts: list[list[str]] = [[] for _ in tokens]
    start = 0
    for length, piece in _pieces(b"".join(tokens)):
        last = owner[start + length - 1]
        for earlier in range(owner[start], last):
            if tokens[earlier]:
                texts[earlier].append(PART_MARK)
        texts[last].append(piece)
        start += length
    return ["".join(pieces) for pieces in texts]


def _pieces(data: bytes) -> list[tuple[int, str]]:
    """Bytes consumed and text shown, character by character."""
    pieces: list[tuple[int, str]] = []
    position = 0
    while position < len(data):
        length = _sequence_length(data[position])
        try:
            character = data[position : position + length].decode("utf-8")
        except UnicodeDecodeError:
            length, shown = 1, f"\\x{data[position]:02X}"
        else:
            shown = _show(character)
        pieces.append((length, shown))
        position += length
    return pieces


def _sequence_length(lead: int) -> int:
    """Length of the UTF-8 sequence that a byte starts; 1 where it can start none (decoding then fails)."""
    for bound, length in ((0xC0, 1), (0xE0, 2), (0xF0, 3)):
        if lead < bound:
            return length
    return 4


def _show(character: str) -> str:
    if character in _MARKS:
        return _MARKS[character]
    if unicodedata.category(character) in _INVISIBLE_CATEGORIES or character == PART_MARK:
        return f"⟨U+{ord(character):04X}⟩"
    return character


class Piece(NamedTuple):
    """A stretch of text that can be drawn in one colour, or a letter that several tokens have a part of.

    Attributes:
        text: what is drawn.
        tokens: places of the token or tokens that it belongs to.
    """

    text: str
    tokens: range


def pieces_of(tokens: Sequence[str]) -> list[Piece]:
    """Consecutive tokens as the text that they make up, cut at their borders but never inside a letter.

    Args:
        tokens: texts as :func:`token_strings` makes them.

    Returns:
        Pieces in order. A letter and its marks, or the bytes of one character, may belong to several tokens: such a
        letter is a piece of its own, without the ``┊`` of parts that are completed. A token without text has no piece.
    """
    letters: list[Piece] = []
    parts: list[int] = []  # tokens of the parts of a character before the one that completes it
    for place, token in enumerate(tokens):
        for character in token:
            if character == PART_MARK:
                parts.append(place)
                continue
            owners = range(parts[0] if parts else place, place + 1)
            if letters and _joined(letters[-1].text[-1], character):
                before = letters.pop()
                letters.append(Piece(before.text + character, range(before.tokens.start, owners.stop)))
            else:
                letters.append(Piece(character, owners))
            parts = []
    letters += [Piece(PART_MARK, range(place, place + 1)) for place in parts]
    pieces: list[Piece] = []
    for tokens_of, together in groupby(letters, lambda letter: letter.tokens):
        texts = [letter.text for letter in together]
        pieces += [Piece("".join(texts), tokens_of)] if len(tokens_of) == 1 else [Piece(t, tokens_of) for t in texts]
    return pieces


def _joined(before: str, after: str) -> bool:
    return unicodedata.category(after)[0] == "M" or _JOINED.match(before + after) is not None


def text_lines(tokens: Sequence[str], *, break_lines: bool = True) -> list[tuple[bool, list[Piece]]]:
    """Pieces by line, each with whether it runs right to left.

    Args:
        tokens: texts as :func:`token_strings` makes them.
        break_lines: begin a new line after a token that holds a line feed.

    Returns:
        A line runs as most of its letters do, one without letters as most of the text.
    """
    lines: list[list[Piece]] = [[]]
    for piece in pieces_of(tokens):
        before = lines[-1][-1].tokens if lines[-1] else range(0)
        if break_lines and any(NEWLINE_MARK in tokens[place] for place in before if place < piece.tokens.start):
            lines.append([])
        lines[-1].append(piece)
    whole = runs_right_to_left(tokens)
    counts = [_letters_by_direction([piece.text for piece in line]) for line in lines]
    return [(right > left if left + right else whole, line) for (left, right), line in zip(counts, lines, strict=True)]


def isolated(sentence: str) -> str:
    """A sentence of ours with tokens in quotes, such as a label, for readers: no token turns the words around it.

    Tokens that run from right to left get isolates of Unicode around them, which nobody sees. Not for data.
    """
    return _QUOTED.sub(lambda quoted: f"\u2066{quoted[0]}\u2069" if runs_right(quoted[0]) else quoted[0], sentence)


def runs_right(text: str) -> bool:
    """Whether any letter of a text belongs to a script that is written from right to left."""
    return any(unicodedata.bidirectional(character) in ("R", "AL") for character in text)


def runs_right_to_left(tokens: Sequence[str]) -> bool:
    """Whether most letters of a text belong to scripts that are written from right to left."""
    left, right = _letters_by_direction(tokens)
    return right > left


def _letters_by_direction(tokens: Sequence[str]) -> tuple[int, int]:
    directions = [unicodedata.bidirectional(character) for character in _NOT_TEXT.sub("", "".join(tokens))]
    return directions.count("L"), directions.count("R") + directions.count("AL")
