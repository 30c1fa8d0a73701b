"""What a page that runs the models says of where they come from."""

import streamlit as st

from dashboards.components.links import literal
from dashboards.data import View
from results.model_sources import model_sources, places_told


def show_sources(view: View) -> bool:
    """Say where models are opened from that the store does not hold, and what is missing of them.

    Returns:
        Whether all of them can be opened.
    """
    sources = model_sources(view)
    missing, told = [source for source in sources if source.missing], places_told(sources)
    if told and not missing:
        st.caption(f":material/folder_open: {literal(told)}")
    if missing:
        st.warning("This page runs the models themselves, and they cannot all be opened here:", icon=":material/block:")
        st.code("\n".join(source.missing for source in missing), language=None, wrap_lines=True)
        commands = list(dict.fromkeys(source.command for source in missing if source.command))
        if commands:
            st.markdown("Fetch what is missing, then reload this page:")
            st.code("\n".join(commands), language="bash", wrap_lines=True)
        else:
            st.markdown("Put the folder back where it was, then reload this page.")
    return not missing
