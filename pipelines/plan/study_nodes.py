"""Nodes of studies: what models make of data that they were, or were not, trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.engine.plan import Node
from pipelines.plan.layout_nodes import Layout
from pipelines.recipe import ComparisonConfig, NativeModels
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


def unseen_nodes(
    layout: Layout,
    comparison: ComparisonConfig,
    plan: PairPlan,
    model_of: Mapping[str, str],
    settings: Mapping[str, Any],
) -> list[Node]:
    """Losses by domain, and what models lack whose data left domains out; none where all read the same text."""
    models, c = layout.recipe.models, comparison.id
    if not isinstance(models, NativeModels) or not any(models.data or ()):
        return []
    mix_of = dict(zip(layout.trained, models.data or (), strict=True))
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
