"""Nodes that turn features of a comparison up in its models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipelines.engine.plan import Node
from pipelines.plan.layout_nodes import Layout, as_json
from pipelines.recipe import ComparisonConfig
from results.stored_comparison import (
    TOKENIZER,
    TOKENS,
    activations_node,
    comparison_node,
    dictionary_node,
    latents_node,
    sae_node,
    transformer_node,
)


def steering_nodes(
    layout: Layout, comparison: ComparisonConfig, compared: Sequence[str], model_of: Mapping[str, str]
) -> list[Node]:
    """The choice of clusters, and every model steered. Inputs are named by their nodes, as whoever opens a run does."""
    recipe, c = layout.recipe, comparison.id
    if recipe.effects is None or recipe.effects.steering is None or not layout.one_readout(comparison):
        return []
    params = {"comparison_id": c, "models": list(compared)}
    shared = [TOKENS, TOKENIZER, comparison_node(c), *(latents_node(c, name) for name in compared)]
    choice = comparison_node(c, "steering_clusters")
    chosen = {**params, "clusters": recipe.effects.steering.clusters}
    nodes = [layout.node(choice, "steering_clusters", chosen, {node: node for node in shared})]
    params |= {
        "steering": as_json(recipe.effects.steering),
        "hook_point": comparison.hook_point,
        "root_seed": recipe.root_seed,
        "model_of": {name: model_of[name] for name in compared},
    }
    for name in compared:
        others = [sae_node(c, other) for other in compared]
        read = [activations_node(model, "eval") for model in dict.fromkeys(params["model_of"].values())]
        inputs = [*shared, *others, *read, choice, transformer_node(model_of[name])]
        made = layout.training_node(
            dictionary_node("steering", c, name), "steering", {**params, "id": name}, {node: node for node in inputs}
        )
        nodes.append(made)
    return nodes
