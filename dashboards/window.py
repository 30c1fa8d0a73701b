"""The window, drawn: ``app.py`` serves it.

Reads the store and never writes it. This script runs on every interaction, so it stays thin: which store, which
run, which comparison, which page.
"""

from pathlib import Path

import streamlit as st

from dashboards.navigation import SCREENS, file_of, icon_of
from dashboards.start import arguments, foreign_rooms

HERE = Path(__file__).parent


def main() -> None:
    """Draw the frame around the page that the address names."""
    st.set_page_config(page_title="universality", page_icon=str(HERE / "static" / "favicon.png"), layout="wide")
    strangers = foreign_rooms()
    if strangers:
        st.error(strangers)
        st.stop()
    from dashboards.frame import choose_view, window_title

    st.html(HERE / "static" / "style.css")
    first = next(iter(SCREENS))
    page = st.navigation(
        [
            st.Page(file_of(name), title=screen.title, icon=icon_of(name), url_path=name, default=name == first)
            for name, screen in SCREENS.items()
        ],
        expanded=True,
    )
    st.set_page_config(page_title=f"{page.title} · universality")  # where there is no run, the next line ends all
    choose_view(arguments().store, needs_run=page.url_path != "runs")
    st.set_page_config(page_title=window_title(page.title))
    page.run()


if __name__ == "__main__":  # as Streamlit runs it: a process that a test's cluster spawns reads this file too
    main()
