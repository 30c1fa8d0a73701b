"""Assigned pairs as lists: what is known of both sides, filters and orders."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from results import frames
from results.feature_lists import among, with_one_of
from results.ids import PAIR_ID, feature_id, feature_ids, plain_id
from results.label_frames import with_labels
from results.remembering import remembered
from results.search import features_matching
from results.stored_comparison import StoredComparison

#: Name in the menu -> column, and whether the smallest value comes first.
PAIR_ORDERS: dict[str, tuple[str, bool]] = {
    "Strongest (held-out r)": ("r_held_out", False),
    "Surest (lower end of the interval)": ("r_low", False),
    "Weakest (held-out r)": ("r_held_out", True),
    "Strongest beyond the token": ("r_token", False),
    "Most explained by the token": ("token_share", False),
    "Most contested (smallest margin)": ("margin", True),
    "Clearest (largest margin)": ("margin", False),
    "Most unequal firing rates": ("rate_gap", False),
    "Rarest": ("firing_rate", True),
    "Most frequent": ("firing_rate", False),
    "Most alike in what they do": ("r_effect_both", False),
    "Least alike in what they do": ("r_effect_both", True),
}
#: To first order, from the table ``attribution``, which runs have whose models run again for every ablation.
ATTRIBUTION = ("r_gradient_both", "r_gradient_both_low", "r_gradient_both_high", "r_exact_a", "r_exact_b")
#: What is said of a pair's effect on the predictions, from the table ``effects``.
EFFECTS = (
    "r_effect",
    "r_effect_both",
    "r_effect_both_low",
    "r_effect_both_high",
    "recovered",
    "effect_class",
    "weight",
)


@remembered()
def listed_pairs(stored: StoredComparison) -> pd.DataFrame:
    """Every assigned pair with what is known of both sides, strongest first.

    Columns of ``pair_table``, and ``domain`` (of side a's strongest activations), ``margin`` (the smaller of
    the two), ``token_share`` (what r loses without token and position), ``firing_rate`` (the smaller),
    ``rate_gap`` (the larger rate over the smaller one), ``label_a``, ``label_kind_a`` and those of b, and
    :data:`EFFECTS` and :data:`ATTRIBUTION`, missing where they were not measured.
    """
    features = stored.table("features")
    frame = frames.pair_table(stored.table("pairs"), features)
    if "top_domain" in features.columns:
        names = {"model": "model_a", "latent": "latent_a", "top_domain": "domain"}
        frame = frame.merge(features[list(names)].rename(columns=names), on=["model_a", "latent_a"], how="left")
    else:
        frame["domain"] = None
    for side in "ab":
        frame = with_labels(stored, frame, feature_ids(frame, side), f"_{side}")
    for table, columns in (("effects", EFFECTS), ("attribution", ATTRIBUTION)):
        frame = frame.join(_of_matched(stored, table, columns), on=["model_a", "latent_a", "model_b", "latent_b"])
    rates = frame[["firing_rate_a", "firing_rate_b"]].to_numpy(float, na_value=np.nan)
    low, high = rates.min(axis=1), rates.max(axis=1)
    return frame.assign(
        margin=frame[["margin_a", "margin_b"]].min(axis=1),
        token_share=frame["r_held_out"] - frame["r_token"],
        firing_rate=low,
        rate_gap=np.divide(high, low, out=np.full(len(low), np.nan), where=low > 0),
    )


def _of_matched(stored: StoredComparison, table: str, columns: Sequence[str]) -> pd.DataFrame:
    """Columns of a table of effects of matched pairs by both sides; no rows where the run did not measure them."""
    sides, effects = ["model_a", "latent_a", "model_b", "latent_b"], stored.optional(table)
    if effects is None:
        effects = pd.DataFrame(columns=[*sides, *columns, "kind"])
    return effects[effects["kind"] == "matched"].set_index(sides)[list(columns)]


def find_pair(stored: StoredComparison, pair: str) -> pd.Series | None:
    """The row of an assigned pair; either order of the two sides will do. None where there is none."""
    pairs, pair = listed_pairs(stored), plain_id(pair)
    rows = pairs[pairs["id"] == pair]
    if rows.empty and (match := PAIR_ID.match(pair)):
        a, b = (feature_id(match[f"model_{side}"], int(match[f"latent_{side}"])) for side in "ab")
        rows = pairs[pairs["id"] == f"{b}-{a}"]
    return None if rows.empty else rows.iloc[0]


@dataclass(frozen=True)
class PairFilter:
    """Conditions on assigned pairs, all of which must hold; the defaults hold for every pair.

    Attributes:
        models: the two models, "m0-m1".
        r: lowest and highest held-out r.
        significant: whether q is below alpha.
        levels: levels of which the pair has one.
        classes: classes of which at least one side has one.
        domains: domains of which one is that of side a.
        effects: effect classes of which the pair has one.
        labels: kinds of labels (:func:`results.label_frames.kinds_in`) of which side a has one.
        same_index: whether both latents have the same number.
        search: what finds one of the sides, as :func:`results.search.features_matching` reads it.
    """

    models: str | None = None
    r: tuple[float, float] | None = None
    significant: bool | None = None
    levels: Sequence[str] = field(default=())
    classes: Sequence[str] = field(default=())
    domains: Sequence[str] = field(default=())
    effects: Sequence[str] = field(default=())
    labels: Sequence[str] = field(default=())
    same_index: bool | None = None
    search: str = ""

    def rows(self, frame: pd.DataFrame, stored: StoredComparison, alpha: float) -> pd.DataFrame:
        """The rows of :func:`listed_pairs` that pass every condition, in the same order."""
        keep = with_one_of(
            frame,
            {"level": self.levels, "domain": self.domains, "effect_class": self.effects, "label_kind_a": self.labels},
        )
        if self.models:
            keep &= (frame["model_a"] + "-" + frame["model_b"]).to_numpy() == self.models
        if self.r:
            keep &= frame["r_held_out"].between(*self.r).to_numpy()
        if self.significant is not None:
            keep &= (frame["q"] < alpha).to_numpy() == self.significant
        if self.classes:
            keep &= (frame[["class_a", "class_b"]].isin(list(self.classes))).any(axis=1).to_numpy()
        if self.same_index is not None:
            keep &= (frame["latent_a"] == frame["latent_b"]).to_numpy() == self.same_index
        if self.search.strip():
            matching = features_matching(stored, self.search)
            ids_a, ids_b = _side_keys(stored)
            a, b = among(ids_a, matching), among(ids_b, matching)
            keep &= a & b if PAIR_ID.match(self.search.strip()) else a | b
        return frame[keep]


@remembered()
def _side_keys(stored: StoredComparison) -> tuple[list[str], list[str]]:
    """Feature id of both sides of every row of :func:`listed_pairs`."""
    return feature_ids(listed_pairs(stored), "a").tolist(), feature_ids(listed_pairs(stored), "b").tolist()


def sort_pairs(frame: pd.DataFrame, order: str) -> pd.DataFrame:
    """Rows in one of :data:`PAIR_ORDERS`; missing values last, ties in the order they had."""
    column, ascending = PAIR_ORDERS[order]
    return frame.sort_values(column, ascending=ascending, kind="stable", na_position="last")
