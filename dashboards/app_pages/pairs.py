"""Pairs: filter, choose one, and decide whether the match is real."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboards.components.columns import Column, bar, number, percent, quoting, text
from dashboards.components.downloads import csv_button
from dashboards.components.filters import domains_in, flow, one_of, search_box, several
from dashboards.components.labels import HELP
from dashboards.components.list_page import TOO_RARE, TablePage
from dashboards.components.pair_detail import show_pair
from dashboards.components.pin_panel import pin_button
from results import words
from results.ids import feature_ids
from results.label_frames import kinds_in
from results.pair_lists import PAIR_ORDERS, PairFilter, find_pair, listed_pairs, sort_pairs

ALL = "All pairs of models"
NUMBERS = {"Any": None, "Same index": True, "Other index": False}
CHANCE = {"Any": None, "Beyond chance": True, "Within chance": False}
#: Every value that a correlation can take.
ANY_R = (-1.0, 1.0)


class PairsPage(TablePage):
    """The screen of assigned pairs."""

    title, name, kind = "Pairs", "pairs", "pair"
    things, detail = staticmethod(listed_pairs), staticmethod(show_pair)
    empty = (
        "No two models of this run have a matched pair.",
        TOO_RARE,
    )
    remedy = "Widen the range of r, or remove a filter."
    hidden = "This pair is hidden by the filters; it is shown because the address names it."
    invitation = "Select a row to see the pair: its evidence, and both models on the same text."
    widths = (2, 3)

    def filtered(self, things: pd.DataFrame) -> pd.DataFrame:
        """The pairs that pass the filters, in the chosen order."""
        asked = self.view.optional("same_index") is not None  # of other comparisons equal numbers mean nothing
        first = st.columns([3, 2, 2, *([1] if asked else [])], vertical_alignment="bottom")
        search = search_box(self.view, first[0], "find")
        couples = ["-".join(couple) for couple in things[["model_a", "model_b"]].drop_duplicates().to_numpy()]
        models = one_of(first[1], "Models", [ALL, *couples], "models")
        order = one_of(first[2], "Order", PAIR_ORDERS, "order")
        second = flow()
        r = second.slider("Held-out r", *ANY_R, ANY_R, 0.05, key="r", bind="query-params")
        passing = PairFilter(
            models=None if models == ALL else models,
            r=None if r == ANY_R else r,
            significant=CHANCE[one_of(second, "Chance", CHANCE, "chance")],
            levels=several(second, "Level", words.LEVELS, "level"),
            classes=several(second, "Class", words.CLASSES, "class"),
            domains=several(second, "Domain", domains_in(things), "domain"),
            effects=several(second, "Effect", words.EFFECT_CLASSES, "effect"),
            labels=several(second, "Label", kinds_in(things["label_kind_a"]), "label", help="Of the first."),
            same_index=NUMBERS[one_of(first[3], "Numbers", NUMBERS, "numbers")] if asked else None,
            search=search,
        )
        return sort_pairs(passing.rows(things, self.view, self.view.alpha), order)

    def columns(self) -> Sequence[Column]:
        """Both features and their agreement."""
        return [
            Column("feature", lambda pairs: feature_ids(pairs, "a"), text("feature", width="small", pinned=True)),
            Column("partner", lambda pairs: feature_ids(pairs, "b"), text("partner", width="small", pinned=True)),
            Column("r_held_out", "r_held_out", bar("held-out r")),
            Column("r_token", "r_token",
                   number("beyond token", format="%.2f", help="held-out r, token and position means removed")),
            Column("q", "q", number("q", format="%.2g", width="small")),
            Column("level", "level", text("level")),
            Column("r_effect_both", "r_effect_both",
                   number("what they do", format="%.2f", width="small",
                          help="r of the changes in the loss that ablating either makes, where both fire")),
            Column("label", quoting("label_a"), text("label", help=f"{HELP}; of the first feature")),
            Column("class", "class_a", text("class", width="small", help="of the first feature")),
            Column("domain", "domain", text("domain", help="of the first feature's strongest activations")),
            Column("margin", "margin",
                   number("margin", format="%.2f", width="small",
                          help="the smaller of both margins to the runner-up")),
            Column("rate_a", percent("firing_rate_a"), number("fires %", format="%.3g", width="small")),
            Column("rate_b", percent("firing_rate_b"), number("partner fires %", format="%.3g", width="small")),
            Column("flags", "flags_a", text("flags", width="small", help="of the first feature")),
        ]  # fmt: skip

    def find(self, selected: str, things: pd.DataFrame) -> pd.Series | None:
        """The pair, whichever of its sides is named first."""
        return find_pair(self.view, selected)

    def buttons(self, selected: str, row: pd.Series) -> None:
        """A pin, a link, and the pair's numbers."""
        pin_button(self.view, [str(row["id"])], key="pair_pin", shortcut="I")
        super().buttons(selected, row)
        csv_button(lambda: row.to_frame().T, f"pair_{row['id'].replace(':', '.')}.csv", key="pair_csv")


PairsPage().draw()
