"""Nodes of a comparison: pairs of dictionaries, and what is made of them all."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from pipelines.engine.plan import Node
from pipelines.plan.dictionary_nodes import dictionary_nodes
from pipelines.plan.layout_nodes import Layout, as_json
from pipelines.recipe import ComparisonConfig, dictionary_ids


def comparison_nodes(layout: Layout, comparison: ComparisonConfig) -> list[Node]:
    """Dictionaries, pairs, and what is made of them all."""
    c = comparison.id
    replicates = [f"{m}r" for m in layout.trained] if comparison.replicates else []
    dictionaries = dictionary_ids(layout.recipe, comparison)
    nodes: list[Node] = []
    for dictionary in dictionaries:
        nodes += dictionary_nodes(layout, comparison, dictionary)
    pairs = [
        *combinations(layout.trained, 2),
        *((m, f"{m}r") for m in layout.trained if replicates),
        *combinations(layout.untrained, 2),
    ]
    raw_pairs = list(combinations(layout.trained, 2)) if comparison.neurons else []
    settings = {
        "comparison_id": c,
        "compare": as_json(layout.recipe.compare),
        "root_seed": layout.recipe.root_seed,
    }
    for a, b in pairs:
        nodes += _pair_nodes(layout, c, (a, b), settings)
    for a, b in raw_pairs:
        inputs = {"tokens": "tokens", "a": f"activations/{a}/eval", "b": f"activations/{b}/eval"}
        params = {**settings, "hook_point": comparison.hook_point, "ids": [a, b]}
        nodes.append(layout.node(f"neurons/{c}/{a}-{b}", "neurons", params, inputs))
    inputs = {"tokens": "tokens", "tokenizer": "tokenizer"}
    for dictionary in dictionaries:
        inputs[f"latents/{dictionary}"] = f"latents/{c}/{dictionary}"
        inputs[f"sae/{dictionary}"] = f"sae/{c}/{dictionary}"
    for model in [*layout.trained, *layout.untrained]:
        inputs[f"activations/{model}"] = f"activations/{model}/eval"
        inputs[f"transformer/{model}"] = f"transformer/{model}"
    for a, b in pairs:
        inputs[f"similarity/{a}-{b}"] = f"similarity/{c}/{a}-{b}"
        inputs[f"null/{a}-{b}"] = f"null/{c}/{a}-{b}"
        inputs[f"matching/{a}-{b}"] = f"matching/{c}/{a}-{b}"
    for a, b in raw_pairs:
        inputs[f"neurons/{a}-{b}"] = f"neurons/{c}/{a}-{b}"
    roles = {
        "hook_point": comparison.hook_point,
        "trained": layout.trained,
        "replicates": {f"{m}r": m for m in layout.trained} if replicates else {},
        "untrained": layout.untrained,
    }
    nodes.append(layout.node(f"comparison/{c}", "comparison", {**settings, **roles}, inputs))
    for model in layout.trained:
        nodes.append(_evidence_node(layout, comparison, model))
    inputs = {f"latents/{model}": f"latents/{c}/{model}" for model in layout.trained}
    params = {"comparison_id": c, "root_seed": layout.recipe.root_seed}
    nodes.append(layout.node(f"layout/{c}", "layout", params, {**inputs, "comparison": f"comparison/{c}"}))
    return nodes


def _pair_nodes(layout: Layout, c: str, pair: tuple[str, str], settings: dict[str, Any]) -> list[Node]:
    name = f"{pair[0]}-{pair[1]}"
    sides = {"tokens": "tokens", "a": f"latents/{c}/{pair[0]}", "b": f"latents/{c}/{pair[1]}"}
    params = {**settings, "ids": list(pair)}
    # Only what a step reads is in its key: another tau repeats neither correlations nor nulls.
    compare = settings["compare"]
    candidates = {**params, "compare": {name: compare[name] for name in ("top", "min_firings")}}
    chance = {**params, "compare": {name: compare[name] for name in ("n_shifts", "min_firings")}}
    return [
        layout.node(f"similarity/{c}/{name}", "similarity", candidates, sides),
        layout.node(f"null/{c}/{name}", "null", chance, sides),
        layout.node(
            f"matching/{c}/{name}",
            "matching",
            params,
            {**sides, "similarity": f"similarity/{c}/{name}", "null": f"null/{c}/{name}"},
        ),
    ]


def _evidence_node(layout: Layout, comparison: ComparisonConfig, model: str) -> Node:
    c = comparison.id
    params = {
        "evidence": as_json(layout.recipe.evidence),
        "compare": as_json(layout.recipe.compare),
        "root_seed": layout.recipe.root_seed,
        "comparison_id": c,
        "hook_point": comparison.hook_point,
        "model": model,
    }
    inputs = {
        "latents": f"latents/{c}/{model}",
        "sae": f"sae/{c}/{model}",
        "transformer": f"transformer/{model}",
        "tokens": "tokens",
    }
    return layout.node(f"evidence/{c}/{model}", "evidence", params, inputs)
