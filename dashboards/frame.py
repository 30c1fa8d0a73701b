"""The frame around every screen: which run and which comparison it shows."""

import shlex

import streamlit as st

from dashboards.components.panels import explain_damage, explain_unreachable, nothing
from dashboards.components.pin_panel import show_pins
from dashboards.data import View, get_view, list_runs, open_cached_store
from results.stored_comparison import comparisons_of
from storage import Run, StoreError

VIEW = "universality_view"
_STORE = "universality_store"


def choose_view(url: str, *, needs_run: bool) -> None:
    """Let the visitor choose a run and a comparison, and keep the choice for the page.

    Args:
        url: address of the store.
        needs_run: whether the page can show nothing without a run; the script then ends here with a sentence.
    """
    st.session_state[_STORE] = url
    st.session_state[VIEW] = None
    try:
        open_cached_store(url)
        runs, _ = list_runs(url)
    except (StoreError, OSError, ValueError, ImportError) as error:
        explain_unreachable(url, error)
        st.stop()
    try:
        if runs:
            st.session_state[VIEW] = _choose(url, runs)
    except StoreError as error:
        explain_damage(error)
        st.stop()
    if st.session_state[VIEW] is None and needs_run:
        st.title("No runs yet")
        nothing("This store holds no run yet.", "Compute one with the command below, then reload this page.")
        start = shlex.join(["universality", "run", "quickstart", "--store", url])
        st.code(start, language="bash", wrap_lines=True)
        st.stop()


def _choose(url: str, runs: list[Run]) -> View:
    names = [run.name for run in runs]
    with st.sidebar:
        name = st.selectbox("Run", names, key="run", bind="query-params", help="Newest first")
        run = next((run for run in runs if run.name == name), runs[0])
        comparisons = comparisons_of(run.record)
        comparison = comparisons[0]
        if len(comparisons) > 1:
            comparison = st.selectbox("Comparison", comparisons, key="comparison", bind="query-params")
        view = get_view(url, run, comparison)
        show_pins(view)
    return view


def current_view() -> View:
    """The run and comparison that the visitor chose; only on pages that need a run."""
    view = st.session_state[VIEW]
    if view is None:
        st.stop()
    return view


def current_store() -> str:
    """The store's address."""
    return st.session_state[_STORE]
