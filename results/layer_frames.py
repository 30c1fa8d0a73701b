"""Layer by layer: agreement at every two hook points of a study, as rows to draw and sentences to print."""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Mapping
from typing import Any

import pandas as pd

from results.words import number, share
from universality.studies.design import UNTRAINED
from universality.studies.layers import KINDS, MODELS, ONE_MODEL

#: Kind of pairs -> what a matrix of them is called.
KIND_WORDS = {MODELS: "two models", ONE_MODEL: "one model, two SAE seeds", UNTRAINED: "untrained models"}
#: Hook points up to which a sentence names the nearest of each.
_MOST_NAMED = 6


def place_labels(hook_points: Collection[str]) -> tuple[dict[str, str], str]:
    """Short names of hook points, and what they are names of: ``"0"`` of "layer (hook_resid_post)" where all are one
    site of different layers, else ``"0 mlp.post"`` of "hook point"."""
    parts = {place: re.fullmatch(r"blocks\.(\d+)\.(.+)", place) for place in hook_points}
    sites = {match[2] if match else place for place, match in parts.items()}
    if len(sites) == 1 and all(parts.values()):
        return {place: match[1] for place, match in parts.items() if match}, f"layer ({sites.pop()})"
    names = {place: f"{match[1]} {match[2]}" if match else place for place, match in parts.items()}
    return {place: name.replace("hook_", "") for place, name in names.items()}, "hook point"


def layer_rows(layers: pd.DataFrame, measure: str = "shared") -> pd.DataFrame:
    """Matrices of one measure, cell by cell.

    Args:
        layers: the table ``study_layers`` of one study.
        measure: one of its measures.

    Returns:
        panel (which matrix, in words), kind, a, b (short names of the hook points, a down and b across), value, low,
        high (over models and sources, or with too few models over sources alone), one_model and untrained (the value
        that these have in the same cell, missing where there is none), n_pairs, n_models; two models first, untrained
        ones last.
    """
    labels, _ = place_labels(dict.fromkeys([*layers["hook_point_a"], *layers["hook_point_b"]]))
    rows = layers[layers["measure"] == measure].copy()
    few, place = rows["low"].isna(), ["group_a", "hook_point_a", "group_b", "hook_point_b"]
    for end in ("low", "high"):
        rows[end] = rows[end].where(~few, rows[f"{end}_sources"])
    for name, kind in (("one_model", ONE_MODEL), ("untrained", UNTRAINED)):
        beside = rows[rows["kind"] == kind].set_index(place)["value"].rename(name)
        rows = rows.join(beside, on=place)
    rows["panel"] = [_panel(*of) for of in zip(rows["kind"], rows["group_a"], rows["group_b"], strict=True)]
    rows["a"], rows["b"] = rows["hook_point_a"].map(labels), rows["hook_point_b"].map(labels)
    rows = rows.sort_values("kind", key=lambda kinds: kinds.map(KINDS.index), kind="stable", ignore_index=True)
    return rows[["panel", "kind", "a", "b", "value", "low", "high", "one_model", "untrained", "n_pairs", "n_models"]]


def layer_table(layers: pd.DataFrame) -> pd.DataFrame:
    """The cells of :func:`layer_rows` of ``shared``, with value, low and high of ``r_joint`` as joint, joint_low, …"""
    rows, joint = layer_rows(layers), layer_rows(layers, "r_joint")
    named = {"value": "joint", "low": "joint_low", "high": "joint_high"}
    cell = ["panel", "a", "b"]
    return rows.merge(joint[[*cell, *named]].rename(columns=named), on=cell, how="left")


def _panel(kind: str, group_a: str, group_b: str) -> str:
    groups = " and ".join(dict.fromkeys(filter(None, [group_a, group_b])))
    return f"{KIND_WORDS[kind]}: {groups}" if groups else KIND_WORDS[kind]


def layer_means(layers: pd.DataFrame) -> pd.DataFrame:
    """Mean ``shared`` and ``r_joint`` over the cells of one hook point (same) and of two (other), by kind."""
    same = (layers["hook_point_a"] == layers["hook_point_b"]).map({True: "same", False: "other"})
    found = layers.groupby(["kind", same.rename("where"), "measure"])["value"].mean().unstack("measure")
    return found.reindex(columns=["shared", "r_joint"])


def _beside(row: Mapping[Hashable, Any]) -> str:
    """Ceiling and floor of a cell, as far as they are known."""
    words = {"one_model": "one model", "untrained": "untrained"}
    return "".join(f", {word} {number(row[name])}" for name, word in words.items() if pd.notna(row[name]))


def layer_sentence(layers: pd.DataFrame) -> str:
    """Which hook points of two models agree most, and how many latents have a partner, untrained models beside."""
    if not (layers["kind"] == MODELS).any():
        return ""
    of_layers = place_labels([*layers["hook_point_a"], *layers["hook_point_b"]])[1].startswith("layer")
    rows = layer_rows(layers, "r_joint")
    between = rows[rows["kind"] == MODELS]
    best = between.loc[between.groupby(["panel", "a"], sort=False)["value"].idxmax()]
    word = "layer " if of_layers else ""
    if len(best) > _MOST_NAMED:
        told = f"in {(best['a'] == best['b']).sum()} of {len(best)} cases with the same place"
    else:
        told = ", ".join(
            f"{word}{row['a']} with {word}{row['b']} ({number(row['value'])}{_beside(row)})"
            for row in best.to_dict("records")
        )
    means, places = layer_means(layers)["shared"], []
    for where, words in (("same", "one hook point"), ("other", "two hook points")):
        if (MODELS, where) in means:
            beside = f" (untrained {share(means[UNTRAINED, where])})" if (UNTRAINED, where) in means else ""
            places.append(f"at {words} {share(means[MODELS, where])}{beside}")
    return (
        f"By mean r beyond domain, document, token and place, two models agree most: {told}. Latents with a partner in "
        f"the other model: {', '.join(places)}."
    )
