"""Sweeps: dictionaries of one model in many settings, and which of them nothing beats."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboards.components.columns import number
from dashboards.components.downloads import csv_button
from dashboards.components.panels import nothing, panel
from dashboards.components.sweep_chart import frontier_chart
from dashboards.frame import current_view
from results.dictionary_frames import sweep_points

RECIPE = """sweeps:
  - id: size
    hook_point: blocks.0.mlp.hook_post
    sae: {tokens: 400000, lr: 0.003}
    vary: {d_sae: [512, 1024], k: [8, 16, 32]}
    n_seeds: 2
"""
#: Columns of the points that are shown, in this order; None shows the values as they are.
COLUMNS = {
    "frontier": st.column_config.CheckboxColumn("frontier", help="no other is sparser and explains more"),
    "architecture": None,
    "d_sae": number("latents", format="localized"),
    "sparsity": None,
    "l0": number("L0", format="%.1f", help="active latents per token"),
    "fvu": number("FVU", format="%.3f", help="fraction of variance unexplained, smaller is better"),
    "ce_recovered": number("CE recovered", format="%.2f", help="loss kept with the SAE spliced in"),
    "kl_recovered": number("KL recovered", format="%.2f"),
    "dead_fraction": number("dead", format="percent", help="latents that never fire on held-out text"),
    "n_dense": number("dense", format="%.1f", help="latents that fire on a good part of all tokens"),
    "seed_cosine": number(
        "seed cosine", format="%.2f", help="mean over latents of the largest cosine to another seed's"
    ),
    "n_seeds": number("seeds", help="that ended well"),
}


def show_sweep(name: str, sweeps: pd.DataFrame) -> None:
    """The frontier and the table of one sweep."""
    points = sweep_points(sweeps)
    failed = int((sweeps["status"] != "ok").sum())
    if failed:
        st.warning(
            f"{failed} of {len(sweeps)} dictionaries diverged or died; their points show the seeds that ended well.",
            icon=":material/warning:",
        )
    if points["l0"].isna().all():
        nothing("No dictionary of this sweep ended well.", "Lower its lr, or raise its warm-up.")
    else:
        st.altair_chart(frontier_chart(points, sweeps))
    shown = points.sort_values(["l0", "fvu"], na_position="last", ignore_index=True)
    headings = {column: heading for column, heading in COLUMNS.items() if heading is not None}
    st.dataframe(
        shown, hide_index=True, key=f"sweep_{name}", column_order=list(COLUMNS), column_config=headings
    )
    csv_button(lambda: sweeps, f"sweep-{name}.csv", key=f"sweep_csv_{name}", label="Every dictionary (CSV)")


def main() -> None:
    """Draw the page."""
    view = current_view()
    st.title("Sweeps")
    st.caption(
        "Dictionaries of one model in many settings, measured on held-out documents; marks are means over seeds."
    )
    with panel(border=False):
        sweeps = view.optional("sweeps")
        if sweeps is None:
            nothing("This run has no finished sweep.", "A recipe with the lines below makes one.")
            st.code(RECIPE, language="yaml")
            return
        for name, dictionaries in sweeps.groupby("sweep", sort=False):
            with panel():
                st.text(f"Sweep {name}")
                show_sweep(str(name), dictionaries)


main()
