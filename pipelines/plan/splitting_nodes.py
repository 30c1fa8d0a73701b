"""Nodes of splitting: what becomes of a model's features in the larger dictionaries of a study."""

from __future__ import annotations

from collections.abc import Collection
from itertools import combinations_with_replacement
from typing import Any

from pipelines.engine.plan import Node
from pipelines.plan.layout_nodes import Layout, as_json
from pipelines.recipe import StudyConfig, study_cells
from results.stored_comparison import TOKENS, dictionary_node, input_name, latents_node, pair_node
from universality.compare.pair_plan import pair_name

#: Settings of comparisons that trees depend on.
_READ = (
    "tau", "min_firings", "n_shifts", "top", "unmatched", "alpha", "min_stratum_latents", "min_stratum_values",
    "n_resamples", "confidence", "split_pieces", "split_candidates", "split_gain", "split_piece_share",
)  # fmt: skip


def splitting_nodes(layout: Layout, study: StudyConfig) -> list[Node]:
    """Trees of every model of a study, and how far models agree in them; none without several sizes and seeds.

    Dictionaries are those of the first half of the documents. Where other settings vary too, there is a tree at each
    of their combinations.
    """
    recipe, configs = layout.recipe, [config for _, config in study.settings()]
    if len({config.d_sae for config in configs}) < 2 or len(study.sae_seeds) < 2:
        return []
    others = [name for name in study.factors if name != "d_sae"]
    cells: dict[str, dict[str, Any]] = {}
    for cell, spec in study_cells(recipe, study):
        if not cell.untrained and cell.levels["half"] == study.halves[0]:
            cells[cell.id] = {
                "model": spec.model,
                "d_sae": configs[cell.setting].d_sae,
                "sae_seed": int(cell.levels["sae_seed"]),
                "point": cell.point(others),
            }
    compare = as_json(recipe.compare)
    settings = {"root_seed": recipe.root_seed, "study_id": study.id, "compare": {name: compare[name] for name in _READ}}

    def node(node_id: str, own: Collection[str], **more: Any) -> Node:
        used = {name: cell for name, cell in cells.items() if cell["model"] in own}
        inputs = {"tokens": TOKENS, **{input_name("latents", name): latents_node(study.id, name) for name in used}}
        if more:
            inputs |= {input_name("splitting", model): dictionary_node("splitting", study.id, model) for model in own}
        return layout.node(node_id, node_id.split("/", maxsplit=1)[0], {**settings, **more, "cells": used}, inputs)

    models = list(dict.fromkeys(cell["model"] for cell in cells.values()))
    pairs = combinations_with_replacement(models, 2)
    return [
        *(node(dictionary_node("splitting", study.id, model), [model]) for model in models),
        *(
            node(pair_node("split_agreement", study.id, pair_name(p)), [*dict.fromkeys(p)], models=list(p))
            for p in pairs
        ),
    ]
