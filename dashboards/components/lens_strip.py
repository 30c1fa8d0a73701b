"""A typed text as a strip of tokens, each in the colour of its strongest cluster."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dashboards.components.markup import escape, legend, remark
from results.colours import GREY, model_colours, rgba
from results.text_lens import Agreement
from results.token_text import MAX_ALPHA, MIN_ALPHA, NEWLINE_MARK, runs_right_to_left

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
    spans = "".join(
        _token(number, token, mark, framed=number == chosen)
        for number, (token, mark) in enumerate(zip(tokens, drawn, strict=True))
    )
    return f'<div class="uv-lens" style="direction:{"rtl" if runs_right_to_left(tokens) else "ltr"}">{spans}</div>'


def _token(number: int, token: str, mark: Mark, *, framed: bool) -> str:
    style, label = "", ""
    if mark.strength > 0:
        alpha = MIN_ALPHA + (MAX_ALPHA - MIN_ALPHA) * min(mark.strength, 1.0)
        style = f"background-color:{rgba(mark.colour, alpha)};--uv-firing:{100 * mark.firing:.0f}%"
        label = f' data-label="{escape(mark.label)}"' if mark.label else ""
    kind = "uv-piece uv-framed" if framed else "uv-piece"
    title = escape(f"{number + 1}: {token[:40]} · {mark.title}")
    after = "\n" if NEWLINE_MARK in token else ""
    return f'<span class="{kind}" style="{style}" title="{title}"{label}>{escape(token)}</span>{after}'


def strip_legend(named: dict[int, tuple[str, str]]) -> str:
    """The labelled clusters, and what the strip's colours and lines stand for."""
    entries = [
        f'<span class="uv-swatch"><i class="uv-letter" style="background-color:{rgba(colour, MAX_ALPHA)}">'
        f"{escape(letter)}</i>cluster {cluster}</span>"
        for cluster, (letter, colour) in named.items()
    ]
    said = "letter and colour: the strongest cluster · depth: how strongly it fires · line: share of its models"
    return legend([*entries, remark(said)])
