"""Pairs: filter, choose one, and decide whether the match is real."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboards.components.pair_detail import download_pair, show_pair
from dashboards.components.panels import nothing, panel
from dashboards.components.pin_panel import pin_button
from dashboards.components.selection import link_popover, selectable_table, step_buttons
from dashboards.data import MAX_ROWS, View
from dashboards.frame import current_view
from dashboards.pins import address
from dashboards.tables import PAIR_ORDERS, PairFilter, find_pair, pairs_of, sort_pairs
from results import words
from results.export import csv_bytes

ALL = "All pairs of models"
CHANCE = {"Any": None, "Beyond chance": True, "Within chance": False}


def filters(pairs: pd.DataFrame) -> tuple[PairFilter, str]:
    """The filter row; everything in it stands in the address too."""
    first = st.columns([3, 2, 2], vertical_alignment="bottom")
    search = first[0].text_input(
        "Search", key="find", placeholder="text near the peak, a latent number, or m0:12", icon=":material/search:",
        help="Text finds features whose strongest contexts peak within three tokens of it. A number finds that latent "
        "in every model; put it in double quotes to find it in the text.",
        bind="query-params",
    )  # fmt: skip
    couples = ["-".join(pair) for pair in pairs[["model_a", "model_b"]].drop_duplicates().to_numpy().tolist()]
    couple = first[1].selectbox("Models", [ALL, *couples], key="models", bind="query-params")
    order = first[2].selectbox("Order", list(PAIR_ORDERS), key="order", bind="query-params")
    second = st.columns([2, 1.4, 2, 2, 2], vertical_alignment="bottom")
    r = second[0].slider("Held-out r", -1.0, 1.0, (-1.0, 1.0), 0.05, key="r", bind="query-params")
    chance = second[1].selectbox("Chance", list(CHANCE), key="chance", bind="query-params")
    levels = second[2].multiselect(
        "Level", list(words.LEVELS), key="level", placeholder="any", bind="query-params"
    )
    classes = second[3].multiselect(
        "Class", list(words.CLASSES), key="class", placeholder="any", bind="query-params"
    )
    known = sorted(pairs["domain"].dropna().astype(str).unique())
    domains = second[4].multiselect(
        "Domain", known, key="domain", placeholder="any", disabled=not known, bind="query-params"
    )
    return (
        PairFilter(
            models=None if couple in (ALL, None) else couple,
            r=None if r == (-1.0, 1.0) else r,
            significant=CHANCE[chance or "Any"],
            levels=levels,
            classes=classes,
            domains=domains,
            search=search or "",
        ),
        order or next(iter(PAIR_ORDERS)),
    )


def table(shown: pd.DataFrame) -> None:
    """The list of pairs; the selected one is the address's."""
    number = st.column_config.NumberColumn
    frame = pd.DataFrame(
        {
            "A": shown["model_a"] + ":" + shown["latent_a"].astype(str),
            "B": shown["model_b"] + ":" + shown["latent_b"].astype(str),
            "r_held_out": shown["r_held_out"],
            "r_token": shown["r_token"],
            "q": shown["q"],
            "level": shown["level"],
            "class": shown["class_a"],
            "domain": shown["domain"],
            "margin": shown["margin"],
            "rate_a": 100 * shown["firing_rate_a"],
            "rate_b": 100 * shown["firing_rate_b"],
            "flags": shown["flags_a"],
        }
    )
    selectable_table(
        frame,
        shown["id"].tolist(),
        param="pair",
        key="pairs_table",
        height=290,
        column_config={
            "A": st.column_config.TextColumn("A", width="small"),
            "B": st.column_config.TextColumn("B", width="small"),
            "r_held_out": st.column_config.ProgressColumn(
                "held-out r", format="%.2f", min_value=0, max_value=1
            ),
            "r_token": number(
                "beyond token", format="%.2f", help="held-out r, token and position means removed"
            ),
            "q": number("q", format="%.2g", width="small"),
            "class": st.column_config.TextColumn("class", width="small", help="of A"),
            "level": st.column_config.TextColumn("level", width="small"),
            "domain": st.column_config.TextColumn("domain", help="of A's strongest activations"),
            "margin": number(
                "margin", format="%.2f", width="small", help="the smaller of both margins to the runner-up"
            ),
            "rate_a": number("A fires %", format="%.3g", width="small"),
            "rate_b": number("B fires %", format="%.3g", width="small"),
            "flags": st.column_config.TextColumn("flags", width="small", help="of A"),
        },
    )


def selected(view: View, pair: str, ids: list[str]) -> None:
    """The detail of the selected pair, also where the filters hide it."""
    row = find_pair(view, pair)
    if row is None:
        nothing("The address names a pair that this run has not.", "Choose one in the table.")
        return
    left, right = st.columns([2, 3], vertical_alignment="center")
    with left:
        if pair not in ids:
            st.caption(
                ":material/filter_alt: This pair is hidden by the filters; it is shown because the address names it."
            )
        else:
            st.caption(f"Pair {ids.index(pair) + 1:,} of {len(ids):,} in this order")
    with right, st.container(horizontal=True, horizontal_alignment="right", gap="small"):
        pin_button(view, [str(row["id"])], key="pair_pin", shortcut="I")
        link_popover({"run": view.name, "comparison": view.comparison, "pair": pair, **address(view)})
        download_pair(row)
        step_buttons(ids, param="pair", key="pair")
    show_pair(view, row)


def main() -> None:
    """Draw the page."""
    view = current_view()
    st.title("Pairs", anchor=False)
    with panel(border=False):
        pairs = pairs_of(view)
        if pairs.empty:
            nothing(
                "No two models of this run have a matched pair.",
                "Features too rare to compare are never matched.",
            )
            return
        wanted, order = filters(pairs)
        alpha = float(view.settings.get("alpha", 0.05))
        found = sort_pairs(wanted.rows(pairs, view, alpha), order)
        shown = found.head(MAX_ROWS)
        pair = st.query_params.get("pair", "")
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            limit = f"; the first {MAX_ROWS:,} in this order are listed" if len(found) > MAX_ROWS else ""
            st.caption(f"**{len(found):,}** of {words.counted(len(pairs), 'pair')}{limit}")
            st.download_button(
                "CSV", data=lambda: csv_bytes(found), file_name=f"pairs_{view.name}.csv", mime="text/csv",
                on_click="ignore", icon=":material/download:", type="tertiary", key="pairs_csv",
            )  # fmt: skip
        if found.empty:
            nothing("No pair passes these filters.", "Widen the range of r, or remove a filter.")
        else:
            table(shown)
        if pair:
            selected(view, pair, found["id"].tolist())
        elif not found.empty:
            st.caption(
                ":material/touch_app: Select a row to see the pair: its evidence, and both models on the same text."
            )


main()
