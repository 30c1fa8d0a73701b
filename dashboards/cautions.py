"""What to keep in mind about a run and its comparison, for the overview."""

from __future__ import annotations

import streamlit as st

from dashboards.data import BY_VIEW, View
from results.cautions import Caution, comparison_cautions, run_cautions, step_warnings
from results.progress import READY


@st.cache_resource(show_spinner=False, max_entries=8, hash_funcs=BY_VIEW)
def cautions_of(view: View) -> list[Caution]:
    """What to keep in mind about the run and this comparison, severe ones first."""
    tables = {name: view.optional(name) for name in ("models", "headline", "indices", "pairs")}
    nodes = view.record.get("nodes") or {}
    cautions = run_cautions(
        n_models=len(view.models()),
        n_score_rows=int(view.score_rows.sum()),
        documents=view.optional("documents"),
        unfinished=[name for name, node in nodes.items() if node.get("status") not in READY],
        warned=[warning["node"] for warning in step_warnings(view.run)],
    )
    tau = view.settings.get("tau")
    cautions += comparison_cautions({name: table for name, table in tables.items() if table is not None}, tau)
    return sorted(cautions, key=lambda caution: not caution.severe)
