"""What single features and clusters do to the predictions, for screens."""

from __future__ import annotations

import numpy as np
import pandas as pd

from results.firing import Firing, firing
from results.pair_lists import listed_pairs
from results.remembering import remembered
from results.stored_comparison import StoredComparison, dictionary_node
from storage.errors import ArtifactMissing


@remembered()
def _ablated(stored: StoredComparison) -> pd.DataFrame | None:
    table = stored.optional("latent_effects")
    return None if table is None else table.set_index(["model", "latent"])


def ablated(stored: StoredComparison, model: str, latent: int) -> pd.Series | None:
    """What ablating a latent does (columns of ``latent_effects``); None in a run that ablated none."""
    table = _ablated(stored)
    if table is None or (model, latent) not in table.index:
        return None
    return table.loc[[(model, latent)]].iloc[0]


def loss_without(stored: StoredComparison, model: str, latent: int) -> Firing | None:
    """Where the loss rises without a latent, and by how many nats; of score rows. None where it was not measured."""
    try:
        made = stored.run.artifact(dictionary_node("fingerprints", stored.comparison, model))
    except ArtifactMissing:
        return None
    if not made.has("rows"):
        return None
    rises = firing(made.csc("loss"), latent)
    return Firing(np.asarray(made.array("rows"))[rises.rows], rises.values, stored.text.n_rows)


def effects_within(stored: StoredComparison, members: pd.DataFrame) -> pd.Series:
    """r_effect_both of the assigned pairs inside a cluster; empty where none was measured.

    Args:
        members: columns model and latent.
    """
    inside, pairs = set(zip(members["model"], members["latent"], strict=True)), listed_pairs(stored)
    ends = [zip(pairs[f"model_{side}"], pairs[f"latent_{side}"], strict=True) for side in "ab"]
    within = [a in inside and b in inside for a, b in zip(*ends, strict=True)]
    return pairs.loc[within, "r_effect_both"].dropna().astype(float)
