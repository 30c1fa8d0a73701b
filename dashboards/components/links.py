"""Ways from one page to another that keep the run."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

_PAGES = Path(__file__).parents[1] / "app_pages"


def page_button(page: str, label: str, icon: str, **params: str) -> None:
    """A link to what another page shows under these parameters; nothing where this program has no such page.

    Args:
        page: file name of the page without its ending.
        label: what the link says; Markdown is active in it, so ids only, never text of a corpus.
        icon: name of a Material symbol.
        params: query parameters.
    """
    file = _PAGES / f"{page}.py"
    if file.exists():
        st.page_link(f"app_pages/{page}.py", label=label, icon=f":material/{icon}:", query_params=params)
