"""The frame around every screen: which run and which comparison it shows."""

import re
import shlex

import streamlit as st

from dashboards.components.links import literal
from dashboards.components.panels import explain_damage, explain_unreachable, nothing
from dashboards.components.pin_panel import show_pins
from dashboards.data import View, get_view, list_runs, open_cached_store
from results.own_notes import one_line, run_notes
from results.progress import gone_sentence, gone_steps
from results.stored_comparison import comparisons_of
from storage import Run, StoreError

VIEW = "universality_view"
_STORE = "universality_store"
_LOST = "universality_lost_run"


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
    wanted = st.session_state.get("run") or st.query_params.get("run")
    if wanted is not None and wanted not in names:
        st.session_state[_LOST] = wanted
    with st.sidebar:
        name = st.selectbox("Run", names, key="run", bind="query-params", help="Newest first", on_change=_found)
        run = next((run for run in runs if run.name == name), runs[0])
        if note := run_notes(run.store, [run.record])[0]:
            st.caption(literal(one_line(note, 160)))
        comparisons = comparisons_of(run.record)
        comparison = comparisons[0]
        if len(comparisons) > 1:
            comparison = st.selectbox("Comparison", comparisons, key="comparison", bind="query-params")
        view = get_view(url, run, comparison)
        show_pins(view)
    if lost := st.session_state.get(_LOST):
        # Whatever stands in an address is no Markdown.
        named = f"The run `{lost}`" if re.fullmatch(r"[\w.-]+", lost) else "The run that the address names"
        st.warning(f"{named} is not in this store (any more). This is `{run.name}`.")
    if gone := gone_steps(view.record):
        st.warning(gone_sentence(gone), icon=":material/broken_image:")
    return view


def _found() -> None:
    """The visitor has chosen a run that is there."""
    st.session_state[_LOST] = None


def window_title(screen: str) -> str:
    """What a window or tab is called: its screen, and the run."""
    view = st.session_state[VIEW]
    return f"{screen} · {view.name if view else 'no run'} · universality"


def current_view() -> View:
    """The run and comparison that the visitor chose; only on pages that need a run."""
    view = st.session_state[VIEW]
    if view is None:
        st.stop()
    return view


def current_store() -> str:
    """The store's address."""
    return st.session_state[_STORE]
