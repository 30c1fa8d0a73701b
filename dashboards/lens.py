"""The text lens as the server keeps it: models are opened once and shared, and texts that were read are remembered."""

import streamlit as st

from dashboards.data import BY_VIEW, View
from results.text_lens import Lens, Reading, open_lens, read_text


@st.cache_resource(show_spinner="Reading the text…", max_entries=64, hash_funcs=BY_VIEW)
def read(view: View, text: str) -> Reading:
    """What the compared models make of a text. Shared: never write into it.

    Raises:
        StoreError: weights, dictionaries or the tokenizer are missing or damaged.
    """
    return read_text(_lens(view), view.text, text)


# Models are large: of two comparisons at most they stay open.
@st.cache_resource(show_spinner="Opening the models (some seconds, once)…", max_entries=2, hash_funcs=BY_VIEW)
def _lens(view: View) -> Lens:
    return open_lens(view)
