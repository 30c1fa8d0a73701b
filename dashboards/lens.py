"""The text lens as the server keeps it: models are opened once and shared, and texts that were read are remembered."""

import pandas as pd
import streamlit as st

from dashboards.data import BY_VIEW, View
from results.lens_ablation import without_cluster
from results.text_lens import Lens, Reading, open_lens, read_text, shared_members


@st.cache_resource(show_spinner="Reading the text…", max_entries=64, hash_funcs=BY_VIEW)
def read(view: View, text: str) -> Reading:
    """What the compared models make of a text. Shared: never write into it.

    Raises:
        StoreError: weights, dictionaries or the tokenizer are missing or damaged.
    """
    return read_text(_lens(view), text)


@st.cache_resource(show_spinner="Reading the text without the cluster…", max_entries=64, hash_funcs=BY_VIEW)
def without(view: View, text: str, cluster: int) -> pd.DataFrame:
    """What every model predicts less well without a cluster, see :func:`results.lens_ablation.without_cluster`."""
    members = shared_members(view)
    return without_cluster(_lens(view), text, members[members["cluster"] == cluster])


# Models are large: of two comparisons at most they stay open.
@st.cache_resource(show_spinner="Opening the models (some seconds, once)…", max_entries=2, hash_funcs=BY_VIEW)
def _lens(view: View) -> Lens:
    return open_lens(view)
