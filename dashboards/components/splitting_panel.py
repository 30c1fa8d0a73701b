"""What becomes of features in the larger dictionaries of a study, and one of them followed with its contexts."""

from collections.abc import Hashable
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from dashboards.components.chart_parts import PADDING, SHARE_AXIS, Drawing, coloured, tips
from dashboards.components.columns import explained, text
from dashboards.components.contexts import DrawnFeature, context_strip, distinct_contexts, drawn_feature
from dashboards.components.downloads import csv_button
from dashboards.components.links import literal
from dashboards.components.mark_legend import mark_legend
from dashboards.components.markup import context_rows, legend, remark, swatch
from dashboards.components.panels import nothing
from dashboards.data import View
from results.colours import OKABE_ITO, SPLIT_COLOURS
from results.firing import rows_of_choice
from results.schema import MADE
from results.split_frames import ORPHAN, children_of, features_to_follow, split_rows, split_sentence
from results.words import counted, number

#: Contexts of each latent; children shown of a feature; features that can be chosen.
_CONTEXTS, _CHILDREN, _FEATURES = 3, 6, 300
_PARENT, _CHILD = OKABE_ITO["blue"], OKABE_ITO["vermillion"]
#: Pixels: of a pair of bars, and their whole length (charts of several rows do not stretch).
_ROW, _WIDTH = 44, 560
_NUMBERS = {
    "n_asked": ("asked", "%d"), "share": ("share", "%.3f"), "control": ("control", "%.3f"),
    "excess": ("excess", "%.3f"), "excess_low": ("from", "%.3f"), "excess_high": ("to", "%.3f"),
    "shifted": ("shifted", "%.3f"), "exchanged": ("exchanged", "%.3f"),
}  # fmt: skip


def show_splitting(view: View, study: str, counts: pd.DataFrame, tree: pd.DataFrame, cells: pd.DataFrame) -> None:
    """Shares beside their control, all numbers, and one feature from the smallest dictionary to the largest.

    Args:
        view: the run.
        study: id of the study.
        counts, tree, cells: its tables ``splits_by_size``, ``split_tree`` and ``study_cells``.
    """
    st.markdown("**What becomes of features in larger dictionaries**")
    st.markdown(literal(split_sentence(counts)))
    rows = split_rows(counts)
    entries = [swatch(colour, kind) for kind, colour in SPLIT_COLOURS.items()]
    st.html(legend([*entries, remark("paler: another dictionary of the smaller size (control)")]))
    st.altair_chart(split_chart(rows))
    with st.expander("Numbers"):
        shown = ["series", "sizes", "kind", *_NUMBERS]
        headings = {"series": text("model"), "sizes": text("sizes"), "kind": text("what")}
        headings |= explained(MADE["splits_by_size"], _NUMBERS)
        st.dataframe(rows, hide_index=True, column_order=shown, column_config=headings, key=f"splits_{study}")
        csv_button(lambda: rows, f"study-{study}-splits.csv", key=f"splits_csv_{study}")
    _follow(View(view.url, view.run, study, view.record), study, tree, cells)


def split_chart(rows: pd.DataFrame) -> Drawing:
    """Shares of kinds stacked, for every model and pair of sizes, above their control (columns of figure "splitting").

    The control is drawn paler.
    """
    own = rows[rows["kind"] != ORPHAN]
    long = own.melt(["series", "sizes", "kind"], ["share", "control"], "which", "value")
    order = {kind: place for place, kind in enumerate(SPLIT_COLOURS)}
    long = long.assign(place=long["kind"].map(order), ink=long["which"].map({"share": 1.0, "control": 0.45}))
    long["which"] = long["which"].map({"share": "larger", "control": "control"})
    bars = alt.Chart(long).mark_bar(height=14)
    return bars.encode(
        x=alt.X("value:Q", stack="zero", title="share of the features of the smaller size", axis=SHARE_AXIS),
        y=alt.Y("sizes:N", sort=list(dict.fromkeys(long["sizes"])), title=None),
        yOffset=alt.YOffset("which:N", sort=["larger", "control"]),
        color=coloured("kind:N", SPLIT_COLOURS),
        opacity=alt.Opacity("ink:Q", scale=None),
        order=alt.Order("place:Q"),
        row=alt.Row("series:N", title=None, header=alt.Header(labelAngle=0, labelAlign="left")),
        tooltip=tips("series:N", "sizes:N", "which:N", "kind:N", ("value:Q", "share", ".1%")),
    ).properties(height=_ROW * long["sizes"].nunique(), width=_WIDTH, padding=PADDING)  # fmt: skip


@st.fragment
def _follow(view: View, study: str, tree: pd.DataFrame, cells: pd.DataFrame) -> None:
    """One feature, its children at the next size, and those of the child that is chosen, with contexts of all."""
    st.markdown("**Follow a feature**")
    tree = tree[tree["point"] == tree["point"].iloc[0]]
    models = list(dict.fromkeys(tree["model"]))
    mark_legend(f"split_legend_{study}")
    left, right = st.columns([1, 3])
    model = left.selectbox("Model", models, key=f"split_model_{study}") or models[0]
    features = features_to_follow(tree, model)[:_FEATURES].to_dict("records")
    if not features:
        nothing("No feature of the smallest dictionaries has a child.", "")
        return
    chosen = right.selectbox(
        "Feature", range(len(features)), key=f"split_feature_{study}", format_func=lambda n: _told(features[n])
    )
    feature = features[chosen or 0]
    d_sae, seed, latent = (int(feature[name]) for name in ("d_sae", "sae_seed", "latent"))
    parent = _drawn(view, cells, model, d_sae, seed, latent, _PARENT)
    st.html(legend([swatch(_PARENT, f"{parent.name}, {d_sae:,} latents: {feature['kind']}")]))
    st.html(_contexts(view, [parent]))
    while True:
        children = children_of(tree, model, d_sae, seed, latent)
        if children.empty:
            return
        # One dictionary of the next size at a time: that of the first other seed.
        children = children[children["sae_seed"] == children["sae_seed"].iloc[0]][:_CHILDREN].to_dict("records")
        d_sae, seed = int(children[0]["d_sae"]), int(children[0]["sae_seed"])
        st.markdown(f"**{d_sae:,} latents** (seed {seed})")
        for child in children:
            drawn = _drawn(view, cells, model, d_sae, seed, int(child["latent"]), _CHILD)
            beyond = f"({number(child['r_token'])} beyond token and position)"
            said = (
                f"{drawn.name}: r {child['r_held_out']:.2f} {beyond} with the feature above, which fires on "
                f"{child['inside']:.0%} of this one's rows; {child['share']:.0%} of what its children explain"
            )
            st.html(legend([swatch(_PARENT, parent.name), swatch(_CHILD, said, underline=True)]))
            st.html(_contexts(view, [parent, drawn]))
        names = {int(child["latent"]): f"latent {child['latent']}" for child in children}
        key = f"split_child_{study}_{d_sae}"
        if tree["parent_d_sae"].max() < d_sae:
            return
        followed = st.selectbox("Follow", list(names), format_func=names.__getitem__, key=key)
        latent = int(children[0]["latent"] if followed is None else followed)
        parent = _drawn(view, cells, model, d_sae, seed, latent, _PARENT)


def _told(feature: dict[Hashable, Any]) -> str:
    place = f"latent {feature['latent']} of {feature['d_sae']:,} (seed {feature['sae_seed']})"
    return f"{place}: {feature['kind']}, {counted(int(feature['n_children']), 'child', 'children')}"


def _drawn(
    view: View, cells: pd.DataFrame, model: str, d_sae: int, seed: int, latent: int, colour: str
) -> DrawnFeature:
    own = cells[(cells["model"] == model) & (cells["d_sae"] == d_sae) & (cells["sae_seed"] == str(seed))]
    return drawn_feature(view, str(own["cell"].iloc[0]), latent, colour)


def _contexts(view: View, features: list[DrawnFeature]) -> str:
    """Contexts in which the last of the features is strongest, with all of them drawn on each."""
    best = rows_of_choice("top_a", features[-1].firing, features[-1].firing)
    rows = distinct_contexts(view.text, best, _CONTEXTS)
    return context_rows((context_strip(view, row, "", features, stacked=False) for row in rows), flowing=True)
