"""Studies: dictionaries by design, and what seeds, data, sizes and training do to what they share."""

import pandas as pd
import streamlit as st

from dashboards.components.columns import explained, text
from dashboards.components.downloads import csv_button
from dashboards.components.layers_panel import show_layers
from dashboards.components.links import literal
from dashboards.components.markup import legend, swatch
from dashboards.components.panels import nothing, panel
from dashboards.components.splitting_panel import show_splitting
from dashboards.components.study_charts import (
    curve_chart,
    levels_chart,
    training_chart,
    waterfall_chart,
    waterfall_legend,
)
from dashboards.components.study_pair_panel import show_study_pair
from dashboards.data import View
from dashboards.frame import current_view
from results import words
from results.colours import LEVEL_COLOURS
from results.headline import split_comparisons
from results.schema import MADE
from results.study_frames import (
    contrast_rows,
    curve_rows,
    domain_rows,
    factor_words,
    level_rows,
    point_words,
    relation_words,
    study_sentence,
    training_rows,
    training_sentence,
    waterfall,
)

RECIPE = """studies:
  - id: seeds
    hook_point: blocks.0.mlp.hook_post
    sae: {d_sae: 512, k: 16, tokens: 400000, lr: 0.003}
    sae_seeds: [0, 1]
    halves: [a, b]
"""
MEASURES = {"shared": "latents with a partner", "r": "mean r", "r_joint": "mean r beyond domain, document and token"}
TABLES = ("study_contrasts", "study_means", "study_cells", "study", "study_domains")
_CELLS = {
    "d_sae": ("latents", "localized"), "n_alive": ("alive", "localized"), "l0": ("L0", "%.1f"), "fvu": ("FVU", "%.3f"),
    "ce_recovered": ("CE recovered", "%.2f"), "ce_clean": ("loss of the model", "%.2f"),
}  # fmt: skip
_DOMAINS = {
    "r_first": ("r, both first", "%.2f"), "r_second": ("r, both second", "%.2f"), "r_differ": ("r, of each", "%.2f"),
    "did": ("DiD", "%.2f"), "low": ("from", "%.2f"), "high": ("to", "%.2f"), "n_models": ("models", "%d"),
}  # fmt: skip
_MEANS = {"chance": ("chance", "%.3f"), "n_pairs": ("pairs", "%d"), "n_models": ("models", "%d")}
_LEVELS = legend(swatch(colour, words.called(name)) for name, colour in LEVEL_COLOURS.items())
_NUMBER = st.column_config.NumberColumn


def show_study(view: View, name: str, tables: dict[str, pd.DataFrame], layers: pd.DataFrame | None) -> None:
    """What one study found: a sentence, what factors take away, levels, curves, and every number behind them."""
    contrasts, means, cells, pairs, domains = (tables[table] for table in TABLES)
    st.text(f"Study {name}")
    trained = cells[~cells["untrained"]]
    n_pairs = len(pairs[["cell_a", "cell_b"]].drop_duplicates())
    st.caption(
        f"{len(trained)} dictionaries of {trained['model'].nunique()} models, {n_pairs:,} pairs; intervals over models "
        "(left out one at a time) and sources."
    )
    if sentence := study_sentence(contrasts, means):
        st.markdown(literal(sentence))
    measure = st.segmented_control(
        "Agreement", list(MEASURES), default="shared", format_func=MEASURES.__getitem__, key=f"measure_{name}"
    )
    measure = measure or "shared"
    if layers is not None:
        show_layers(name, layers, measure)
    bars, curve, training = waterfall(contrasts, means, measure), curve_rows(means, measure), training_rows(means)
    if curve["x"].nunique() > 1:
        st.altair_chart(curve_chart(curve, measure))
    if len(training):
        st.markdown("**What two models share over training, by level**")
        st.markdown(literal(training_sentence(means)))
        st.html(_LEVELS)
        st.altair_chart(training_chart(training))
    left, right = st.columns(2)
    with left:
        if bars.empty:
            if contrasts.empty:
                nothing("No factor can be told from another here.", "More seeds, halves or models would.")
            else:
                st.caption(
                    "What each factor takes away stands in the table below; they are measured at different points."
                )
        else:
            st.markdown("**What each factor takes away**")
            st.html(waterfall_legend(bars))
            st.altair_chart(waterfall_chart(bars, measure))
    with right:
        st.markdown("**What is shared, by level**")
        st.html(_LEVELS)
        one_point = level_rows(means[~means["point"].str.contains(" / ", regex=False)])
        points = list(dict.fromkeys(one_point["point"]))
        point = (
            st.selectbox("at", points, format_func=point_words, key=f"point_{name}") if len(points) > 1 else points[0]
        )
        st.altair_chart(levels_chart(one_point[one_point["point"] == point]))
    show_numbers(name, contrasts, means)
    if len(domains):
        show_domains(name, domains)
    show_cells(view, name, cells, pairs)


def show_domains(name: str, domains: pd.DataFrame) -> None:
    """What other data cost features of domains that one kind of data lacks."""
    st.markdown("**What other data cost, by domain**")
    schema = MADE["study_domains"]
    headings = {"data": text("first / second data"), "seen_by": text("seen by", help=schema["seen_by"].meaning)}
    headings |= explained(schema, _DOMAINS)
    order = ["data", "domain", "seen_by", *_DOMAINS]
    rows = domain_rows(domains)
    st.dataframe(rows, hide_index=True, column_order=order, column_config=headings, key=f"domains_{name}")
    csv_button(lambda: domains, f"study-{name}-domains.csv", key=f"domains_csv_{name}", label="Every domain (CSV)")


def show_numbers(name: str, contrasts: pd.DataFrame, means: pd.DataFrame) -> None:
    """What each factor takes away, and what relations agree, as one table."""
    rows = contrast_rows(contrasts, means)
    order = ["part", "label", "shared", "shared_low", "shared_high", "r", "r_low", "r_high", "r_joint", "chance"]
    order += ["n_pairs", "n_models"]
    if (rows["point"] != "").any():
        order.insert(2, "point")
    headings = {
        "part": text("", help="what differs: agreement where a factor is the same, less agreement where it differs"),
        "label": text("these differ"),
        **explained(MADE["study_means"], _MEANS),
    }
    for measure, meaning in MEASURES.items():
        headings |= {measure: _NUMBER(words.called(measure), format="%.3f", help=meaning)}
        headings |= {
            f"{measure}_{end}": _NUMBER(word, format="%.3f") for end, word in (("low", "from"), ("high", "to"))
        }
    st.dataframe(rows, hide_index=True, column_order=order, column_config=headings, key=f"numbers_{name}")
    csv_button(lambda: rows, f"study-{name}.csv", key=f"numbers_csv_{name}")


def show_cells(view: View, name: str, cells: pd.DataFrame, pairs: pd.DataFrame) -> None:
    """The dictionaries, the pairs of one relation, and what the features of one of these fire on."""
    with st.expander("Dictionaries and pairs"):
        headings = {column: text(factor_words(column)) for column in ("sae_seed", "half", "model_seed", "data")}
        headings |= explained(MADE["study_cells"], _CELLS)
        st.dataframe(cells, hide_index=True, column_config=headings, key=f"cells_{name}")
        differ = list(dict.fromkeys(pairs["relation"]))
        relation = st.selectbox("Pairs that differ in", differ, format_func=relation_words, key=f"relation_{name}")
        chosen = pairs[pairs["relation"] == relation]
        wide = chosen.pivot(index=["cell_a", "cell_b", "point"], columns="measure", values="value").reset_index()
        numbers = {column: _NUMBER(words.called(column), format="%.3f") for column in wide.columns[3:]}
        st.dataframe(wide, hide_index=True, column_config=numbers, key=f"pairs_{name}")
        csv_button(lambda: pairs, f"study-{name}-pairs.csv", key=f"pairs_csv_{name}", label="Every pair (CSV)")
        show_study_pair(view, name, chosen)


def main() -> None:
    """Draw the page."""
    view = current_view()
    st.title("Studies")
    st.caption("Is it the data or the seed? Many dictionaries by design, and what each factor takes away of agreement.")
    with panel(border=False):
        found = {name: view.optional(name) for name in TABLES}
        if any(table is None for table in found.values()):
            nothing("This run has no finished study.", "A recipe with the lines below makes one.")
            st.code(RECIPE, language="yaml")
            return
        split = {name: dict(split_comparisons(table)) for name, table in found.items() if table is not None}
        stored = [view.optional(name) for name in ("study_layers", "splits_by_size", "split_tree")]
        layers, *in_sizes = [{} if table is None else dict(split_comparisons(table)) for table in stored]
        for name in split["study_cells"]:
            with panel():
                empty = {table: pd.DataFrame(columns=pd.Index(MADE[table].names)) for table in TABLES}
                own = {table: parts.get(name, empty[table]) for table, parts in split.items()}
                show_study(view, name, own, layers.get(name))
            if all(name in parts for parts in in_sizes):
                with panel():
                    counts, tree = (parts[name] for parts in in_sizes)
                    show_splitting(view, name, counts, tree, split["study_cells"][name])


main()
