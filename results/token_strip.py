"""Tokens with activations as HTML: one text, laid out as a whole, with every token marked and none set apart.

A browser joins and orders letters over the borders of inline elements as long as nothing isolates them or gives them a
width of their own. So tokens are spans with colours alone, and tokens that share a letter share a span.
"""

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from results.colours import SIDE_COLOURS, rgba
from results.token_text import Piece, text_lines
from universality.errors import refusal

#: The strongest background; above it dark text on a dark colour becomes hard to read.
MAX_ALPHA = 0.6
#: A token that fires at all is never invisible.
MIN_ALPHA = 0.06
#: Blocks of scripts that run from right to left.
_RIGHT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff\U0001e800-\U0001efff]")


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
        tokens: texts as :func:`results.token_text.token_strings` makes them; escaped here.
        channels: activations, each as long as ``tokens``; none gives plain text.
        peak: index of the token to frame, or None.
        break_lines: start a new line after a token that holds a line feed.
        background: False draws the first channel as a bar too: equal rows for equals, such as the models of a
            cluster, each at its own height.

    Returns:
        One ``div`` with a ``div`` per line, which runs right to left when most of its letters do. Every token is
        escaped, stands in a span and carries its raw values in ``title``. A letter that several tokens share is a
        span with their colours beside each other, and a line of the title for each.

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

    def span(piece: Piece) -> str:
        title = "\n".join(_hover(tokens[place], channels, place) for place in piece.tokens)
        drawn = [[share[place] for place in piece.tokens] for share in shares]
        style = _style(piece.text, drawn, colours, n_filled, framed=peak in piece.tokens)
        text = html.escape(piece.text, quote=True)
        styled = f' style="{style}"' if style else ""
        return f'<span{styled} title="{html.escape(title, quote=True)}">{text}</span>'

    style = (
        "white-space:pre-wrap;overflow-wrap:anywhere;"
        f"font-family:ui-monospace,monospace;font-size:0.875rem;line-height:{1.5 + 0.22 * len(channels):.2f}"
    )
    return f'<div style="{style}">{lines_of(tokens, span, break_lines=break_lines)}</div>'


def lines_of(tokens: Sequence[str], span: Callable[[Piece], str], *, break_lines: bool = True) -> str:
    """Markup of every line in its direction, with ``span`` drawing its pieces."""
    return "".join(
        f'<div dir="{"rtl" if right else "ltr"}">{"".join(map(span, line))}</div>'
        for right, line in text_lines(tokens, break_lines=break_lines)
    )


def _hover(token: str, channels: Sequence[Channel], position: int) -> str:
    values = [f"{channel.label} {float(channel.values[position]):.4g}" for channel in channels]
    # The token comes last: before numbers, letters from right to left would turn what follows.
    return " · ".join([*values, token if len(token) <= 40 else f"{token[:40]}…"])


def _style(text: str, shares: Sequence[Sequence[float]], colours: Sequence[str], n_filled: int, *, framed: bool) -> str:
    """Background for the first channel (where any is filled), stacked bars of two pixels for the others.

    Args:
        text: what is drawn, for its direction.
        shares: of every channel, of each token that has a part of it.
        colours: of the channels.
        n_filled: 1 where the first channel is the background.
        framed: a line around it.
    """
    parts, layers, sizes, places = [], [], [], []
    bars = shares[n_filled:]
    if any(share > 0 for bar in bars for share in bar):
        for i, (bar, colour) in enumerate(zip(bars, colours[n_filled:], strict=True)):
            # Bars may be stronger than backgrounds: no text stands on them.
            layers.append(beside(text, [rgba(colour, 0.15 + 0.85 * share if share > 0 else 0.0) for share in bar]))
            sizes.append("100% 2px")
            places.append(f"0 calc(100% - {3 * (len(bars) - 1 - i)}px)")
    fills = [_fill(colours[0], share) for share in shares[0]] if n_filled and shares else []
    if len(fills) == 1 and shares[0][0] > 0:
        parts.append(f"background-color:{fills[0]}")
    elif len(fills) > 1 and any(share > 0 for share in shares[0]):
        layers.append(beside(text, fills))
        sizes.append("100% 100%")
        places.append("0 0")
    if layers:
        parts += [f"background-image:{','.join(layers)}", "background-repeat:no-repeat"]
        parts += [f"background-size:{','.join(sizes)}", f"background-position:{','.join(places)}"]
    if bars:
        parts.append(f"padding-bottom:{3 * len(bars)}px")
    if framed:
        parts.append("outline:1px solid currentColor;outline-offset:1px")
    return ";".join(parts)


def _fill(colour: str, share: float) -> str:
    return rgba(colour, MIN_ALPHA + (MAX_ALPHA - MIN_ALPHA) * share if share > 0 else 0.0)


def beside(text: str, colours: Sequence[str], widths: Sequence[float] | None = None) -> str:
    """A CSS image of colours beside each other in the direction of a text.

    Args:
        text: what stands on it.
        colours: CSS colours.
        widths: of each, relative to their sum; default equal.
    """
    if len(colours) == 1:
        return f"linear-gradient({colours[0]},{colours[0]})"
    widths = widths or [1.0] * len(colours)
    edges = [100 * edge / sum(widths) for edge in accumulate(widths, initial=0.0)]
    stops = ",".join(f"{c} {low:.4g}% {high:.4g}%" for c, low, high in zip(colours, edges, edges[1:], strict=False))
    return f"linear-gradient(to {'left' if _RIGHT.search(text) else 'right'},{stops})"
