"""Nodes of studies: what seeds, data, sizes and training do to agreement, and what models lack that never saw it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.engine.plan import Node
from pipelines.plan.dictionary_nodes import trained_dictionary
from pipelines.plan.layout_nodes import Layout, as_json
from pipelines.recipe import ComparisonConfig, NativeModels, Recipe, StudyConfig, study_cells, study_design
from results.stored_comparison import (
    TOKENS,
    comparison_node,
    dictionary_node,
    input_name,
    latents_node,
    mix_node,
    pair_node,
    transformer_node,
)
from universality.compare.pair_plan import PairPlan, pair_name
from universality.studies.design import DATA


def unseen_nodes(
    layout: Layout,
    comparison: ComparisonConfig,
    plan: PairPlan,
    model_of: Mapping[str, str],
    settings: Mapping[str, Any],
) -> list[Node]:
    """Losses by domain, and what models lack whose data left domains out; none where all read the same text."""
    c, mix_of = comparison.id, {model: _mix_of(layout.recipe, model) for model in layout.trained}
    if not any(mix_of.values()):
        return []
    nodes: list[Node] = []
    inputs = {"tokens": TOKENS, "comparison": comparison_node(c)}
    for name in plan.models:
        losses = dictionary_node("domain_losses", c, name)
        read = {"tokens": TOKENS, "transformer": transformer_node(model_of[name])}
        nodes.append(layout.training_node(losses, "domain_losses", {}, read))
        inputs |= {input_name("domain_losses", name): losses, input_name("latents", name): latents_node(c, name)}
    data = [mix_of[model_of[name]] for name in plan.models]
    inputs |= {input_name("mix", mix): mix_node(mix) for mix in data if mix is not None}
    inputs |= {input_name("matching", pair_name(p)): pair_node("matching", c, pair_name(p)) for p in plan.model_pairs}
    params = {**settings, "models": list(plan.models), "data": data, "pairs": [list(p) for p in plan.model_pairs]}
    return [*nodes, layout.node(comparison_node(c, "unseen_domains"), "unseen_domains", params, inputs)]


def _mix_of(recipe: Recipe, model: str) -> str | None:
    group, index = recipe.member(model)
    return group.data[index] if isinstance(group, NativeModels) and group.data is not None else None


def study_nodes(layout: Layout, study: StudyConfig) -> list[Node]:
    """The dictionaries of a study, its pairs (one of each relation with its chance), and its tables."""
    recipe, s = layout.recipe, study.id
    design, configs = study_design(recipe, study), [config for _, config in study.settings()]
    nodes: list[Node] = []
    inputs = {"tokens": TOKENS}
    for cell, spec in study_cells(recipe, study):
        nodes += trained_dictionary(layout, s, study.place_of(cell), configs[cell.setting], spec)
        inputs |= {input_name("latents", cell.id): latents_node(s, cell.id)}
        inputs |= {input_name("sae", cell.id): dictionary_node("sae", s, cell.id)}
    mixes = [name for name in recipe.mixes if any(cell.levels.get(DATA) == name for cell in design.cells)]
    inputs |= {input_name("mix", name): mix_node(name) for name in mixes}
    compare = as_json(recipe.compare)
    settings = {"root_seed": recipe.root_seed}
    read = ("min_firings", "tau", "top", "method", "unmatched", "n_resamples", "confidence")
    agreement = {**settings, "compare": {name: compare[name] for name in read}}
    chance = {
        **settings,
        "comparison_id": s,
        "compare": {name: compare[name] for name in ("n_shifts", "min_firings")},
    }
    first = {}
    for pair in design.pairs:
        ids = [pair.a.id, pair.b.id]
        read = layout.read_by([pair.a.transformer, pair.b.transformer])
        sides = {"tokens": read, "a": latents_node(s, ids[0]), "b": latents_node(s, ids[1])}
        node = pair_node("study_pair", s, pair.name)
        nodes.append(layout.node(node, "study_pair", {**agreement, "ids": ids}, sides))
        inputs[input_name("pair", pair.name)] = node
        if pair.relation not in first:
            first[pair.relation] = pair.name
            null = pair_node("null", s, pair.name)
            nodes.append(layout.node(null, "null", {**chance, "ids": ids}, sides))
            inputs[input_name("null", pair.name)] = null
    params = {
        **settings,
        "study_id": s,
        "cells": [vars(cell) | {"levels": dict(cell.levels)} for cell in design.cells],
        "of_models": list(design.of_models),
        "settings": list(study.factors),
        "mixes": mixes,
        "compare": {name: compare[name] for name in ("min_firings", "tau", "confidence")},
    }
    return [*nodes, layout.node(comparison_node(s, "study"), "study", params, inputs)]
