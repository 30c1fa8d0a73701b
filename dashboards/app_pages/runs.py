"""Runs: what the store holds, how far it is, and the command that goes on with it. Nothing is started here."""

import time
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import streamlit as st

from dashboards.components.columns import bar, number, text
from dashboards.components.downloads import download
from dashboards.components.own_words import own_words
from dashboards.components.panels import nothing, panel
from dashboards.components.run_comparison import show_two
from dashboards.components.selection import choosing_table, fitting
from dashboards.data import list_runs
from dashboards.frame import VIEW, current_store
from results import words
from results.kept_comparison import BROUGHT, is_kept
from results.own_notes import run_notes, run_subject
from results.progress import RunningStep, RunProgress, command, recipe_yaml, steps_frame, steps_ready
from results.run_settings import own_settings
from storage import Run

#: Seconds between two looks at a run that is being computed.
REFRESH = 2.0
#: Tabs below the list.
ONE, TWO = "The chosen run", "Two runs side by side"


def when(seconds: Any) -> datetime | None:
    """Seconds since 1970 as a time."""
    return datetime.fromtimestamp(float(seconds), UTC) if isinstance(seconds, (int, float)) else None


def table(runs: list[Run], chosen: str) -> None:
    """One row per run, newest first."""
    records = [run.observed for run in runs]
    frame = pd.DataFrame(
        {
            "run": [run.name for run in runs],
            "status": [record["status"] for record in records],
            "recipe": [record.get("recipe_name") for record in records],
            "steps": [100 * ready / max(n, 1) for ready, n in map(steps_ready, records)],
            "created": [when(record.get("created")) for record in records],
            "time": [words.duration(record.get("wall_s") or float("nan")) for record in records],
            "settings": own_settings(records),
            "note": run_notes(runs[0].store, records),
        }
    )
    frame = frame.drop(columns=[name for name in ("settings", "note") if not frame[name].any()])

    def choose(name: str | None) -> None:
        if name is not None:
            st.session_state["run"] = name  # the choice of the sidebar: one current run on all pages

    choosing_table(
        frame, frame["run"].tolist(), chosen, choose, key="runs_table",
        height=fitting(frame),
        column_config={
            "steps": bar("steps done", format="%.0f %%", max_value=100),
            "created": st.column_config.DatetimeColumn("created", format="YYYY-MM-DD HH:mm"),
            "time": text("computing time"),
            "settings": text("differs in", help="Settings that most runs of the same recipe have otherwise"),
        },
    )  # fmt: skip


def detail(run: Run, store: str) -> None:
    """One run: progress, command, provenance. Looks again by itself while the run is being computed."""
    record = run.record
    own_words(run.store, run_subject(record), run=run.name)
    st.fragment(live, run_every=REFRESH if run.status == "running" else None)(run)
    if is_kept(record):
        st.markdown(BROUGHT)
        provenance(record)
        return
    note = "Finished steps are reused, so the same command starts, resumes and repeats a run."
    with panel("Start or go on", note):
        st.code(command(record, store), language="bash", wrap_lines=True)
        st.caption(
            "Screens only read: copy the command into a terminal. Add `--dry-run` to see what it would compute. "
            "If the recipe was a file, or was changed with `--set`, save it as it was run and name that file."
        )
        download("Recipe as it was run", lambda: recipe_yaml(record), f"{run.name}.yaml")
    provenance(record)


def live(run: Run) -> None:
    """The part that moves: status, bar, what runs now, failures, warnings."""
    record, now = run.observed, time.time()
    status = record["status"]
    progress = RunProgress.of(run.events())
    with panel("Progress"):
        st.markdown(words.STATUSES.get(status, status))
        n_ready, n_steps = steps_ready(record)
        said = f"{n_ready:,} of {words.counted(n_steps, 'step')} done"
        share = progress.share if status == "running" else None
        if share is not None and (left := progress.seconds_left(now)) is not None:
            said += f", about {words.roughly(left)} left"
        st.progress(n_ready / max(n_steps, 1) if share is None else share, text=said)
        if status == "running" and progress.running:
            running(progress.running, now)
        problems(progress)
        with st.expander("All steps"):
            steps(steps_frame(record, progress))
    if status != "running" and st.session_state.get("runs_live") == run.name:
        st.session_state["runs_live"] = None
        st.rerun()
    if status == "running":
        st.session_state["runs_live"] = run.name


def running(steps: dict[str, RunningStep], now: float) -> None:
    """The steps that run now."""
    rows = [(node, 100 * step.share, step.detail, max(now - step.since, 0.0)) for node, step in steps.items()]
    st.dataframe(
        pd.DataFrame(rows, columns=["node", "share", "detail", "seconds"]), hide_index=True, height="content",
        column_config={
            "node": "running now",
            "share": bar("done", format="%.0f %%", max_value=100),
            "seconds": number("seconds", format="%.0f"),
        },
    )  # fmt: skip


def problems(progress: RunProgress) -> None:
    """Failures and warnings, as plain text."""
    for node, error in progress.failed.items():
        st.error("A step failed.", icon=":material/error:")
        st.code(f"{node}\n{error}", language=None, wrap_lines=True)
    if progress.warnings:
        with st.expander(words.counted(len(progress.warnings), "warning"), icon=":material/warning:"):
            warnings = pd.DataFrame(progress.warnings, columns=["node", "message"])
            st.dataframe(warnings, hide_index=True, height="content")


def steps(frame: pd.DataFrame) -> None:
    """Every step of the plan."""
    frame = frame.assign(
        peak_memory=[words.size(n_bytes) for n_bytes in frame["peak_memory"]],
        wall_s=[words.duration(seconds) for seconds in frame["wall_s"]],
    )
    st.dataframe(
        frame, hide_index=True,
        column_config={"wall_s": "took", "peak_memory": "peak memory", "key": "artifact key"},
    )  # fmt: skip


def provenance(record: dict[str, Any]) -> None:
    """What would be needed to make the same run again."""
    with panel("Provenance", "The recipe as it was run, and where."):
        for part, depth, column in zip(("recipe", "environment"), (1, 2), st.columns(2), strict=True):
            column.markdown(f"**{part.capitalize()}**")
            column.json(record.get(part) or {}, expanded=depth)


def main() -> None:
    """Draw the page."""
    store = current_store()
    st.title("Runs", anchor=False)
    with panel(border=False):
        runs, damaged = list_runs(store)
        if damaged:
            st.warning("Some runs cannot be read: their `run.json` is damaged.", icon=":material/broken_image:")
            st.code("\n".join(damaged), language=None)
        if not runs:
            nothing("This store holds no run yet.", "Compute one in a terminal, then reload this page:")
            st.code(command({"recipe_name": "quickstart"}, store), language="bash", wrap_lines=True)
            return
        view = st.session_state[VIEW]
        chosen = next((run for run in runs if view and run.name == view.name), runs[0])
        table(runs, chosen.name)
        asked = any(side in st.query_params for side in "ab")
        one, two = st.tabs([ONE, TWO], default=TWO if asked else ONE, key="runs_tab", on_change="rerun")
        if one.open:
            with one:
                detail(chosen, store)
        if two.open:
            with two, panel(border=False):
                show_two(store, runs)


main()
