"""A typed text as a strip of tokens, each in the colour of its strongest cluster."""

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote

import numpy as np

from dashboards.components.markup import escape, legend, remark
from results.colours import GREY, model_colours, rgba
from results.text_lens import Agreement
from results.token_strip import MAX_ALPHA, MIN_ALPHA, beside, lines_of
from results.token_text import Piece

#: Clusters with a label of their own; seven colours go round twice, and the letters tell the two rounds apart.
LABELLED = 14


class Mark(NamedTuple):
    """What is drawn on one token.

    Attributes:
        label: letter of its strongest cluster; empty where that has none, or no cluster fires.
        colour: ``#RRGGBB`` of the cluster.
        strength: how strongly the cluster fires there, 0..1; 0 draws nothing.
        firing: share of the cluster's members that fire there, 0..1.
        title: shown on hover.
    """

    label: str
    colour: str
    strength: float
    firing: float
    title: str


def labels(agreed: Agreement) -> dict[int, tuple[str, str]]:
    """Letter and colour of the clusters that are the strongest of some token, the most telling ones first."""
    if not len(agreed.clusters):
        return {}
    best = agreed.strength.argmax(axis=0)
    wins = np.unique(best[agreed.strength.max(axis=0) > 0])[:LABELLED]
    ids = [int(i) for i in agreed.clusters["cluster"].iloc[wins]]
    letters = [chr(ord("A") + i) for i in range(len(ids))]
    colours = model_colours(letters)
    return {cluster: (letter, colours[letter]) for cluster, letter in zip(ids, letters, strict=True)}


def marks(agreed: Agreement, named: dict[int, tuple[str, str]], n_tokens: int) -> list[Mark]:
    """The mark of every token."""
    made = []
    for position in range(n_tokens):
        best = int(agreed.strength[:, position].argmax()) if len(agreed.clusters) else -1
        strength = float(agreed.strength[best, position]) if best >= 0 else 0.0
        if strength == 0:
            made.append(Mark("", GREY, 0.0, 0.0, "no cluster fires"))
            continue
        cluster, firing = int(agreed.clusters["cluster"].iloc[best]), float(agreed.firing[best, position])
        label, colour = named.get(cluster, ("", GREY))
        n_firing = round(firing * int(agreed.clusters["n_models"].iloc[best]))
        title = f"cluster {cluster} · fires in {n_firing} of {agreed.clusters['n_models'].iloc[best]} models"
        made.append(Mark(label, colour, strength, firing, f"{title} · {strength:.0%} of the members' maxima"))
    return made


def strip(tokens: Sequence[str], drawn: Sequence[Mark], chosen: int | None) -> str:
    """Tokens with their marks as HTML: background the cluster, line below it the share of models.

    Args:
        tokens: texts; escaped here.
        drawn: one mark each.
        chosen: index of the token to frame, or None.
    """

    def span(piece: Piece) -> str:
        of = [drawn[place] for place in piece.tokens]
        label = "".join(dict.fromkeys(mark.label for mark in of))
        kind = "uv-piece uv-framed" if chosen in piece.tokens else "uv-piece"
        title = "\n".join(f"token {place + 1} · {drawn[place].title} · {tokens[place][:40]}" for place in piece.tokens)
        style = escape(_style(piece.text, of, label))
        return f'<span class="{kind}" style="{style}" title="{escape(title)}">{escape(piece.text)}</span>'

    return f'<div class="uv-lens">{lines_of(tokens, span)}</div>'


def _style(text: str, drawn: Sequence[Mark], label: str) -> str:
    """Background the cluster, above it its letter, below it a line as long as the share of its models.

    All three are images: whatever takes part in the line, and be it no wider than nothing, would cut joined letters or
    change the order of what runs from right to left.
    """
    if all(mark.strength == 0 for mark in drawn):
        return ""
    alphas = [MIN_ALPHA + (MAX_ALPHA - MIN_ALPHA) * min(mark.strength, 1.0) if mark.strength else 0.0 for mark in drawn]
    fill = beside(text, [rgba(mark.colour, alpha) for mark, alpha in zip(drawn, alphas, strict=True)])
    widths = [share for mark in drawn for share in (mark.firing, 1.0 - mark.firing)]
    line = beside(text, ["currentColor", "transparent"] * len(drawn), widths)
    return (
        f"background-image:{_letter(label)},{line},{fill};background-repeat:no-repeat;"
        "background-size:auto,100% 2px,100% 100%;background-position:100% 0,0 100%,0 0"
    )


def _letter(label: str) -> str:
    """Letters as a CSS image, grey on light and on dark."""
    width = 7 * len(label)
    svg = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width + 1}' height='9'>"
        f"<text y='8' font-family='sans-serif' font-size='9' fill='#757575'>{label}</text></svg>"
    )
    return f'url("data:image/svg+xml,{quote(svg)}")' if label else "none"


def strip_legend(named: dict[int, tuple[str, str]]) -> str:
    """The labelled clusters, and what the strip's colours and lines stand for."""
    entries = [
        f'<span class="uv-swatch"><i class="uv-letter" style="background-color:{rgba(colour, MAX_ALPHA)}">'
        f"{escape(letter)}</i>cluster {cluster}</span>"
        for cluster, (letter, colour) in named.items()
    ]
    said = "letter and colour: the strongest cluster · depth: how strongly it fires · line: share of its models"
    return legend([*entries, remark(said)])
