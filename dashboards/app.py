"""The window: ``python -m streamlit run app.py -- --store URL``.

Reads the store and never writes it. This script runs on every interaction, so it stays thin: which store, which
run, which comparison, which page.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboards.start import arguments, foreign_rooms

HERE = Path(__file__).parent


def main() -> None:
    """Draw the frame around the page that the address names."""
    st.set_page_config(
        page_title="universality", page_icon=str(HERE / "static" / "favicon.png"), layout="wide"
    )
    strangers = foreign_rooms()
    if strangers:
        st.error(strangers)
        st.stop()
    from dashboards.frame import choose_view

    st.html(HERE / "static" / "style.css")
    pages = [
        st.Page("app_pages/overview.py", title="Overview", icon=":material/insights:", default=True),
        st.Page("app_pages/pairs.py", title="Pairs", icon=":material/join_inner:", url_path="pairs"),
        st.Page("app_pages/clusters.py", title="Clusters", icon=":material/hub:", url_path="clusters"),
        st.Page(
            "app_pages/specific.py", title="Model-specific", icon=":material/join_left:", url_path="specific"
        ),
        st.Page("app_pages/feature.py", title="Feature", icon=":material/neurology:", url_path="feature"),
        st.Page("app_pages/lens.py", title="Text lens", icon=":material/search_insights:", url_path="lens"),
        st.Page("app_pages/map.py", title="Map", icon=":material/scatter_plot:", url_path="map"),
        st.Page("app_pages/graph.py", title="Graph", icon=":material/graph_3:", url_path="graph"),
        st.Page("app_pages/sweeps.py", title="Sweeps", icon=":material/tune:", url_path="sweeps"),
        st.Page("app_pages/runs.py", title="Runs", icon=":material/list_alt:", url_path="runs"),
    ]
    page = st.navigation(pages)
    choose_view(arguments().store, needs_run=page.url_path != "runs")
    page.run()


main()
