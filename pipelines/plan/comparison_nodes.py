"""Nodes of a comparison: pairs of dictionaries, and what is made of them all."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from pipelines.engine.plan import Node
from pipelines.plan.dictionary_nodes import dictionary_nodes
from pipelines.plan.layout_nodes import Layout, as_json
from pipelines.recipe import ComparisonConfig, DictionarySpec, dictionary_specs


def comparison_nodes(layout: Layout, comparison: ComparisonConfig) -> list[Node]:
    """Dictionaries, pairs, and what is made of them all."""
    c = comparison.id
    specs = {spec.id: spec for spec in dictionary_specs(layout.recipe, comparison)}
    compared, untrained = (
        [spec.id for spec in specs.values() if spec.role == role] for role in ("primary", "untrained")
    )
    replicate_of = {spec.id: spec.replicate_of for spec in specs.values() if spec.replicate_of is not None}
    nodes: list[Node] = []
    for spec in specs.values():
        nodes += dictionary_nodes(layout, comparison, spec)
    pairs = [
        *combinations(compared, 2),
        *((primary, replicate) for replicate, primary in replicate_of.items()),
        *combinations(untrained, 2),
    ]
    # Two dictionaries of one model read the very same neurons.
    raw_pairs = [(a, b) for a, b in combinations(compared, 2) if specs[a].model != specs[b].model]
    raw_pairs = raw_pairs if comparison.neurons else []
    settings = {
        "comparison_id": c,
        "compare": as_json(layout.recipe.compare),
        "root_seed": layout.recipe.root_seed,
    }
    for a, b in pairs:
        nodes += _pair_nodes(layout, c, (a, b), settings)
    for a, b in raw_pairs:
        inputs = {"tokens": "tokens"} | {
            side: f"activations/{specs[name].model}/eval" for side, name in (("a", a), ("b", b))
        }
        params = {**settings, "hook_point": comparison.hook_point, "ids": [a, b]}
        nodes.append(layout.node(f"neurons/{c}/{a}-{b}", "neurons", params, inputs))
    inputs = {"tokens": "tokens", "tokenizer": "tokenizer"}
    for dictionary in specs:
        inputs[f"latents/{dictionary}"] = f"latents/{c}/{dictionary}"
        inputs[f"sae/{dictionary}"] = f"sae/{c}/{dictionary}"
    # Under the dictionary's own id: what the step reads of a model, it reads for one of its dictionaries.
    for dictionary in [*compared, *untrained]:
        model = specs[dictionary].model
        inputs[f"activations/{dictionary}"] = f"activations/{model}/eval"
        inputs[f"transformer/{dictionary}"] = f"transformer/{model}"
    for a, b in pairs:
        inputs[f"similarity/{a}-{b}"] = f"similarity/{c}/{a}-{b}"
        inputs[f"null/{a}-{b}"] = f"null/{c}/{a}-{b}"
        inputs[f"matching/{a}-{b}"] = f"matching/{c}/{a}-{b}"
    for a, b in raw_pairs:
        inputs[f"neurons/{a}-{b}"] = f"neurons/{c}/{a}-{b}"
    roles = {
        "hook_point": comparison.hook_point,
        "trained": compared,
        "replicates": replicate_of,
        "untrained": untrained,
    }
    nodes.append(layout.node(f"comparison/{c}", "comparison", {**settings, **roles}, inputs))
    for dictionary in compared:
        nodes.append(_evidence_node(layout, comparison, specs[dictionary]))
    inputs = {f"latents/{dictionary}": f"latents/{c}/{dictionary}" for dictionary in compared}
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


def _evidence_node(layout: Layout, comparison: ComparisonConfig, spec: DictionarySpec) -> Node:
    c = comparison.id
    params = {
        "evidence": as_json(layout.recipe.evidence),
        "compare": as_json(layout.recipe.compare),
        "root_seed": layout.recipe.root_seed,
        "comparison_id": c,
        "hook_point": comparison.hook_point,
        "model": spec.id,
    }
    inputs = {
        "latents": f"latents/{c}/{spec.id}",
        "sae": f"sae/{c}/{spec.id}",
        "transformer": f"transformer/{spec.model}",
        "tokens": "tokens",
    }
    return layout.node(f"evidence/{c}/{spec.id}", "evidence", params, inputs)
