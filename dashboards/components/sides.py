"""The two sides of a pair, or a feature and its nearest miss, drawn beside and upon each other."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboards.components import pair_charts
from dashboards.components.contexts import (
    CHOICES,
    LIMIT,
    MORE,
    Side,
    rows_to_show,
    show_contexts,
    sides_legend,
)
from dashboards.components.markup import Fact, facts, heading, token_list
from dashboards.components.panels import nothing, panel
from dashboards.data import View
from results import words
from results.evaluation_text import EvaluationText
from results.firing import Firing, firing, joint_histogram

TOKENS_SHOWN = 8
STORED = ("quantiles", "random")


def side_of(view: View, letter: str, model: str, latent: int) -> Side:
    """One side with its activations."""
    return Side(letter, f"{model}:{latent}", model, int(latent), firing(view.acts(model), int(latent)))


@st.fragment
def show_contexts_panel(view: View, sides: list[Side], *, key: str) -> None:
    """Contexts of a choice; a fragment, so that another choice redraws nothing else."""
    with panel("Contexts", "Each text stands once, with the activations of both features drawn on it."):
        choice, whose, more, stacked = _controls(len(sides), key)
        if len(sides) > 1:
            st.caption(CHOICES[choice][1])
        chosen = [side for side in sides if side.letter == whose] if choice in STORED else sides
        stored = {s.letter: view.of_latent("contexts", s.model, s.latent) for s in chosen if choice in STORED}
        rows = rows_to_show(choice, view.text, chosen, stored, MORE if more else LIMIT)
        st.html(sides_legend(sides, stacked=stacked))
        show_contexts(view.text, rows, sides, stacked=stacked)


def _controls(n_sides: int, key: str) -> tuple[str, str, bool, bool]:
    """Which contexts, of which side, more of them, and whether each side has a line of its own."""
    options = list(CHOICES) if n_sides > 1 else ["top_a", *STORED]
    whose, stacked = "a", False

    def name(choice: str) -> str:
        return CHOICES[choice][0] if n_sides > 1 else CHOICES[choice][0].removesuffix(" of A")

    with st.container(horizontal=True, vertical_alignment="center"):
        choice = st.segmented_control(
            "Contexts", options, default="top_a", required=True, key=f"{key}_contexts", format_func=name,
            label_visibility="collapsed",
        )  # fmt: skip
        if choice in STORED and n_sides > 1:
            whose = st.segmented_control(
                "Whose", ["a", "b"], default="a", required=True, key=f"{key}_whose", label_visibility="collapsed",
                format_func=lambda side: f"of {side.upper()}",
            )  # fmt: skip
        more = choice not in STORED and st.toggle("More", key=f"{key}_more", help=f"Up to {MORE} contexts")
        if n_sides > 1:
            stacked = st.toggle("Separate lines", key=f"{key}_stacked", help="Each side on a line of its own")
    return choice or "top_a", whose or "a", more, stacked


def show_profiles(view: View, sides: list[Side]) -> None:
    """Histograms and tokens of the sides, beside each other on the same axes."""
    with panel(border=False):
        n_rows = view.text.n_rows
        stored = [view.of_latent("histograms", s.model, s.latent) for s in sides]
        frames = [pair_charts.shares_of_maximum(frame, n_rows) for frame in stored]
        limits = pair_charts.common_limits(frames)
        tokens = {s.letter: view.of_latent("logits", s.model, s.latent) for s in sides}
        for side, frame, column in zip(
            sides, frames, st.columns(max(len(sides), 2))[: len(sides)], strict=True
        ):
            with column, panel():
                show_profile(side, frame, limits)
                show_tokens(view, side, tokens)


def show_profile(side: Side, frame: pd.DataFrame, limits: tuple[float, float]) -> None:
    """How often and how strongly one latent fires.

    Args:
        side: the latent.
        frame: its histogram, from :func:`pair_charts.shares_of_maximum`.
        limits: ends of the vertical axis, common to all latents beside it.
    """
    st.html(heading(side.name, "", [side.colour, side.colour]))
    counted = f"{len(side.firing.rows):,} of {side.firing.n_rows:,} rows"
    st.html(
        facts(
            [
                Fact("fires on", words.rate(side.firing.rate), counted),
                Fact("largest activation", words.number(side.firing.maximum), "the axis ends here"),
            ]
        )
    )
    if frame.empty:
        nothing("This feature never fires on the evaluation text.")
    else:
        st.altair_chart(pair_charts.activation_chart(frame, side.colour, limits))


def show_tokens(view: View, side: Side, tokens: dict[str, pd.DataFrame]) -> None:
    """Tokens that the decoder raises and lowers most; those that the other side lists too are marked."""
    captions = {"top": "raises most", "bottom": "lowers most"}
    for (name, caption), column in zip(captions.items(), st.columns(2), strict=True):
        listed = listed_tokens(view.text, side.letter, tokens, name)
        with column:
            if listed:
                st.html(token_list(listed, side.colour, caption=caption))


def listed_tokens(
    text: EvaluationText, whose: str, tokens: dict[str, pd.DataFrame], end: str
) -> list[tuple[str, float, bool]]:
    """The tokens at one end of a latent's effect on the logits.

    Args:
        text: knows how tokens are written.
        whose: key of the latent in ``tokens``.
        tokens: table ``logits`` of every latent that is compared.
        end: ``top`` or ``bottom``.

    Returns:
        Text, value, and whether any other latent lists the token at the same end.
    """
    ends = {name: frame[frame["side"] == end] for name, frame in tokens.items()}
    shared = {int(t) for name, frame in ends.items() if name != whose for t in frame["token"]}
    rows = ends[whose].sort_values("rank").head(TOKENS_SHOWN)
    return [
        (text.token(int(token)), float(value), int(token) in shared)
        for token, value in zip(rows["token"], rows["value"], strict=True)
    ]


def show_joint(sides: list[Side]) -> None:
    """The joint histogram of both activations."""
    a, b = sides
    note = "Rows where at least one of the two fires; beyond the dashed lines the other one is silent."
    with panel("How they fire together", note):
        frame = joint_histogram(a.firing, b.firing)
        if frame.empty:
            nothing("Neither of the two fires on the evaluation text.")
            return
        left, right = st.columns([3, 2], vertical_alignment="center")
        with left:
            st.altair_chart(pair_charts.joint_chart(frame, a.name, b.name))
        with right:
            st.html(facts(overlap_facts(frame, a.firing, b.firing)))


def overlap_facts(frame: pd.DataFrame, a: Firing, b: Firing) -> list[Fact]:
    """Counts behind the joint histogram."""
    only_a = int(frame.loc[frame["bin_b"] < 0, "count"].sum())
    only_b = int(frame.loc[frame["bin_a"] < 0, "count"].sum())
    both = int(frame["count"].sum()) - only_a - only_b
    return [
        Fact("both fire", f"{both:,}", "rows"),
        Fact("if independent", f"{a.rate * b.rate * a.n_rows:,.1f}", "rows with both"),
        Fact("only A", f"{only_a:,}", f"{words.share(only_a / max(len(a.rows), 1))} of A's rows"),
        Fact("only B", f"{only_b:,}", f"{words.share(only_b / max(len(b.rows), 1))} of B's rows"),
    ]
