"""How features fire and which tokens they raise, drawn beside and upon each other."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from dashboards.components import pair_charts
from dashboards.components.contexts import DrawnFeature
from dashboards.components.markup import Fact, facts, heading, labelled, legend, remark, swatch, token_list
from dashboards.components.panels import abreast, nothing, panel
from dashboards.data import View
from results import words
from results.evaluation_text import EvaluationText
from results.firing import joint_histogram
from results.tokenizers import own_text

TOKENS_SHOWN = 8
#: Ends of a feature's effect on the logits, and their captions.
ENDS = {"top": "raises most", "bottom": "lowers most"}
_SHARED = "●: in the other's list too"


def show_profiles(
    view: View, features: Sequence[DrawnFeature], ends: Mapping[str, str] = ENDS, *, most: int = 2
) -> None:
    """Histograms on the same axes and the tokens that the decoders move most, of features beside each other.

    Args:
        view: the comparison.
        features: what is drawn; tokens that several of them list at the same end are marked.
        ends: which ends of the effect on the logits are listed, and their captions.
        most: features beside each other.
    """
    frames = [
        pair_charts.shares_of_maximum(view.of_latent("histograms", f.model, f.latent), view.text.n_rows)
        for f in features
    ]
    limits = pair_charts.common_limits(frames)
    tokens = {f.name: view.of_latent("logits", f.model, f.latent) for f in features}
    texts = {f.name: own_text(view, f.model) for f in features}
    for (feature, frame), column in abreast(list(zip(features, frames, strict=True)), most, least=2):
        with column, panel():
            show_profile(feature, frame, limits)
            show_tokens(texts, feature, tokens, ends)


def show_profile(feature: DrawnFeature, frame: pd.DataFrame, limits: tuple[float, float]) -> None:
    """How often and how strongly one feature fires.

    Args:
        feature: what is drawn.
        frame: its histogram, from :func:`pair_charts.shares_of_maximum`.
        limits: ends of the vertical axis, common to all features beside it.
    """
    st.html(heading([(feature.name, feature.colour)]))
    counted = f"{len(feature.firing.rows):,} of {feature.firing.n_rows:,} rows"
    largest = Fact("largest activation", words.number(feature.firing.maximum), "the axis ends here")
    st.html(facts([Fact("fires on", words.rate(feature.firing.rate), counted), largest]))
    if frame.empty:
        nothing("This feature never fires on the evaluation text.")
    else:
        st.altair_chart(pair_charts.activation_chart(frame, feature.colour, limits))


def show_tokens(
    texts: Mapping[str, EvaluationText],
    feature: DrawnFeature,
    tokens: Mapping[str, pd.DataFrame],
    ends: Mapping[str, str] = ENDS,
) -> None:
    """Tokens that the decoder raises and lowers most; those that another feature lists too are marked.

    Args:
        texts: know how tokens of every feature's model are written.
        feature: whose tokens are drawn.
        tokens: table ``logits`` of every feature that is compared, by name.
        ends: which ends are listed, and their captions.
    """
    for (end, caption), column in zip(ends.items(), st.columns(len(ends)), strict=True):
        if listed := listed_tokens(texts, feature.name, tokens, end):
            column.html(token_list(listed, feature.colour, caption=caption))


def listed_tokens(
    texts: Mapping[str, EvaluationText], name: str, tokens: Mapping[str, pd.DataFrame], end: str
) -> list[tuple[str, float, bool]]:
    """The tokens at one end of a feature's effect on the logits.

    Args:
        texts: know how tokens of every feature's model are written.
        name: of the feature, as in ``tokens``.
        tokens: table ``logits`` of every feature that is compared, by name.
        end: ``top`` or ``bottom``.

    Returns:
        Text, value, and whether any other feature lists the token at the same end.
    """
    at_end = {other: frame[frame["side"] == end] for other, frame in tokens.items()}
    shared = {texts[other].token(int(t)) for other, frame in at_end.items() if other != name for t in frame["token"]}
    rows = at_end[name].sort_values("rank").head(TOKENS_SHOWN)
    written = [texts[name].token(int(token)) for token in rows["token"]]
    return [(token, float(value), token in shared) for token, value in zip(written, rows["value"], strict=True)]


def show_logits(view: View, features: Sequence[DrawnFeature]) -> None:
    """The tokens that the decoders of features move most, beside each other."""
    tokens = {f.name: view.of_latent("logits", f.model, f.latent) for f in features}
    texts = {f.name: own_text(view, f.model) for f in features}
    for feature, column in abreast(list(features), 2, least=2):
        with column:
            st.html(legend([swatch(feature.colour, feature.name, underline=True), remark(_SHARED)]))
            show_tokens(texts, feature, tokens)


def show_firing(view: View, a: DrawnFeature, b: DrawnFeature) -> None:
    """How two features fire together, and each alone on the same axes."""
    frame = joint_histogram(a.firing, b.firing)
    if frame.empty:
        nothing("Neither of the two fires on the evaluation text.")
        return
    alone = [
        pair_charts.shares_of_maximum(view.of_latent("histograms", f.model, f.latent), view.text.n_rows) for f in (a, b)
    ]
    left, right = st.columns(2)
    with left:
        said = "rows where one of them fires; beyond the dashed lines the other is silent"
        st.html(labelled("Together", [remark(said)]))
        st.altair_chart(pair_charts.joint_chart(frame, a.name, b.name))
        st.html(facts(overlap_facts(frame, a, b)))
    with right:
        for feature, of in zip((a, b), alone, strict=True):
            counted = f"{len(feature.firing.rows):,} of {feature.firing.n_rows:,} rows"
            largest = f"largest activation {words.number(feature.firing.maximum)}"
            st.html(legend([swatch(feature.colour, feature.name), remark(f"{counted} · {largest}")]))
            if not of.empty:
                chart = pair_charts.activation_chart(of, feature.colour, pair_charts.common_limits(alone))
                st.altair_chart(chart.properties(height=185))


def overlap_facts(frame: pd.DataFrame, a: DrawnFeature, b: DrawnFeature) -> list[Fact]:
    """Counts behind the joint histogram."""
    only_a = int(frame.loc[frame["bin_b"] < 0, "count"].sum())
    only_b = int(frame.loc[frame["bin_a"] < 0, "count"].sum())
    both = int(frame["count"].sum()) - only_a - only_b
    expected = a.firing.rate * b.firing.rate * a.firing.n_rows
    return [
        Fact("both fire", f"{both:,}", f"rows; {expected:,.1f} if independent"),
        *(
            Fact(f"only {f.name}", f"{n:,}", f"{words.share(n / max(len(f.firing.rows), 1))} of its rows")
            for f, n in ((a, only_a), (b, only_b))
        ),
    ]
