"""Sweeps: dictionaries of one model in many settings, and which of them nothing beats."""

import pandas as pd
import streamlit as st

from dashboards.components.columns import explained
from dashboards.components.downloads import csv_button
from dashboards.components.panels import nothing, panel
from dashboards.components.sweep_chart import frontier_chart
from dashboards.frame import current_view
from results.figure_frames import sweep_points
from results.schema_figures import FIGURES

RECIPE = """sweeps:
  - id: size
    hook_point: blocks.0.mlp.hook_post
    sae: {tokens: 400000, lr: 0.003}
    vary: {d_sae: [512, 1024], k: [8, 16, 32]}
    n_seeds: 2
"""
#: Columns of the points that are shown, in this order.
COLUMNS = (
    "frontier", "architecture", "d_sae", "sparsity", "l0", "fvu", "ce_recovered", "kl_recovered", "dead_fraction",
    "n_dense", "seed_cosine", "n_seeds",
)  # fmt: skip
_POINTS = FIGURES["frontier"]
_HEADINGS = {
    "frontier": st.column_config.CheckboxColumn("frontier", help=_POINTS["frontier"].meaning),
    **explained(_POINTS, {
        "d_sae": ("latents", "localized"), "l0": ("L0", "%.1f"), "fvu": ("FVU", "%.3f"),
        "ce_recovered": ("CE recovered", "%.2f"), "kl_recovered": ("KL recovered", "%.2f"),
        "dead_fraction": ("dead", "percent"), "n_dense": ("dense", "%.1f"), "seed_cosine": ("seed cosine", "%.2f"),
        "n_seeds": ("seeds", "%d"),
    }),
}  # fmt: skip


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
    st.dataframe(shown, hide_index=True, key=f"sweep_{name}", column_order=COLUMNS, column_config=_HEADINGS)
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
