"""Tokens as text that a reader can trust: nothing hidden, nothing executed, nothing reordered.

A token is a string of bytes, often a part of a character, and corpora hold anything: markup, bidi controls,
zero-width characters, formulas. :func:`visible` and :func:`token_strings` turn bytes into printable text;
:func:`token_strip` turns text and activations into HTML in which every token is escaped and isolated. They
are pure functions of their arguments: no storage, no screen, no theme.
"""

import html
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from results.colours import SIDE_COLOURS, rgba
from universality.errors import refusal

#: Stands where a token holds only the first bytes of a character that a later token completes.
PART_MARK = "┊"
#: Stands for a line feed.
NEWLINE_MARK = "⏎"
#: The strongest background; above it dark text on a dark colour becomes hard to read.
MAX_ALPHA = 0.6
#: A token that fires at all is never invisible.
MIN_ALPHA = 0.06

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
_RIGHT_TO_LEFT = {"R", "AL"}


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
    if unicodedata.category(character) in _INVISIBLE_CATEGORIES:
        return f"⟨U+{ord(character):04X}⟩"
    return character


@dataclass(frozen=True)
class Channel:
    """One feature's activations along a strip of tokens.

    Attributes:
        label: shown on hover before the value, for example ``"m0/12"``.
        values: raw activation per token, ``>= 0``; what is not positive gets no colour.
        maximum: the feature's largest activation anywhere; colours are relative to it, so that two features
            with different scales look alike. Default: the largest of ``values``.
        colour: ``#RRGGBB``; default side a's for the first channel of a strip, side b's for the others.
    """

    label: str
    values: Sequence[float]
    maximum: float | None = None
    colour: str | None = None

    def shares(self) -> list[float]:
        """Activation of each token relative to the maximum, clipped to 0..1."""
        top = self.maximum if self.maximum is not None else max(self.values, default=0.0)
        return [min(max(float(value), 0.0) / top, 1.0) if top > 0 else 0.0 for value in self.values]


def token_strip(
    tokens: Sequence[str],
    channels: Sequence[Channel],
    *,
    peak: int | None = None,
    break_lines: bool = True,
    background: bool = True,
) -> str:
    """Tokens with activations as a self-contained piece of HTML.

    The first channel is the background of each token, every further one a thin bar below it (one: side b of a
    pair; several: the models of a cluster). Text keeps the page's own colour, so that the strip works on
    light and on dark.

    Args:
        tokens: texts as :func:`token_strings` makes them; escaped here.
        channels: activations, each as long as ``tokens``; none gives plain text.
        peak: index of the token to frame, or None.
        break_lines: start a new line after a token that holds a line feed.
        background: False draws the first channel as a bar too: equal rows for equals, such as the models of a
            cluster, each at its own height.

    Returns:
        One ``div``. Every token is escaped, stands in a span of its own with ``unicode-bidi:isolate`` and
        carries its raw values in ``title``. The strip runs right to left when most of its letters do.

    Raises:
        InputError: a channel is not as long as the tokens.
    """
    for channel in channels:
        if len(channel.values) != len(tokens):
            where, constraint = f"channel {channel.label!r}", f"one per token ({len(tokens)})"
            remedy = "Cut activations and tokens from the same window."
            raise refusal("values", where, constraint, len(channel.values), remedy)
    shares = [channel.shares() for channel in channels]
    colours = [c.colour or SIDE_COLOURS["a" if i == 0 else "b"] for i, c in enumerate(channels)]
    n_filled = 1 if background else 0
    spans = [
        _span(
            token,
            _hover(token, channels, position),
            _style([share[position] for share in shares], colours, n_filled, framed=position == peak),
            break_lines=break_lines,
        )
        for position, token in enumerate(tokens)
    ]
    direction = "rtl" if runs_right_to_left(tokens) else "ltr"
    style = (
        f"direction:{direction};unicode-bidi:isolate;white-space:pre-wrap;overflow-wrap:anywhere;"
        f"font-family:ui-monospace,monospace;font-size:0.875rem;line-height:{1.5 + 0.22 * len(channels):.2f}"
    )
    return f'<div style="{style}">{"".join(spans)}</div>'


def _span(token: str, title: str, style: str, *, break_lines: bool) -> str:
    shown = html.escape(token, quote=True)
    after = "\n" if break_lines and NEWLINE_MARK in token else ""
    return f'<span style="{style}" title="{html.escape(title, quote=True)}">{shown}</span>{after}'


def _hover(token: str, channels: Sequence[Channel], position: int) -> str:
    values = [f"{channel.label} {float(channel.values[position]):.4g}" for channel in channels]
    return " · ".join([token if len(token) <= 40 else f"{token[:40]}…", *values])


def _style(shares: Sequence[float], colours: Sequence[str], n_filled: int, *, framed: bool) -> str:
    """Background for the first channel (where any is filled), stacked bars of two pixels for the others."""
    parts = ["unicode-bidi:isolate"]
    if n_filled and shares and shares[0] > 0:
        alpha = MIN_ALPHA + (MAX_ALPHA - MIN_ALPHA) * shares[0]
        parts.append(f"background-color:{rgba(colours[0], alpha)}")
    bars = shares[n_filled:]
    if any(share > 0 for share in bars):
        n_bars = len(bars)
        # Bars may be stronger than backgrounds: no text stands on them.
        layers = [rgba(c, 0.15 + 0.85 * s if s > 0 else 0.0) for s, c in zip(bars, colours[n_filled:], strict=True)]
        places = [f"0 calc(100% - {3 * (n_bars - 1 - i)}px)" for i in range(n_bars)]
        parts.append("background-image:" + ",".join(f"linear-gradient({layer},{layer})" for layer in layers))
        parts += ["background-repeat:no-repeat", "background-size:100% 2px"]
        parts.append("background-position:" + ",".join(places))
    if bars:
        parts.append(f"padding-bottom:{3 * len(bars)}px")
    if framed:
        parts.append("outline:1px solid currentColor;outline-offset:1px")
    return ";".join(parts)


def runs_right_to_left(tokens: Sequence[str]) -> bool:
    """Whether most letters of a text belong to scripts that are written from right to left."""
    directions = [unicodedata.bidirectional(character) for token in tokens for character in token]
    right = sum(direction in _RIGHT_TO_LEFT for direction in directions)
    return right > sum(direction == "L" for direction in directions)
