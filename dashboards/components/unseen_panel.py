"""What models lack of domains that they never saw in training; nothing where all saw the same text."""

import streamlit as st

from dashboards.components.columns import explained, text
from dashboards.components.downloads import csv_button
from dashboards.components.panels import panel
from dashboards.data import View
from results.schema import TABLES
from results.unseen_frames import unseen_sentence, unseen_summary

_NUMBERS = {
    "loss": ("loss", "%.2f"), "n_features": ("features", "%d"), "n_missing": ("missing", "%d"),
    "n_rearranged": ("rearranged", "%d"), "n_partnered": ("partnered", "%d"), "n_unstable": ("unstable", "%d"),
    "r": ("r there", "%.2f"), "did": ("DiD", "%.2f"), "did_low": ("from", "%.2f"), "did_high": ("to", "%.2f"),
}  # fmt: skip


def show_unseen(view: View) -> None:
    """A row for each domain and model that never saw it, with the models that did beside it."""
    table = view.optional("unseen_domains")
    if table is None or table["seen"].all():
        return
    note = "Features of the domain in models that were trained on it, looked for in the model that was not."
    with panel("Domains that a model never saw", note):
        if sentence := unseen_sentence(table):
            st.markdown(sentence)
        frame = unseen_summary(table)
        seen = st.column_config.NumberColumn
        headings = {
            "domain": text("domain"),
            "model": text("never seen by", help=TABLES["unseen_domains"]["model"].meaning),
            **explained(TABLES["unseen_domains"], _NUMBERS),
            "loss_seen": seen("loss, others", format="%.2f", help="mean loss of the models that saw the domain"),
            "r_seen": seen("r elsewhere", format="%.2f", help="mean held-out r in other models that saw the domain"),
        }
        st.dataframe(frame, hide_index=True, column_config=headings)
        csv_button(lambda: table, "unseen_domains.csv", key="unseen_domains_csv")
