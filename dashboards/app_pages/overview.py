"""Overview: what was compared, how far the models agree, and what that is worth."""

import pandas as pd
import streamlit as st

from dashboards.components.columns import number
from dashboards.components.links import pair_link, screen_link
from dashboards.components.markup import escape
from dashboards.components.panels import panel
from dashboards.data import View
from dashboards.frame import current_view
from results import words
from results.answer import example
from results.cautions import stored_cautions
from results.conclusions import TABLES, conclusions
from results.headline import QUANTITIES, headline_frame, overall_rows
from results.kept_comparison import BROUGHT, is_kept
from results.progress import READY, steps_ready


def head(view: View) -> None:
    """The run's name and the result in one sentence."""
    st.title("Overview", anchor=False)
    recipe, status = view.record.get("recipe_name", ""), str(view.record.get("status", ""))
    st.html(
        f'<div class="uv-below">Run <b>{escape(view.name)}</b> · recipe {escape(recipe)} · '
        f"comparison {escape(view.comparison)} · {escape(status)}</div>"
    )
    if is_kept(view.record):
        st.markdown(BROUGHT)


def compared(view: View) -> bool:
    """Whether the comparison is there; if not, one sentence stands for the whole page."""
    if view.status in (None, *READY):
        return True
    n_ready, n_steps = steps_ready(view.record)
    status = words.STATUSES.get(str(view.record.get("status")), "")
    st.info(
        f"{status} The comparison has not finished: {n_ready:,} of {words.counted(n_steps, 'step')} are done.",
        icon=":material/hourglass_top:",
    )
    screen_link("runs", "See how far it is, and how to go on")
    return False


def lead(view: View) -> str:
    """The result in plain words, what beats its floor first, as HTML."""
    models, features = view.table("models"), view.table("features")
    primary, alive = models[models["role"] == "primary"], features[features["status"] == "alive"]
    counted = f"{words.counted(len(primary), 'model')}, {words.counted(len(alive), 'alive feature')} together."
    tables = {name: view.optional(name) for name in TABLES}
    first, *others = [
        *conclusions({name: table for name, table in tables.items() if table is not None}),
        counted,
    ]
    rest = "".join(f"<li>{escape(sentence)}</li>" for sentence in others)
    return f'<div class="uv-lead"><b>{escape(first)}</b><ul>{rest}</ul></div>'


def look_at(view: View) -> None:
    """One pair to look at first, as the terminal names it, and the way there."""
    tables = {name: view.optional(name) for name in ("pairs", "features", "labels", "baselines")}
    there = {name: table for name, table in tables.items() if table is not None}
    if "pairs" in there:
        sentence, pair = example(there, view.tau)
        st.html(f'<div class="uv-below">{escape(sentence)}</div>')
        if pair:
            pair_link(view, pair, f"Open {pair}")


def headline_cards(headline: pd.DataFrame) -> None:
    """One card per quantity, with its interval."""
    measured = overall_rows(headline)
    cards = st.container(horizontal=True)
    for name, quantity in QUANTITIES.items():
        row = measured.get(name, {})
        between = "no interval" if row else "not measured"
        if pd.notna(row.get("low")):
            between = f"{words.number(row['low'])} to {words.number(row['high'])}"
        cards.metric(
            quantity.title, words.number(row.get("value")), delta=between, delta_color="off", delta_arrow="off",
            help=quantity.meaning, border=True,
        )  # fmt: skip


def headline_by_pair(headline: pd.DataFrame) -> None:
    """The same numbers for every pair of models."""
    rows = headline[headline["pair"] != "overall"].copy()
    if rows.empty:
        return
    rows["quantity"] = rows["quantity"].map({name: quantity.title for name, quantity in QUANTITIES.items()})
    interval = "95 % interval over sources"
    with st.expander("By pair of models"):
        st.dataframe(
            rows[["quantity", "pair", "value", "low", "high", "n"]], hide_index=True,
            column_config={
                "quantity": "what",
                "value": number("median held-out r", format="%.3f"),
                "low": number("from", format="%.3f", help=interval),
                "high": number("to", format="%.3f", help=interval),
                "n": number("pairs", format="localized"),
            },
        )  # fmt: skip


def result(view: View) -> None:
    """The sentence, the cards, and what to keep in mind."""
    with panel(border=False):
        headline = headline_frame(view.table("headline"))
        st.html(lead(view))
        look_at(view)
        headline_cards(headline)
        headline_by_pair(headline)
    with panel(border=False):
        cautions = stored_cautions(view)
        if cautions:
            severe = any(caution.severe for caution in cautions)
            title = f"Keep in mind: {words.counted(len(cautions), 'remark')}"
            with st.expander(title, expanded=severe, icon=":material/warning:"):
                for caution in cautions:
                    st.markdown(f"**{caution.title}.** {caution.markdown}")


def main() -> None:
    """Draw the page."""
    view = current_view()
    head(view)
    if not compared(view):
        return
    result(view)
    # Charts take most of a second to import: what stands above them is on the screen by then.
    from dashboards.components.overview_panels import draw

    draw(view)


main()
